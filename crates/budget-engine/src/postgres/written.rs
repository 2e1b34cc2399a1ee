//! What a batch changed.

use std::collections::{BTreeMap, BTreeSet};

use meterbox_core::{Scope, Timestamp};

use super::rules::RuleChange;
use crate::{
    HoldId,
    ledger::{AccountChange, AccountId, AccountRow, Books, Changes, HoldRecord, NewEntry},
};

/// All that a batch changed.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) rules: Vec<RuleChange>,
    /// In their order, each with its time.
    pub(super) entries: Vec<(Timestamp, NewEntry)>,
    /// By id.
    pub(super) opened: Vec<HoldRecord>,
    /// By id.
    pub(super) changed: Vec<HoldRecord>,
    /// By scope.
    pub(super) accounts: Vec<(AccountRow, AccountChange)>,
    opened_ids: BTreeSet<HoldId>,
    changed_ids: BTreeSet<HoldId>,
    account_changes: BTreeMap<AccountId, AccountChange>,
}

impl Written {
    /// Takes over what a step changed.
    pub(super) fn take(&mut self, books: &mut Books, now: Timestamp) {
        let Changes {
            entries,
            opened,
            holds,
            accounts,
        } = books.take_changes();
        self.entries.extend(entries.into_iter().map(|entry| (now, entry)));
        self.opened_ids.extend(opened);
        self.changed_ids.extend(holds);
        for change in accounts {
            self.account_changes
                .entry(change.account)
                .and_modify(|sum| sum.add(change))
                .or_insert(change);
        }
    }

    /// After the last step: what holds and accounts have become.
    pub(super) fn finish(&mut self, books: &Books) {
        for id in self.opened_ids.union(&self.changed_ids) {
            let Some(record) = books.hold(*id) else {
                continue;
            };
            if self.opened_ids.contains(id) {
                self.opened.push(record);
            } else {
                self.changed.push(record);
            }
        }
        for change in self.account_changes.values() {
            if let Some(row) = books.account_row(change.account) {
                self.accounts.push((row.clone(), *change));
            }
        }
        self.accounts
            .sort_by(|(left, _), (right, _)| left.scope.cmp(&right.scope));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
            && self.entries.is_empty()
            && self.opened.is_empty()
            && self.changed.is_empty()
            && self.accounts.is_empty()
    }

    pub(super) fn changes_hold(&self, id: HoldId) -> bool {
        self.opened_ids.contains(&id) || self.changed_ids.contains(&id)
    }

    /// The scopes of which a balance changed, each once.
    pub(super) fn moved_scopes(&self) -> impl Iterator<Item = &Scope> {
        let of_different_scopes = self
            .accounts
            .chunk_by(|(one, _), (next, _)| one.scope == next.scope);
        of_different_scopes.filter_map(|chunk| Some(&chunk.first()?.0.scope))
    }
}
