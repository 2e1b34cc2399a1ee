//! The ledger at other prices.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use meterbox_core::Timestamp;

use super::{Done, Failed, Printer, parse_moment};
use crate::{
    administration::{
        AdminError, Administration,
        wire::{BookFormat, BookText, RerateRequest, RerateView},
    },
    cli::table,
};

/// More rows than a screen shows are better read in the JSON.
const MAX_ROWS: usize = 50;

#[derive(Debug, Args)]
pub(super) struct RerateArgs {
    /// A price book, TOML or JSON, laid over the shipped one [default: the prices in force, at a server its own]
    book: Option<PathBuf>,

    /// Only spending from this day or time on
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,

    /// Only spending before this day or time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

pub(super) async fn rerate(args: RerateArgs, target: &dyn Administration, out: Printer) -> Done {
    let request = RerateRequest {
        book: args.book.as_deref().map(read).transpose()?,
        since: args.since,
        until: args.until,
    };
    let report = match target.rerate(request).await {
        Err(AdminError::Invalid {
            field: "book",
            message,
        }) => {
            let path = args.book.unwrap_or_default();
            return Err(Failed::Usage(format!("{}: {message}", path.display())));
        }
        report => report?,
    };
    out.print(&report, || in_words(&report))?;
    Ok(ExitCode::SUCCESS)
}

/// A file is TOML where its name ends so, or else JSON.
fn read(path: &Path) -> Result<BookText, Failed> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failed::Usage(format!(
            "the price book {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    let format = if is_toml {
        BookFormat::Toml
    } else {
        BookFormat::Json
    };
    Ok(BookText { format, text })
}

fn in_words(report: &RerateView) -> String {
    let mut parts = vec![format!(
        "{} lines that cost {} would cost {} by {} ({}).",
        report.rerated, report.recorded, report.would_be, report.book, report.fingerprint
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
