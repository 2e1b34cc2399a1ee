use std::time::Duration;

use tokio::time::Instant;

/// Tokio's clock: time-outs run by it, and tests can pause it.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines have to be of the clock that wakes at them"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

pub(super) fn deadline_after(time: Duration) -> Instant {
    // A year is for ever.
    now() + time.min(Duration::from_secs(365 * 24 * 60 * 60))
}
