//! `meterbox budget`, `stop-all` and `resume`: the ledger of the data folder, read and changed.

mod change;
mod e2b;
mod events;
mod export;
mod forecast;
mod reconcile;
mod replay;
mod rerate;
mod show;
mod usage;

use std::{io, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use meterbox_budget_engine::{BudgetEngine, BudgetError};
use meterbox_core::{Scope, Timestamp, Usd};
use serde::Serialize;

use super::{exit, text};
use crate::{
    settings::Settings,
    wiring::{Meterbox, StartError},
};

#[derive(Debug, Args)]
pub(super) struct BudgetArgs {
    #[command(subcommand)]
    command: BudgetCommand,

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

    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The call, or a file it names, is wrong.
    #[error("{0}")]
    Usage(String),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

type Done = Result<ExitCode, Failed>;

/// What a command says, in words or as JSON.
#[derive(Debug, Clone, Copy)]
struct Printer {
    json: bool,
}

pub(super) async fn budget(args: BudgetArgs, settings: &Settings) -> ExitCode {
    let out = Printer { json: args.json };
    ended(run(args.command, out, settings).await)
}

pub(super) async fn stop_all(args: StopArgs, settings: &Settings) -> ExitCode {
    let out = Printer { json: args.json };
    ended(change::stop_all(&args.reason, out, settings).await)
}

pub(super) async fn resume(args: ResumeArgs, settings: &Settings) -> ExitCode {
    ended(change::resume(Printer { json: args.json }, settings).await)
}

async fn run(command: BudgetCommand, out: Printer, settings: &Settings) -> Done {
    let open = || Meterbox::open_ledger(settings);
    match command {
        BudgetCommand::List => show::list(&open().await?, out).await,
        BudgetCommand::Status { scope } => show::status(&open().await?, &scope, out).await,
        BudgetCommand::Verify => show::verify(&open().await?, out).await,
        BudgetCommand::Export(args) => export::export(args, &open().await?, out).await,
        BudgetCommand::Events(args) => events::events(args, &open().await?, out).await,
        BudgetCommand::Forecast(args) => forecast::forecast(args, &open().await?, out).await,
        BudgetCommand::Check { scopes, amount } => change::check(&open().await?, scopes, amount, out).await,
        BudgetCommand::Replay(args) => replay::replay(args, &open().await?, out).await,
        BudgetCommand::Reconcile(args) => {
            reconcile::reconcile(args, &open().await?, &settings.config.prices, out).await
        }
        BudgetCommand::Rerate(args) => {
            rerate::rerate(args, &open().await?, &settings.config.prices, out).await
        }
        BudgetCommand::Set(args) => change::set(args, &open().await?, out).await,
        BudgetCommand::Remove { scope } => change::remove(&open().await?, &scope, out).await,
        BudgetCommand::TopUp(args) => change::top_up(args, &open().await?, out).await,
    }
}

fn ended(done: Done) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(Failed::Start(error)) => exit::refused_to_start(&error),
        Err(Failed::Usage(message)) => exit::usage(&message),
        // Whoever read it has seen enough (`| head`).
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failed::Output(error)) => {
            text::complain(&format!("the output cannot be written: {error}"));
            ExitCode::FAILURE
        }
        Err(Failed::Budget(error)) => of_budget(&error),
    }
}

fn of_budget(error: &BudgetError) -> ExitCode {
    text::complain(&error.to_string());
    match error {
        BudgetError::NoBudget { scopes } => {
            let scope = scopes.first().map(ToString::to_string).unwrap_or_default();
            text::note(&format!("Define one: meterbox budget set {scope} 10"));
            exit::code_of_usage()
        }
        BudgetError::Invalid(_) => exit::code_of_usage(),
        BudgetError::Refused { .. } => ExitCode::from(exit::REFUSED),
        BudgetError::Stopped(_) => {
            text::note("`meterbox resume` lets spending go on.");
            ExitCode::from(exit::REFUSED)
        }
        BudgetError::Store(_) => ExitCode::from(exit::NO_SANDBOX),
        _ => ExitCode::from(exit::FAILED),
    }
}

impl Printer {
    /// The JSON of this, or else these words.
    fn print<T: Serialize>(self, value: &T, words: impl FnOnce() -> String) -> Result<(), Failed> {
        if !self.json {
            text::say(&words());
            return Ok(());
        }
        let json = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        Ok(text::print_json(&json)?)
    }
}

/// Says in words that all is stopped, where it is.
async fn note_a_stop(engine: &BudgetEngine) -> Result<(), Failed> {
    if let Some(stop) = engine.stopped().await? {
        text::note(&format!(
            "All spending is stopped since {}: {}",
            stop.since, stop.reason
        ));
    }
    Ok(())
}

/// Reads 90s, 15m, 24h or 7d.
fn parse_duration(text: &str) -> Result<Duration, String> {
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
