//! What there is about each scope, found by its text or by its number.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table::Entry};
use meterbox_core::Scope;

use super::{AccountId, Map, Row};

/// So many tables that the one which grows has few rows to move while everybody waits.
const TABLES: usize = 64;

/// Rows are in the tables themselves: among a million scopes nothing of any of them is near, and each place that has to
/// be looked at is waited for. None is ever taken out.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    tables: Box<[HashTable<Row>; TABLES]>,
    /// How many there are in all tables.
    count: usize,
    hashes: RandomState,
    /// The numbers of kinds; nor is one of these taken out.
    kinds: Map<Box<str>, u32>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            tables: Box::new([const { HashTable::new() }; TABLES]),
            count: 0,
            hashes: RandomState::default(),
            kinds: Map::default(),
        }
    }
}

impl Rows {
    pub(super) fn get(&self, scope: &Scope) -> Option<&Row> {
        let hash = self.hash(scope);
        self.table(hash).find(hash, |row| row.is_of(scope))
    }

    pub(super) fn get_mut(&mut self, scope: &Scope) -> Option<&mut Row> {
        let hash = self.hash(scope);
        self.table_mut(hash).find_mut(hash, |row| row.is_of(scope))
    }

    /// The row of this scope; a new one where there is none.
    pub(super) fn entry(&mut self, scope: &Scope) -> &mut Row {
        let (hash, kind, known) = (self.hash(scope), self.kind(scope), self.count);
        let new = || Row::new(scope, kind, hash, u32::try_from(known).unwrap_or(u32::MAX));
        match self.tables[place(hash)].entry(hash, |row| row.is_of(scope), Row::hash) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(vacant) => {
                self.count = known.saturating_add(1);
                vacant.insert(new()).into_mut()
            }
        }
    }

    pub(super) fn of(&self, account: AccountId) -> Option<&Row> {
        let is_meant = |row: &Row| row.number() == account.scope;
        self.table(account.hash).find(account.hash, is_meant)
    }

    pub(super) fn of_mut(&mut self, account: AccountId) -> Option<&mut Row> {
        let is_meant = |row: &Row| row.number() == account.scope;
        self.table_mut(account.hash).find_mut(account.hash, is_meant)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.tables.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The number of the scope's kind, if a scope of it came before.
    pub(super) fn known_kind(&self, scope: &Scope) -> Option<u32> {
        self.kinds.get(scope.kind()).copied()
    }

    /// The number of the scope's kind.
    pub(super) fn kind(&mut self, scope: &Scope) -> u32 {
        if let Some(known) = self.known_kind(scope) {
            return known;
        }
        let next = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        *self.kinds.entry(scope.kind().into()).or_insert(next)
    }

    fn hash(&self, scope: &Scope) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(scope.plain().as_bytes());
        hasher.finish()
    }

    fn table(&self, hash: u64) -> &HashTable<Row> {
        &self.tables[place(hash)]
    }

    fn table_mut(&mut self, hash: u64) -> &mut HashTable<Row> {
        &mut self.tables[place(hash)]
    }
}

/// Which table. The bits are none of those by which tables find their rows.
fn place(hash: u64) -> usize {
    let [_, _, bits, ..] = hash.to_be_bytes();
    usize::from(bits) % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_number_and_is_found_by_it_and_by_its_scope() {
        let mut rows = Rows::default();
        let kinds = ["user", "org", "session"];
        let scopes: Vec<Scope> = (0..5_000)
            .map(|id: usize| Scope::new(kinds[id % 3], &(id / 3).to_string()).unwrap())
            .collect();
        for scope in &scopes {
            assert!(rows.get(scope).is_none() && rows.get_mut(scope).is_none());
            let number = rows.entry(scope).number();
            assert_eq!(rows.entry(scope).number(), number);
        }
        assert_eq!((rows.len(), rows.iter().count()), (scopes.len(), scopes.len()));
        for (number, scope) in (0..).zip(&scopes) {
            let row = rows.get(scope).unwrap();
            assert_eq!((row.number(), Some(row.kind())), (number, rows.known_kind(scope)));
            let id = AccountId {
                hash: row.hash(),
                scope: number,
                number: 0,
            };
            assert!(rows.of(id).unwrap().is_of(scope));
            assert!(rows.of_mut(id).unwrap().is_of(scope));
        }
        let filled = rows.tables.iter().filter(|table| table.len() > 40);
        assert_eq!(filled.count(), TABLES);
    }
}
