//! The state machine of one circuit, free of clocks and locks.

use std::time::Duration;

use crate::{FaultClass, Policy};

/// How long to wait where only probes under way stand between a caller and an answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// One circuit. `now` is time since any fixed point, never going back.
#[derive(Debug, Clone, Default)]
pub struct Circuit {
    phase: Phase,
    /// Grows with each change of phase; results of earlier generations are stale.
    generation: u64,
    /// Openings since the last success.
    opened: u32,
    counts: Counts,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { faults: u32 },
    Open { until: Duration },
    HalfOpen { probing: u32 },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { faults: 0 }
    }
}

/// Whether calls are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// They are.
    Closed,
    /// They are refused.
    Open,
    /// Probes are.
    HalfOpen,
}

/// What has happened on a circuit since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that went well.
    pub successes: u64,
    /// Calls that met a platform fault.
    pub faults: u64,
    /// Calls that ended in a way that says nothing about the dependency.
    pub ignored: u64,
    /// Calls whose permit was dropped.
    pub cancelled: u64,
    /// Results that came too late to count.
    pub stale: u64,
    /// Calls refused.
    pub refused: u64,
    /// Times the circuit opened.
    pub opened: u64,
}

/// What a call's permit reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The dependency did its work.
    Succeeded,
    /// The dependency failed; it may have said when to come back.
    Failed {
        /// In which way.
        class: FaultClass,
        /// What the other side asked for (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The call ended in a way that says nothing about the dependency.
    Ignored,
    /// Nobody waited for the end of the call.
    Cancelled,
}

/// The generation a permit was given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

impl Circuit {
    /// Lets a call through, or says how long to wait.
    ///
    /// # Errors
    /// The wait, where the circuit is open or all its probes are under way.
    pub fn admit(&mut self, now: Duration, policy: &Policy) -> Result<Generation, Duration> {
        if let Phase::Open { until } = self.phase
            && now >= until
        {
            self.enter(Phase::HalfOpen { probing: 0 });
        }
        let refusal = match &mut self.phase {
            Phase::Closed { .. } => return Ok(Generation(self.generation)),
            Phase::HalfOpen { probing } if *probing < policy.probes => {
                *probing += 1;
                return Ok(Generation(self.generation));
            }
            Phase::HalfOpen { .. } => ASK_AGAIN,
            Phase::Open { until } => until.saturating_sub(now),
        };
        self.counts.refused += 1;
        Err(refusal)
    }

    /// Takes note of how a call went.
    pub fn on(&mut self, now: Duration, event: Event, given_in: Generation, policy: &Policy) {
        match event {
            Event::Succeeded => self.counts.successes += 1,
            Event::Failed { .. } => self.counts.faults += 1,
            Event::Ignored => self.counts.ignored += 1,
            Event::Cancelled => self.counts.cancelled += 1,
        }
        if given_in.0 != self.generation {
            self.counts.stale += 1;
            return;
        }
        match (&mut self.phase, event) {
            (Phase::Closed { faults }, Event::Succeeded) => *faults = 0,
            (Phase::Closed { faults }, Event::Failed { retry_after, .. }) => {
                *faults += 1;
                if *faults >= policy.consecutive_faults {
                    self.open(now, retry_after, policy);
                }
            }
            (Phase::HalfOpen { .. }, Event::Succeeded) => {
                self.opened = 0;
                self.enter(Phase::Closed { faults: 0 });
            }
            (Phase::HalfOpen { .. }, Event::Failed { retry_after, .. }) => {
                self.open(now, retry_after, policy)
            }
            (Phase::HalfOpen { probing }, Event::Ignored | Event::Cancelled) => *probing -= 1,
            (Phase::Closed { .. } | Phase::Open { .. }, _) => {}
        }
    }

    /// Whether calls are let through at this moment; asking changes nothing.
    pub fn state(&self, now: Duration) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { until } if now < until => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// How long calls are refused for; asking changes nothing.
    pub fn retry_after(&self, now: Duration, policy: &Policy) -> Option<Duration> {
        match self.phase {
            Phase::Open { until } if now < until => Some(until - now),
            Phase::HalfOpen { probing } if probing >= policy.probes => Some(ASK_AGAIN),
            _ => None,
        }
    }

    /// Platform faults in a row, while closed.
    pub fn consecutive_faults(&self) -> u32 {
        match self.phase {
            Phase::Closed { faults } => faults,
            _ => 0,
        }
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// True where forgetting the circuit would change nothing but its counts.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Closed { faults: 0 })
    }

    fn open(&mut self, now: Duration, asked_for: Option<Duration>, policy: &Policy) {
        let wait = policy.backoff.wait(self.opened, asked_for);
        self.opened = self.opened.saturating_add(1);
        self.counts.opened += 1;
        self.enter(Phase::Open {
            until: now.saturating_add(wait),
        });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}
