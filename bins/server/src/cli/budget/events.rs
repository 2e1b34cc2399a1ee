//! What happened that somebody should hear of.

use std::process::ExitCode;

use clap::Args;

use super::{Done, Printer};
use crate::{
    administration::{
        Administration,
        wire::{EventView, EventsQuery, HappeningView as Happening},
    },
    cli::table,
};

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Events after this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,

    /// At most so many, the oldest first; 1,000 in all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) async fn events(args: EventsArgs, target: &dyn Administration, out: Printer) -> Done {
    let query = EventsQuery {
        after: Some(args.after),
        limit: Some(args.limit),
    };
    let events = target.events(query).await?.events;
    out.print(&events, || {
        if events.is_empty() {
            return "Nothing happened yet.".to_owned();
        }
        let rows = events.iter().map(|event| {
            let (whose, what) = in_words(event);
            vec![event.seq.to_string(), event.at.to_string(), whose, what]
        });
        table::grid(&["N", "Time", "Scope", "Event"], &["N"], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn in_words(event: &EventView) -> (String, String) {
    let everything = || "–".to_owned();
    match &event.what {
        Happening::CapReached {
            scope,
            rung,
            limit,
            spent,
            ..
        } if rung == "stop" && spent < limit => (
            scope.to_string(),
            format!("stop: {spent} of {limit} spent, and the rest pays for nothing"),
        ),
        Happening::CapReached {
            scope,
            rung,
            percent,
            limit,
            spent,
            ..
        } => (
            scope.to_string(),
            format!("{rung}: {spent} spent, {percent} % of {limit} reached"),
        ),
        Happening::Spike {
            scope,
            recent,
            expected,
        } => (
            scope.to_string(),
            format!("spike: {recent} just now, {expected} was usual"),
        ),
        Happening::Stopped { reason, .. } => (everything(), format!("all spending stopped: {reason}")),
        Happening::Resumed => (everything(), "spending may go on".to_owned()),
        Happening::Other => (everything(), "something else".to_owned()),
    }
}
