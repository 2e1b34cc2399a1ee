//! Budgets that cannot be overspent: holds over sets of scopes, settled into a durable ledger.
//!
//! Before anything is paid for, its worst case is set aside: a [`Hold`] over every scope of the request at
//! once, or none. What was really used is drawn from it as it happens; settling frees the rest. A hold that
//! nobody settles expires at what was drawn. So `spent + held <= limit` in every budget at every moment,
//! whatever the concurrency, and however many processes share the ledger.
//!
//! ```
//! # use meterbox_budget_engine::{Budget, BudgetEngine, HoldRequest, MemoryLedger, Window};
//! # use meterbox_core::{SystemClock, Usd, contract::CostLine};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = BudgetEngine::new(MemoryLedger::new(), SystemClock::default());
//! engine.define(Budget::new("user/*".parse()?, "10".parse()?, Window::month("UTC")?)).await?;
//!
//! let ana = "user/ana".parse()?;
//! let hold = engine.hold(HoldRequest::new([ana], "0.25".parse()?, "answer a question")).await?;
//! let tokens = CostLine {
//!     item: "output".into(), quantity: 900, unit: "tokens".into(), amount: "0.009".parse()?, estimated: false,
//!     price: None,
//! };
//! hold.draw(tokens).await?;
//! assert_eq!(hold.settle().await?.freed, "0.241".parse()?);
//! # Ok(()) }
//! ```
//!
//! The engine knows no model and no sandbox: it is given priced lines ([`CostLine`]) and adds them up.
//!
//! - [`BudgetEngine`]: define budgets, take holds, read status, verify.
//! - Reports on the same engine: [`export`](BudgetEngine::export), [`forecast`](BudgetEngine::forecast),
//!   [`replay`](BudgetEngine::replay) under another policy, [`rerate`](BudgetEngine::rerate) at other prices, and
//!   [`reconcile`](BudgetEngine::reconcile) with bills.
//! - The policy ladder: [`SoftCaps`] of each budget, [`advise`](BudgetEngine::advise) for which way to do a request, and
//!   a [`Watcher`] that raises each [`Event`] once.
//! - [`LedgerStore`]: where the ledger is kept: [`MemoryLedger`], or `SqliteLedger` behind the feature
//!   `sqlite`. The [`ledger`] module has the rules every store applies, for those who write one.
//!
//! [`CostLine`]: meterbox_core::contract::CostLine

#![deny(clippy::float_arithmetic)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod advice;
mod audit;
mod budget;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod error;
mod event;
mod hold;
mod ladder;
pub mod ledger;
mod memory;
mod memory_events;
#[cfg(feature = "postgres")]
mod postgres;
mod report;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod sync;
mod watch;
mod window;

pub use advice::{Advice, Offer};
pub use audit::VerifyReport;
pub use budget::{Budget, BudgetStatus, Stop, TopUp};
pub use engine::{BudgetEngine, DryRun, Unbudgeted};
pub use error::{BudgetError, BudgetErrorKind};
pub use event::{Event, EventLog, EventPage, Happening};
pub use hold::{Hold, Intent};
pub use ladder::{BudgetState, Rung, SoftCaps};
pub use ledger::{
    Account, Entry, EntryKind, EntryPage, EventId, HoldFilter, HoldId, HoldPage, HoldRequest, HoldState,
    HoldStatus, Posting, Settlement, TopUpId,
};
pub use memory::MemoryLedger;
#[cfg(feature = "postgres")]
pub use postgres::PostgresLedger;
pub use report::{
    Call, Correction, Export, ExportFormat, ExportRow, Forecast, ForecastOptions, HoldDifference, Outcome,
    RateTotals, RatedLine, RatedScope, Reconciliation, ReplayReport, Replayed, RerateReport, RowWriter,
    ScopeTotals, Spike, TimeRange, UsageRecord, unguarded,
};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteLedger;
pub use store::{AtOnce, LedgerStore};
pub use watch::Watcher;
pub use window::{Period, Unit, Window, Zone};
