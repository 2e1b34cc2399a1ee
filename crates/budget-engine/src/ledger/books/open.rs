use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{
    HashTable,
    hash_table::{Entry, OccupiedEntry},
};

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

    #[inline]
    pub(super) fn insert(&mut self, kept: Kept) -> &Kept {
        let Self { table, hashes } = self;
        let id = kept.id;
        let hash = |kept: &Kept| hashes.hash_one(kept.id);
        match table.entry(hashes.hash_one(id), |known| known.id == id, hash) {
            Entry::Occupied(mut known) => {
                *known.get_mut() = kept;
                known.into_mut()
            }
            Entry::Vacant(vacant) => vacant.insert(kept).into_mut(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.table.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
