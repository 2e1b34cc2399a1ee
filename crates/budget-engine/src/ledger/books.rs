use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use foldhash::fast::RandomState;
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use super::{
    Claim, EntryKind, HoldAction, HoldId, HoldRecord, HoldState, HoldStatus, IntentRecord, NewEntry,
    OpenHold, Room,
    action::replayed_draw,
    amount_to_hold, check_text,
    decide::check_redefinition,
    extra::{PastPeriod, carried_over, topped_up},
    no_budget, refusal,
};
use crate::{
    Budget, BudgetError, BudgetState, BudgetStatus, Period, Settlement, Stop, TopUp, Unbudgeted, Window,
    window::piece_at,
};

type Map<K, V> = HashMap<K, V, RandomState>;

/// A ledger, or the part of it that a step needs.
///
/// Each method is one step: it does all of what it says or, with an error, nothing. What it changed is in
/// [`Books::take_changes`].
#[derive(Debug, Clone, Default)]
pub struct Books {
    stop: Option<Stop>,
    /// By kind.
    wildcards: Map<Box<str>, InForce>,
    rows: Map<Scope, Row>,
    accounts: Vec<Account>,
    open: Map<HoldId, Box<Kept>>,
    /// Kept apart, so that looking for an open hold stays as fast however many there were. Names rise with time, so a
    /// new one goes to the end.
    ended: BTreeMap<HoldId, Box<Kept>>,
    due: BTreeSet<(Timestamp, HoldId)>,
    by_key: Map<Box<str>, HoldId>,
    draws_by_key: Map<(HoldId, Box<str>), CostLine>,
    changes: Changes,
    /// All three kept for their allocation.
    standings: Vec<(usize, Standing)>,
    entries: Vec<NewEntry>,
    moves: Vec<Move>,
}

/// A budget and since when there is one for its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// The budget.
    pub budget: Budget,
    /// Since when; a change of the limit does not count.
    pub since: Timestamp,
}

/// What a step changed, in the words of a store.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// To be added to the ledger, in this order.
    pub entries: Vec<NewEntry>,
    /// Holds that are new; [`Books::hold`] has them.
    pub opened: Vec<HoldId>,
    /// Holds that changed.
    pub holds: Vec<HoldId>,
    /// Accounts that changed; [`Books::account_change`] has what to add to them.
    pub accounts: Vec<usize>,
}

/// What is spent and held of a scope in one period, or in one piece of a rolling window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Whose.
    pub scope: Scope,
    /// The name of the period or piece.
    pub period: Arc<str>,
    /// When it has no more bearing on its window.
    pub ends_at: Timestamp,
    /// The limit, without additions, that the last hold found.
    pub limit: Usd,
    /// Nano-dollars.
    pub spent: i64,
    /// Nano-dollars.
    pub held: i64,
}

/// A budget, and the period it was last asked in: calendars are slow to look into.
#[derive(Debug, Clone)]
struct InForce {
    defined: Defined,
    period: RefCell<Option<Period>>,
}

#[derive(Debug, Clone, Default)]
struct Row {
    own: Option<Box<InForce>>,
    top_ups: Vec<TopUp>,
    /// By their end.
    accounts: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Account {
    row: AccountRow,
    /// Not yet written by the store.
    held_change: i64,
    spent_change: i64,
    is_changed: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    record: HoldRecord,
    /// Of each claim.
    accounts: Vec<usize>,
}

/// By how much held and spent of an account change.
#[derive(Debug, Clone, Copy)]
struct Move {
    account: usize,
    held: i64,
    spent: i64,
}

/// What of a hold an action can change.
struct Progress {
    drawn: Usd,
    state: HoldState,
    expires_at: Timestamp,
    intents: Vec<IntentRecord>,
}

/// A budget that applies to a scope, and what is used of it in the present period.
#[derive(Debug, Clone)]
struct Standing {
    period: Period,
    account: Option<usize>,
    limit: Usd,
    extra: Usd,
    spent: i64,
    held: i64,
    degraded_allowance: Usd,
}

// === administration ===

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
        let since = old.map_or(now, |old| old.since);
        let entry = NewEntry::of_limit(budget.scope.clone(), EntryKind::LimitSet, budget.limit);
        self.changes.entries.push(entry);
        let defined = Defined { budget, since };
        self.load_budget(defined.clone());
        Ok(defined)
    }

    /// Removes a budget and its top-ups; false if there was none. Balances stay.
    pub fn remove(&mut self, scope: &Scope) -> bool {
        let removed = if scope.is_wildcard() {
            self.wildcards.remove(scope.kind())
        } else {
            let row = self.rows.get_mut(scope);
            row.and_then(|row| {
                row.top_ups.clear();
                row.own.take().map(|own| *own)
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
        let own = self.rows.values().filter_map(|row| row.own.as_deref());
        let mut budgets: Vec<Budget> = own
            .chain(self.wildcards.values())
            .map(|in_force| in_force.defined.budget.clone())
            .collect();
        budgets.sort_by(|left, right| left.scope.cmp(&right.scope));
        budgets
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
        let row = self.rows.entry(scope.clone()).or_default();
        if row.top_ups.iter().any(|known| known.id == top_up.id) {
            return Ok(false);
        }
        let note = Some(top_up.note.as_str().into());
        self.changes.entries.push(NewEntry {
            note,
            ..NewEntry::of_limit(scope.clone(), EntryKind::ToppedUp, top_up.amount)
        });
        row.top_ups.push(top_up);
        Ok(true)
    }

    /// The top-ups of a scope, oldest first.
    pub fn top_ups(&self, scope: &Scope) -> &[TopUp] {
        self.rows.get(scope).map_or(&[], |row| &row.top_ups)
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

// === holds ===

impl Books {
    /// Opens a hold in all its budgets or in none, after ending what has expired.
    ///
    /// # Errors
    /// [`BudgetError::Refused`], [`BudgetError::NoBudget`], [`BudgetError::Stopped`], or what a known idempotency key
    /// says.
    pub fn open(&mut self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError> {
        self.expire(now)?;
        if let Some(known) = self.known_by_key(&open) {
            return known.replay(&open);
        }
        if let Some(stop) = &self.stop {
            return Err(BudgetError::Stopped(stop.clone()));
        }
        let mut standings = mem::take(&mut self.standings);
        standings.clear();
        for (index, scope) in open.request.scopes.iter().enumerate() {
            standings.extend(self.standing(now, scope).map(|standing| (index, standing)));
        }
        let opened = self.open_in(now, open, &mut standings);
        self.standings = standings;
        opened
    }

    /// Holds the money in these budgets, each of the scope with its number, or in none.
    fn open_in(
        &mut self,
        now: Timestamp,
        open: OpenHold,
        standings: &mut Vec<(usize, Standing)>,
    ) -> Result<HoldStatus, BudgetError> {
        let request = &open.request;
        if standings.is_empty() && open.unbudgeted == Unbudgeted::Refuse {
            return Err(refusal(now, request, &[]));
        }
        let left = standings
            .iter()
            .map(|(_, standing)| standing.left_for(request.degraded));
        let Some(amount) = amount_to_hold(request, left) else {
            let rooms: Vec<Room> = request
                .scopes
                .iter()
                .filter_map(|scope| self.room(now, scope))
                .collect();
            return Err(refusal(now, request, &rooms));
        };

        let mut claims = Vec::with_capacity(standings.len());
        let mut accounts = Vec::with_capacity(standings.len());
        for (index, standing) in standings.drain(..) {
            let Some(scope) = request.scopes.get(index) else {
                continue;
            };
            let ends_at = standing.period.ends_at();
            let account = standing
                .account
                .unwrap_or_else(|| self.new_account(scope, &standing.period.key, ends_at));
            self.move_held(account, amount.nanos());
            if let Some(account) = self.accounts.get_mut(account) {
                account.row.limit = standing.limit.saturating_sub(standing.extra);
            }
            accounts.push(account);
            claims.push(Claim {
                scope: scope.clone(),
                period: standing.period.key,
                ends_at,
                limit: standing.limit,
            });
        }
        let record = opened(now, open, amount, claims);
        self.changes.entries.push(NewEntry {
            held_change: amount.nanos(),
            ..NewEntry::of_hold(record.id, EntryKind::Held, amount)
        });
        self.changes.opened.push(record.id);
        let status = record.status();
        self.keep(Box::new(Kept { record, accounts }));
        Ok(status)
    }

    /// Does this to a hold and says where it is then.
    ///
    /// # Errors
    /// [`BudgetError::UnknownHold`], and what [`HoldRecord::apply`] says.
    pub fn act(&mut self, now: Timestamp, id: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        let draw: Option<(Box<str>, CostLine)> = match &action {
            HoldAction::Draw { key: Some(key), line } => Some((key.as_str().into(), line.clone())),
            HoldAction::Intend { .. } | HoldAction::Extend { .. } => {
                if let Some(stop) = &self.stop {
                    return Err(BudgetError::Stopped(stop.clone()));
                }
                None
            }
            _ => None,
        };
        if let Some((key, line)) = &draw
            && replayed_draw(key, line, self.first_draw(id, key))?
        {
            return self.status_of(id);
        }
        let stopped = self.stop.is_some();
        let status = self.change(now, id, action)?;
        if let Some((key, line)) = draw {
            self.draws_by_key.insert((id, key), line);
        }
        Ok(HoldStatus { stopped, ..status })
    }

    /// Ends the holds whose time and grace are over.
    ///
    /// # Errors
    /// Sums too large to be counted.
    pub fn expire(&mut self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        let mut ended = Vec::new();
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let close = HoldAction::Close {
                state: HoldState::Expired,
            };
            ended.push(self.change(now, id, close)?.settlement());
        }
        Ok(ended)
    }

    /// A hold.
    pub fn hold(&self, id: HoldId) -> Option<&HoldRecord> {
        let kept = self.open.get(&id).or_else(|| self.ended.get(&id));
        kept.map(|kept| &kept.record)
    }

    /// All holds, in no order.
    pub fn holds(&self) -> impl Iterator<Item = &HoldRecord> {
        self.open
            .values()
            .chain(self.ended.values())
            .map(|kept| &kept.record)
    }

    /// The line that a key was first used with in a hold.
    pub(crate) fn first_draw(&self, hold: HoldId, key: &str) -> Option<&CostLine> {
        // Most draws have no key, and then there is nothing to look up.
        if self.draws_by_key.is_empty() {
            return None;
        }
        self.draws_by_key.get(&(hold, key.into()))
    }

    fn known_by_key(&self, open: &OpenHold) -> Option<&HoldRecord> {
        let key = open.request.idempotency_key.as_deref()?;
        self.hold(*self.by_key.get(key)?)
    }

    fn status_of(&self, id: HoldId) -> Result<HoldStatus, BudgetError> {
        let record = self.hold(id).ok_or(BudgetError::UnknownHold(id))?;
        let stopped = self.stop.is_some();
        Ok(HoldStatus {
            stopped,
            ..record.status()
        })
    }

    /// Books what an entry of another ledger says about a hold, as far as this hold covers it; for replays.
    pub(crate) fn rebook(
        &mut self,
        now: Timestamp,
        id: HoldId,
        entry: &NewEntry,
        at_most: Option<Usd>,
    ) -> Result<HoldStatus, BudgetError> {
        self.change_by(now, id, |record, entries| record.rebook(entry, at_most, entries))
    }

    fn change(&mut self, now: Timestamp, id: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        self.change_by(now, id, |record, entries| record.apply(now, action, entries))
    }

    /// Changes a hold, its accounts and the ledger together, or nothing.
    fn change_by(
        &mut self,
        now: Timestamp,
        id: HoldId,
        change: impl FnOnce(&mut HoldRecord, &mut Vec<NewEntry>) -> Result<(), BudgetError>,
    ) -> Result<HoldStatus, BudgetError> {
        let kept = self.open.remove(&id).or_else(|| self.ended.remove(&id));
        let mut kept = kept.ok_or(BudgetError::UnknownHold(id))?;
        let mut entries = mem::take(&mut self.entries);
        let before = Progress::of(&kept.record);
        let was_due = kept.record.ends_at();
        let applied = change(&mut kept.record, &mut entries);
        let outcome = applied.and_then(|()| self.move_money(now, &kept, &entries));
        match outcome {
            Ok(()) => {
                if kept.record.ends_at() != was_due || kept.record.state != HoldState::Open {
                    self.due.remove(&(was_due, id));
                }
                self.changes.entries.append(&mut entries);
                self.changes.holds.push(id);
            }
            Err(_) => {
                before.restore(&mut kept.record);
                entries.clear();
            }
        }
        self.entries = entries;
        let status = kept.record.status();
        self.keep(kept);
        outcome.map(|()| status)
    }

    fn keep(&mut self, kept: Box<Kept>) {
        let record = &kept.record;
        let id = record.id;
        if let Some(key) = &record.idempotency_key
            && !self.by_key.contains_key(key.as_str())
        {
            self.by_key.insert(key.as_str().into(), id);
        }
        if record.state == HoldState::Open {
            self.due.insert((record.ends_at(), id));
            self.open.insert(id, kept);
        } else {
            self.ended.insert(id, kept);
        }
    }

    /// Applies the entries to the accounts of every claim; to none where a sum would overflow.
    fn move_money(&mut self, now: Timestamp, kept: &Kept, entries: &[NewEntry]) -> Result<(), BudgetError> {
        let mut moves = mem::take(&mut self.moves);
        moves.clear();
        for (claim, account) in kept.record.claims.iter().zip(&kept.accounts) {
            for entry in entries {
                let (held, spent) = (entry.held_change, entry.spent_change);
                let counts_at = entry.counts_at.unwrap_or(now);
                let piece = piece_at(&claim.period, counts_at).filter(|_| spent != 0);
                let Some(piece) = piece else {
                    moves.push(Move {
                        account: *account,
                        held,
                        spent,
                    });
                    continue;
                };
                let spent_in = self
                    .account(&claim.scope, &piece.key)
                    .unwrap_or_else(|| self.new_account(&claim.scope, &piece.key, piece.ends_at));
                let account = *account;
                moves.push(Move {
                    account,
                    held,
                    spent: 0,
                });
                moves.push(Move {
                    account: spent_in,
                    held: 0,
                    spent,
                });
            }
        }
        let moved = self.move_all(&moves);
        self.moves = moves;
        moved
    }

    fn move_all(&mut self, moves: &[Move]) -> Result<(), BudgetError> {
        for (done, step) in moves.iter().enumerate() {
            if self.move_in(step.account, step.held, step.spent).is_some() {
                continue;
            }
            for step in moves.iter().take(done) {
                self.move_in(
                    step.account,
                    step.held.saturating_neg(),
                    step.spent.saturating_neg(),
                );
            }
            let message = "the sum would be larger than can be counted".to_owned();
            return Err(BudgetError::Invalid(message));
        }
        Ok(())
    }
}

fn opened(now: Timestamp, open: OpenHold, amount: Usd, claims: Vec<Claim>) -> HoldRecord {
    let OpenHold { id, request, .. } = open;
    HoldRecord {
        id,
        requested: request.amount,
        at_least: request.at_least,
        amount,
        drawn: Usd::ZERO,
        state: HoldState::Open,
        created_at: now,
        expires_at: now.saturating_add(request.ttl),
        grace: request.grace,
        degraded: request.degraded,
        claims,
        intents: Vec::new(),
        scopes: request.scopes,
        purpose: request.purpose,
        idempotency_key: request.idempotency_key,
    }
}

impl Progress {
    fn of(record: &HoldRecord) -> Self {
        Self {
            drawn: record.drawn,
            state: record.state,
            expires_at: record.expires_at,
            intents: record.intents.clone(),
        }
    }

    fn restore(self, record: &mut HoldRecord) {
        record.drawn = self.drawn;
        record.state = self.state;
        record.expires_at = self.expires_at;
        record.intents = self.intents;
    }
}

// === balances ===

impl Books {
    /// Where the budget that applies to this concrete scope stands; `None` if none does.
    pub fn status(&self, now: Timestamp, scope: &Scope) -> Option<BudgetStatus> {
        self.room(now, scope).map(|room| room.status)
    }

    /// The budget that applies: a scope's own, or else its wildcard's.
    pub fn applicable(&self, scope: &Scope) -> Option<&Defined> {
        let own = self.rows.get(scope).and_then(|row| row.own.as_deref());
        let in_force = own.or_else(|| self.wildcards.get(scope.kind()))?;
        Some(&in_force.defined)
    }

    /// The budget defined on exactly this scope or wildcard.
    pub fn defined(&self, scope: &Scope) -> Option<&Defined> {
        let in_force = if scope.is_wildcard() {
            self.wildcards.get(scope.kind())?
        } else {
            self.rows.get(scope)?.own.as_deref()?
        };
        Some(&in_force.defined)
    }

    fn standing(&self, now: Timestamp, scope: &Scope) -> Option<Standing> {
        let row = self.rows.get(scope);
        let own = row.and_then(|row| row.own.as_deref());
        let in_force = own.or_else(|| self.wildcards.get(scope.kind()))?;
        let Defined { budget, since } = &in_force.defined;
        let period = in_force.period_at(now);
        let account = row.and_then(|row| self.find(row, &period));
        let mut standing = Standing {
            account,
            limit: budget.limit,
            extra: Usd::ZERO,
            spent: 0,
            held: 0,
            degraded_allowance: budget.degraded_allowance,
            period,
        };
        if let Some(account) = account.and_then(|index| self.accounts.get(index)) {
            standing.spent = account.row.spent;
            standing.held = account.row.held;
        }
        if let (Window::Rolling(_), Some(row)) = (&budget.window, row) {
            let pieces = self.pieces(row, &standing.period, now);
            standing.spent = pieces.fold(0, |sum, (_, spent)| sum.saturating_add(spent));
        }
        let has_extra = !budget.carry_over.is_zero() || row.is_some_and(|row| !row.top_ups.is_empty());
        if has_extra {
            standing.extra = self.extra(now, budget, *since, row, &standing);
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
        standing: &Standing,
    ) -> Usd {
        let past = |period: &Period, row: &Row| {
            let account = self.accounts.get(self.find(row, period)?)?;
            Some(account.past(period.starts_at))
        };
        let mut carried = Usd::ZERO;
        if !budget.carry_over.is_zero()
            && let Some(before) = budget.window.period_before(&standing.period)
            && since < before.ends_at()
        {
            carried = carried_over(budget, row.and_then(|row| past(&before, row)));
        }
        let Some(row) = row.filter(|row| !row.top_ups.is_empty()) else {
            return carried;
        };
        let granted = row.top_ups.iter().map(|top_up| top_up.granted_at).min();
        let mut periods: Vec<PastPeriod> = Vec::new();
        if matches!(budget.window, Window::Calendar(..)) {
            let earlier = row.accounts.iter().filter_map(|index| self.accounts.get(*index));
            for account in earlier {
                let is_past = account.row.ends_at < standing.period.ends_at();
                if is_past && granted.is_some_and(|granted| granted < account.row.ends_at) {
                    let last = Timestamp::from_micros(account.row.ends_at.as_micros().saturating_sub(1));
                    let starts_at = last.and_then(|last| budget.window.period_at(last).starts_at);
                    periods.push(account.past(starts_at));
                }
            }
        }
        periods.push(PastPeriod {
            starts_at: standing.period.starts_at,
            ends_at: standing.period.ends_at(),
            used: money(standing.spent).saturating_add(money(standing.held)),
            limit: budget.limit.saturating_add(carried),
        });
        carried.saturating_add(topped_up(now, &row.top_ups, &periods))
    }

    fn room(&self, now: Timestamp, scope: &Scope) -> Option<Room> {
        let standing = self.standing(now, scope)?;
        let budget = &self.applicable(scope)?.budget;
        let (spent, held) = (money(standing.spent), money(standing.held));
        let used = spent.saturating_add(held);
        let mut leaving: Vec<(Timestamp, Usd)> = Vec::new();
        if let (Window::Rolling(_), Some(row)) = (&budget.window, self.rows.get(scope)) {
            let pieces = self.pieces(row, &standing.period, now);
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
            resets_at: standing.period.resets_at,
            state,
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
        let accounts = row.accounts.iter().filter_map(|index| self.accounts.get(*index));
        let is_piece = move |account: &&Account| {
            let rest = account.row.period.strip_prefix(&*series.key);
            rest.is_some_and(|rest| rest.starts_with('@')) && account.row.ends_at > now
        };
        accounts
            .filter(is_piece)
            .map(|account| (account.row.ends_at, account.row.spent))
    }

    fn find(&self, row: &Row, period: &Period) -> Option<usize> {
        // Newest last, and nearly always it is the newest.
        let mut newest_first = row.accounts.iter().rev().copied();
        newest_first.find(|index| self.is_of(*index, &period.key))
    }

    fn account(&self, scope: &Scope, period: &Arc<str>) -> Option<usize> {
        let row = self.rows.get(scope)?;
        row.accounts
            .iter()
            .rev()
            .copied()
            .find(|index| self.is_of(*index, period))
    }

    fn is_of(&self, account: usize, period: &Arc<str>) -> bool {
        let account = self.accounts.get(account);
        account
            .is_some_and(|account| Arc::ptr_eq(&account.row.period, period) || account.row.period == *period)
    }

    fn new_account(&mut self, scope: &Scope, period: &Arc<str>, ends_at: Timestamp) -> usize {
        self.add_account(AccountRow {
            scope: scope.clone(),
            period: Arc::clone(period),
            ends_at,
            limit: Usd::ZERO,
            spent: 0,
            held: 0,
        })
    }

    fn add_account(&mut self, row: AccountRow) -> usize {
        let index = self.accounts.len();
        let (scope, ends_at) = (row.scope.clone(), row.ends_at);
        self.accounts.push(Account {
            row,
            held_change: 0,
            spent_change: 0,
            is_changed: false,
        });
        let accounts = &self.accounts;
        let of_scope = &mut self.rows.entry(scope).or_default().accounts;
        let ends = |index: &usize| {
            accounts
                .get(*index)
                .map_or(Timestamp::MAX, |account| account.row.ends_at)
        };
        let place = of_scope.partition_point(|index| ends(index) <= ends_at);
        of_scope.insert(place, index);
        index
    }

    fn move_held(&mut self, account: usize, held: i64) {
        // Within a limit, so within what can be counted.
        self.move_in(account, held, 0);
    }

    fn move_in(&mut self, index: usize, held: i64, spent: i64) -> Option<()> {
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
    fn new(defined: Defined) -> Self {
        Self {
            defined,
            period: RefCell::new(None),
        }
    }

    fn period_at(&self, now: Timestamp) -> Period {
        let mut last = self.period.borrow_mut();
        match &*last {
            Some(period) if period.contains(now) => period.clone(),
            _ => last.insert(self.defined.budget.window.period_at(now)).clone(),
        }
    }
}

impl Standing {
    fn left_for(&self, degraded: bool) -> Usd {
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

// === for stores ===

impl Books {
    /// Puts a budget in as it is kept.
    pub fn load_budget(&mut self, defined: Defined) {
        let scope = &defined.budget.scope;
        if scope.is_wildcard() {
            self.wildcards.insert(scope.kind().into(), InForce::new(defined));
        } else {
            let row = self.rows.entry(scope.clone()).or_default();
            row.own = Some(Box::new(InForce::new(defined)));
        }
    }

    /// Puts a top-up in as it is kept.
    pub fn load_top_up(&mut self, top_up: TopUp) {
        self.rows
            .entry(top_up.scope.clone())
            .or_default()
            .top_ups
            .push(top_up);
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
        let mut accounts = Vec::with_capacity(record.claims.len());
        for claim in &record.claims {
            let known = self.account(&claim.scope, &claim.period);
            accounts
                .push(known.unwrap_or_else(|| self.new_account(&claim.scope, &claim.period, claim.ends_at)));
        }
        self.keep(Box::new(Kept { record, accounts }));
    }

    /// Puts a keyed draw in as it is kept.
    pub fn load_draw(&mut self, hold: HoldId, key: &str, line: CostLine) {
        self.draws_by_key.insert((hold, key.into()), line);
    }

    /// Forgets a hold that has ended; it can be put in again.
    pub fn forget_ended(&mut self, id: HoldId) {
        let key = self
            .ended
            .remove(&id)
            .and_then(|kept| kept.record.idempotency_key);
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

    /// Takes the entries out, and forgets the other changes: for a store that keeps these books themselves.
    pub(crate) fn drain_entries(&mut self) -> impl Iterator<Item = NewEntry> + '_ {
        self.changes.opened.clear();
        self.changes.holds.clear();
        for index in self.changes.accounts.drain(..) {
            if let Some(account) = self.accounts.get_mut(index) {
                account.is_changed = false;
                (account.held_change, account.spent_change) = (0, 0);
            }
        }
        self.changes.entries.drain(..)
    }
}
