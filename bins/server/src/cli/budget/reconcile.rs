//! Worst cases corrected by a file of what was really used.
//!
//! In a CSV they are columns, in any order, in JSON lines the fields of an object a line; others are passed over, so
//! that a provider's export needs no more than renamed columns:
//!
//! | field | is |
//! | --- | --- |
//! | `reference` | what the call was known as, such as the provider's request id |
//! | `intent` | or else the call's own name in the ledger; one of the two |
//! | `item`, `unit` | what was used, and in which unit |
//! | `quantity` | how much of it, a whole number |
//! | `amount` | what it cost in dollars, such as 0.0125 |

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{Done, Failed, Printer};
use crate::{
    administration::{
        AdminError, Administration,
        wire::{ReconcileRequest, ReconcileView, UsageFormat},
    },
    cli::{table, text},
};

/// As much of a file's name as the audit log takes.
const MAX_SOURCE_CHARS: usize = 200;

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// A usage export; rows of one call belong together
    file: PathBuf,

    /// What the file is [default: by its name, .csv or .jsonl]
    #[arg(long, value_enum)]
    format: Option<UsageFormat>,

    /// Only say what would be corrected
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn reconcile(args: ReconcileArgs, target: &dyn Administration, out: Printer) -> Done {
    let name = args.file.display().to_string();
    let Some(format) = args.format.or_else(|| by_name(&args.file)) else {
        return Err(Failed::Usage(format!(
            "the name of {name} does not say what it is. Fix: add --format csv, --format jsonl or --format e2b"
        )));
    };
    let content = fs::read_to_string(&args.file)
        .map_err(|error| Failed::Usage(format!("{name}, which cannot be read: {error}")))?;
    let request = ReconcileRequest {
        source: short(&name),
        format,
        content,
        dry_run: args.dry_run,
    };
    let report = match target.reconcile(request).await {
        Err(AdminError::Invalid { message, .. }) => return Err(Failed::Usage(format!("{name}, {message}"))),
        report => report?,
    };
    for sandbox in &report.incomplete {
        text::note(&format!(
            "{sandbox} was paused and is not killed yet; its use is not complete."
        ));
    }
    out.print(&report, || in_words(&report, args.dry_run))?;
    Ok(ExitCode::SUCCESS)
}

fn by_name(file: &Path) -> Option<UsageFormat> {
    match file.extension()?.to_str()? {
        "csv" => Some(UsageFormat::Csv),
        "jsonl" | "ndjson" | "json" => Some(UsageFormat::Jsonl),
        _ => None,
    }
}

/// The end of a path says more than its beginning.
fn short(path: &str) -> String {
    let skipped = path.chars().count().saturating_sub(MAX_SOURCE_CHARS);
    let printable = |c: char| if c.is_control() { '?' } else { c };
    path.chars().skip(skipped).map(printable).collect()
}

fn in_words(report: &ReconcileView, dry_run: bool) -> String {
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
                one.hold.clone(),
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
