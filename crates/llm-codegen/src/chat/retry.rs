//! When a call is made again. Free of clocks and of chance: both are passed in.

use std::time::Duration;

use meterbox_core::Retryability;

use super::{ChatError, ChatErrorKind};

/// A server that takes none of the parameters we know of is adapted to in fewer calls.
const MOST_ADAPTIONS: u32 = 6;

/// How often a call is made again, and after how long a wait. The rule of the official SDKs of OpenAI and Anthropic:
/// two more attempts, after half a second and then twice as long each time up to 8 seconds, less up to a quarter by
/// chance; or after the pause that the provider asked for.
///
/// ```
/// # use meterbox_llm_codegen::chat::{ChatError, ChatErrorKind, RetryRule};
/// # use std::time::Duration;
/// let rule = RetryRule::default();
/// let busy = ChatError::new(ChatErrorKind::Overloaded, "come back later");
/// let left = Duration::from_secs(60);
/// assert_eq!(rule.next(1, &busy, left, 0), Some(Duration::from_millis(500)));
/// assert_eq!(rule.next(2, &busy, left, 0), Some(Duration::from_secs(1)));
/// assert_eq!(rule.next(3, &busy, left, 0), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// Attempts after the first.
    pub retries: u32,
    /// The first wait.
    pub first_wait: Duration,
    /// No wait of our own is longer.
    pub longest_wait: Duration,
    /// For a pause that is longer than this nobody waits.
    pub longest_pause: Duration,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self {
            retries: 2,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(8),
            longest_pause: Duration::from_secs(120),
        }
    }
}

impl RetryRule {
    /// How long to wait before the call is made again; `None` where it is given up.
    ///
    /// `attempt` counts the calls so far, this one included, and `left` is the time until the deadline. `random` is
    /// any number: all of its values are as likely.
    ///
    /// After [`ChatErrorKind::Unsupported`] the next call is made at once, and its request has to be encoded anew.
    pub fn next(&self, attempt: u32, error: &ChatError, left: Duration, random: u64) -> Option<Duration> {
        if error.retryability() != Retryability::Safe || left.is_zero() {
            return None;
        }
        if error.kind() == ChatErrorKind::Unsupported {
            return (attempt <= MOST_ADAPTIONS).then_some(Duration::ZERO);
        }
        if attempt > self.retries {
            return None;
        }
        let asked_for = error.retry_after().filter(|pause| !pause.is_zero());
        if asked_for.is_some_and(|pause| pause > self.longest_pause) {
            return None;
        }
        let wait = asked_for.unwrap_or_else(|| self.backoff(attempt, random));
        // A wait that passes the deadline is a wait for nothing.
        (wait < left).then_some(wait)
    }

    fn backoff(&self, attempt: u32, random: u64) -> Duration {
        let doublings = attempt.saturating_sub(1);
        let full = self
            .first_wait
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.longest_wait);
        let [upper, ..] = random.to_be_bytes();
        full - full / 1024 * u32::from(upper)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn busy(pause: Option<u64>) -> ChatError {
        let error = ChatError::new(ChatErrorKind::Rate, "slow down");
        error.with_retry_after(pause.map(Duration::from_secs))
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end_after_the_last_attempt() {
        let rule = RetryRule {
            retries: 7,
            ..RetryRule::default()
        };
        let millis: Vec<_> = (1..=8)
            .map(|attempt| {
                rule.next(attempt, &busy(None), MINUTE, 0)
                    .map(|wait| wait.as_millis())
            })
            .collect();
        let expected = [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000].map(Some);
        assert_eq!(millis[..7], expected);
        assert_eq!(millis[7], None);
    }

    #[test]
    fn a_providers_pause_counts_inside_the_deadline_and_up_to_a_cap() {
        let rule = RetryRule::default();
        let hour = Duration::from_secs(3_600);
        for (pause, left, expected) in [
            (7, MINUTE, Some(7_000)),
            (59, MINUTE, Some(59_000)),
            (60, MINUTE, None),
            (120, hour, Some(120_000)),
            (121, hour, None),
            (0, MINUTE, Some(500)),
        ] {
            let wait = rule.next(1, &busy(Some(pause)), left, 0);
            assert_eq!(wait.map(|wait| wait.as_millis()), expected, "{pause}");
        }
    }

    #[test]
    fn what_stays_wrong_is_never_tried_again() {
        use ChatErrorKind::*;
        let rule = RetryRule::default();
        for kind in [
            Auth,
            DeploymentMissing,
            Quota,
            ContentFilter,
            ContextTooLong,
            Truncated,
            Refusal,
            Malformed,
            Rejected,
        ] {
            assert_eq!(
                rule.next(1, &ChatError::new(kind, "no"), MINUTE, 0),
                None,
                "{kind}"
            );
        }
        for kind in [Rate, Overloaded, Unreachable, Interrupted] {
            let error = ChatError::new(kind, "later");
            assert!(rule.next(1, &error, MINUTE, 0).is_some(), "{kind}");
            assert_eq!(rule.next(1, &error, Duration::ZERO, 0), None, "{kind}");
            let final_word = error.with_retryability(Retryability::Never);
            assert_eq!(rule.next(1, &final_word, MINUTE, 0), None, "{kind}");
        }
    }

    #[test]
    fn a_server_is_adapted_to_at_once_and_not_for_ever() {
        let rule = RetryRule::default();
        let error = ChatError::new(ChatErrorKind::Unsupported, "no temperature, please");
        assert_eq!(rule.next(3, &error, MINUTE, 0), Some(Duration::ZERO));
        assert_eq!(rule.next(MOST_ADAPTIONS + 1, &error, MINUTE, 0), None);
    }

    proptest! {
        #[test]
        fn chance_takes_no_more_than_a_quarter(
            attempt in 0_u32..40, random: u64, left in 0_u64..200_000, pause in proptest::option::of(0_u64..10_000),
        ) {
            let rule = RetryRule { retries: 30, ..RetryRule::default() };
            let left = Duration::from_millis(left);
            let Some(wait) = rule.next(attempt, &busy(pause), left, random) else {
                return Ok(());
            };
            prop_assert!(wait < left);
            if pause.is_none_or(|pause| pause == 0) {
                let full = rule.backoff(attempt, 0);
                prop_assert!(wait <= full && wait >= full * 3 / 4, "{wait:?} of {full:?}");
            }
        }
    }
}
