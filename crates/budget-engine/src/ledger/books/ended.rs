use std::collections::BTreeMap;

use super::Kept;
use crate::HoldId;

/// Holds that have ended. Names rise with time and most holds end in their order, so that most are simply added to the
/// end of a list; those that were overtaken are kept apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended {
    /// By name; without the hold where it was taken out.
    in_order: Vec<(HoldId, Option<Box<Kept>>)>,
    taken_out: usize,
    overtaken: BTreeMap<HoldId, Box<Kept>>,
}

impl Ended {
    pub(super) fn get(&self, id: HoldId) -> Option<&Kept> {
        let kept = match self.place(id) {
            Ok(place) => self.in_order.get(place)?.1.as_ref(),
            Err(_) => self.overtaken.get(&id),
        };
        kept.map(|kept| &**kept)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Kept> {
        let in_order = self.in_order.iter().filter_map(|(_, kept)| kept.as_deref());
        in_order.chain(self.overtaken.values().map(|kept| &**kept))
    }

    pub(super) fn insert(&mut self, kept: Box<Kept>) {
        let id = kept.record.id;
        if self.in_order.last().is_none_or(|(last, _)| *last < id) {
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

    pub(super) fn remove(&mut self, id: HoldId) -> Option<Box<Kept>> {
        if self.in_order.last().is_some_and(|(last, _)| *last == id) {
            let last = self.in_order.pop().and_then(|(_, kept)| kept);
            if last.is_none() {
                self.taken_out = self.taken_out.saturating_sub(1);
            }
            return last;
        }
        let Ok(place) = self.place(id) else {
            return self.overtaken.remove(&id);
        };
        let taken = self.in_order.get_mut(place)?.1.take()?;
        self.taken_out = self.taken_out.saturating_add(1);
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
