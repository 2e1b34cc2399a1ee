//! For stores: what they put into the books, and what they take out to write.

use std::{mem, sync::Arc};

use meterbox_core::{Scope, Timestamp, contract::CostLine};

use super::{AccountId, AccountRow, Books, Changes, Counts, Defined, InForce, Row};
use crate::{
    Stop, TopUp,
    ledger::{HoldId, HoldRecord, NewEntry},
};

impl Books {
    /// Puts a budget in as it is kept.
    pub fn load_budget(&mut self, defined: Defined) {
        let scope = &defined.budget.scope;
        if scope.is_wildcard() {
            let kind = self.accounts.rows.kind(scope);
            self.wildcards.insert(kind, InForce::new(defined));
        } else {
            let row = self.accounts.rows.entry(scope);
            row.set_own(InForce::new(defined));
        }
    }

    /// Puts a top-up in as it is kept.
    pub fn load_top_up(&mut self, top_up: TopUp) {
        self.accounts.rows.entry(&top_up.scope).add_top_up(top_up);
    }

    /// Puts the switch in as it is kept.
    pub fn load_stop(&mut self, stop: Option<Stop>) {
        self.stop = stop;
    }

    /// Puts an account in as it is kept.
    pub fn load_account(&mut self, row: AccountRow) {
        let accounts = &mut self.accounts;
        let known = accounts.account_of(&row.scope, &row.period);
        match known.and_then(|known| accounts.account_mut(known)) {
            None => drop(accounts.add(row)),
            Some(account) => account.row = row,
        }
    }

    /// Puts a hold in as it is kept.
    pub fn load_hold(&mut self, record: HoldRecord) {
        let basis = Arc::clone(&record.basis);
        let mut ids = Vec::with_capacity(basis.claims.len());
        for claim in &basis.claims {
            let accounts = &mut self.accounts;
            let known = accounts.account_of(&claim.scope, &claim.period);
            ids.push(known.unwrap_or_else(|| accounts.add_new(&claim.scope, &claim.period, claim.ends_at)));
        }
        let counts = Counts::of(&basis, ids);
        self.keep(record.with_basis(counts));
    }

    /// Puts a keyed draw in as it is kept.
    pub fn load_draw(&mut self, hold: HoldId, key: &str, line: CostLine) {
        self.draws_by_key.insert((hold, key.into()), line);
    }

    /// Forgets holds that have ended and draws by key; they can be put in again.
    pub fn forget_past(&mut self) {
        for past in mem::take(&mut self.past).iter() {
            if let Some(key) = &past.idempotency_key {
                self.by_key.remove(key.as_str());
            }
        }
        self.draws_by_key.clear();
    }

    /// Forgets a hold; it can be put in again.
    pub fn forget_hold(&mut self, id: HoldId) {
        let open = self.open.entry(id).map(|open| open.remove().0);
        let key = open
            .or_else(|| self.past.remove(id))
            .map(|kept| kept.idempotency_key);
        if let Some(Some(key)) = key {
            self.by_key.remove(key.as_str());
        }
    }

    /// Forgets the open holds whose time and grace are over, and says which.
    pub fn forget_due(&mut self, now: Timestamp) -> Vec<HoldId> {
        let mut forgotten = Vec::new();
        while let Some((at, id)) = self.due.next_by(now) {
            if self.is_due_at(at, id) {
                self.forget_hold(id);
                forgotten.push(id);
            }
        }
        forgotten
    }

    /// Has an open hold's time and grace passed?
    pub fn has_due(&mut self, now: Timestamp) -> bool {
        while let Some((at, id)) = self.due.next_by(now) {
            if self.is_due_at(at, id) {
                self.due.add(at, id);
                return true;
            }
        }
        false
    }

    /// Is there a hold with this idempotency key?
    pub fn has_key(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Is there an open hold of this name?
    pub fn is_open(&self, id: HoldId) -> bool {
        self.open.get(id).is_some()
    }

    /// The accounts of a scope, by their end.
    pub fn accounts_of(&self, scope: &Scope) -> impl Iterator<Item = &AccountRow> {
        let row = self.accounts.rows.get(scope);
        row.into_iter()
            .flat_map(Row::accounts)
            .map(|account| &account.row)
    }

    /// How many scopes, accounts, holds and draws by key they have: what their memory grows with.
    pub fn size(&self) -> usize {
        let parts = [
            self.accounts.rows.len(),
            self.accounts.len(),
            self.open.len(),
            self.past.len(),
            self.draws_by_key.len(),
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// Since when accounts of this scope may matter to a step at `now`, given the budget that applies.
    pub fn accounts_matter_since(&self, now: Timestamp, scope: &Scope) -> Timestamp {
        let Some(defined) = self.applicable(scope) else {
            return now;
        };
        let window = &defined.budget.window;
        let mut since = now;
        if !defined.budget.carry_over.is_zero() {
            // The period before ends where this one starts.
            since = since.min(window.period_at(now).starts_at.unwrap_or(now));
        }
        let granted = self.top_ups(scope).iter().map(|top_up| top_up.granted_at).min();
        since.min(granted.unwrap_or(now))
    }

    /// What the last steps changed, and forgets it.
    pub fn take_changes(&mut self) -> Changes {
        let accounts = self.accounts.take_changes();
        Changes {
            accounts,
            ..mem::take(&mut self.changes)
        }
    }

    /// What an account is now.
    pub fn account_row(&self, id: AccountId) -> Option<&AccountRow> {
        self.accounts.account(id).map(|account| &account.row)
    }

    /// All accounts, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountRow> {
        let all = self.accounts.rows.iter().flat_map(Row::accounts);
        all.map(|account| &account.row)
    }

    /// Shows each new entry, from which may be taken what is to be kept, and forgets all changes: for a store that keeps
    /// these books themselves.
    pub(crate) fn each_entry(&mut self, take: impl FnMut(&mut NewEntry)) {
        self.changes.opened.clear();
        self.changes.holds.clear();
        self.accounts.forget_changes();
        self.changes.entries.iter_mut().for_each(take);
        self.changes.entries.clear();
    }
}
