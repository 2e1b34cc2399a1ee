//! Holds: opened in all budgets or in none, changed with their accounts and the ledger together or not at all.

use std::{borrow::Cow, mem, sync::Arc};

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use super::{AccountChange, AccountId, Books, Counts, Kept, Standing};
use crate::{
    BudgetError, Settlement, Unbudgeted,
    ledger::{
        EntryKind, HoldAction, HoldId, HoldPage, HoldRecord, HoldState, HoldStatus, IntentRecord, NewEntry,
        OpenHold, Room, action::replayed_draw, amount_to_hold, refusal,
    },
    window::piece_at,
};

/// What of a hold an action can change.
struct Progress {
    drawn: Usd,
    state: HoldState,
    expires_at: Timestamp,
    intents: Vec<IntentRecord>,
}

impl Books {
    /// Opens a hold in all its budgets or in none, after ending what has expired.
    ///
    /// # Errors
    /// [`BudgetError::Refused`], [`BudgetError::NoBudget`], [`BudgetError::Stopped`], or what a known idempotency key
    /// says.
    pub fn open(&mut self, now: Timestamp, open: &OpenHold) -> Result<HoldStatus, BudgetError> {
        self.expire(now)?;
        if let Some(known) = self.known_by_key(open) {
            return known.replay(open);
        }
        if let Some(stop) = &self.stop {
            return Err(BudgetError::Stopped(stop.clone()));
        }
        let mut standings = self.standings_of(now, &open.request.scopes);
        let opened = self
            .admitted(now, open, &standings)
            .map(|amount| self.open_in(now, open, amount, &mut standings));
        self.standings = standings;
        opened
    }

    /// Opens a hold of another ledger with what it got there, whatever the budgets here say; for replays.
    ///
    /// # Errors
    /// Sums too large to be counted.
    pub(crate) fn reopen(&mut self, now: Timestamp, open: &OpenHold, amount: Usd) -> Result<(), BudgetError> {
        let mut standings = self.standings_of(now, &open.request.scopes);
        let fits = standings
            .iter()
            .all(|(_, standing)| standing.held.checked_add(amount.nanos()).is_some());
        if fits {
            self.open_in(now, open, amount, &mut standings);
        }
        self.standings = standings;
        fits.then_some(()).ok_or_else(uncountable)
    }

    fn standings_of(&mut self, now: Timestamp, scopes: &[Scope]) -> Vec<(usize, Standing)> {
        let mut standings = mem::take(&mut self.standings);
        let mut keys = mem::take(&mut self.keys);
        self.standings(now, scopes, (&mut keys, &mut standings));
        self.keys = keys;
        standings
    }

    /// How much these budgets admit.
    fn admitted(
        &self,
        now: Timestamp,
        open: &OpenHold,
        standings: &[(usize, Standing)],
    ) -> Result<Usd, BudgetError> {
        let request = &open.request;
        if standings.is_empty() && open.unbudgeted == Unbudgeted::Refuse {
            return Err(refusal(now, request, &[]));
        }
        let left = standings
            .iter()
            .map(|(_, standing)| standing.left_for(request.degraded));
        amount_to_hold(request, left).ok_or_else(|| {
            let scopes = request.scopes.iter();
            let rooms: Vec<Room> = scopes.filter_map(|scope| self.room(now, scope)).collect();
            refusal(now, request, &rooms)
        })
    }

    /// Holds the money in these budgets, each of the scope with its number.
    fn open_in(
        &mut self,
        now: Timestamp,
        open: &OpenHold,
        amount: Usd,
        standings: &mut Vec<(usize, Standing)>,
    ) -> HoldStatus {
        let counts = self.counts(&open.request, standings);
        for (account, (_, standing)) in counts.accounts().iter().zip(standings.drain(..)) {
            // Within a limit, so within what can be counted.
            self.move_in(AccountChange {
                account: *account,
                held: amount.nanos(),
                spent: 0,
                limit: Some(standing.limit.saturating_sub(standing.extra)),
            });
        }
        let purpose = self.shared(&open.request.purpose);
        let kept = Box::new(opened(now, open, amount, counts, purpose));
        self.changes.entries.push(NewEntry {
            held_change: amount.nanos(),
            ..NewEntry::of_hold(kept.id, EntryKind::Held, amount)
        });
        self.changes.opened.push(kept.id);
        let status = kept.status();
        self.keep(kept);
        status
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
        while let Some((at, id)) = self.due.next_by(now) {
            if !self.is_due_at(at, id) {
                continue;
            }
            let close = HoldAction::Close {
                state: HoldState::Expired,
            };
            match self.change(now, id, close) {
                Ok(status) => ended.push(status.settlement()),
                Err(error) => {
                    self.due.add(at, id);
                    return Err(error);
                }
            }
        }
        Ok(ended)
    }

    /// Does an open hold end at this time? It may have ended or been extended meanwhile.
    pub(super) fn is_due_at(&self, at: Timestamp, id: HoldId) -> bool {
        self.open.get(&id).is_some_and(|kept| kept.ends_at() == at)
    }

    /// A hold.
    pub fn hold(&self, id: HoldId) -> Option<HoldRecord> {
        self.kept(id).map(|kept| self.record(&kept))
    }

    /// Is the hold in these books?
    pub fn has_hold(&self, id: HoldId) -> bool {
        self.open.contains_key(&id) || self.ended.get(id).is_some()
    }

    /// All holds, in no order.
    pub fn holds(&self) -> impl Iterator<Item = HoldRecord> {
        self.all_kept().map(|kept| self.record(&kept))
    }

    /// A page of holds, by id.
    pub fn page(&self, page: HoldPage) -> Vec<HoldRecord> {
        let is_meant =
            |kept: &Cow<'_, Kept>| page.after.is_none_or(|after| kept.id > after) && page.only.takes(kept);
        let mut ids: Vec<HoldId> = self.all_kept().filter(is_meant).map(|kept| kept.id).collect();
        ids.sort_unstable();
        let page = ids.into_iter().take(page.limit);
        page.filter_map(|id| self.hold(id)).collect()
    }

    fn all_kept(&self) -> impl Iterator<Item = Cow<'_, Kept>> {
        let open = self.open.values().map(|kept| Cow::Borrowed(&**kept));
        open.chain(self.ended.iter().map(|(id, past)| past.kept(id)))
    }

    /// Does the hold count against this scope?
    pub(crate) fn is_of(&self, id: HoldId, scope: &Scope) -> bool {
        self.kept(id).is_some_and(|kept| {
            let mut accounts = kept.basis.accounts().iter();
            accounts.any(|id| {
                self.account(*id)
                    .is_some_and(|account| account.row.scope == *scope)
            })
        })
    }

    fn kept(&self, id: HoldId) -> Option<Cow<'_, Kept>> {
        match self.open.get(&id) {
            Some(open) => Some(Cow::Borrowed(&**open)),
            None => self.ended.get(id).map(|past| past.kept(id)),
        }
    }

    /// The line that a key was first used with in a hold.
    pub(crate) fn first_draw(&self, hold: HoldId, key: &str) -> Option<&CostLine> {
        // Most draws have no key, and then there is nothing to look up.
        if self.draws_by_key.is_empty() {
            return None;
        }
        self.draws_by_key.get(&(hold, key.into()))
    }

    fn known_by_key(&self, open: &OpenHold) -> Option<HoldRecord> {
        let key = open.request.idempotency_key.as_deref()?;
        self.hold(*self.by_key.get(key)?)
    }

    fn status_of(&self, id: HoldId) -> Result<HoldStatus, BudgetError> {
        let record = self.kept(id).ok_or(BudgetError::UnknownHold(id))?;
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
        change: impl FnOnce(&mut Kept, &mut Vec<NewEntry>) -> Result<(), BudgetError>,
    ) -> Result<HoldStatus, BudgetError> {
        let past = || self.ended.remove(id).map(|past| past.into_kept(id));
        let kept = self.open.remove(&id).or_else(past);
        let mut kept = kept.ok_or(BudgetError::UnknownHold(id))?;
        let mut entries = mem::take(&mut self.changes.entries);
        let known = entries.len();
        let before = Progress::of(&kept);
        let was_due = kept.ends_at();
        let applied = change(&mut kept, &mut entries);
        let outcome =
            applied.and_then(|()| self.move_money(now, &kept, entries.get(known..).unwrap_or_default()));
        match outcome {
            Ok(()) => {
                if kept.ends_at() != was_due {
                    self.due.add(kept.ends_at(), id);
                }
                self.changes.holds.push(id);
            }
            Err(_) => {
                before.restore(&mut kept);
                entries.truncate(known);
            }
        }
        self.changes.entries = entries;
        let status = kept.status();
        self.place(kept);
        outcome.map(|()| status)
    }

    /// Takes in a hold that was not there.
    pub(super) fn keep(&mut self, kept: Box<Kept>) {
        if let Some(key) = &kept.idempotency_key
            && !self.by_key.contains_key(key.as_str())
        {
            self.by_key.insert(key.as_str().into(), kept.id);
        }
        if kept.state == HoldState::Open {
            let open = &self.open;
            let is_due = |at: Timestamp, id: &HoldId| open.get(id).is_some_and(|kept| kept.ends_at() == at);
            self.due.tidy(open.len(), is_due);
            self.due.add(kept.ends_at(), kept.id);
        }
        self.place(kept);
    }

    fn place(&mut self, kept: Box<Kept>) {
        if kept.state == HoldState::Open {
            self.open.insert(kept.id, kept);
        } else {
            self.ended.insert(kept.id, kept.into());
        }
    }

    /// Applies the entries to every account of the hold; to none where a sum would overflow.
    fn move_money(&mut self, now: Timestamp, kept: &Kept, entries: &[NewEntry]) -> Result<(), BudgetError> {
        let mut moves = mem::take(&mut self.moves);
        moves.clear();
        for account in kept.basis.accounts() {
            for entry in entries {
                let (held, spent) = (entry.held_change, entry.spent_change);
                let counts_at = entry.counts_at.unwrap_or(now);
                let piece = match spent {
                    0 => None,
                    _ => self.piece_of(*account, counts_at),
                };
                moves.push(AccountChange {
                    account: *account,
                    held,
                    spent: if piece.is_none() { spent } else { 0 },
                    limit: None,
                });
                moves.extend(piece.map(|piece| AccountChange {
                    account: piece,
                    held: 0,
                    spent,
                    limit: None,
                }));
            }
        }
        let moved = self.move_all(&moves);
        self.moves = moves;
        moved
    }

    /// Where spending at this time counts, given the account of a hold; `None` where that is this account itself.
    fn piece_of(&mut self, account: AccountId, at: Timestamp) -> Option<AccountId> {
        let row = &self.account(account)?.row;
        let piece = piece_at(&row.period, at)?;
        let scope = row.scope.clone();
        let known = self.account_of(&scope, &piece.key);
        Some(known.unwrap_or_else(|| self.new_account(&scope, &piece.key, piece.ends_at)))
    }

    fn move_all(&mut self, moves: &[AccountChange]) -> Result<(), BudgetError> {
        for (done, step) in moves.iter().enumerate() {
            if self.move_in(*step).is_some() {
                continue;
            }
            // The last first, so that each sum on the way back is one that was there.
            for step in moves.iter().take(done).rev() {
                self.move_in(AccountChange {
                    held: step.held.saturating_neg(),
                    spent: step.spent.saturating_neg(),
                    ..*step
                });
            }
            return Err(uncountable());
        }
        Ok(())
    }
}

fn opened(now: Timestamp, open: &OpenHold, amount: Usd, basis: Counts, purpose: Arc<str>) -> Kept {
    let request = &open.request;
    Kept {
        id: open.id,
        requested: request.amount,
        at_least: request.at_least,
        amount,
        drawn: Usd::ZERO,
        state: HoldState::Open,
        created_at: now,
        expires_at: now.saturating_add(request.ttl),
        grace: request.grace,
        degraded: request.degraded,
        basis,
        purpose,
        intents: Vec::new(),
        idempotency_key: request.idempotency_key.clone(),
    }
}

fn uncountable() -> BudgetError {
    BudgetError::Invalid("the sum would be larger than can be counted".to_owned())
}

impl Progress {
    fn of(record: &Kept) -> Self {
        Self {
            drawn: record.drawn,
            state: record.state,
            expires_at: record.expires_at,
            intents: record.intents.clone(),
        }
    }

    fn restore(self, record: &mut Kept) {
        record.drawn = self.drawn;
        record.state = self.state;
        record.expires_at = self.expires_at;
        record.intents = self.intents;
    }
}
