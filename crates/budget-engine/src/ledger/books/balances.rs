//! What is used of a budget in its present period, and what that leaves.

use std::{
    cell::{Ref, RefCell},
    sync::Arc,
};

use meterbox_core::{Scope, Timestamp, Usd};

use super::{Books, Defined, InForce, Row, Standing, row::Account};
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
        let in_force = self.in_force(scope, self.accounts.rows.get(scope))?;
        Some(&in_force.defined)
    }

    pub(super) fn in_force<'a>(&'a self, scope: &Scope, row: Option<&'a Row>) -> Option<&'a InForce> {
        match row {
            Some(row) => row.own().or_else(|| self.wildcard(row.kind())),
            None => self.wildcard(self.accounts.rows.known_kind(scope)?),
        }
    }

    fn wildcard(&self, kind: u32) -> Option<&InForce> {
        self.wildcards.get(&kind)
    }

    /// The budget defined on exactly this scope or wildcard.
    pub fn defined(&self, scope: &Scope) -> Option<&Defined> {
        let in_force = if scope.is_wildcard() {
            self.wildcard(self.accounts.rows.known_kind(scope)?)?
        } else {
            self.accounts.rows.get(scope)?.own()?
        };
        Some(&in_force.defined)
    }

    /// Where the budgets of these scopes stand, each with the scope's number; a scope without one is passed over.
    ///
    /// Among a million scopes nothing of any of them is near in memory, and waiting for it is most of the work. So each
    /// look is taken for all scopes before the next one: then it is waited for once, and not once a scope.
    pub(super) fn standings(&self, now: Timestamp, scopes: &[Scope], standings: &mut Vec<(usize, Standing)>) {
        standings.clear();
        let rows = &self.accounts.rows;
        if let [scope] = scopes {
            let standing = self.standing_of(now, scope, rows.get(scope));
            if let Some(standing) = standing {
                standings.push((0, standing));
            }
            return;
        }
        for (batch, scopes) in scopes.chunks(MAX_SCOPES).enumerate() {
            let mut found = [None; MAX_SCOPES];
            for (row, scope) in found.iter_mut().zip(scopes) {
                *row = rows.get(scope);
            }
            let first = batch.saturating_mul(MAX_SCOPES);
            for (index, (scope, row)) in (first..).zip(scopes.iter().zip(found)) {
                let standing = self.standing_of(now, scope, row);
                standings.extend(standing.map(|standing| (index, standing)));
            }
        }
    }

    fn standing_of(&self, now: Timestamp, scope: &Scope, row: Option<&Row>) -> Option<Standing> {
        let in_force = self.in_force(scope, row)?;
        let Defined { budget, since, .. } = &in_force.defined;
        let period = &*in_force.period_at(now);
        let account = row.and_then(|row| Some((row, row.account_of(&period.key)?)));
        let mut standing = Standing {
            account: account.map(|(row, account)| row.id(account)),
            limit: budget.limit,
            extra: Usd::ZERO,
            spent: account.map_or(0, |(_, account)| account.row.spent),
            held: account.map_or(0, |(_, account)| account.row.held),
            degraded_allowance: budget.degraded_allowance,
        };
        if let (Window::Rolling(_), Some(row)) = (&budget.window, row) {
            let pieces = pieces(row, period, now);
            standing.spent = pieces.fold(0, |sum, (_, spent)| sum.saturating_add(spent));
        }
        let has_extra = !budget.carry_over.is_zero() || row.is_some_and(|row| !row.top_ups().is_empty());
        if has_extra {
            standing.extra = extra(now, budget, *since, row, (period, &standing));
            standing.limit = budget.limit.saturating_add(standing.extra);
        }
        Some(standing)
    }

    pub(super) fn room(&self, now: Timestamp, scope: &Scope) -> Option<Room> {
        let row = self.accounts.rows.get(scope);
        let standing = self.standing_of(now, scope, row)?;
        let in_force = self.in_force(scope, row)?;
        let (budget, period) = (&in_force.defined.budget, &*in_force.period_at(now));
        let (spent, held) = (money(standing.spent), money(standing.held));
        let used = spent.saturating_add(held);
        let mut leaving: Vec<(Timestamp, Usd)> = Vec::new();
        if let (Window::Rolling(_), Some(row)) = (&budget.window, row) {
            let pieces = pieces(row, period, now);
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
}

/// What is carried over and topped up.
fn extra(
    now: Timestamp,
    budget: &Budget,
    since: Timestamp,
    row: Option<&Row>,
    (present, standing): (&Period, &Standing),
) -> Usd {
    let past = |period: &Period, row: &Row| {
        let account = row.account_of(&period.key)?;
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
        for account in row.accounts() {
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

/// The pieces of a rolling window that still count, the newest first: when each leaves, and what was spent in it.
fn pieces<'a>(
    row: &'a Row,
    series: &'a Period,
    now: Timestamp,
) -> impl Iterator<Item = (Timestamp, i64)> + 'a {
    let is_piece = move |account: &&Account| {
        let rest = account.row.period.strip_prefix(&*series.key);
        rest.is_some_and(|rest| rest.starts_with('@'))
    };
    // There are as many that no longer count as time has passed.
    let newest_first = row.accounts().rev();
    newest_first
        .take_while(move |account| account.row.ends_at > now)
        .filter(is_piece)
        .map(|account| (account.row.ends_at, account.row.spent))
}

impl InForce {
    pub(super) fn new(defined: Defined) -> Self {
        let period = defined.budget.window.period_at(defined.since);
        Self {
            defined,
            period: RefCell::new(period),
        }
    }

    pub(super) fn period_at(&self, now: Timestamp) -> Ref<'_, Period> {
        if !self.period.borrow().contains(now) {
            *self.period.borrow_mut() = self.defined.budget.window.period_at(now);
        }
        self.period.borrow()
    }
}

impl Standing {
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
