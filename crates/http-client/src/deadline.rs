use std::time::Duration;

use tokio::time::Instant;

/// A year is for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Tokio's clock: time-outs run by it, and tests can pause it.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines have to be of the clock that wakes at them"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// The deadline of what begins now and may take this long.
pub fn deadline_after(time: Duration) -> Instant {
    now() + time.min(LONGEST)
}
