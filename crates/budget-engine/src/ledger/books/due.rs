use std::{cmp::Reverse, collections::BinaryHeap};

use meterbox_core::Timestamp;

use crate::HoldId;

/// So many times are kept of holds that have ended or live longer, beyond as many as there are holds.
const SPARE: usize = 64;

/// When holds end by themselves. Nearly all end before, and cost no search here: a time that is no longer true is passed
/// over when it comes, or tidied away where such times outnumber the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Due(BinaryHeap<Reverse<(Timestamp, HoldId)>>);

impl Due {
    pub(super) fn add(&mut self, at: Timestamp, id: HoldId) {
        self.0.push(Reverse((at, id)));
    }

    /// Takes out the earliest time that has come.
    pub(super) fn next_by(&mut self, now: Timestamp) -> Option<(Timestamp, HoldId)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    /// Forgets times that are no longer true, once there are more of them than of holds.
    pub(super) fn tidy(&mut self, holds: usize, is_true: impl Fn(Timestamp, &HoldId) -> bool) {
        if self.0.len() > holds.saturating_mul(2).saturating_add(SPARE) {
            self.0.retain(|Reverse((at, id))| is_true(*at, id));
        }
    }
}
