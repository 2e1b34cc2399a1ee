use std::collections::BTreeMap;

use crate::HoldId;

/// Holds that have ended. Names rise with time and most holds end in their order, so that most are simply added to the
/// end of a list; those that were overtaken are kept apart.
#[derive(Debug, Clone)]
pub(super) struct Ended<T> {
    /// By name; without the hold where it was taken out.
    in_order: Vec<(HoldId, Option<T>)>,
    taken_out: usize,
    overtaken: BTreeMap<HoldId, T>,
}

impl<T> Default for Ended<T> {
    fn default() -> Self {
        Self {
            in_order: Vec::new(),
            taken_out: 0,
            overtaken: BTreeMap::new(),
        }
    }
}

impl<T> Ended<T> {
    pub(super) fn get(&self, id: HoldId) -> Option<&T> {
        match self.place(id) {
            Ok(place) => self.in_order.get(place)?.1.as_ref(),
            Err(_) => self.overtaken.get(&id),
        }
    }

    pub(super) fn len(&self) -> usize {
        let in_order = self.in_order.len().saturating_sub(self.taken_out);
        in_order.saturating_add(self.overtaken.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (HoldId, &T)> {
        let in_order = self.in_order.iter();
        let in_order = in_order.filter_map(|(id, kept)| Some((*id, kept.as_ref()?)));
        in_order.chain(self.overtaken.iter().map(|(id, kept)| (*id, kept)))
    }

    pub(super) fn insert(&mut self, id: HoldId, kept: T) {
        if self.in_order.last().is_none_or(|(last, _)| *last < id) {
            // It was overtaken by holds that are all taken out by now.
            if self
                .overtaken
                .last_key_value()
                .is_some_and(|(last, _)| *last >= id)
            {
                self.overtaken.remove(&id);
            }
            self.in_order.push((id, Some(kept)));
            return;
        }
        let place = self.place(id).ok().and_then(|place| self.in_order.get_mut(place));
        match place {
            Some((_, empty)) => {
                if empty.replace(kept).is_none() {
                    self.taken_out = self.taken_out.saturating_sub(1);
                }
            }
            None => drop(self.overtaken.insert(id, kept)),
        }
    }

    pub(super) fn remove(&mut self, id: HoldId) -> Option<T> {
        let Ok(place) = self.place(id) else {
            return self.overtaken.remove(&id);
        };
        let taken = self.in_order.get_mut(place)?.1.take()?;
        self.taken_out = self.taken_out.saturating_add(1);
        while self.in_order.pop_if(|(_, kept)| kept.is_none()).is_some() {
            self.taken_out = self.taken_out.saturating_sub(1);
        }
        // More holes than holds: a list that is only ever emptied from the front must not grow.
        if self.taken_out > self.in_order.len() / 2 {
            self.in_order.retain(|(_, kept)| kept.is_some());
            self.taken_out = 0;
        }
        Some(taken)
    }

    fn place(&self, id: HoldId) -> Result<usize, usize> {
        self.in_order.binary_search_by_key(&id, |(known, _)| *known)
    }
}

#[cfg(test)]
mod tests {
    use meterbox_core::Timestamp;

    use super::*;

    /// Whatever the order of things, it has what a map has, and few holes.
    #[test]
    fn it_is_a_map() {
        let ids: Vec<HoldId> = (0..200).map(|_| HoldId::new(Timestamp::UNIX_EPOCH)).collect();
        let (mut ended, mut map) = (Ended::default(), BTreeMap::new());
        let mut dice: u64 = 7;
        for step in 0..50_000_u32 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let id = ids[usize::try_from(dice >> 33).unwrap() % ids.len()];
            if (dice >> 20).is_multiple_of(3) {
                assert_eq!(ended.remove(id), map.remove(&id));
            } else {
                ended.insert(id, step);
                map.insert(id, step);
            }
            assert_eq!(ended.get(id), map.get(&id));
            assert!(ended.taken_out <= ended.in_order.len() / 2);
            let holes = ended.in_order.iter().filter(|(_, kept)| kept.is_none()).count();
            assert_eq!(ended.taken_out, holes);
        }
        let found: BTreeMap<HoldId, u32> = ended.iter().map(|(id, kept)| (id, *kept)).collect();
        assert_eq!((ended.iter().count(), found), (map.len(), map.clone()));
        assert_eq!(ended.len(), map.len());
        assert!(ids.iter().all(|id| ended.get(*id) == map.get(id)));
    }
}
