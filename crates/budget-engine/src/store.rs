use std::{fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_core::{Scope, Timestamp};

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, HoldId, Settlement, VerifyReport,
    ledger::{HoldAction, HoldRecord, OpenHold},
};

/// Where the ledger is kept.
///
/// Each method is one atomic step: what it decides and what it writes cannot be separated by another
/// caller, another process, or a crash. The rules themselves are in [`ledger`](crate::ledger). Dropping a
/// returned future may leave the step done.
#[async_trait]
pub trait LedgerStore: Send + Sync + fmt::Debug + 'static {
    /// Defines a budget, or changes its limit and keeps what was spent.
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError>;

    /// Removes a budget; false if there was none. Balances stay.
    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError>;

    /// All budgets, by scope.
    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError>;

    /// Opens a hold in all its budgets or in none, after ending what has expired. A request with a known
    /// idempotency key gets the hold that key has.
    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldRecord, BudgetError>;

    /// Does this to a hold and returns what it is then.
    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldRecord, BudgetError>;

    /// Ends the holds whose time is over.
    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError>;

    /// Where the budget that applies to this concrete scope stands; `None` if none does.
    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError>;

    /// A page of the ledger, oldest first.
    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError>;

    /// Adds up the whole ledger anew and compares.
    async fn verify(&self) -> Result<VerifyReport, BudgetError>;
}

macro_rules! delegate_ledger_store {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: LedgerStore + ?Sized> LedgerStore for $pointer<S> {
            async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
                (**self).define(now, budget).await
            }

            async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
                (**self).remove(now, scope).await
            }

            async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
                (**self).budgets().await
            }

            async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldRecord, BudgetError> {
                (**self).open(now, open).await
            }

            async fn act(
                &self,
                now: Timestamp,
                hold: HoldId,
                action: HoldAction,
            ) -> Result<HoldRecord, BudgetError> {
                (**self).act(now, hold, action).await
            }

            async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
                (**self).expire(now).await
            }

            async fn status(
                &self,
                now: Timestamp,
                scope: &Scope,
            ) -> Result<Option<BudgetStatus>, BudgetError> {
                (**self).status(now, scope).await
            }

            async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
                (**self).entries(page).await
            }

            async fn verify(&self) -> Result<VerifyReport, BudgetError> {
                (**self).verify().await
            }
        }
    };
}
delegate_ledger_store!(Arc);
delegate_ledger_store!(Box);
