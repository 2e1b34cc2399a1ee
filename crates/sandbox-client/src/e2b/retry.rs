//! When a call of the control plane is made again: the rule of E2B's official SDKs.

use std::time::Duration;

/// Attempts after the first.
pub(super) const MOST_RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a failed attempt tells about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// No connection was made.
    NotSent,
    /// The connection broke, and doing it twice is doing it once.
    LostButRepeatable,
    /// The connection broke, and it may have been done.
    Lost,
    /// The server answered.
    Answered {
        status: u16,
        /// The header `Should-Retry`.
        should_retry: Option<bool>,
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// How long to wait before the next attempt; `None` where there is none. `retries` were made already, `left` is the
/// time until the deadline, `jitter` is drawn evenly from 0 to 1.
pub(super) fn wait(attempt: Attempt, retries: u32, left: Duration, jitter: f64) -> Option<Duration> {
    let (may, named) = match attempt {
        Attempt::NotSent | Attempt::LostButRepeatable => (true, None),
        Attempt::Lost => (false, None),
        Attempt::Answered {
            status,
            should_retry,
            retry_after,
        } => (
            should_retry.unwrap_or(matches!(status, 429 | 502 | 503 | 504)),
            retry_after,
        ),
    };
    if !may || retries >= MOST_RETRIES {
        return None;
    }
    let wait = named.unwrap_or_else(|| backoff(retries, jitter));
    // A wait that passes the deadline is a wait for nothing.
    (wait < left).then_some(wait)
}

fn backoff(retries: u32, jitter: f64) -> Duration {
    let full = FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(retries))
        .min(LONGEST_WAIT);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn answered(status: u16, should_retry: Option<bool>, retry_after: Option<u64>) -> Attempt {
        Attempt::Answered {
            status,
            should_retry,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn the_servers_word_comes_first_and_then_the_status() {
        for (status, said, retried) in [
            (429, None, true),
            (502, None, true),
            (503, None, true),
            (504, None, true),
            (500, None, false),
            (400, None, false),
            (409, None, false),
            (500, Some(true), true),
            (503, Some(false), false),
        ] {
            let wait = wait(answered(status, said, None), 0, MINUTE, 0.0);
            assert_eq!(wait.is_some(), retried, "{status} {said:?}");
        }
        assert!(wait(Attempt::NotSent, 0, MINUTE, 0.0).is_some());
        assert!(wait(Attempt::LostButRepeatable, 0, MINUTE, 0.0).is_some());
        assert!(wait(Attempt::Lost, 0, MINUTE, 0.0).is_none());
    }

    #[test]
    fn waits_double_with_jitter_up_to_the_named_time_the_deadline_and_the_count() {
        let waits: Vec<_> = (0..=MOST_RETRIES)
            .map(|retries| wait(answered(503, None, None), retries, MINUTE, 1.0))
            .collect();
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(waits, [millis(100), millis(200), millis(400), None]);
        assert_eq!(wait(answered(503, None, None), 0, MINUTE, 0.0), millis(50));
        assert_eq!(wait(answered(429, None, Some(7)), 0, MINUTE, 0.5), millis(7_000));
        assert_eq!(wait(answered(429, None, Some(61)), 0, MINUTE, 0.5), None);
        assert!(backoff(40, 1.0) == LONGEST_WAIT);
    }
}
