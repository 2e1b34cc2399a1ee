use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use meterbox_budget_engine::{
    AtOnce, Budget, BudgetError, BudgetStatus, Entry, EntryPage, Event, EventLog, EventPage, Happening,
    HoldId, HoldPage, LedgerStore, Settlement, Stop, TopUp, VerifyReport,
    ledger::{HoldAction, HoldRecord, HoldStatus, OpenHold},
};
use meterbox_core::{Scope, StorageError, StorageErrorKind, Timestamp};

/// A ledger whose steps fail on command. Clones share the faults and the ledger behind them.
#[derive(Debug, Clone)]
pub struct FaultyLedger {
    inner: Arc<dyn LedgerStore>,
    faults: Arc<Mutex<Faults>>,
}

/// When a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything was done.
    Before,
    /// After all was done: only the answer is lost.
    After,
}

#[derive(Debug, Default)]
struct Faults {
    left: u32,
    fault: Option<(Moment, StorageErrorKind)>,
}

impl FaultyLedger {
    /// This ledger, without faults so far.
    pub fn new(inner: impl LedgerStore) -> Self {
        Self {
            inner: Arc::new(inner),
            faults: Arc::default(),
        }
    }

    /// From now on this many changes to holds fail so.
    pub fn fail(&self, times: u32, moment: Moment, kind: StorageErrorKind) {
        let fault = Some((moment, kind));
        *self.faults() = Faults { left: times, fault };
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_fault(&self) -> Option<(Moment, BudgetError)> {
        let mut faults = self.faults();
        faults.left = faults.left.checked_sub(1)?;
        let (moment, kind) = faults.fault?;
        Some((
            moment,
            StorageError::new(kind, "the ledger fails on command").into(),
        ))
    }

    async fn or_fault<T: Send>(
        &self,
        step: impl Future<Output = Result<T, BudgetError>> + Send,
    ) -> Result<T, BudgetError> {
        match self.next_fault() {
            None => step.await,
            Some((Moment::Before, error)) => Err(error),
            Some((Moment::After, error)) => step.await.and(Err(error)),
        }
    }
}

#[async_trait]
impl LedgerStore for FaultyLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        self.inner.define(now, budget).await
    }

    async fn edit(&self, now: Timestamp, before: Option<Budget>, after: Budget) -> Result<(), BudgetError> {
        self.inner.edit(now, before, after).await
    }

    async fn provision(&self, now: Timestamp, budget: Budget) -> Result<bool, BudgetError> {
        self.inner.provision(now, budget).await
    }

    async fn provisions(&self) -> Result<Vec<Budget>, BudgetError> {
        self.inner.provisions().await
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        self.inner.remove(now, scope).await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        self.inner.budgets().await
    }

    async fn top_up(&self, now: Timestamp, top_up: TopUp) -> Result<bool, BudgetError> {
        self.inner.top_up(now, top_up).await
    }

    async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError> {
        self.inner.top_ups(scope).await
    }

    async fn stop(&self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError> {
        self.inner.stop(now, reason).await
    }

    async fn stopped(&self) -> Result<Option<Stop>, BudgetError> {
        self.inner.stopped().await
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError> {
        self.or_fault(self.inner.open(now, open)).await
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        self.or_fault(self.inner.act(now, hold, action)).await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        self.inner.expire(now).await
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        self.inner.status(now, scope).await
    }

    async fn hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError> {
        self.inner.hold(id).await
    }

    async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError> {
        self.inner.holds(page).await
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        self.inner.entries(page).await
    }

    async fn spending(&self, scope: &Scope, from: Timestamp, to: Timestamp) -> Result<i64, BudgetError> {
        self.inner.spending(scope, from, to).await
    }

    /// Faults come with the steps that may wait.
    fn at_once(&self) -> Option<&dyn AtOnce> {
        None
    }

    async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        self.inner.verify().await
    }
}

#[async_trait]
impl EventLog for FaultyLedger {
    async fn raise(&self, now: Timestamp, number: u64, what: Happening) -> Result<bool, BudgetError> {
        self.inner.raise(now, number, what).await
    }

    async fn latest(&self, subject: &str) -> Result<Option<Event>, BudgetError> {
        self.inner.latest(subject).await
    }

    async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError> {
        self.inner.events(page).await
    }

    async fn newest_event(&self) -> Result<u64, BudgetError> {
        self.inner.newest_event().await
    }

    async fn take_turn(
        &self,
        now: Timestamp,
        reader: &str,
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<u64>, BudgetError> {
        self.inner.take_turn(now, reader, owner, until).await
    }

    async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError> {
        self.inner.advance(reader, owner, seq).await
    }
}

#[cfg(test)]
mod tests {
    use meterbox_budget_engine::MemoryLedger;

    use super::*;

    #[test]
    fn nobody_gets_past_its_faults() {
        assert!(MemoryLedger::new().at_once().is_some());
        assert!(FaultyLedger::new(MemoryLedger::new()).at_once().is_none());
    }
}
