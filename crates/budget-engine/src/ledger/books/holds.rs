//! Holds: opened in all budgets or in none, changed with their accounts and the ledger together or not at all.

use std::{borrow::Cow, mem, sync::Arc};

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use super::{Books, Counts, Kept, Standing, accounts::uncountable};
use crate::{
    BudgetError, Settlement, Unbudgeted,
    ledger::{
        EntryKind, HoldAction, HoldFilter, HoldId, HoldPage, HoldRecord, HoldState, HoldStatus, IntentRecord,
        NewEntry, OpenHold, Room, action::replayed_draw, amount_to_hold, refusal,
    },
};

/// What of a hold an action can change.
struct Progress {
    drawn: Usd,
    state: HoldState,
    expires_at: Timestamp,
    /// Where there are any.
    intents: Option<Vec<IntentRecord>>,
}

impl Books {
    /// Opens a hold in all its budgets or in none, after ending what has expired.
    ///
    /// # Errors
    /// [`BudgetError::Refused`], [`BudgetError::NoBudget`], [`BudgetError::Stopped`], or what a known idempotency key
    /// says.
    pub fn open(&mut self, now: Timestamp, open: &OpenHold) -> Result<HoldStatus, BudgetError> {
        self.expire_each(now, drop)?;
        if let Some(known) = self.known_by_key(open) {
            return known.replay(open);
        }
        if let Some(stop) = &self.stop {
            return Err(BudgetError::Stopped(stop.clone()));
        }
        let standings = self.standings_of(now, &open.request.scopes);
        let opened = self
            .admitted(now, open, &standings)
            .map(|amount| self.open_in(now, open, amount, &standings));
        self.standings = standings;
        opened
    }

    /// Opens a hold of another ledger with what it got there, whatever the budgets here say; for replays.
    ///
    /// # Errors
    /// Sums too large to be counted.
    pub(crate) fn reopen(&mut self, now: Timestamp, open: &OpenHold, amount: Usd) -> Result<(), BudgetError> {
        let standings = self.standings_of(now, &open.request.scopes);
        let fits = standings
            .iter()
            .all(|(_, standing)| standing.held.checked_add(amount.nanos()).is_some());
        if fits {
            self.open_in(now, open, amount, &standings);
        }
        self.standings = standings;
        fits.then_some(()).ok_or_else(uncountable)
    }

    fn standings_of(&mut self, now: Timestamp, scopes: &[Scope]) -> Vec<(usize, Standing)> {
        let mut standings = mem::take(&mut self.standings);
        self.standings(now, scopes, &mut standings);
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
        standings: &[(usize, Standing)],
    ) -> HoldStatus {
        let counts = self.counts(now, &open.request, standings);
        for (account, (_, standing)) in counts.accounts().iter().zip(standings) {
            let limit = standing.limit.saturating_sub(standing.extra);
            self.accounts.hold(*account, amount, limit);
        }
        self.changes.entries.push(NewEntry {
            held_change: amount.nanos(),
            ..NewEntry::of_hold(open.id, EntryKind::Held, amount)
        });
        self.changes.opened.push(open.id);
        let purpose = self.shared(&open.request.purpose);
        self.keep_open(opened(now, open, amount, counts, purpose))
            .status()
    }

    /// Does this to a hold and says where it is then.
    ///
    /// # Errors
    /// [`BudgetError::UnknownHold`], and what [`HoldRecord::apply`] says.
    pub fn act(&mut self, now: Timestamp, id: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        let status = match action {
            HoldAction::Draw { key: Some(key), line } => self.draw_once(now, id, key, line)?,
            HoldAction::Close { state } => return self.close(now, id, state),
            HoldAction::Intend { .. } | HoldAction::Extend { .. } => {
                if let Some(stop) = &self.stop {
                    return Err(BudgetError::Stopped(stop.clone()));
                }
                self.change(now, id, action)?
            }
            _ => self.change(now, id, action)?,
        };
        let stopped = self.stop.is_some();
        Ok(HoldStatus { stopped, ..status })
    }

    fn draw_once(
        &mut self,
        now: Timestamp,
        id: HoldId,
        key: String,
        line: CostLine,
    ) -> Result<HoldStatus, BudgetError> {
        if replayed_draw(&key, &line, self.first_draw(id, &key))? {
            return self.status_of(id);
        }
        let known = (id, key.as_str().into());
        let draw = HoldAction::Draw {
            key: Some(key),
            line: line.clone(),
        };
        let status = self.change(now, id, draw)?;
        self.draws_by_key.insert(known, line);
        Ok(status)
    }

    /// Ends a hold and says where it is then.
    ///
    /// # Errors
    /// As of [`act`](Self::act).
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        id: HoldId,
        state: HoldState,
    ) -> Result<HoldStatus, BudgetError> {
        let mut status = self.change_by(now, id, |kept, entries| kept.close(state, entries))?;
        status.stopped = self.stop.is_some();
        Ok(status)
    }

    /// Ends the holds whose time and grace are over.
    ///
    /// # Errors
    /// Sums too large to be counted.
    pub fn expire(&mut self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        let mut ended = Vec::new();
        self.expire_each(now, |status| ended.push(status.into_settlement()))?;
        Ok(ended)
    }

    fn expire_each(&mut self, now: Timestamp, mut ended: impl FnMut(HoldStatus)) -> Result<(), BudgetError> {
        while let Some((at, id)) = self.due.next_by(now) {
            if !self.is_due_at(at, id) {
                continue;
            }
            match self.close(now, id, HoldState::Expired) {
                Ok(status) => ended(status),
                Err(error) => {
                    self.due.add(at, id);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Does an open hold end at this time? It may have ended or been extended meanwhile.
    pub(super) fn is_due_at(&self, at: Timestamp, id: HoldId) -> bool {
        self.open.get(id).is_some_and(|kept| kept.ends_at() == at)
    }

    /// A hold.
    pub fn hold(&self, id: HoldId) -> Option<HoldRecord> {
        self.kept(id).map(|kept| self.record(&kept))
    }

    /// Is the hold in these books?
    pub fn has_hold(&self, id: HoldId) -> bool {
        self.open.get(id).is_some() || self.past.has(id)
    }

    /// All holds, in no order.
    pub fn holds(&self) -> impl Iterator<Item = HoldRecord> {
        self.all_kept().map(|kept| self.record(&kept))
    }

    /// A page of holds, by id.
    pub fn page(&self, page: HoldPage) -> Vec<HoldRecord> {
        let is_meant =
            |kept: &Cow<'_, Kept>| page.after.is_none_or(|after| kept.id > after) && page.only.takes(kept);
        let past = match page.only {
            HoldFilter::Open => None,
            _ => Some(self.past.iter()),
        };
        let open = self.open.iter().map(Cow::Borrowed);
        let meant = open.chain(past.into_iter().flatten()).filter(is_meant);
        let mut ids: Vec<HoldId> = meant.map(|kept| kept.id).collect();
        if page.limit < ids.len() {
            // Only those of the page are put in order.
            ids.select_nth_unstable(page.limit);
            ids.truncate(page.limit);
        }
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.hold(id)).collect()
    }

    fn all_kept(&self) -> impl Iterator<Item = Cow<'_, Kept>> {
        let open = self.open.iter().map(Cow::Borrowed);
        open.chain(self.past.iter())
    }

    /// Does the hold count against this scope?
    pub(crate) fn is_of(&self, id: HoldId, scope: &Scope) -> bool {
        self.kept(id).is_some_and(|kept| {
            let mut accounts = kept.basis.accounts().iter();
            accounts.any(|id| {
                self.accounts
                    .account(*id)
                    .is_some_and(|account| account.row.scope == *scope)
            })
        })
    }

    fn kept(&self, id: HoldId) -> Option<Cow<'_, Kept>> {
        match self.open.get(id) {
            Some(open) => Some(Cow::Borrowed(open)),
            None => self.past.get(id),
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
        Ok(record.status())
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
        let entries = &mut self.changes.entries;
        let book = |kept: &mut Kept| {
            let (known, before) = (entries.len(), Progress::of(kept));
            let booked = change(kept, entries).and_then(|()| {
                let new = entries.get(known..).unwrap_or_default();
                self.accounts.book(now, kept.basis.accounts(), new)
            });
            if booked.is_err() {
                before.restore(kept);
                entries.truncate(known);
            }
            booked
        };
        if let Some(mut open) = self.open.entry(id) {
            let kept = open.get_mut();
            let was_due = kept.expires_at;
            book(kept)?;
            let status = kept.status();
            if kept.state != HoldState::Open {
                let is_in = self.past.insert_plain(kept);
                let (kept, _) = open.remove();
                if !is_in {
                    self.past.insert(kept);
                }
            } else if kept.expires_at != was_due {
                self.due.add(kept.ends_at(), id);
            }
            self.changes.holds.push(id);
            return Ok(status);
        }
        let mut kept = self.past.remove(id).ok_or(BudgetError::UnknownHold(id))?;
        let booked = book(&mut kept);
        let status = kept.status();
        self.past.insert(kept);
        booked?;
        self.changes.holds.push(id);
        Ok(status)
    }

    /// Takes in a hold that was not there.
    pub(super) fn keep(&mut self, kept: Kept) {
        if kept.state == HoldState::Open {
            self.keep_open(kept);
            return;
        }
        self.keep_key(&kept);
        self.past.insert(kept);
    }

    #[inline]
    fn keep_open(&mut self, kept: Kept) -> &Kept {
        self.keep_key(&kept);
        let open = &self.open;
        let is_due = |at: Timestamp, id: &HoldId| open.get(*id).is_some_and(|kept| kept.ends_at() == at);
        self.due.tidy(open.len(), is_due);
        self.due.add(kept.ends_at(), kept.id);
        self.open.insert(kept)
    }

    fn keep_key(&mut self, kept: &Kept) {
        if let Some(key) = &kept.idempotency_key
            && !self.by_key.contains_key(key.as_str())
        {
            self.by_key.insert(key.as_str().into(), kept.id);
        }
    }
}

#[inline]
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

impl Progress {
    fn of(record: &Kept) -> Self {
        Self {
            drawn: record.drawn,
            state: record.state,
            expires_at: record.expires_at,
            intents: (!record.intents.is_empty()).then(|| record.intents.clone()),
        }
    }

    fn restore(self, record: &mut Kept) {
        record.drawn = self.drawn;
        record.state = self.state;
        record.expires_at = self.expires_at;
        record.intents = self.intents.unwrap_or_default();
    }
}
