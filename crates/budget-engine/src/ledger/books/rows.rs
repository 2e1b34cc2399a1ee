//! What there is about each scope, found by its text or by its number.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use meterbox_core::Scope;

use super::{AccountId, Map, Row};

/// Rows are in the table itself: among a million scopes nothing of any of them is near, and each place that has to be
/// looked at is waited for. None is ever taken out.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    table: HashTable<Row>,
    hashes: RandomState,
    /// The numbers of kinds; nor is one of these taken out.
    kinds: Map<Box<str>, usize>,
}

impl Rows {
    fn hash(&self, scope: &Scope) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(scope.plain().as_bytes());
        hasher.finish()
    }

    pub(super) fn get(&self, scope: &Scope) -> Option<&Row> {
        self.table.find(self.hash(scope), |row| row.is_of(scope))
    }

    pub(super) fn get_mut(&mut self, scope: &Scope) -> Option<&mut Row> {
        let hash = self.hash(scope);
        self.table.find_mut(hash, |row| row.is_of(scope))
    }

    /// The row of this scope; a new one where there is none.
    pub(super) fn entry(&mut self, scope: &Scope) -> &mut Row {
        let hash = self.hash(scope);
        let kind = self.kind(scope);
        let number = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        let found = self.table.entry(hash, |row| row.is_of(scope), Row::hash);
        found
            .or_insert_with(|| Row::new(scope, kind, hash, number))
            .into_mut()
    }

    /// The number of the scope's kind, if a scope of it came before.
    pub(super) fn known_kind(&self, scope: &Scope) -> Option<usize> {
        self.kinds.get(scope.kind()).copied()
    }

    /// The number of the scope's kind.
    pub(super) fn kind(&mut self, scope: &Scope) -> usize {
        let next = self.kinds.len();
        self.known_kind(scope)
            .unwrap_or_else(|| *self.kinds.entry(scope.kind().into()).or_insert(next))
    }

    pub(super) fn of(&self, account: AccountId) -> Option<&Row> {
        self.table
            .find(account.hash, |row| row.number() == account.scope)
    }

    pub(super) fn of_mut(&mut self, account: AccountId) -> Option<&mut Row> {
        self.table
            .find_mut(account.hash, |row| row.number() == account.scope)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.table.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
