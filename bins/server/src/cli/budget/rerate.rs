//! The ledger at other prices.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use meterbox_budget_engine::{BudgetEngine, RerateReport, TimeRange};
use meterbox_core::Timestamp;
use meterbox_price_book::PriceBook;
use serde::Serialize;

use super::{Done, Failed, Printer, parse_moment};
use crate::cli::table;

/// More rows than a screen shows are better read in the JSON.
const MAX_ROWS: usize = 50;

#[derive(Debug, Args)]
pub(super) struct RerateArgs {
    /// A price book, TOML or JSON, laid over the shipped one [default: the prices in force]
    book: Option<PathBuf>,

    /// Only spending from this day or time on
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,

    /// Only spending before this day or time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Rerated<'a> {
    book: &'a str,
    fingerprint: &'a str,
    #[serde(flatten)]
    report: RerateReport,
}

pub(super) async fn rerate(
    args: RerateArgs,
    engine: &BudgetEngine,
    in_force: &PriceBook,
    out: Printer,
) -> Done {
    let book = match &args.book {
        None => in_force.clone(),
        Some(path) => {
            let own = PriceBook::open(path).map_err(|error| Failed::Usage(error.to_string()))?;
            PriceBook::shipped().overridden_by(&own)
        }
    };
    let range = TimeRange {
        since: args.since,
        until: args.until,
    };
    let report = engine
        .rerate(range, |rate, at, quantity| book.amount(rate, at, quantity))
        .await?;
    let rerated = Rerated {
        book: book.name(),
        fingerprint: book.short_fingerprint(),
        report,
    };
    out.print(&rerated, || in_words(&rerated))?;
    Ok(ExitCode::SUCCESS)
}

fn in_words(rerated: &Rerated<'_>) -> String {
    let report = &rerated.report;
    let mut parts = vec![format!(
        "{} lines that cost {} would cost {} by {} ({}).",
        report.rerated, report.recorded, report.would_be, rerated.book, rerated.fingerprint
    )];
    if report.left > 0 {
        parts.push(format!(
            "{} lines that cost {} say no price this book knows, and stay as they are.",
            report.left, report.left_recorded
        ));
    }
    if !report.rates.is_empty() {
        let rows = report.rates.iter().take(MAX_ROWS).map(|rate| {
            vec![
                rate.rate.clone(),
                rate.quantity.to_string(),
                rate.recorded.to_string(),
                rate.would_be.to_string(),
                rate.books.join(" "),
            ]
        });
        let header = ["Rate", "Quantity", "Cost", "→ cost", "Priced by"];
        parts.push(table::grid(&header, &["Quantity", "Cost", "→ cost"], rows));
        let rest = report.rates.len().saturating_sub(MAX_ROWS);
        if rest > 0 {
            parts.push(format!("and {rest} more; --json has all"));
        }
    }
    if !report.scopes.is_empty() {
        let rows = report.scopes.iter().map(|total| {
            vec![
                total.scope.to_string(),
                total.recorded.to_string(),
                total.would_be.to_string(),
            ]
        });
        parts.push(table::grid(
            &["Scope", "Spent", "→ spent"],
            &["Spent", "→ spent"],
            rows,
        ));
    }
    parts.join("\n\n")
}
