//! Who spent how much, and what for.

use std::process::ExitCode;

use clap::Args;
use meterbox_core::Timestamp;

use super::{Done, Printer, parse_moment};
use crate::{
    administration::{
        Administration,
        wire::{Part, RangeQuery, SpendingView},
    },
    cli::table,
};

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Only work begun from this day or time on [default: the beginning of the month]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,

    /// Only work begun before this day or time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

pub(super) async fn report(args: ReportArgs, target: &dyn Administration, out: Printer) -> Done {
    let range = RangeQuery {
        since: args.since,
        until: args.until,
    };
    let spending = target.spending(range).await?;
    out.print(&spending, || in_words(&spending))?;
    Ok(ExitCode::SUCCESS)
}

fn in_words(spending: &SpendingView) -> String {
    let since = spending
        .since
        .map(|at| format!(" since {at}"))
        .unwrap_or_default();
    let until = spending
        .until
        .map(|at| format!(" until {at}"))
        .unwrap_or_default();
    let total = spending.total;
    let mut parts = vec![format!(
        "{} spent and {} held{since}{until}.",
        total.spent, total.held
    )];
    let tables = [
        ("Person", &spending.by_person),
        ("Group", &spending.by_group),
        ("Purpose", &spending.by_purpose),
    ];
    let filled = tables.into_iter().filter(|(_, rows)| !rows.is_empty());
    parts.extend(filled.map(|(name, rows)| {
        table::grid(
            &[name, "Spent", "Held", "Times"],
            &["Spent", "Held", "Times"],
            rows.iter().map(row),
        )
    }));
    parts.join("\n\n")
}

fn row(part: &Part) -> Vec<String> {
    let share = part.share;
    vec![
        part.name.clone(),
        share.spent.to_string(),
        share.held.to_string(),
        share.count.to_string(),
    ]
}
