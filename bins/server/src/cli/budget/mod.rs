//! `meterbox budget`, `stop-all` and `resume`: a ledger read and changed, at the data folder or at a server.

mod change;
mod events;
mod export;
mod forecast;
mod reconcile;
mod replay;
mod report;
mod rerate;
mod show;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use meterbox_core::{Scope, Timestamp, Usd};

use super::{
    print::{Done, Failed, Printer, ended},
    target::TargetArgs,
    text,
};
use crate::{administration::wire::StopView, settings::Settings};

#[derive(Debug, Args)]
pub(super) struct BudgetArgs {
    #[command(subcommand)]
    command: BudgetCommand,

    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON on standard output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BudgetCommand {
    /// All budgets and where they stand
    List,
    /// Where the budget that applies to a scope stands
    Status {
        /// Such as user/ana
        scope: Scope,
    },
    /// Add up the whole ledger anew: every balance is the sum of its entries
    Verify,
    /// The ledger, one posting of the double entry a row, on standard output
    Export(export::ExportArgs),
    /// Thresholds reached, spikes and stops, each once
    Events(events::EventsArgs),
    /// How fast money goes, when the limit will be reached, and whether spending just became faster
    Forecast(forecast::ForecastArgs),
    /// Who spent how much, and what for
    Report(report::ReportArgs),
    /// Would this amount be admitted in the budgets of these scopes? Nothing is set aside
    Check {
        /// Such as user/ana org/acme
        #[arg(required = true, num_args = 1..)]
        scopes: Vec<Scope>,
        /// In dollars
        amount: Usd,
    },
    /// What this ledger would have been under another policy
    Replay(replay::ReplayArgs),
    /// What the spending of a stretch of time would have cost at other prices
    Rerate(rerate::RerateArgs),
    /// Correct calls booked at their worst case by a provider's usage export
    Reconcile(reconcile::ReconcileArgs),
    /// Define a budget, or change its limit and keep what was spent
    Set(change::SetArgs),
    /// Remove a budget; what was spent stays in the ledger
    Remove {
        /// Such as user/ana, or user/* for each user
        scope: Scope,
    },
    /// Add money to the limit of a scope, once
    TopUp(change::TopUpArgs),
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// Why, in a few words; whoever is refused reads it
    reason: String,

    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn budget(args: BudgetArgs, settings: &Settings) -> ExitCode {
    let out = Printer { json: args.json };
    ended(run(args.command, &args.target, out, settings).await)
}

pub(super) async fn stop_all(args: StopArgs, settings: &Settings) -> ExitCode {
    let out = Printer { json: args.json };
    ended(change::stop_all(args.reason, &args.target, out, settings).await)
}

pub(super) async fn resume(args: ResumeArgs, settings: &Settings) -> ExitCode {
    let out = Printer { json: args.json };
    ended(change::resume(&args.target, out, settings).await)
}

async fn run(command: BudgetCommand, target: &TargetArgs, out: Printer, settings: &Settings) -> Done {
    let open = || target.open(settings);
    match command {
        BudgetCommand::List => show::list(&*open().await?, out).await,
        BudgetCommand::Status { scope } => show::status(&*open().await?, &scope, out).await,
        BudgetCommand::Verify => show::verify(&*open().await?, out).await,
        BudgetCommand::Export(args) => export::export(args, &*open().await?, out).await,
        BudgetCommand::Forecast(args) => forecast::forecast(args, &*open().await?, out).await,
        BudgetCommand::Report(args) => report::report(args, &*open().await?, out).await,
        BudgetCommand::Check { scopes, amount } => change::check(&*open().await?, scopes, amount, out).await,
        BudgetCommand::Replay(args) => replay::replay(args, &*open().await?, out).await,
        BudgetCommand::Events(args) => events::events(args, &*open().await?, out).await,
        BudgetCommand::Rerate(args) => rerate::rerate(args, &*open().await?, out).await,
        BudgetCommand::Reconcile(args) => reconcile::reconcile(args, &*open().await?, out).await,
        BudgetCommand::Set(args) => change::set(args, &*open().await?, out).await,
        BudgetCommand::Remove { scope } => change::remove(&*open().await?, &scope, out).await,
        BudgetCommand::TopUp(args) => change::top_up(args, &*open().await?, out).await,
    }
}

/// Says in words that all is stopped, where it is.
fn note_a_stop(stop: Option<&StopView>) {
    if let Some(stop) = stop {
        text::note(&format!(
            "All spending is stopped since {}: {}",
            stop.since, stop.reason
        ));
    }
}

/// Reads 90s, 15m, 24h or 7d.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time like 90s, 15m, 24h or 7d".to_owned();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let seconds: u64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// Reads a point in time, or a day, which begins at midnight UTC.
fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let midnight = format!("{text}T00:00:00Z");
    text.parse()
        .or_else(|_| midnight.parse())
        .map_err(|_| "write a day like 2026-01-31 or a time like 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in [
            "",
            "h",
            "1",
            "-1h",
            "1.5h",
            "1w",
            "99999999999999999999d",
            "1 h",
            "ä",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(
            parse_moment("2026-01-31"),
            Ok("2026-01-31T00:00:00Z".parse().unwrap())
        );
        assert_eq!(
            parse_moment("2026-01-31T12:00:00+01:00"),
            Ok("2026-01-31T11:00:00Z".parse().unwrap())
        );
        assert!(parse_moment("yesterday").is_err());
    }
}
