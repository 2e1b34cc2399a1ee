use std::{fmt, sync::Arc, time::Duration};

use crate::InvalidPolicy;

/// When a circuit opens, for how long, and how it is probed.
#[derive(Debug, Clone)]
pub struct Policy {
    /// So many platform faults in a row open the circuit.
    pub consecutive_faults: u32,
    /// How long it stays open.
    pub backoff: Backoff,
    /// So many probes may be under way at once when its time is over.
    pub probes: u32,
    /// At most so many circuits are kept; the closed ones that were idle longest make room.
    pub max_circuits: usize,
}

/// How long a circuit stays open: doubling with each failed probe, up to a cap.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// The first time.
    pub initial: Duration,
    /// The longest time, also for what the other side asks for.
    pub max: Duration,
    /// Spreads the times of many processes.
    pub jitter: Jitter,
}

/// Changes a backoff a little, so that not everybody comes back at once. What the other side asked for
/// (`Retry-After`) stays a lower bound.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn(Duration) -> Duration + Send + Sync>);

impl Default for Policy {
    /// Three faults in a row; 30 seconds, doubling up to 8 minutes; one probe; 10,000 circuits.
    fn default() -> Self {
        Self {
            consecutive_faults: 3,
            backoff: Backoff::default(),
            probes: 1,
            max_circuits: 10_000,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(30),
            max: Duration::from_secs(8 * 60),
            jitter: Jitter::none(),
        }
    }
}

impl Jitter {
    /// No jitter.
    pub fn none() -> Self {
        Self::new(|wait| wait)
    }

    /// Any function of the wait, such as one with a random part.
    pub fn new(jitter: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(jitter))
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

impl Policy {
    /// # Errors
    /// [`InvalidPolicy`] names the setting that would make a circuit that never opens or never closes.
    pub(crate) fn check(&self) -> Result<(), InvalidPolicy> {
        let wrong = |setting, need| Err(InvalidPolicy { setting, need });
        if self.consecutive_faults == 0 {
            return wrong("consecutive_faults", "at least 1");
        }
        if self.probes == 0 {
            return wrong("probes", "at least 1");
        }
        if self.max_circuits == 0 {
            return wrong("max_circuits", "at least 1");
        }
        if self.backoff.initial.is_zero() || self.backoff.initial > self.backoff.max {
            return wrong("backoff", "an initial wait above zero and not above its maximum");
        }
        Ok(())
    }
}

impl Backoff {
    /// The wait after this many openings without a success between them (0 for the first).
    pub(crate) fn wait(&self, reopened: u32, asked_for: Option<Duration>) -> Duration {
        let factor = 2_u32.saturating_pow(reopened.min(31));
        let doubled = self.initial.saturating_mul(factor).min(self.max);
        let jittered = (self.jitter.0)(doubled);
        jittered.max(asked_for.unwrap_or_default()).min(self.max)
    }
}
