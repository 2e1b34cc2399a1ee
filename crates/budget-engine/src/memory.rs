use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryKind, EntryPage, HoldId, HoldState, LedgerStore,
    Settlement, VerifyReport,
    audit::Auditor,
    ledger::{
        Claim, Claimable, HoldAction, HoldRecord, NewEntry, OpenHold, applicable, check_redefinition, decide,
        replayed_draw,
    },
};

/// A ledger in memory: gone with the process, and growing with every entry. For tests and for programs
/// that budget one run of themselves.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    budgets: BTreeMap<Scope, Budget>,
    balances: HashMap<(Scope, String), Balance>,
    holds: HashMap<HoldId, HoldRecord>,
    open_by_expiry: BTreeSet<(Timestamp, HoldId)>,
    by_key: HashMap<String, HoldId>,
    draws_by_key: HashMap<(HoldId, String), CostLine>,
    entries: Vec<Entry>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Balance {
    spent: i64,
    held: i64,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere leaves the books whole: every step is computed before it is written.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LedgerStore for MemoryLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        let mut books = self.books();
        if let Some(old) = books.budgets.get(&budget.scope) {
            check_redefinition(old, &budget)?;
        }
        books.append(
            now,
            NewEntry::of_limit(budget.scope.clone(), EntryKind::LimitSet, budget.limit),
        );
        books.budgets.insert(budget.scope.clone(), budget);
        Ok(())
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        let mut books = self.books();
        let Some(budget) = books.budgets.remove(scope) else {
            return Ok(false);
        };
        books.append(
            now,
            NewEntry::of_limit(budget.scope, EntryKind::LimitRemoved, budget.limit),
        );
        Ok(true)
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        Ok(self.books().budgets.values().cloned().collect())
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldRecord, BudgetError> {
        let mut books = self.books();
        books.expire(now)?;
        let known = open
            .request
            .idempotency_key
            .as_ref()
            .and_then(|key| books.by_key.get(key));
        if let Some(record) = known.and_then(|id| books.holds.get(id)) {
            return record.clone().replay(&open);
        }
        let claimable: Vec<Claimable> = open
            .request
            .scopes
            .iter()
            .filter_map(|scope| books.claimable(now, scope))
            .collect();
        let (record, entry) = decide(now, open, &claimable)?;
        books.write(now, record.clone(), vec![entry])?;
        Ok(record)
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldRecord, BudgetError> {
        let mut books = self.books();
        let mut record = books
            .holds
            .get(&hold)
            .cloned()
            .ok_or(BudgetError::UnknownHold(hold))?;
        if let HoldAction::Draw { key: Some(key), line } = &action
            && replayed_draw(key, line, books.draws_by_key.get(&(hold, key.clone())))?
        {
            return Ok(record);
        }
        let entries = record.apply(action)?;
        books.write(now, record.clone(), entries)?;
        Ok(record)
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        self.books().expire(now)
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        Ok(self
            .books()
            .claimable(now, scope)
            .map(|claimable| claimable.status))
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        let books = self.books();
        let skipped = usize::try_from(page.after).unwrap_or(usize::MAX);
        Ok(books
            .entries
            .iter()
            .skip(skipped)
            .take(page.limit)
            .cloned()
            .collect())
    }

    async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        let books = self.books();
        let mut auditor = Auditor::default();
        books
            .holds
            .values()
            .for_each(|record| auditor.hold(record.clone()));
        books.entries.iter().for_each(|entry| auditor.entry(entry));
        for ((scope, period), balance) in &books.balances {
            auditor.balance(scope, period, balance.spent, balance.held);
        }
        Ok(auditor.finish())
    }
}

impl Books {
    fn claimable(&self, now: Timestamp, scope: &Scope) -> Option<Claimable> {
        let own = self.budgets.get(scope).cloned();
        let budget = applicable(own, self.budgets.get(&scope.wildcard()).cloned())?;
        let period = budget.window.period_at(now);
        let balance = self
            .balances
            .get(&(scope.clone(), period.key.clone()))
            .copied()
            .unwrap_or_default();
        let status = budget.status(
            scope.clone(),
            from_nanos(balance.spent),
            from_nanos(balance.held),
            now,
        );
        Some(Claimable { period, status })
    }

    fn expire(&mut self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        let mut ended = Vec::new();
        while let Some((_, id)) = self.open_by_expiry.first().copied().filter(|(at, _)| *at <= now) {
            let mut record = self.holds.get(&id).cloned().ok_or(BudgetError::UnknownHold(id))?;
            let entries = record.apply(HoldAction::Close {
                state: HoldState::Expired,
            })?;
            ended.push(record.settlement());
            self.write(now, record, entries)?;
        }
        Ok(ended)
    }

    /// Writes all of it or, on error, nothing.
    fn write(
        &mut self,
        now: Timestamp,
        record: HoldRecord,
        entries: Vec<NewEntry>,
    ) -> Result<(), BudgetError> {
        let mut changed = Vec::new();
        for Claim { scope, period, .. } in &record.claims {
            let account = (scope.clone(), period.clone());
            let balance = self.balances.get(&account).copied().unwrap_or_default();
            changed.push((account, balance.after(&entries)?));
        }
        self.balances.extend(changed);
        for entry in entries {
            if let (Some(key), Some(line)) = (&entry.key, &entry.line) {
                self.draws_by_key.insert((record.id, key.clone()), line.clone());
            }
            self.append(now, entry);
        }
        if let Some(key) = &record.idempotency_key {
            self.by_key.insert(key.clone(), record.id);
        }
        if let Some(before) = self.holds.get(&record.id) {
            self.open_by_expiry.remove(&(before.expires_at, record.id));
        }
        if record.state == HoldState::Open {
            self.open_by_expiry.insert((record.expires_at, record.id));
        }
        self.holds.insert(record.id, record);
        Ok(())
    }

    fn append(&mut self, at: Timestamp, body: NewEntry) {
        let seq = u64::try_from(self.entries.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        self.entries.push(Entry { seq, at, body });
    }
}

impl Balance {
    fn after(self, entries: &[NewEntry]) -> Result<Self, BudgetError> {
        let too_large = || BudgetError::Invalid("the sum would be larger than can be counted".to_owned());
        entries.iter().try_fold(self, |balance, entry| {
            let spent = balance
                .spent
                .checked_add(entry.spent_change)
                .ok_or_else(too_large)?;
            let held = balance
                .held
                .checked_add(entry.held_change)
                .ok_or_else(too_large)?;
            Ok(Self { spent, held })
        })
    }
}

/// Balances never fall below zero; `verify` would say so.
fn from_nanos(nanos: i64) -> Usd {
    Usd::from_nanos(nanos.max(0).unsigned_abs()).unwrap_or(Usd::MAX)
}
