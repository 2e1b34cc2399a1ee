use std::sync::PoisonError;

use async_trait::async_trait;
use meterbox_core::{Scope, Timestamp};

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, HoldId, HoldPage, LedgerStore, Settlement, Stop,
    TopUp, VerifyReport,
    audit::Auditor,
    ledger::{Books, HoldAction, HoldRecord, HoldStatus, OpenHold},
    sync::{Mutex, MutexGuard},
};

/// A ledger in memory: gone with the process, and growing with every entry (about half a kilobyte a hold). For
/// tests and for programs that budget one run of themselves.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    books: Books,
    entries: Vec<Entry>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere leaves the books whole: a step that cannot be done changes nothing.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step, written down.
    fn step<T>(
        &self,
        now: Timestamp,
        step: impl FnOnce(&mut Books) -> Result<T, BudgetError>,
    ) -> Result<T, BudgetError> {
        let mut kept = self.kept();
        let done = step(&mut kept.books);
        let Kept { books, entries } = &mut *kept;
        for body in books.drain_entries() {
            let seq = u64::try_from(entries.len()).unwrap_or(u64::MAX).saturating_add(1);
            entries.push(Entry { seq, at: now, body });
        }
        done
    }
}

#[async_trait]
impl LedgerStore for MemoryLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        self.step(now, |books| books.define(now, budget).map(drop))
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        self.step(now, |books| Ok(books.remove(scope)))
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        Ok(self.kept().books.budgets())
    }

    async fn top_up(&self, now: Timestamp, top_up: TopUp) -> Result<bool, BudgetError> {
        self.step(now, |books| books.top_up(top_up))
    }

    async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError> {
        Ok(self.kept().books.top_ups(scope).to_vec())
    }

    async fn stop(&self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError> {
        self.step(now, |books| books.stop(now, reason))
    }

    async fn stopped(&self) -> Result<Option<Stop>, BudgetError> {
        Ok(self.kept().books.stopped().cloned())
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError> {
        self.step(now, |books| books.open(now, open))
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        self.step(now, |books| books.act(now, hold, action))
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        self.step(now, |books| books.expire(now))
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        Ok(self.kept().books.status(now, scope))
    }

    async fn hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError> {
        Ok(self.kept().books.hold(id).cloned())
    }

    async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError> {
        let kept = self.kept();
        let is_meant =
            |hold: &&HoldRecord| page.after.is_none_or(|after| hold.id > after) && page.only.takes(hold);
        let mut holds: Vec<&HoldRecord> = kept.books.holds().filter(is_meant).collect();
        holds.sort_unstable_by_key(|hold| hold.id);
        Ok(holds.into_iter().take(page.limit).cloned().collect())
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        let kept = self.kept();
        let skipped = usize::try_from(page.after).unwrap_or(usize::MAX);
        Ok(kept
            .entries
            .iter()
            .skip(skipped)
            .take(page.limit)
            .cloned()
            .collect())
    }

    async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        let kept = self.kept();
        let mut auditor = Auditor::default();
        kept.books.holds().for_each(|record| auditor.hold(record.clone()));
        kept.entries.iter().for_each(|entry| auditor.entry(entry));
        kept.books.accounts().for_each(|account| auditor.balance(account));
        Ok(auditor.finish())
    }
}
