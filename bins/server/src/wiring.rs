//! The embedded defaults put together: local sandbox, SQLite, planner.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use meterbox_access::{Access, AccessError};
use meterbox_analysis::{Analyst, Principal};
use meterbox_budget_engine::{Budget, BudgetEngine, BudgetError, SqliteLedger, Window};
use meterbox_core::{
    Clock, InvalidScope, Scope, StorageError, SystemClock,
    contract::{Failure, FailureKind},
};
use meterbox_datasets::{Catalog, DatasetError};
use meterbox_llm_codegen::{chat::ChatModel, model::SqlitePrograms};
use meterbox_local_sandbox::{
    LocalSandbox, LocalSandboxBuilder,
    runtime::{Runtime, RuntimeError},
};
use meterbox_price_book::PriceError;
use meterbox_sandbox_client::SandboxError;

use crate::{
    administration::AdminError,
    cloud::{Cloud, CloudError},
    model::ModelError,
    results::Results,
    settings::Settings,
    telemetry::TelemetrySettings,
};

/// Everything `meterbox` needs to answer questions on this machine.
#[derive(Debug)]
pub(crate) struct Meterbox {
    pub(crate) analyst: Analyst,
    pub(crate) budget: BudgetEngine,
    pub(crate) results: Results,
    /// Who asks, where nobody logs in.
    pub(crate) local_user: Principal,
}

/// Why nothing can be answered here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error("{}", .0.message)]
    Import(Failure),
    #[error(transparent)]
    Administration(#[from] AdminError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("results cannot be kept: {0}")]
    Results(StorageError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(transparent)]
    Scope(#[from] InvalidScope),
    #[error("{0}. Fix: add it to your price book.")]
    Price(#[from] PriceError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(
        "{0} is there for other machines, and there is no API key of an administrator to keep them out. \
         Fix: make one with `meterbox keys create user/NAME --role admin`, or serve this machine alone: \
         listen on 127.0.0.1 and set no METERBOX_PUBLIC_URL."
    )]
    NoAdminKey(String),
    #[error(
        "the data folder {folder} cannot be made: {source}. Fix: set METERBOX_DATA_DIR to a folder of your own."
    )]
    Folder { folder: PathBuf, source: std::io::Error },
}

impl StartError {
    /// The same, in the words of the contract.
    pub(crate) fn failure(&self) -> Failure {
        let (kind, hint) = match self {
            Self::Import(failure) => return failure.clone(),
            Self::Results(_) => (
                FailureKind::LedgerUnavailable,
                "Run `meterbox doctor --online`.".to_owned(),
            ),
            Self::Dataset(error) => (FailureKind::BadData, error.hint().to_owned()),
            Self::Runtime(_) => (
                FailureKind::SandboxUnavailable,
                "Run `meterbox doctor`.".to_owned(),
            ),
            Self::Sandbox(SandboxError::Unavailable { fix, .. }) => {
                (FailureKind::SandboxUnavailable, fix.clone())
            }
            Self::Model(_) => (
                FailureKind::BadRequest,
                "`meterbox doctor --online` checks the model.".to_owned(),
            ),
            Self::Price(_) => (
                FailureKind::BadRequest,
                "`meterbox prices check` reads your book.".to_owned(),
            ),
            Self::Sandbox(_) | Self::Cloud(_) => (
                FailureKind::SandboxUnavailable,
                "Run `meterbox doctor`.".to_owned(),
            ),
            _ => (
                FailureKind::LedgerUnavailable,
                "Make the data folder writable, or choose another one.".to_owned(),
            ),
        };
        Failure::new(kind, self.to_string(), hint)
    }
}

/// As the settings want it.
pub(crate) fn local_sandbox(python: Runtime, settings: &Settings) -> LocalSandboxBuilder {
    let builder = LocalSandbox::builder(python).min_tier(settings.min_tier);
    match &settings.control_group {
        Some(folder) => builder.control_group(folder),
        None => builder,
    }
}

impl Meterbox {
    /// Opens the data folder and puts the parts together. Does not start the sandbox yet.
    pub(crate) async fn open(settings: &Settings, python: Runtime) -> Result<Self, StartError> {
        let folder = &settings.data_dir;
        make_private(folder).map_err(|source| StartError::Folder {
            folder: folder.clone(),
            source,
        })?;
        let budget = Self::open_ledger(settings).await?;
        apply_limits(&budget, settings).await?;
        let catalog = Catalog::open(&folder.join("datasets"))?;
        let results = Results::open(&settings.results, folder).map_err(StartError::Results)?;
        let sandbox = local_sandbox(python, settings)
            .inputs_root(catalog.folder())
            .build()?;
        let mut analyst = Analyst::builder(
            Arc::new(sandbox),
            budget.clone(),
            results.store(),
            catalog,
            folder.join("artifacts"),
        )
        .prices(settings.config.prices.clone(), "local")?
        .max_cost(settings.max_cost)
        .global_scope(everybody()?)
        .traces_content(
            settings
                .telemetry
                .as_ref()
                .is_some_and(TelemetrySettings::has_content),
        );
        if let Some(wanted) = &settings.config.model {
            let model = wanted.model()?;
            let prices = wanted.priced(settings.model_prices(), model.card())?;
            let programs = Arc::new(SqlitePrograms::open(folder.join("programs.sqlite3"))?);
            if let Some(cheaper) = wanted.cheaper() {
                let model = cheaper.model()?;
                prices.check(model.card(), SystemClock::default().now())?;
                analyst = analyst
                    .cheaper_generator(cheaper.generator(model, Arc::<SqlitePrograms>::clone(&programs)));
            }
            analyst = analyst
                .model_prices(prices)
                .generator(wanted.generator(model, programs));
        }
        if let Some(wanted) = &settings.config.cloud {
            let cloud = Arc::new(wanted.open(folder)?);
            tidy_up(Arc::clone(&cloud));
            let prices = settings.config.prices.clone();
            analyst = analyst.programs_in(cloud, prices, wanted.place())?;
        }
        let analyst = analyst.build();
        Ok(Self {
            analyst,
            budget,
            results,
            local_user: Principal::user(local_user()?),
        })
    }

    /// Raises the events of thresholds that were reached just now, for a process that ends here; a server on the same
    /// data folder tells the webhooks.
    pub(crate) async fn notice_thresholds(&self) {
        let Some(watcher) = self.budget.watcher() else {
            return;
        };
        let mut watcher = watcher.least_request(self.analyst.least_cost());
        let scopes = self.local_user.scopes().into_iter().chain(everybody());
        if let Err(error) = watcher.look_at(scopes).await {
            tracing::warn!(%error, "thresholds were not looked at");
        }
    }

    /// Opens the keys and the audit log, and makes the data folder if there is none.
    pub(crate) fn open_access(settings: &Settings) -> Result<Access, StartError> {
        let folder = &settings.data_dir;
        make_private(folder).map_err(|source| StartError::Folder {
            folder: folder.clone(),
            source,
        })?;
        Ok(Access::open(
            folder.join("access.sqlite3"),
            SystemClock::default(),
        )?)
    }

    /// Opens the ledger, and makes the data folder and the budgets of the settings if there are none. Budgets that are
    /// there stay as they are, whatever the settings of whoever looks at them.
    pub(crate) async fn open_ledger(settings: &Settings) -> Result<BudgetEngine, StartError> {
        let folder = &settings.data_dir;
        make_private(folder).map_err(|source| StartError::Folder {
            folder: folder.clone(),
            source,
        })?;
        let ledger = SqliteLedger::open(folder.join("ledger.sqlite3"))?;
        let budget = BudgetEngine::new(ledger, SystemClock::default());
        let known = budget.budgets().await?;
        for wanted in limits(settings)? {
            if !known.iter().any(|budget| budget.scope == wanted.scope) {
                budget.provision(wanted).await?;
            }
        }
        budget.expire().await?;
        Ok(budget)
    }
}

/// Ends machines in the cloud that an earlier process on this data folder left behind when it died, beside whatever goes on.
/// They would end by themselves some minutes later, so what fails here is only told.
fn tidy_up(cloud: Arc<Cloud>) {
    tokio::spawn(async move {
        match cloud.reap().await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "sandboxes that were left behind have been ended"),
            Err(error) => tracing::warn!(%error, "sandboxes that were left behind were not looked for"),
        }
    });
}

/// Puts the settings in force, for whoever is going to spend. What an administrator changed since stays until a
/// setting changes as well.
async fn apply_limits(budget: &BudgetEngine, settings: &Settings) -> Result<(), StartError> {
    let in_force = budget.provisions().await?;
    for wanted in limits(settings)? {
        // What is so already needs no step of the ledger.
        if !in_force.contains(&wanted) {
            budget.provision(wanted).await?;
        }
    }
    Ok(())
}

/// What each user, and all of them together, may spend a month, as the settings have it.
fn limits(settings: &Settings) -> Result<[Budget; 2], StartError> {
    let month = Window::month("UTC")?;
    let kept = settings.degraded_allowance.min(settings.monthly_limit);
    let each = Budget::new(local_user()?.wildcard(), settings.monthly_limit, month.clone());
    let mut limits = [
        each.with_degraded_allowance(kept),
        Budget::new(everybody()?, settings.global_limit, month),
    ];
    for limit in &mut limits {
        limit.soft_caps = settings.config.soft_caps;
    }
    Ok(limits)
}

/// The setting that defines the budget of this scope, if one does.
pub(crate) fn setting_of(scope: &Scope) -> Option<&'static str> {
    let is = |known: Result<Scope, InvalidScope>| known.is_ok_and(|known| known == *scope);
    if is(local_user().map(|user| user.wildcard())) {
        return Some("DEFAULT_BUDGET_LIMIT");
    }
    is(everybody()).then_some("GLOBAL_BUDGET_LIMIT")
}

/// The name of whoever sits at this machine.
pub(crate) fn local_user() -> Result<Scope, InvalidScope> {
    Scope::new("user", "local")
}

/// The scope of all spending together.
pub(crate) fn everybody() -> Result<Scope, InvalidScope> {
    Scope::new("global", "all")
}

/// The data in it is readable for a sandbox of another user; who may enter is decided here.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
