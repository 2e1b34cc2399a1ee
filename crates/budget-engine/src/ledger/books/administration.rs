//! Budgets, top-ups and the kill switch.

use meterbox_core::{Scope, Timestamp, Usd};

use super::{Books, Defined, Row};
use crate::{
    Budget, BudgetError, Stop, TopUp,
    ledger::{EntryKind, NewEntry, Setting, check_text, decide::check_redefinition, no_budget},
};

impl Books {
    /// Defines a budget, or changes its limit and keeps what was spent.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where the budget exists with another window.
    pub fn define(&mut self, now: Timestamp, budget: Budget) -> Result<Defined, BudgetError> {
        let old = self.defined(&budget.scope);
        if let Some(old) = old {
            check_redefinition(&old.budget, &budget)?;
        }
        let defined = Defined {
            since: old.map_or(now, |old| old.since),
            setting: old.and_then(|old| old.setting.clone()),
            budget,
        };
        self.put(defined.clone());
        Ok(defined)
    }

    /// Defines a budget in the place of what it was when the edit was made; `before` is `None` where there was none.
    ///
    /// # Errors
    /// [`BudgetError::Changed`] where it is no longer so; as of [`define`](Self::define).
    pub fn edit(
        &mut self,
        now: Timestamp,
        before: Option<&Budget>,
        after: Budget,
    ) -> Result<Defined, BudgetError> {
        let found = self.defined(&after.scope).map(|defined| &defined.budget);
        if found != before {
            return Err(BudgetError::Changed {
                found: found.cloned().map(Box::new),
                scope: after.scope,
            });
        }
        self.define(now, after)
    }

    /// Defines a budget as a setting has it. Of a budget that exists only that is changed which the setting says
    /// otherwise than last time, so that edits stay until it does; `None` where it says what it said.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where the budget exists with another window.
    pub fn provision(&mut self, now: Timestamp, wanted: Budget) -> Result<Option<Defined>, BudgetError> {
        let setting = Setting::of(&wanted);
        let Some(old) = self.defined(&wanted.scope) else {
            let defined = Defined {
                budget: wanted,
                since: now,
                setting: Some(Box::new(setting)),
            };
            self.put(defined.clone());
            return Ok(Some(defined));
        };
        check_redefinition(&old.budget, &wanted)?;
        if old.setting.as_deref() == Some(&setting) {
            return Ok(None);
        }
        let budget = setting.over(&old.budget, old.setting.as_deref());
        let is_same = budget == old.budget;
        let defined = Defined {
            budget,
            since: old.since,
            setting: Some(Box::new(setting)),
        };
        if is_same {
            self.load_budget(defined.clone());
        } else {
            self.put(defined.clone());
        }
        Ok(Some(defined))
    }

    fn put(&mut self, defined: Defined) {
        let budget = &defined.budget;
        let entry = NewEntry::of_limit(budget.scope.clone(), EntryKind::LimitSet, budget.limit);
        self.changes.entries.push(entry);
        self.load_budget(defined);
    }

    /// Removes a budget and its top-ups; false if there was none. Balances stay.
    pub fn remove(&mut self, scope: &Scope) -> bool {
        let removed = if scope.is_wildcard() {
            let kind = self.accounts.rows.known_kind(scope);
            kind.and_then(|kind| self.wildcards.remove(&kind))
        } else {
            let row = self.accounts.rows.get_mut(scope);
            row.and_then(|row| {
                let own = row.take_own()?;
                row.clear_top_ups();
                Some(own)
            })
        };
        let Some(removed) = removed else { return false };
        let entry = NewEntry::of_limit(
            scope.clone(),
            EntryKind::LimitRemoved,
            removed.defined.budget.limit,
        );
        self.changes.entries.push(entry);
        true
    }

    /// All budgets, by scope.
    pub fn budgets(&self) -> Vec<Budget> {
        by_scope(self.all_defined().map(|defined| defined.budget.clone()))
    }

    /// Of the budgets that a setting began, what it last said, by scope.
    pub fn provisions(&self) -> Vec<Budget> {
        by_scope(self.all_defined().filter_map(Defined::as_set))
    }

    fn all_defined(&self) -> impl Iterator<Item = &Defined> {
        let own = self.accounts.rows.iter().filter_map(Row::own);
        own.chain(self.wildcards.values())
            .map(|in_force| &in_force.defined)
    }

    /// Adds money to the limit of a scope, once; false where this top-up is known already.
    ///
    /// # Errors
    /// [`BudgetError::NoBudget`] where the scope has no budget.
    pub fn top_up(&mut self, top_up: TopUp) -> Result<bool, BudgetError> {
        let scope = &top_up.scope;
        if self.applicable(scope).is_none() {
            return Err(no_budget(scope));
        }
        let row = self.accounts.rows.entry(scope);
        if row.top_ups().iter().any(|known| known.id == top_up.id) {
            return Ok(false);
        }
        let note = Some(top_up.note.as_str().into());
        self.changes.entries.push(NewEntry {
            note,
            ..NewEntry::of_limit(scope.clone(), EntryKind::ToppedUp, top_up.amount)
        });
        row.add_top_up(top_up);
        Ok(true)
    }

    /// The top-ups of a scope, oldest first.
    pub fn top_ups(&self, scope: &Scope) -> &[TopUp] {
        self.accounts.rows.get(scope).map_or(&[], Row::top_ups)
    }

    /// Stops all spending for this reason, or lets it go on (`None`); true where that changes anything.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] for a reason that is no short text.
    pub fn stop(&mut self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError> {
        if let Some(reason) = &reason {
            check_text("the reason of a stop", reason)?;
        }
        if reason.is_some() == self.stop.is_some() {
            return Ok(false);
        }
        let kind = if reason.is_some() {
            EntryKind::Stopped
        } else {
            EntryKind::Resumed
        };
        self.changes.entries.push(NewEntry {
            note: reason.as_deref().map(Into::into),
            ..NewEntry::bare(kind, Usd::ZERO)
        });
        self.stop = reason.map(|reason| Stop { since: now, reason });
        Ok(true)
    }

    /// Is all spending stopped?
    pub fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }
}

impl Defined {
    /// The budget as its setting last said, where one began it.
    pub fn as_set(&self) -> Option<Budget> {
        let setting = self.setting.as_deref()?;
        Some(setting.alone(&self.budget))
    }
}

fn by_scope(budgets: impl Iterator<Item = Budget>) -> Vec<Budget> {
    let mut budgets: Vec<Budget> = budgets.collect();
    budgets.sort_by(|left, right| left.scope.cmp(&right.scope));
    budgets
}
