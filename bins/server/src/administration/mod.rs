//! Budgets, keys and the audit log administered: at the data folder, or at a server that has one.
//!
//! [`Administration`] is what an administrator can do. The HTTP routes are [`Local`] behind a role check; the command
//! line takes either, and so says the same of both.

mod local;
mod remote;
mod usage;
pub(crate) mod wire;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use meterbox_access::{AccessError, Actor, KeyId};
use meterbox_budget_engine::{BudgetError, ExportFormat};
use meterbox_core::{InvalidScope, Scope};
use meterbox_datasets::DatasetError;

pub(crate) use local::Local;
pub(crate) use remote::{Remote, RemoteError, RemoteProblem};
use wire::{
    AuditLog, AuditQuery, BudgetChange, BudgetView, Budgets, CheckReply, CheckRequest, CreatedKeyView,
    Events, EventsQuery, ForecastQuery, ForecastView, KeyView, Keys, NewKey, NewTopUp, RangeQuery,
    ReconcileRequest, ReconcileView, ReplayRequest, ReplayView, RerateRequest, RerateView, SpendingView,
    Standing, StopReply, TopUpView, VerifyView,
};

/// What an administrator can do. Every act, and no question, leaves a line in the audit log.
pub(crate) trait Administration:
    BudgetAdministration + LedgerAdministration + KeyAdministration
{
}

impl<T: BudgetAdministration + LedgerAdministration + KeyAdministration> Administration for T {}

/// Budgets, top-ups and the kill switch.
#[async_trait]
pub(crate) trait BudgetAdministration: Send + Sync + fmt::Debug {
    async fn budgets(&self) -> Result<Budgets, AdminError>;
    async fn standing(&self, scope: &Scope) -> Result<Standing, AdminError>;
    async fn set_budget(&self, change: BudgetChange) -> Result<BudgetView, AdminError>;
    async fn remove_budget(&self, scope: &Scope) -> Result<(), AdminError>;
    async fn top_up(&self, scope: &Scope, top_up: NewTopUp) -> Result<TopUpView, AdminError>;
    async fn check(&self, request: CheckRequest) -> Result<CheckReply, AdminError>;
    async fn forecast(&self, scope: &Scope, query: ForecastQuery) -> Result<ForecastView, AdminError>;
    async fn spending(&self, range: RangeQuery) -> Result<SpendingView, AdminError>;
    async fn stop_all(&self, reason: String) -> Result<StopReply, AdminError>;
    async fn resume(&self) -> Result<StopReply, AdminError>;
}

/// The ledger read, tried under other rules, and corrected.
#[async_trait]
pub(crate) trait LedgerAdministration: Send + Sync + fmt::Debug {
    async fn verify(&self) -> Result<VerifyView, AdminError>;
    /// The ledger, a piece at a time.
    async fn export(&self, format: ExportFormat, range: RangeQuery) -> Result<Box<dyn Export>, AdminError>;
    async fn events(&self, query: EventsQuery) -> Result<Events, AdminError>;
    /// What it would have been under another policy.
    async fn replay(&self, request: ReplayRequest) -> Result<ReplayView, AdminError>;
    /// What was spent, at other prices.
    async fn rerate(&self, request: RerateRequest) -> Result<RerateView, AdminError>;
    /// Corrects worst cases by what was really used.
    async fn reconcile(&self, request: ReconcileRequest) -> Result<ReconcileView, AdminError>;
}

/// API keys and the audit log.
#[async_trait]
pub(crate) trait KeyAdministration: Send + Sync + fmt::Debug {
    async fn keys(&self) -> Result<Keys, AdminError>;
    async fn create_key(&self, key: NewKey) -> Result<CreatedKeyView, AdminError>;
    async fn revoke_key(&self, id: &KeyId) -> Result<KeyView, AdminError>;
    async fn rotate_key(&self, id: &KeyId, grace: Duration) -> Result<CreatedKeyView, AdminError>;
    async fn audit(&self, query: AuditQuery) -> Result<AuditLog, AdminError>;
}

/// The longest file that a server is sent, and takes.
pub(crate) const MAX_UPLOAD_BYTES: usize = 16 * 1024 * 1024;

/// A ledger on its way out.
#[async_trait]
pub(crate) trait Export: Send {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, AdminError>;
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Scope(#[from] InvalidScope),
    /// It would be there again at the next start.
    #[error(
        "the budget of {scope} is made anew by the setting {setting} whenever Meterbox starts; \
         set its limit instead, and to 0 to stop what it pays for"
    )]
    MadeBySetting { scope: Scope, setting: &'static str },
    /// A member of the request is wrong.
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    #[error("Meterbox stopped in the middle; the audit log and the budgets say whether it was done")]
    Interrupted,
    #[error("the ledger cannot be written out: {0}")]
    Output(#[from] std::io::Error),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl AdminError {
    fn invalid(field: &'static str, message: impl fmt::Display) -> Self {
        Self::Invalid {
            field,
            message: message.to_string(),
        }
    }
}

/// Whoever runs this process, as the audit log has them.
pub(crate) fn at_the_machine() -> Actor {
    use std::os::unix::fs::MetadataExt;
    // A process's folder belongs to its user.
    let user = std::fs::metadata("/proc/self")
        .map_or_else(|_| "unknown user".to_owned(), |it| format!("uid {}", it.uid()));
    Actor::new(user, "command line")
}
