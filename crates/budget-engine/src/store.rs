use std::sync::Arc;

use async_trait::async_trait;
use meterbox_core::{Scope, Timestamp};

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, EventLog, HoldId, HoldPage, HoldState, Settlement,
    Stop, TopUp, VerifyReport,
    ledger::{HoldAction, HoldRecord, HoldStatus, OpenHold},
};

/// Where the ledger is kept.
///
/// Each method is one atomic step: what it decides and what it writes cannot be separated by another
/// caller, another process, or a crash. The rules themselves are in [`ledger`](crate::ledger). Dropping a
/// returned future may leave the step done.
#[async_trait]
pub trait LedgerStore: EventLog {
    /// Defines a budget, or changes its limit and keeps what was spent.
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError>;

    /// Defines a budget in the place of what it was when the edit was made, `None` for one that was not there. Refused
    /// with [`BudgetError::Changed`] where it is no longer so.
    async fn edit(&self, now: Timestamp, before: Option<Budget>, after: Budget) -> Result<(), BudgetError>;

    /// Defines a budget as a setting has it; of one that exists, changes only what the setting says otherwise than last
    /// time. False where it says what it said.
    async fn provision(&self, now: Timestamp, budget: Budget) -> Result<bool, BudgetError>;

    /// Of the budgets that a setting began, what it last said, by scope.
    async fn provisions(&self) -> Result<Vec<Budget>, BudgetError>;

    /// Removes a budget and its top-ups; false if there was none. Balances stay.
    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError>;

    /// All budgets, by scope.
    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError>;

    /// Adds money to a limit, once; false where this top-up is known already.
    async fn top_up(&self, now: Timestamp, top_up: TopUp) -> Result<bool, BudgetError>;

    /// The top-ups of a scope, oldest first, spent ones too.
    async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError>;

    /// Stops all spending for this reason, or lets it go on (`None`); true where that changes anything.
    async fn stop(&self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError>;

    /// Is all spending stopped?
    async fn stopped(&self) -> Result<Option<Stop>, BudgetError>;

    /// Opens a hold in all its budgets or in none, after ending what has expired. A request with a known
    /// idempotency key gets the hold that key has.
    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError>;

    /// Does this to a hold and returns where it is then.
    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError>;

    /// Ends the holds whose time and grace are over.
    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError>;

    /// Where the budget that applies to this concrete scope stands; `None` if none does.
    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError>;

    /// A hold, open or ended.
    async fn hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError>;

    /// A page of holds, by id, which is oldest first.
    async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError>;

    /// A page of the ledger, oldest first.
    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError>;

    /// By how many nano-dollars spending that counts in `from <= t < to` changed what is spent of this concrete
    /// scope, in all its periods. Corrections count when what they correct did, so that a late bill changes the
    /// past and not the present.
    async fn spending(&self, scope: &Scope, from: Timestamp, to: Timestamp) -> Result<i64, BudgetError>;

    /// Adds up the whole ledger anew and compares.
    async fn verify(&self) -> Result<VerifyReport, BudgetError>;

    /// This store, where its steps are done at once: whoever opens and acts through that saves the cost of a future a
    /// step. `None` where a step may wait, for a disk, a server, or a decorator's leave.
    fn at_once(&self) -> Option<&dyn AtOnce> {
        None
    }
}

/// The steps that every request takes, of a store that does them at once. They are those of [`LedgerStore`].
pub trait AtOnce: Send + Sync {
    /// [`LedgerStore::open`].
    ///
    /// # Errors
    /// As there.
    fn open(&self, now: Timestamp, open: &OpenHold) -> Result<HoldStatus, BudgetError>;

    /// [`LedgerStore::act`].
    ///
    /// # Errors
    /// As there.
    fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError>;

    /// Ends a hold, as [`act`](Self::act) does that is told to close it.
    ///
    /// # Errors
    /// As there.
    fn close(&self, now: Timestamp, hold: HoldId, state: HoldState) -> Result<HoldStatus, BudgetError> {
        self.act(now, hold, HoldAction::Close { state })
    }
}

/// Passes each method on as it is, to whatever the pointer points to.
macro_rules! delegate_ledger_store {
    ($($pointer:ident)* => $methods:tt) => {
        $(delegate_ledger_store!(@one $pointer $methods);)*
    };
    (@one $pointer:ident { $($method:ident($($name:ident: $type:ty),*) -> $value:ty;)* }) => {
        #[async_trait]
        impl<S: LedgerStore + ?Sized> LedgerStore for $pointer<S> {
            $(
                async fn $method(&self, $($name: $type),*) -> Result<$value, BudgetError> {
                    (**self).$method($($name),*).await
                }
            )*

            fn at_once(&self) -> Option<&dyn AtOnce> {
                (**self).at_once()
            }
        }
    };
}
delegate_ledger_store!(Arc Box => {
    define(now: Timestamp, budget: Budget) -> ();
    edit(now: Timestamp, before: Option<Budget>, after: Budget) -> ();
    provision(now: Timestamp, budget: Budget) -> bool;
    provisions() -> Vec<Budget>;
    remove(now: Timestamp, scope: &Scope) -> bool;
    budgets() -> Vec<Budget>;
    top_up(now: Timestamp, top_up: TopUp) -> bool;
    top_ups(scope: &Scope) -> Vec<TopUp>;
    stop(now: Timestamp, reason: Option<String>) -> bool;
    stopped() -> Option<Stop>;
    open(now: Timestamp, open: OpenHold) -> HoldStatus;
    act(now: Timestamp, hold: HoldId, action: HoldAction) -> HoldStatus;
    expire(now: Timestamp) -> Vec<Settlement>;
    status(now: Timestamp, scope: &Scope) -> Option<BudgetStatus>;
    hold(id: HoldId) -> Option<HoldRecord>;
    holds(page: HoldPage) -> Vec<HoldRecord>;
    entries(page: EntryPage) -> Vec<Entry>;
    spending(scope: &Scope, from: Timestamp, to: Timestamp) -> i64;
    verify() -> VerifyReport;
});
