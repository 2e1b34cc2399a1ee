use std::time::Duration;

use meterbox_core::Retryability;

/// The circuit is open: the call must not be made now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} failed several times in a row and is left alone; try again in {} s", whole_seconds(*.retry_after))]
pub struct CircuitOpen {
    key: String,
    retry_after: Duration,
}

impl CircuitOpen {
    pub(crate) fn new(key: &str, retry_after: Duration) -> Self {
        Self {
            key: key.to_owned(),
            retry_after,
        }
    }

    /// Whose circuit.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How long until a call may be let through again. While probes are under way nobody knows; it is then
    /// a short time after which to ask again.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// The call was not made.
    pub fn retryability(&self) -> Retryability {
        Retryability::Safe
    }
}

/// A setting of a [`Policy`](crate::Policy) makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker's {setting} must be {need}")]
pub struct InvalidPolicy {
    pub(crate) setting: &'static str,
    pub(crate) need: &'static str,
}

/// Rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
