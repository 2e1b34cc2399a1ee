//! The ledger on standard output, page by page.

use std::{
    io::{self, BufWriter},
    process::ExitCode,
};

use clap::Args;
use meterbox_budget_engine::{BudgetEngine, ExportFormat, RowWriter, TimeRange};
use meterbox_core::Timestamp;

use super::{Done, Printer, parse_moment};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// csv, or json: an object a line [default: csv]
    #[arg(long)]
    format: Option<ExportFormat>,

    /// Only entries written from this day or time on
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,

    /// Only entries written before this day or time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

pub(super) async fn export(args: ExportArgs, engine: &BudgetEngine, out: Printer) -> Done {
    let default = if out.json {
        ExportFormat::JsonLines
    } else {
        ExportFormat::Csv
    };
    let range = TimeRange {
        since: args.since,
        until: args.until,
    };
    let mut writer = RowWriter::new(args.format.unwrap_or(default), BufWriter::new(io::stdout()))?;
    let mut export = engine.export(range);
    while let Some(rows) = export.next_page().await? {
        for row in &rows {
            writer.write(row)?;
        }
    }
    writer.finish()?;
    Ok(ExitCode::SUCCESS)
}
