//! The ledger on standard output, page by page.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use meterbox_budget_engine::ExportFormat;
use meterbox_core::Timestamp;

use super::{Done, Printer, parse_moment};
use crate::administration::{Administration, wire::RangeQuery};

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

pub(super) async fn export(args: ExportArgs, target: &dyn Administration, out: Printer) -> Done {
    let default = if out.json {
        ExportFormat::JsonLines
    } else {
        ExportFormat::Csv
    };
    let range = RangeQuery {
        since: args.since,
        until: args.until,
    };
    let mut export = target.export(args.format.unwrap_or(default), range).await?;
    let mut stdout = io::stdout();
    while let Some(piece) = export.next().await? {
        stdout.write_all(&piece)?;
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}
