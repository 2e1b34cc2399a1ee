//! When to try again. Free of clocks and of chance: both are passed in.

use std::time::Duration;

use meterbox_core::Backoff;

const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(15 * 60),
    longest_wish: Duration::from_secs(60 * 60),
};
/// After so long an event is given up, and the next one is told.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How the telling of one event has gone so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    failed: u32,
    /// Since the first attempt.
    since: Option<Duration>,
}

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    After(Duration),
    GiveUp,
}

impl Attempts {
    /// An attempt failed at this (monotonic) time. Waits a second, then twice as long each time up to a quarter of an
    /// hour, less up to a half by `jitter` (0 to 255), so that many senders do not come back at once; or as long as the
    /// endpoint wished.
    pub(super) fn failed(&mut self, now: Duration, wish: Option<Duration>, jitter: u8) -> Next {
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) >= GIVE_UP_AFTER {
            return Next::GiveUp;
        }
        let wait = BACKOFF.wait(self.failed, wish, jitter);
        self.failed = self.failed.saturating_add(1);
        Next::After(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_quarter_of_an_hour_and_end_after_three_days() {
        let mut attempts = Attempts::default();
        let mut now = Duration::from_secs(1_000);
        let mut waits = Vec::new();
        while let Next::After(wait) = attempts.failed(now, None, 0) {
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits[..11], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
        assert_eq!(now.as_secs() - 1_000, waits.iter().sum::<u64>());
        assert!(
            now.as_secs() - 1_000 >= 259_200 && waits.len() < 310,
            "{}",
            waits.len()
        );
    }

    #[test]
    fn jitter_takes_up_to_a_half_and_an_endpoints_wish_counts() {
        for (jitter, wish, expected) in [
            (0, None, 1_000),
            (128, None, 750),
            (255, None, 501),
            (0, Some(30), 30_000),
            (0, Some(86_400), 3_600_000),
            (0, Some(0), 1_000),
        ] {
            let wish = wish.map(Duration::from_secs);
            let Next::After(wait) = Attempts::default().failed(Duration::ZERO, wish, jitter) else {
                panic!("given up at once")
            };
            assert_eq!(wait.as_millis(), expected, "{jitter} {wish:?}");
        }
    }
}
