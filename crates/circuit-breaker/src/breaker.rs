use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meterbox_core::Clock;

use crate::{
    CircuitOpen, CircuitState, InvalidPolicy, Permit, Policy,
    machine::{Circuit, Counts, Event, Generation},
};

/// Circuits by key, each apart from all others. Clones share them.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    policy: Policy,
    clock: Box<dyn Clock>,
    circuits: Mutex<Circuits>,
}

#[derive(Debug, Default)]
struct Circuits {
    by_key: HashMap<String, Kept>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Kept {
    circuit: Circuit,
    /// Permits not yet reported; such a circuit is never forgotten, so every result finds its own.
    in_flight: usize,
    last_use: u64,
}

/// How a circuit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether calls are let through.
    pub state: CircuitState,
    /// How long calls are refused for, where they are.
    pub retry_after: Option<Duration>,
    /// Platform faults in a row, while closed.
    pub consecutive_faults: u32,
    /// What has happened so far.
    pub counts: Counts,
}

impl Breaker {
    /// A breaker whose circuits are all closed.
    ///
    /// # Errors
    /// [`InvalidPolicy`] names the setting that makes no sense.
    pub fn new(policy: Policy, clock: impl Clock) -> Result<Self, InvalidPolicy> {
        policy.check()?;
        let circuits = Mutex::new(Circuits::default());
        Ok(Self {
            shared: Arc::new(Shared {
                policy,
                clock: Box::new(clock),
                circuits,
            }),
        })
    }

    /// The right to make one call now.
    ///
    /// # Errors
    /// [`CircuitOpen`] with the time to wait; the call must not be made.
    pub fn permit(&self, key: &str) -> Result<Permit, CircuitOpen> {
        let now = self.shared.clock.monotonic();
        let policy = &self.shared.policy;
        let mut circuits = self.circuits();
        let kept = circuits.used(key, policy.max_circuits);
        let admitted = kept.circuit.admit(now, policy);
        kept.in_flight += usize::from(admitted.is_ok());
        drop(circuits);
        match admitted {
            Ok(given_in) => Ok(Permit::new(self.clone(), key.to_owned(), given_in)),
            Err(wait) => Err(CircuitOpen::new(key, wait)),
        }
    }

    /// How a circuit stands; asking changes nothing. `None` for a key that was never used, or not for long.
    pub fn snapshot(&self, key: &str) -> Option<Snapshot> {
        let now = self.shared.clock.monotonic();
        let circuits = self.circuits();
        let circuit = &circuits.by_key.get(key)?.circuit;
        Some(Snapshot {
            state: circuit.state(now),
            retry_after: circuit.retry_after(now, &self.shared.policy),
            consecutive_faults: circuit.consecutive_faults(),
            counts: circuit.counts(),
        })
    }

    /// How many circuits are kept.
    pub fn len(&self) -> usize {
        self.circuits().by_key.len()
    }

    /// True before the first call.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn on(&self, key: &str, event: Event, given_in: Generation) {
        let now = self.shared.clock.monotonic();
        let policy = &self.shared.policy;
        if let Some(kept) = self.circuits().by_key.get_mut(key) {
            kept.in_flight -= 1;
            kept.circuit.on(now, event, given_in, policy);
        }
    }

    /// No user code runs under the lock, so a poisoned one guards whole circuits.
    fn circuits(&self) -> MutexGuard<'_, Circuits> {
        self.shared
            .circuits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuits {
    fn used(&mut self, key: &str, max: usize) -> &mut Kept {
        if self.by_key.len() >= max && !self.by_key.contains_key(key) {
            self.make_room(max);
        }
        self.uses += 1;
        let kept = self.by_key.entry(key.to_owned()).or_default();
        kept.last_use = self.uses;
        kept
    }

    /// Forgets a tenth of the circuits at once, so that a flood of new keys pays little each: closed ones
    /// first, longest unused first. Circuits with calls in flight stay, even beyond the maximum.
    fn make_room(&mut self, max: usize) {
        let candidates = self.by_key.iter().filter(|(_, kept)| kept.in_flight == 0);
        let mut ranked: Vec<_> = candidates
            .map(|(key, kept)| (!kept.circuit.is_idle(), kept.last_use, key.clone()))
            .collect();
        ranked.sort_unstable();
        let surplus = self.by_key.len() + 1 - max;
        for (_, _, key) in ranked.into_iter().take(surplus.max(max / 10)) {
            self.by_key.remove(&key);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("policy", &self.shared.policy)
            .finish_non_exhaustive()
    }
}
