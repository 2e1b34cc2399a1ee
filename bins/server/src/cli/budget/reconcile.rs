//! Worst cases corrected by a file of what was really used.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use meterbox_analysis::ComputePrice;
use meterbox_budget_engine::{Reconciliation, UsageRecord};
use meterbox_core::{Clock, SystemClock};
use meterbox_price_book::PriceBook;

use super::{Done, Failed, Printer, e2b, usage};
use crate::{
    administration::Local,
    cli::{table, text},
};

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// A usage export; rows of one call belong together
    file: PathBuf,

    /// What the file is [default: by its name, .csv or .jsonl]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Only say what would be corrected
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns reference or intent, item, quantity, unit, amount (dollars)
    Csv,
    /// An object a line, with the fields of the CSV
    Jsonl,
    /// Sandbox lifecycle events of E2B, priced by the price book
    E2b,
}

pub(super) async fn reconcile(args: ReconcileArgs, folder: &Local, prices: &PriceBook, out: Printer) -> Done {
    let name = args.file.display().to_string();
    let Some(format) = args.format.or_else(|| by_name(&args.file)) else {
        return Err(Failed::Usage(format!(
            "the name of {name} does not say what it is. Fix: add --format csv, --format jsonl or --format e2b"
        )));
    };
    let records =
        read(&args.file, format, prices).map_err(|error| Failed::Usage(format!("{name}, {error}")))?;
    let report = folder.reconcile(&name, records, args.dry_run).await?;
    out.print(&report, || in_words(&report, args.dry_run))?;
    Ok(ExitCode::SUCCESS)
}

fn by_name(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        _ => None,
    }
}

fn read(file: &Path, format: Format, prices: &PriceBook) -> Result<Vec<UsageRecord>, String> {
    let open = File::open(file).map_err(|error| format!("which cannot be read: {error}"))?;
    let reader = BufReader::new(open);
    match format {
        Format::Csv => usage::csv(reader).collect(),
        Format::Jsonl => usage::json_lines(reader).collect(),
        Format::E2b => {
            let now = SystemClock::default().now();
            let price = ComputePrice::of(prices, "e2b", now).map_err(|error| format!("and {error}"))?;
            let events = e2b::read(reader, &price)?;
            for sandbox in &events.alive {
                text::note(&format!(
                    "{sandbox} was paused and is not killed yet; its use is not complete."
                ));
            }
            Ok(events.records)
        }
    }
}

fn in_words(report: &Reconciliation, dry_run: bool) -> String {
    let corrected = if dry_run {
        "would be corrected"
    } else {
        "corrected"
    };
    let mut parts = vec![format!(
        "{} {corrected}, {} known already, {} under way, {} ambiguous, {} unmatched.",
        report.corrected.len(),
        report.already_known.len(),
        report.under_way.len(),
        report.ambiguous.len(),
        report.unmatched.len()
    )];
    if !report.corrected.is_empty() {
        let rows = report.corrected.iter().map(|one| {
            vec![
                one.call.clone(),
                one.hold.to_string(),
                one.from.to_string(),
                one.to.to_string(),
            ]
        });
        parts.push(table::grid(
            &["Call", "Hold", "Booked", "Used"],
            &["Booked", "Used"],
            rows,
        ));
    }
    for (what, calls) in [
        ("Under way, left to their owner", &report.under_way),
        ("Ambiguous, nothing changed", &report.ambiguous),
        ("Not in this ledger", &report.unmatched),
    ] {
        if !calls.is_empty() {
            parts.push(format!("{what}: {}", calls.join(", ")));
        }
    }
    parts.join("\n\n")
}
