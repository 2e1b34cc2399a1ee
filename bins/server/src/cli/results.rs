//! `meterbox results`: where results are kept, what waits to get there, and what a Supabase project needs.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use meterbox_results_store::supabase::{Tenancy, schema_sql};

use super::{exit, text};
use crate::{results::Results, settings::Settings};

#[derive(Debug, Subcommand)]
pub(super) enum ResultsCommand {
    /// Where results are kept, and what waits to be delivered there
    Status,
    /// Deliver now what waits, and try once more what the store would not take
    Deliver(DeliverArgs),
    /// The SQL that a Supabase project needs: tables, indexes, row-level security; for its SQL editor, or psql
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(super) struct DeliverArgs {
    /// For how many seconds to try
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    within: u64,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Let the anonymous key alone open all results, for one tenant
    #[arg(long)]
    single_tenant: bool,
}

pub(super) async fn results(command: ResultsCommand, settings: &Settings) -> ExitCode {
    match command {
        ResultsCommand::Schema(args) => {
            let tenancy = if args.single_tenant {
                Tenancy::Single
            } else {
                Tenancy::Apart
            };
            text::say(schema_sql(tenancy).trim_end());
            ExitCode::SUCCESS
        }
        ResultsCommand::Status => with_results(settings, status).await,
        ResultsCommand::Deliver(args) => {
            let within = Duration::from_secs(args.within);
            with_results(settings, async move |results| {
                if let Err(error) = results.reconsider().await {
                    text::complain(&error.to_string());
                }
                match results.flush(within).await {
                    0 => text::say("Nothing waits."),
                    waiting => text::complain(&format!("{waiting} results still wait for their store.")),
                }
                status(results).await
            })
            .await
        }
    }
}

async fn with_results(settings: &Settings, show: impl AsyncFnOnce(Results) -> ExitCode) -> ExitCode {
    text::say(&format!("Results are kept in: {}", settings.results));
    match Results::left_behind(&settings.results, &settings.data_dir).await {
        Ok(0) => {}
        Ok(left) => {
            text::complain(&left_behind(left));
            return ExitCode::from(exit::FAILED);
        }
        Err(error) => {
            text::complain(&error.to_string());
            return ExitCode::from(exit::NO_SANDBOX);
        }
    }
    match Results::open(&settings.results, &settings.data_dir) {
        Ok(results) => show(results).await,
        Err(error) => {
            text::complain(&error.to_string());
            ExitCode::from(exit::NO_SANDBOX)
        }
    }
}

/// For whoever no longer says where results are kept.
pub(super) fn left_behind(results: u64) -> String {
    format!(
        "{results} results still wait for the store that was set before; set it again (SUPABASE_… or DATABASE_URL) and \
         run `meterbox results deliver`."
    )
}

async fn status(results: Results) -> ExitCode {
    let health = match results.health().await {
        None => return ExitCode::SUCCESS,
        Some(Ok(health)) => health,
        Some(Err(error)) => {
            text::complain(&error.to_string());
            return ExitCode::from(exit::NO_SANDBOX);
        }
    };
    match health.oldest {
        Some(oldest) => text::say(&format!("{} wait, the oldest since {oldest}", health.waiting)),
        None => text::say("Nothing waits to be delivered."),
    }
    if health.set_aside > 0 {
        text::say(&format!(
            "{} will never be taken, and stay here",
            health.set_aside
        ));
    }
    if let Some(failing) = &health.failing {
        text::say(&format!("Deliveries fail: {}", failing.error));
    }
    if health.waiting == 0 && health.set_aside == 0 {
        return ExitCode::SUCCESS;
    }
    ExitCode::from(exit::FAILED)
}
