//! How long steps may take that say nothing about a program, only about the machine.

use std::time::Duration;

/// As long as it is. In this crate's own tests as many times that as `METERBOX_TEST_PATIENCE` says, for processors that
/// are made by a program.
pub(crate) fn patience(usual: Duration) -> Duration {
    #[cfg(feature = "test-guards")]
    if let Some(times) = std::env::var("METERBOX_TEST_PATIENCE")
        .ok()
        .and_then(|times| times.parse().ok())
    {
        return usual.saturating_mul(times);
    }
    usual
}
