//! What is used of a budget in its present period, and what that leaves.

use std::{
    cell::{Ref, RefCell},
    hint::black_box,
    sync::Arc,
};

use meterbox_core::{Scope, Timestamp, Usd};

use super::{Account, AccountRow, Books, Defined, InForce, Key, Place, Row, Standing};
use crate::{
    Budget, BudgetState, BudgetStatus, Period, Window,
    ledger::{
        MAX_SCOPES, Room,
        extra::{PastPeriod, carried_over, topped_up},
    },
};

impl Books {
    /// Where the budget that applies to this concrete scope stands; `None` if none does.
    pub fn status(&self, now: Timestamp, scope: &Scope) -> Option<BudgetStatus> {
        self.room(now, scope).map(|room| room.status)
    }

    /// The budget that applies: a scope's own, or else its wildcard's.
    pub fn applicable(&self, scope: &Scope) -> Option<&Defined> {
        let own = self.rows.get(&Key::from(scope)).and_then(Row::own);
        let in_force = own.or_else(|| self.wildcards.get(scope.kind()))?;
        Some(&in_force.defined)
    }

    /// The budget defined on exactly this scope or wildcard.
    pub fn defined(&self, scope: &Scope) -> Option<&Defined> {
        let in_force = if scope.is_wildcard() {
            self.wildcards.get(scope.kind())?
        } else {
            self.rows.get(&Key::from(scope))?.own()?
        };
        Some(&in_force.defined)
    }

    pub(super) fn standing(&self, now: Timestamp, scope: &Scope) -> Option<Standing> {
        self.standing_of(now, scope, self.rows.get(&Key::from(scope)))
    }

    /// Where the budgets of these scopes stand, each with the scope's number; a scope without one is passed over.
    ///
    /// Among a million scopes nothing of any of them is near in memory, and waiting for it is most of the work. So each
    /// look is taken for all scopes before the next one: then it is waited for once, and not once a scope.
    pub(super) fn standings(
        &self,
        now: Timestamp,
        scopes: &[Scope],
        (keys, standings): (&mut Vec<Key>, &mut Vec<(usize, Standing)>),
    ) {
        keys.clear();
        keys.extend(scopes.iter().map(Key::from));
        let mut rows = [const { None::<&Row> }; MAX_SCOPES];
        for (row, key) in rows.iter_mut().zip(&*keys) {
            *row = self.rows.get(key);
        }
        if let [_, _, ..] = scopes {
            let newest = rows
                .iter()
                .take(scopes.len())
                .filter_map(|row| row.as_ref()?.newest());
            let looked = newest.filter_map(|index| self.accounts.get(index));
            black_box(looked.fold(0, |sum, account| sum ^ account.row.held ^ account.held_change));
        }
        standings.clear();
        for (index, (scope, key)) in scopes.iter().zip(&*keys).enumerate() {
            // No checked request has more scopes; whoever asks the books themselves may.
            let row = rows.get(index).copied().unwrap_or_else(|| self.rows.get(key));
            let standing = self.standing_of(now, scope, row);
            standings.extend(standing.map(|standing| (index, standing)));
        }
    }

    fn standing_of(&self, now: Timestamp, scope: &Scope, row: Option<&Row>) -> Option<Standing> {
        let own = row.and_then(Row::own);
        let in_force = own.or_else(|| self.wildcards.get(scope.kind()))?;
        let Defined { budget, since, .. } = &in_force.defined;
        let period = &*in_force.period_at(now);
        let account = row.and_then(|row| self.find(row, period));
        let mut standing = Standing {
            place: account.map_or_else(|| Place::New(period.clone()), Place::Known),
            limit: budget.limit,
            extra: Usd::ZERO,
            spent: 0,
            held: 0,
            degraded_allowance: budget.degraded_allowance,
        };
        if let Some(account) = account.and_then(|index| self.accounts.get(index)) {
            standing.spent = account.row.spent;
            standing.held = account.row.held;
        }
        if let (Window::Rolling(_), Some(row)) = (&budget.window, row) {
            let pieces = self.pieces(row, period, now);
            standing.spent = pieces.fold(0, |sum, (_, spent)| sum.saturating_add(spent));
        }
        let has_extra = !budget.carry_over.is_zero() || row.is_some_and(|row| !row.top_ups().is_empty());
        if has_extra {
            standing.extra = self.extra(now, budget, *since, row, (period, &standing));
            standing.limit = budget.limit.saturating_add(standing.extra);
        }
        Some(standing)
    }

    /// What is carried over and topped up.
    fn extra(
        &self,
        now: Timestamp,
        budget: &Budget,
        since: Timestamp,
        row: Option<&Row>,
        (present, standing): (&Period, &Standing),
    ) -> Usd {
        let past = |period: &Period, row: &Row| {
            let account = self.accounts.get(self.find(row, period)?)?;
            Some(account.past(period.starts_at))
        };
        let mut carried = Usd::ZERO;
        if !budget.carry_over.is_zero()
            && let Some(before) = budget.window.period_before(present)
            && since < before.ends_at()
        {
            carried = carried_over(budget, row.and_then(|row| past(&before, row)));
        }
        let Some(row) = row.filter(|row| !row.top_ups().is_empty()) else {
            return carried;
        };
        let granted = row.top_ups().iter().map(|top_up| top_up.granted_at).min();
        let mut periods: Vec<PastPeriod> = Vec::new();
        if matches!(budget.window, Window::Calendar(..)) {
            let earlier = row.accounts().filter_map(|index| self.accounts.get(index));
            for account in earlier {
                let is_past = account.row.ends_at < present.ends_at();
                if is_past && granted.is_some_and(|granted| granted < account.row.ends_at) {
                    let last = Timestamp::from_micros(account.row.ends_at.as_micros().saturating_sub(1));
                    let starts_at = last.and_then(|last| budget.window.period_at(last).starts_at);
                    periods.push(account.past(starts_at));
                }
            }
        }
        periods.push(PastPeriod {
            starts_at: present.starts_at,
            ends_at: present.ends_at(),
            used: money(standing.spent).saturating_add(money(standing.held)),
            limit: budget.limit.saturating_add(carried),
        });
        carried.saturating_add(topped_up(now, row.top_ups(), &periods))
    }

    pub(super) fn room(&self, now: Timestamp, scope: &Scope) -> Option<Room> {
        let standing = self.standing(now, scope)?;
        let row = self.rows.get(&Key::from(scope));
        let own = row.and_then(Row::own);
        let in_force = own.or_else(|| self.wildcards.get(scope.kind()))?;
        let (budget, period) = (&in_force.defined.budget, &*in_force.period_at(now));
        let (spent, held) = (money(standing.spent), money(standing.held));
        let used = spent.saturating_add(held);
        let mut leaving: Vec<(Timestamp, Usd)> = Vec::new();
        if let (Window::Rolling(_), Some(row)) = (&budget.window, row) {
            let pieces = self.pieces(row, period, now);
            leaving.extend(pieces.map(|(at, spent)| (at, money(spent))));
        }
        leaving.sort_unstable();
        let state = match &self.stop {
            Some(_) => BudgetState::Stopped,
            None => budget.soft_caps.state(standing.limit, spent),
        };
        let status = BudgetStatus {
            scope: scope.clone(),
            limit: standing.limit,
            extra: standing.extra,
            spent,
            held,
            remaining: standing.limit.saturating_sub(used),
            degraded_allowance: standing.degraded_allowance,
            overspent: used.saturating_sub(standing.limit),
            resets_at: period.resets_at,
            state,
            soft_caps: budget.soft_caps,
            period: Arc::clone(&period.key),
        };
        Some(Room { status, leaving })
    }

    /// The pieces of a rolling window that still count: when each leaves, and what was spent in it.
    fn pieces<'a>(
        &'a self,
        row: &'a Row,
        series: &'a Period,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, i64)> + 'a {
        let accounts = row.accounts().filter_map(|index| self.accounts.get(index));
        let is_piece = move |account: &&Account| {
            let rest = account.row.period.strip_prefix(&*series.key);
            rest.is_some_and(|rest| rest.starts_with('@')) && account.row.ends_at > now
        };
        accounts
            .filter(is_piece)
            .map(|account| (account.row.ends_at, account.row.spent))
    }

    fn find(&self, row: &Row, period: &Period) -> Option<usize> {
        row.newest_first().find(|index| self.is_of(*index, &period.key))
    }

    pub(super) fn account(&self, scope: &Scope, period: &Arc<str>) -> Option<usize> {
        let row = self.rows.get(&Key::from(scope))?;
        row.newest_first().find(|index| self.is_of(*index, period))
    }

    fn is_of(&self, account: usize, period: &Arc<str>) -> bool {
        let account = self.accounts.get(account);
        account
            .is_some_and(|account| Arc::ptr_eq(&account.row.period, period) || account.row.period == *period)
    }

    pub(super) fn new_account(&mut self, scope: &Scope, period: &Arc<str>, ends_at: Timestamp) -> usize {
        self.add_account(AccountRow {
            scope: scope.clone(),
            period: Arc::clone(period),
            ends_at,
            limit: Usd::ZERO,
            spent: 0,
            held: 0,
        })
    }

    pub(super) fn add_account(&mut self, row: AccountRow) -> usize {
        let index = self.accounts.len();
        let (key, ends_at) = (Key::from(&row.scope), row.ends_at);
        self.accounts.push(Account {
            row,
            held_change: 0,
            spent_change: 0,
            is_changed: false,
            last: None,
        });
        let accounts = &self.accounts;
        let ends_no_later = |index: usize| {
            accounts
                .get(index)
                .is_some_and(|account| account.row.ends_at <= ends_at)
        };
        self.rows
            .entry(key)
            .or_default()
            .add_account(index, ends_no_later);
        index
    }

    pub(super) fn move_held(&mut self, account: usize, held: i64) {
        // Within a limit, so within what can be counted.
        self.move_in(account, held, 0);
    }

    pub(super) fn move_in(&mut self, index: usize, held: i64, spent: i64) -> Option<()> {
        let account = self.accounts.get_mut(index)?;
        let (new_held, new_spent) = (
            account.row.held.checked_add(held)?,
            account.row.spent.checked_add(spent)?,
        );
        (account.row.held, account.row.spent) = (new_held, new_spent);
        account.held_change = account.held_change.saturating_add(held);
        account.spent_change = account.spent_change.saturating_add(spent);
        if !account.is_changed {
            account.is_changed = true;
            self.changes.accounts.push(index);
        }
        Some(())
    }
}

impl InForce {
    pub(super) fn new(defined: Defined) -> Self {
        let period = defined.budget.window.period_at(defined.since);
        Self {
            defined,
            period: RefCell::new(period),
        }
    }

    fn period_at(&self, now: Timestamp) -> Ref<'_, Period> {
        if !self.period.borrow().contains(now) {
            *self.period.borrow_mut() = self.defined.budget.window.period_at(now);
        }
        self.period.borrow()
    }
}

impl Standing {
    pub(super) fn account(&self) -> Option<usize> {
        match self.place {
            Place::Known(account) => Some(account),
            Place::New(_) => None,
        }
    }

    pub(super) fn left_for(&self, degraded: bool) -> Usd {
        let kept = if degraded {
            Usd::ZERO
        } else {
            self.degraded_allowance
        };
        self.limit
            .saturating_sub(money(self.spent))
            .saturating_sub(money(self.held))
            .saturating_sub(kept)
    }
}

impl Account {
    fn past(&self, starts_at: Option<Timestamp>) -> PastPeriod {
        PastPeriod {
            starts_at,
            ends_at: self.row.ends_at,
            used: money(self.row.spent).saturating_add(money(self.row.held)),
            limit: self.row.limit,
        }
    }
}

/// Balances never fall below zero; `verify` would say so.
fn money(nanos: i64) -> Usd {
    Usd::from_nanos(nanos.max(0).unsigned_abs()).unwrap_or(Usd::MAX)
}
