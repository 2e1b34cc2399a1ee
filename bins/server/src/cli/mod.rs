//! The command line.

mod ask;
mod budget;
mod doctor;
mod eval;
mod exit;
mod keys;
mod online;
mod prices;
mod print;
mod results;
mod runtime;
mod serve;
mod steps;
mod table;
mod target;
pub(crate) mod text;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use meterbox_core::Usd;

use crate::{
    settings::{Settings, SettingsError},
    telemetry,
};

/// Ask a question about your business data. The analysis runs in a sealed sandbox and cannot cost more than
/// you allow.
#[derive(Debug, Parser)]
#[command(name = "meterbox", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where everything is kept [default: ~/.local/share/meterbox]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a question
    Ask(ask::AskArgs),
    /// Run a Python script of your own in the same jail, under the same budget
    Run(ask::RunArgs),
    /// Serve the page (what happens without a command)
    Serve(serve::ServeArgs),
    /// Say what this machine can do, and how to fix what it can't
    Doctor(doctor::DoctorArgs),
    /// Install, inspect or remove the Python runtime
    Runtime {
        #[command(subcommand)]
        command: runtime::RuntimeCommand,
    },
    /// Budgets and the ledger: limits, balances, export, forecast, replay, reconciliation
    Budget(budget::BudgetArgs),
    /// The kill switch: stop all spending, in every process that shares the ledger
    StopAll(budget::StopArgs),
    /// Let spending go on after stop-all
    Resume(budget::ResumeArgs),
    /// API keys: who may do what
    Keys(keys::KeysArgs),
    /// The audit log: who administered what
    Audit(keys::AuditArgs),
    /// The price book: what models and computing cost, and since when
    Prices {
        #[command(subcommand)]
        command: prices::PricesCommand,
    },
    /// Results: where they are kept, what waits to get there, what a Supabase project needs
    Results {
        #[command(subcommand)]
        command: results::ResultsCommand,
    },
    /// Measure the planner on a folder of questions with known answers
    Eval(eval::EvalArgs),
}

/// What `ask` and `run` share.
#[derive(Debug, Args)]
struct AnalysisArgs {
    /// A folder or files: CSV, TSV, JSON, XLSX, Parquet
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,

    /// The most this may cost, in dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<Usd>,

    /// Show the program that ran
    #[arg(long)]
    show_code: bool,

    /// Show only the answer
    #[arg(long, short)]
    quiet: bool,

    /// Print the whole result as one JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match effective_settings(&cli) {
        Ok(settings) => settings,
        Err(error) => return exit::usage(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::usage(&format!("this process cannot start threads: {error}")),
    };
    let flush = time_to_flush(cli.command.as_ref());
    let telemetry = telemetry::start(flush.and(settings.telemetry.as_ref()));
    let code = runtime.block_on(dispatch(cli.command, settings));
    // No task waits for it, and no future runs in this thread any more.
    telemetry::finish(telemetry, flush.unwrap_or_default());
    code
}

/// How long this command waits at its end for the collector of traces; `None` where it tells none.
fn time_to_flush(command: Option<&Command>) -> Option<Duration> {
    match command {
        None | Some(Command::Serve(_)) => Some(Duration::from_secs(5)),
        Some(Command::Ask(_) | Command::Run(_)) => Some(Duration::from_secs(2)),
        _ => None,
    }
}

fn effective_settings(cli: &Cli) -> Result<Settings, SettingsError> {
    let folder = std::env::current_dir().unwrap_or_default();
    let mut settings = Settings::load(&folder)?;
    if let Some(data_dir) = &cli.data_dir {
        settings.keep_in(data_dir);
    }
    settings.read_config()?;
    Ok(settings)
}

async fn dispatch(command: Option<Command>, settings: Settings) -> ExitCode {
    match command.unwrap_or_else(|| Command::Serve(serve::ServeArgs::default())) {
        Command::Ask(args) => ask::ask(args, &settings).await,
        Command::Run(args) => ask::run(args, &settings).await,
        Command::Serve(args) => serve::serve(args, settings).await,
        Command::Doctor(args) => doctor::doctor(&args, &settings).await,
        Command::Runtime { command } => runtime::runtime(command, &settings),
        Command::Budget(args) => budget::budget(args, &settings).await,
        Command::StopAll(args) => budget::stop_all(args, &settings).await,
        Command::Resume(args) => budget::resume(args, &settings).await,
        Command::Keys(args) => keys::keys(args, &settings).await,
        Command::Audit(args) => keys::audit(args, &settings).await,
        Command::Prices { command } => prices::prices(command, &settings),
        Command::Results { command } => results::results(command, &settings).await,
        Command::Eval(args) => eval::eval(args, &settings).await,
    }
}
