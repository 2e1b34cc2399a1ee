//! What is remembered of the file between steps, as long as nobody else writes to it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use meterbox_core::{Scope, Timestamp};
use meterbox_sqlite::{SqliteError, Writing, rusqlite::Transaction};

use super::rows;
use crate::{
    HoldId,
    ledger::{Books, Changes, HoldAction, OpenHold},
};

/// More scopes than this are not remembered.
const MAX_SCOPES: usize = 50_000;
/// Nor more of scopes, accounts and holds together: short periods and rolling windows have an account for each piece of
/// time.
const MAX_SIZE: usize = 200_000;

/// Books that have what the steps so far needed.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// When this was so. Not every write of the handle asks the cache, so it has to keep that itself.
    epoch: u64,
    books: Books,
    /// Are the wildcards and the switch in?
    has_rules: bool,
    /// Since when the accounts of a scope are in.
    scopes: HashMap<Scope, Timestamp, RandomState>,
}

impl Cache {
    /// Forgets everything where somebody else may have written to the file, and where it is too much.
    pub(super) fn refresh(&mut self, ledger: &Writing<'_>) -> Result<(), SqliteError> {
        let epoch = ledger.epoch();
        if self.epoch != epoch || self.scopes.len() > MAX_SCOPES || self.size() > MAX_SIZE {
            *self = Self {
                epoch,
                ..Self::default()
            };
        }
        if !self.has_rules {
            for defined in rows::wildcard_budgets(ledger)? {
                self.books.load_budget(defined);
            }
            self.books.load_stop(rows::stop(ledger)?);
            self.has_rules = true;
        }
        Ok(())
    }

    /// How many things are remembered.
    pub(super) fn size(&self) -> usize {
        self.books.size()
    }

    /// The books, with what opening this hold needs.
    pub(super) fn for_opening(
        &mut self,
        ledger: &Transaction<'_>,
        now: Timestamp,
        open: &OpenHold,
    ) -> Result<&mut Books, SqliteError> {
        self.need_expired(ledger, now)?;
        if let Some(key) = &open.request.idempotency_key
            && let Some(record) = rows::hold_by_key(ledger, key)?
            && !self.books.has_hold(record.id)
        {
            self.books.load_hold(record);
        }
        for scope in &open.request.scopes {
            self.need_scope(ledger, now, scope)?;
        }
        Ok(&mut self.books)
    }

    /// The books, with what this action on a hold needs.
    pub(super) fn for_acting(
        &mut self,
        ledger: &Transaction<'_>,
        id: HoldId,
        action: &HoldAction,
    ) -> Result<&mut Books, SqliteError> {
        self.need_hold(ledger, id)?;
        if let HoldAction::Draw { key: Some(key), .. } = action
            && let Some(line) = rows::draw_by_key(ledger, id, key)?
        {
            self.books.load_draw(id, key, line);
        }
        Ok(&mut self.books)
    }

    /// The books, with the holds that have expired.
    pub(super) fn for_expiring(
        &mut self,
        ledger: &Transaction<'_>,
        now: Timestamp,
    ) -> Result<&mut Books, SqliteError> {
        self.need_expired(ledger, now)?;
        Ok(&mut self.books)
    }

    /// The books, with what there is about a scope.
    pub(super) fn for_scope(
        &mut self,
        ledger: &Transaction<'_>,
        now: Timestamp,
        scope: &Scope,
    ) -> Result<&mut Books, SqliteError> {
        if !scope.is_wildcard() {
            self.need_scope(ledger, now, scope)?;
        }
        Ok(&mut self.books)
    }

    /// The books, with the switch.
    pub(super) fn rules(&mut self) -> &mut Books {
        &mut self.books
    }

    fn need_expired(&mut self, ledger: &Transaction<'_>, now: Timestamp) -> Result<(), SqliteError> {
        for id in rows::expired_holds(ledger, now)? {
            self.need_hold(ledger, id)?;
        }
        Ok(())
    }

    fn need_hold(&mut self, ledger: &Transaction<'_>, id: HoldId) -> Result<(), SqliteError> {
        if !self.books.has_hold(id)
            && let Some(record) = rows::hold(ledger, id)?
        {
            self.books.load_hold(record);
        }
        Ok(())
    }

    fn need_scope(
        &mut self,
        ledger: &Transaction<'_>,
        now: Timestamp,
        scope: &Scope,
    ) -> Result<(), SqliteError> {
        let is_new = !self.scopes.contains_key(scope);
        if is_new {
            if let Some(defined) = rows::budget(ledger, scope)? {
                self.books.load_budget(defined);
            }
            for top_up in rows::top_ups(ledger, scope)? {
                self.books.load_top_up(top_up);
            }
        }
        // A clock that is put back asks for older ones.
        let since = self.books.accounts_matter_since(now, scope);
        if self.scopes.get(scope).is_none_or(|loaded| since < *loaded) {
            for account in rows::balances(ledger, scope, since)? {
                self.books.load_account(account);
            }
            self.scopes.insert(scope.clone(), since);
        }
        Ok(())
    }

    /// Writes what a step changed, and forgets what is over: it is read again where it is asked for.
    pub(super) fn write(&mut self, ledger: &Transaction<'_>, now: Timestamp) -> Result<(), SqliteError> {
        let Changes {
            entries,
            opened,
            holds,
            accounts,
        } = self.books.take_changes();
        for id in &opened {
            if let Some(record) = self.books.hold(*id) {
                rows::insert_hold(ledger, &record)?;
            }
        }
        for id in &holds {
            if let Some(record) = self.books.hold(*id) {
                rows::update_hold(ledger, &record)?;
            }
        }
        for entry in &entries {
            rows::append(ledger, now, entry)?;
        }
        for change in accounts {
            if let Some(row) = self.books.account_row(change.account) {
                rows::add_to_balance(ledger, row, change)?;
            }
        }
        self.books.forget_past();
        Ok(())
    }
}
