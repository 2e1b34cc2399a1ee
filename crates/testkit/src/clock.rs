use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use meterbox_core::{Clock, Timestamp};

/// A clock that stands still until it is told otherwise. Clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    wall_micros: Arc<AtomicI64>,
    monotonic_micros: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows this point in time.
    pub fn at(now: Timestamp) -> Self {
        Self {
            wall_micros: Arc::new(AtomicI64::new(now.as_micros())),
            monotonic_micros: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).expect("a test's duration");
        self.monotonic_micros.fetch_add(micros, Ordering::SeqCst);
        self.wall_micros.fetch_add(
            i64::try_from(micros).expect("a test's duration"),
            Ordering::SeqCst,
        );
    }

    /// Steps the wall clock, as an operator or NTP would; no time passes.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall_micros.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall_micros.load(Ordering::SeqCst)).expect("a test's time")
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_micros.load(Ordering::SeqCst))
    }
}
