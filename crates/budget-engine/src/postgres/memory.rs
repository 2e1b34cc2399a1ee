//! What a replica remembers of the ledger between its batches. Whether that is still so is found out by the transaction
//! that writes: each part has a number that rises with each change, whoever makes it. It is all forgotten with the
//! connection.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use meterbox_core::{Scope, Timestamp};

use super::{batch::Needs, written::Written};
use crate::{HoldId, ledger::Books};

/// More scopes than this are not remembered.
const MAX_SCOPES: usize = 50_000;
/// Nor more of scopes, accounts and holds together: short periods and rolling windows have an account for each piece of
/// time.
const MAX_SIZE: usize = 200_000;

type Map<K, V> = HashMap<K, V, RandomState>;

/// Books that have what the batches so far needed.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) books: Books,
    /// The version of the rules that are in the books; `None` where nothing is remembered.
    pub(super) rules: Option<i64>,
    pub(super) scopes: Map<Scope, KnownScope>,
    /// The version of each hold that is in the books.
    holds: Map<HoldId, i64>,
    /// Holds that the present batch has read.
    read: Vec<HoldId>,
    /// Others were seen to write to the same scopes: it is better to read than to hope.
    pub(super) is_doubtful: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct KnownScope {
    /// Of its balances.
    pub(super) version: i64,
    /// Since when its accounts are in the books, with its budget and top-ups; `None` where only those accounts are that
    /// some hold counts against.
    pub(super) since: Option<Timestamp>,
}

impl Memory {
    /// Nothing, after what was remembered turned out to be no longer so.
    pub(super) fn doubtful() -> Self {
        Self {
            is_doubtful: true,
            ..Self::default()
        }
    }

    /// Forgets everything where the rules are others, and says whether it did.
    pub(super) fn hold_by(&mut self, rules: i64) -> bool {
        let is_other = self.rules != Some(rules);
        if is_other {
            *self = Self {
                rules: Some(rules),
                is_doubtful: self.is_doubtful,
                ..Self::default()
            };
        }
        is_other
    }

    /// Has it all that a step needs?
    pub(super) fn knows(&mut self, now: Timestamp, needs: &Needs) -> bool {
        let is_about_something = !needs.scopes.is_empty() || needs.hold.is_some();
        is_about_something
            && self.rules.is_some()
            && !self.is_doubtful
            && !needs.changes_rules
            && needs.scopes.iter().all(|scope| self.knows_scope(now, scope))
            && needs.hold.is_none_or(|hold| self.books.is_open(hold))
            && needs.key.as_ref().is_none_or(|key| !self.books.has_key(key))
            && !(needs.expired && self.books.has_due(now))
    }

    /// Are the budget and the top-ups of this scope in the books?
    pub(super) fn has_rules_of(&self, scope: &Scope) -> bool {
        self.scopes.get(scope).is_some_and(|known| known.since.is_some())
    }

    /// A clock that is put back asks for older accounts.
    fn knows_scope(&self, now: Timestamp, scope: &Scope) -> bool {
        let since = self.scopes.get(scope).and_then(|known| known.since);
        since.is_some_and(|since| since <= self.books.accounts_matter_since(now, scope))
    }

    /// The version of a hold that is in the books.
    pub(super) fn version_of(&self, hold: HoldId) -> Option<i64> {
        self.holds.get(&hold).copied()
    }

    /// Takes note of a hold that is read for the present batch.
    pub(super) fn note(&mut self, hold: HoldId, version: i64) {
        self.holds.insert(hold, version);
        self.read.push(hold);
    }

    /// Forgets holds whose time is over: others may have ended them, or kept them alive.
    pub(super) fn forget_due(&mut self, now: Timestamp) {
        for id in self.books.forget_due(now) {
            self.holds.remove(&id);
        }
    }

    /// Takes note of what was kept, and forgets what is over: it is read again where it is asked for.
    pub(super) fn kept(&mut self, written: &Written) {
        for scope in written.moved_scopes() {
            if let Some(known) = self.scopes.get_mut(scope) {
                known.version = known.version.saturating_add(1);
            }
        }
        for hold in &written.changed {
            if let Some(version) = self.holds.get_mut(&hold.id) {
                *version = version.saturating_add(1);
            }
        }
        self.holds.extend(written.opened.iter().map(|hold| (hold.id, 0)));
        let were_changed = written.opened.iter().chain(&written.changed).map(|hold| hold.id);
        for id in self.read.drain(..).chain(were_changed) {
            if !self.books.is_open(id) {
                self.holds.remove(&id);
            }
        }
        self.books.forget_past();
        // Whoever changes the rules does so once in a while.
        let is_too_much = self.scopes.len() > MAX_SCOPES || self.books.size() > MAX_SIZE;
        if is_too_much || !written.rules.is_empty() {
            *self = Self::default();
        }
    }
}
