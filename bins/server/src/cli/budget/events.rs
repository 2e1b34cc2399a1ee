//! What happened that somebody should hear of.

use std::process::ExitCode;

use clap::Args;
use meterbox_budget_engine::{BudgetEngine, Event, EventPage, Happening};

use super::{Done, Printer};
use crate::cli::table;

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Events after this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,

    /// At most so many, the oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) async fn events(args: EventsArgs, engine: &BudgetEngine, out: Printer) -> Done {
    let page = EventPage {
        after: args.after,
        limit: args.limit,
    };
    let events = engine.events(page).await?;
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

fn in_words(event: &Event) -> (String, String) {
    let everything = || "–".to_owned();
    match &event.what {
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
        _ => (everything(), "something else".to_owned()),
    }
}
