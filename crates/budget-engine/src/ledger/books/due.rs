use std::{cmp::Reverse, collections::BinaryHeap, mem};

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

    /// Forgets times that are no longer true, and those that are there twice because a hold was read again, once there
    /// are more of them than of holds.
    pub(super) fn tidy(&mut self, holds: usize, is_true: impl Fn(Timestamp, &HoldId) -> bool) {
        if self.0.len() > holds.saturating_mul(2).saturating_add(SPARE) {
            let mut times = mem::take(&mut self.0).into_vec();
            times.retain(|Reverse((at, id))| is_true(*at, id));
            times.sort_unstable();
            times.dedup();
            self.0 = times.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hold that others change too is read again and again.
    #[test]
    fn a_time_that_is_said_again_is_kept_once() {
        let (at, mut due) = (Timestamp::UNIX_EPOCH, Due::default());
        let id = HoldId::new(at);
        for _ in 0..1_000 {
            due.tidy(1, |_, _| true);
            due.add(at, id);
            assert!(due.0.len() <= 2 + SPARE + 1, "{}", due.0.len());
        }
        due.tidy(0, |_, _| true);
        assert_eq!(due.next_by(at), Some((at, id)));
    }

    #[test]
    fn times_come_in_order_and_untrue_ones_are_tidied_away() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
        let mut due = Due::default();
        let ids: Vec<HoldId> = (0..1_000).map(|_| HoldId::new(at(0))).collect();
        for (second, id) in (0..).zip(&ids) {
            due.add(at(second), *id);
            // One hold in ten is still there.
            due.tidy(10, |at, _| at.as_micros() % 10_000_000 == 0);
            assert!(due.0.len() <= 10 * 2 + SPARE + 1 + usize::try_from(second / 10).unwrap());
        }
        due.tidy(0, |at, _| at.as_micros() % 10_000_000 == 0);
        let mut times = Vec::new();
        assert_eq!(due.next_by(at(-1)), None);
        while let Some((time, _)) = due.next_by(at(500)) {
            times.push(time);
        }
        let expected: Vec<Timestamp> = (0..=50).map(|ten| at(ten * 10)).collect();
        assert_eq!(times, expected);
    }
}
