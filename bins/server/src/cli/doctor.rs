//! `meterbox doctor`: what this machine can do, and how to fix what it can't.

use std::{fs, process::ExitCode, time::Duration};

use clap::Args;
use meterbox_access::{KeyRecord, KeyState, Role};
use meterbox_budget_engine::{BudgetEngine, BudgetError};
use meterbox_core::{Clock, Scope, SystemClock, Timestamp};
use meterbox_llm_codegen::chat::ChatModel;
use meterbox_local_sandbox::runtime::{Runtime, RuntimeStatus};

use meterbox_price_book::Known;

use super::{exit, online, runtime::old_ones, text};
use crate::{
    settings::Settings,
    wiring::{self, Meterbox},
};

/// Prices change several times a year.
const OLD_PRICES: Duration = Duration::from_secs(180 * 86_400);

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Ask the configured services too, over the network
    #[arg(long)]
    online: bool,
}

pub(super) async fn doctor(args: &DoctorArgs, settings: &Settings) -> ExitCode {
    let mut visit = Visit { ills: 0 };
    visit.data_folder(settings);
    let runtime = visit.runtime(settings);
    if let Some(runtime) = runtime {
        visit.sandbox(runtime, settings).await;
    }
    visit.ledger(settings).await;
    visit.keys(settings).await;
    visit.settings(settings);
    visit.prices(settings);
    visit.model(settings);
    visit.results(settings);
    visit.traces(settings);
    if args.online {
        visit.services(settings).await;
    }
    if visit.ills == 0 {
        text::say("All is well.");
        return ExitCode::SUCCESS;
    }
    let things = if visit.ills == 1 {
        "thing needs"
    } else {
        "things need"
    };
    text::say(&format!("{} {things} attention.", visit.ills));
    ExitCode::from(exit::NO_SANDBOX)
}

struct Visit {
    ills: u32,
}

impl Visit {
    fn well(&self, check: &str, found: &str) {
        text::say(&format!("✓ {check:<28} {found}"));
    }

    /// What works, and should be known.
    fn warn(&self, check: &str, found: &str) {
        text::say(&format!("! {check:<28} {found}"));
    }

    fn ill(&mut self, check: &str, found: &str, fix: &str) {
        self.ills += 1;
        text::say(&format!("✗ {check:<28} {found}"));
        text::say(&format!("  {:<28} fix: {fix}", ""));
    }

    fn data_folder(&mut self, settings: &Settings) {
        let folder = &settings.data_dir;
        let writable = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        match writable {
            Ok(_) => self.well("data folder", &folder.display().to_string()),
            Err(error) => {
                let found = format!("{} cannot be written: {error}", folder.display());
                self.ill(
                    "data folder",
                    &found,
                    "set METERBOX_DATA_DIR to a folder of your own",
                );
            }
        }
    }

    fn runtime(&mut self, settings: &Settings) -> Option<Runtime> {
        match Runtime::status(&settings.runtime_dir) {
            RuntimeStatus::Ready(runtime) => {
                let found = format!(
                    "Python {}, the {} list of {} packages",
                    runtime.version,
                    runtime.list,
                    runtime.packages.len()
                );
                self.well("Python runtime", &found);
                if let Some(old) = old_ones(settings) {
                    self.warn("old runtimes", &old);
                }
                Some(runtime)
            }
            RuntimeStatus::Incomplete { reason, command } => {
                self.ill("Python runtime", &reason, command);
                None
            }
            _ => {
                self.ill(
                    "Python runtime",
                    "not installed yet",
                    "meterbox runtime install (the first question does it too)",
                );
                None
            }
        }
    }

    async fn sandbox(&mut self, runtime: Runtime, settings: &Settings) {
        let sandbox = match wiring::local_sandbox(runtime, settings).build() {
            Ok(sandbox) => sandbox,
            Err(error) => return self.ill("sandbox", &error.to_string(), "run doctor as another user"),
        };
        for check in sandbox.diagnose().await.checks {
            match check.fix {
                _ if check.ok => self.well(&check.check, &check.found),
                Some(fix) => self.ill(&check.check, &check.found, &fix),
                None => self.ill(
                    &check.check,
                    &check.found,
                    "see ARCHITECTURE.md for what a sandbox needs",
                ),
            }
        }
    }

    async fn ledger(&mut self, settings: &Settings) {
        const FIX: &str = "keep a copy of ledger.sqlite3, and move it away to begin a new one";
        let budget = match Meterbox::open_ledger(settings).await {
            Ok(budget) => budget,
            Err(error) => return self.ill("ledger", &error.to_string(), FIX),
        };
        match budget.verify().await {
            Ok(report) if report.is_clean() => self.well("ledger", "every balance is the sum of its entries"),
            Ok(report) => self.ill("ledger", &format!("{report:?}"), FIX),
            Err(error) => self.ill("ledger", &error.to_string(), FIX),
        }
        match edited(&budget).await {
            Ok(edited) => edited.iter().for_each(|(scope, found)| {
                self.well(&format!("budget of {scope}"), found);
            }),
            Err(error) => self.ill("budgets", &error.to_string(), FIX),
        }
    }

    fn prices(&mut self, settings: &Settings) {
        let (config, now) = (&settings.config, SystemClock::default().now());
        let book = &config.prices;
        let found = format!(
            "{}, {} models, {}",
            book.name(),
            book.models().count(),
            book.short_fingerprint()
        );
        let midnight = book
            .as_of()
            .and_then(|day| format!("{day}T00:00:00Z").parse().ok());
        match midnight.map(|at: Timestamp| now.duration_since(at)) {
            Some(age) if age > OLD_PRICES => self.ill(
                "prices",
                &format!("{found}, {} days old", age.as_secs() / 86_400),
                "update Meterbox, or name a price book of your own in PRICE_BOOK",
            ),
            _ => self.well("prices", &found),
        }
        for deployment in config.deployments.names() {
            let check = format!("Azure {deployment}");
            match config.deployments.price(book, deployment, now) {
                Ok((price, ..)) => self.well(&check, &format!("priced as {}", price.name())),
                Err(error) => {
                    self.ill(
                        &check,
                        &error.to_string(),
                        "correct [azure.deployments] in meterbox.toml",
                    );
                }
            }
        }
        if !config.webhooks.is_empty() {
            self.well(
                "webhooks",
                &format!("{}, told by `meterbox serve`", config.webhooks.len()),
            );
        }
    }

    fn model(&mut self, settings: &Settings) {
        let Some(wanted) = &settings.config.model else {
            return self.well("model", "none; questions are answered by rules");
        };
        let model = match wanted.model() {
            Ok(model) => model,
            Err(error) => return self.ill("model", &error.to_string(), "see .env.example"),
        };
        let card = model.card();
        if let Err(error) = wanted.priced(settings.model_prices(), card) {
            return self.ill("model", &error.to_string(), "see `meterbox prices list`");
        }
        let found = format!("{} of {} at {}", card.model, card.provider, card.server);
        match settings.config.deployments.known(&card.model) {
            Known::Unmapped if card.provider == "azure" => self.warn(
                "model",
                &format!("{found}; which model it is is not known yet, so the dearest of Azure counts until it answers"),
            ),
            _ => self.well("model", &found),
        }
    }

    fn results(&self, settings: &Settings) {
        match settings.results.warning() {
            None => self.well("results", &settings.results.to_string()),
            Some(warning) => self.warn("results", &format!("{}; {warning}", settings.results)),
        }
        for name in &settings.unread {
            self.warn(
                name,
                "stands in a .env file and is not read there; set it in the environment",
            );
        }
    }

    fn traces(&self, settings: &Settings) {
        match &settings.telemetry {
            None => self.well("traces", "none; nothing is told to anybody"),
            Some(wanted) => self.well("traces", &wanted.to_string()),
        }
    }

    async fn services(&mut self, settings: &Settings) {
        let checks = online::checks(settings);
        if checks.is_empty() {
            self.well("services", "none configured");
        }
        for check in checks {
            let name = format!("online: {}", check.name);
            match check.finding().await {
                online::Finding::Well(found) => self.well(&name, &found),
                online::Finding::Ill { found, fix } => self.ill(&name, &found, &fix),
            }
        }
    }

    async fn keys(&mut self, settings: &Settings) {
        let keys = match Meterbox::open_access(settings) {
            Ok(access) => access.keys().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let now = SystemClock::default().now();
        let works = |key: &KeyRecord| key.state(now) == KeyState::Active;
        let administers = |key: &KeyRecord| works(key) && key.role == Role::Admin;
        match (keys, settings.open_to_others()) {
            (Ok(keys), Some(address)) if !keys.iter().any(administers) => self.ill(
                "API keys",
                &format!(
                    "{address} is there for other machines, and no key of an administrator keeps them out"
                ),
                "meterbox keys create user/NAME --role admin",
            ),
            (Ok(keys), None) if keys.is_empty() => self.well("API keys", "none; only this machine is served"),
            (Ok(keys), _) => {
                let working = keys.iter().filter(|key| works(key)).count();
                self.well("API keys", &format!("{working} of {} work", keys.len()));
            }
            (Err(found), _) => self.ill(
                "API keys",
                &found,
                "make access.sqlite3 in the data folder readable",
            ),
        }
    }

    fn settings(&self, settings: &Settings) {
        let found = format!(
            "{} an analysis, {} a user and month",
            settings.max_cost, settings.monthly_limit
        );
        self.well("budget", &found);
        if let Some(cloud) = &settings.config.cloud {
            let found = format!("{cloud}; for data at privacy level 3");
            self.well("programs run in", &found);
        }
    }
}

/// Budgets that are not as their settings say, because somebody changed them.
async fn edited(budget: &BudgetEngine) -> Result<Vec<(Scope, String)>, BudgetError> {
    let as_set = budget.provisions().await?;
    let known = budget.budgets().await?.into_iter();
    let edited = known.filter_map(|budget| {
        let set = as_set.iter().find(|set| set.scope == budget.scope)?;
        let name = wiring::setting_of(&budget.scope).unwrap_or("its setting");
        let found = format!(
            "{}, as an administrator set it; {name} says {}, and counts again when it changes",
            budget.limit, set.limit
        );
        (*set != budget).then_some((budget.scope, found))
    });
    Ok(edited.collect())
}
