//! For stores: what they put into the books, and what they take out to write.

use std::{mem, sync::Arc};

use meterbox_core::{Scope, Timestamp, contract::CostLine};

use super::{AccountRow, Books, Changes, Defined, InForce, Kept};
use crate::{
    Stop, TopUp,
    ledger::{HoldId, HoldRecord, NewEntry},
};

impl Books {
    /// Puts a budget in as it is kept.
    pub fn load_budget(&mut self, defined: Defined) {
        let scope = &defined.budget.scope;
        if scope.is_wildcard() {
            self.wildcards.insert(scope.kind().into(), InForce::new(defined));
        } else {
            let row = self.rows.entry(scope.into()).or_default();
            row.set_own(InForce::new(defined));
        }
    }

    /// Puts a top-up in as it is kept.
    pub fn load_top_up(&mut self, top_up: TopUp) {
        let key = (&top_up.scope).into();
        self.rows.entry(key).or_default().add_top_up(top_up);
    }

    /// Puts the switch in as it is kept.
    pub fn load_stop(&mut self, stop: Option<Stop>) {
        self.stop = stop;
    }

    /// Puts an account in as it is kept.
    pub fn load_account(&mut self, row: AccountRow) {
        match self.account(&row.scope, &row.period) {
            None => {
                self.add_account(row);
            }
            Some(index) => {
                if let Some(account) = self.accounts.get_mut(index) {
                    account.row = row;
                }
            }
        }
    }

    /// Puts a hold in as it is kept.
    pub fn load_hold(&mut self, record: HoldRecord) {
        let basis = Arc::clone(&record.basis);
        let mut accounts = Vec::with_capacity(basis.claims.len());
        for claim in &basis.claims {
            let known = self.account(&claim.scope, &claim.period);
            accounts
                .push(known.unwrap_or_else(|| self.new_account(&claim.scope, &claim.period, claim.ends_at)));
        }
        let accounts = accounts.as_slice().into();
        self.keep(Box::new(Kept { record, accounts }));
    }

    /// Puts a keyed draw in as it is kept.
    pub fn load_draw(&mut self, hold: HoldId, key: &str, line: CostLine) {
        self.draws_by_key.insert((hold, key.into()), line);
    }

    /// Forgets a hold that has ended; it can be put in again.
    pub fn forget_ended(&mut self, id: HoldId) {
        let key = self.ended.remove(id).and_then(|kept| kept.record.idempotency_key);
        if let Some(key) = key {
            self.by_key.remove(key.as_str());
        }
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

    /// What the last steps changed, and forgets it. Read [`Books::account_change`] before the next step.
    pub fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    /// What to add to a changed account: its row, and by how much held and spent change.
    pub fn account_change(&mut self, index: usize) -> Option<(&AccountRow, i64, i64)> {
        let account = self.accounts.get_mut(index)?;
        account.is_changed = false;
        let changes = (
            mem::take(&mut account.held_change),
            mem::take(&mut account.spent_change),
        );
        Some((&account.row, changes.0, changes.1))
    }

    /// All accounts, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountRow> {
        self.accounts.iter().map(|account| &account.row)
    }

    /// Shows each new entry, from which may be taken what is to be kept, and forgets all changes: for a store that keeps
    /// these books themselves.
    pub(crate) fn each_entry(&mut self, take: impl FnMut(&mut NewEntry)) {
        self.changes.opened.clear();
        self.changes.holds.clear();
        for index in self.changes.accounts.drain(..) {
            if let Some(account) = self.accounts.get_mut(index) {
                account.is_changed = false;
                (account.held_change, account.spent_change) = (0, 0);
            }
        }
        self.changes.entries.iter_mut().for_each(take);
        self.changes.entries.clear();
    }
}
