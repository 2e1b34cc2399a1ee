//! What became of spans, and whether somebody was told.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What became of all spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The collector took them.
    pub taken: u64,
    /// It did not, or could not be asked.
    pub refused: u64,
    /// There was no room for them, or no time.
    pub dropped: u64,
}

/// Counts spans.
#[derive(Debug)]
pub(crate) struct Tally {
    ended: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    pub(crate) of_spans: Arc<News>,
    pub(crate) of_metrics: Arc<News>,
}

/// Says once that something is not taken, and once that it is again.
#[derive(Debug)]
pub(crate) struct News {
    what: &'static str,
    is_failing: AtomicBool,
    /// Why the last attempt failed.
    why: Mutex<Option<String>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            ended: AtomicU64::default(),
            taken: AtomicU64::default(),
            refused: AtomicU64::default(),
            of_spans: Arc::new(News::of("traces")),
            of_metrics: Arc::new(News::of("metrics")),
        }
    }
}

impl Tally {
    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// An export of so many spans went well, or not.
    pub(crate) fn exported(&self, spans: u64, went_well: bool) {
        let count = if went_well { &self.taken } else { &self.refused };
        count.fetch_add(spans, Ordering::Relaxed);
        self.of_spans.exported(went_well);
    }

    /// How things stand; what still waits counts as dropped.
    pub(crate) fn delivered(&self) -> Delivered {
        let (taken, refused) = (self.taken.load(Ordering::Relaxed), self.refused());
        let ended = self.ended.load(Ordering::Relaxed);
        Delivered {
            taken,
            refused,
            dropped: ended.saturating_sub(taken).saturating_sub(refused),
        }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl News {
    fn of(what: &'static str) -> Self {
        Self {
            what,
            is_failing: AtomicBool::default(),
            why: Mutex::default(),
        }
    }

    pub(crate) fn failed_because(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// The first export that does not go well is told, and the first that does again.
    pub(crate) fn exported(&self, went_well: bool) {
        let is_failing = !went_well;
        if self.is_failing.swap(is_failing, Ordering::Relaxed) == is_failing {
            return;
        }
        let what = self.what;
        if went_well {
            tracing::warn!("{what} are taken again");
            return;
        }
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        let why = why.unwrap_or_else(|| "nobody knows why".to_owned());
        tracing::warn!(
            "{what} are not taken and are dropped until they are; nothing else is affected: {why}"
        );
    }
}
