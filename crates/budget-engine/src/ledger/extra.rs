//! What is added to a limit: what was carried over, and what was topped up.

use meterbox_core::{Timestamp, Usd};

use crate::{Budget, TopUp};

/// A period of a scope in which money moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastPeriod {
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) ends_at: Timestamp,
    /// Spent and held.
    pub(crate) used: Usd,
    /// The limit it had, without additions.
    pub(crate) limit: Usd,
}

/// What the period before leaves to the present one. `before` is `None` where no money moved in it.
pub(crate) fn carried_over(budget: &Budget, before: Option<PastPeriod>) -> Usd {
    let left = before.map_or(budget.limit, |period| period.limit.saturating_sub(period.used));
    left.min(budget.carry_over)
}

/// What top-ups add to the limit of the present period, which is the last of `periods`.
///
/// What each period used beyond its own limit comes out of the top-ups that were there in it, the one that ends
/// first before the others. To the present period belong what it took out itself, and what is left of those that
/// have not ended.
pub(crate) fn topped_up(now: Timestamp, top_ups: &[TopUp], periods: &[PastPeriod]) -> Usd {
    let mut purses: Vec<(&TopUp, Usd)> = top_ups.iter().map(|top_up| (top_up, top_up.amount)).collect();
    purses.sort_by_key(|(top_up, _)| (top_up.expires_at.unwrap_or(Timestamp::MAX), top_up.id));
    let mut used_now = Usd::ZERO;
    for (index, period) in periods.iter().enumerate() {
        let is_present = index.saturating_add(1) == periods.len();
        let mut beyond = period.used.saturating_sub(period.limit);
        for (top_up, left) in &mut purses {
            if !top_up.was_there_in(period) {
                continue;
            }
            let taken = beyond.min(*left);
            *left = left.saturating_sub(taken);
            beyond = beyond.saturating_sub(taken);
            if is_present {
                used_now = used_now.saturating_add(taken);
            }
        }
    }
    let alive = purses.iter().filter(|(top_up, _)| top_up.is_alive(now));
    alive.fold(used_now, |sum, (_, left)| sum.saturating_add(*left))
}

impl TopUp {
    /// May it be used at this moment?
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn was_there_in(&self, period: &PastPeriod) -> bool {
        let begun = self.granted_at < period.ends_at;
        let ended = self
            .expires_at
            .zip(period.starts_at)
            .is_some_and(|(end, start)| end <= start);
        begun && !ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::TopUpId;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros(day * 86_400_000_000).unwrap()
    }

    fn dollars(dollars: u32) -> Usd {
        Usd::from_dollars(dollars)
    }

    fn top_up(amount: u32, granted: i64, expires: Option<i64>) -> TopUp {
        TopUp {
            id: TopUpId::new(at(granted)),
            scope: "user/ana".parse().unwrap(),
            amount: dollars(amount),
            granted_at: at(granted),
            expires_at: expires.map(at),
            note: "a test".into(),
        }
    }

    /// Periods of ten days and ten dollars.
    fn period(number: i64, used: u32) -> PastPeriod {
        PastPeriod {
            starts_at: Some(at(number * 10)),
            ends_at: at(number * 10 + 10),
            used: dollars(used),
            limit: dollars(10),
        }
    }

    #[test]
    fn a_top_up_serves_once_until_it_is_used_or_ends() {
        for (now, top_ups, periods, expected) in [
            (5, vec![], vec![period(0, 3)], 0),
            (5, vec![top_up(5, 1, None)], vec![period(0, 3)], 5),
            // Used in the present period: it still belongs to its limit.
            (5, vec![top_up(5, 1, None)], vec![period(0, 12)], 5),
            // Two of it were used in the last period.
            (15, vec![top_up(5, 1, None)], vec![period(0, 12), period(1, 0)], 3),
            (
                25,
                vec![top_up(5, 1, None)],
                vec![period(0, 14), period(1, 13), period(2, 0)],
                0,
            ),
            // What a period used before it was granted is none of its business.
            (
                15,
                vec![top_up(5, 12, None)],
                vec![period(0, 30), period(1, 0)],
                5,
            ),
            // Over.
            (
                15,
                vec![top_up(5, 1, Some(12))],
                vec![period(0, 0), period(1, 0)],
                0,
            ),
            // Over, but two of it were used in this period, which stay covered.
            (18, vec![top_up(5, 1, Some(15))], vec![period(1, 12)], 2),
            // The one that ends first is used first.
            (
                15,
                vec![top_up(5, 1, None), top_up(4, 1, Some(20))],
                vec![period(0, 13), period(1, 0)],
                6,
            ),
            (
                25,
                vec![top_up(5, 1, None), top_up(4, 1, Some(20))],
                vec![period(0, 13), period(2, 0)],
                5,
            ),
        ] {
            assert_eq!(
                topped_up(at(now), &top_ups, &periods),
                dollars(expected),
                "{now} {top_ups:?} {periods:?}"
            );
        }
    }

    #[test]
    fn what_is_left_is_carried_over_up_to_the_cap() {
        let window = crate::Window::month("UTC").unwrap();
        let budget = Budget::new("user/ana".parse().unwrap(), dollars(10), window).carrying_over(dollars(4));
        for (before, expected) in [
            (Some(period(0, 3)), 4),
            (Some(period(0, 8)), 2),
            (Some(period(0, 12)), 0),
            (None, 4),
        ] {
            assert_eq!(carried_over(&budget, before), dollars(expected), "{before:?}");
        }
    }
}
