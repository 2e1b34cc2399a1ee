use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table::OccupiedEntry};

use super::Kept;
use crate::HoldId;

/// The holds that are open, by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenHolds {
    table: HashTable<Kept>,
    hashes: RandomState,
}

impl OpenHolds {
    pub(super) fn get(&self, id: HoldId) -> Option<&Kept> {
        self.table.find(self.hashes.hash_one(id), |kept| kept.id == id)
    }

    /// The hold, to be changed or taken out.
    pub(super) fn entry(&mut self, id: HoldId) -> Option<OccupiedEntry<'_, Kept>> {
        let hash = self.hashes.hash_one(id);
        self.table.find_entry(hash, |kept| kept.id == id).ok()
    }

    pub(super) fn insert(&mut self, kept: Kept) {
        let Self { table, hashes } = self;
        let hash = hashes.hash_one(kept.id);
        if let Some(known) = table.find_mut(hash, |known| known.id == kept.id) {
            *known = kept;
            return;
        }
        table.insert_unique(hash, kept, |kept| hashes.hash_one(kept.id));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.table.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
