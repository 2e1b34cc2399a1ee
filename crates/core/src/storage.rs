//! What can go wrong with a place that keeps things, in words every store shares.

use std::{error::Error, fmt, time::Duration};

use crate::Retryability;

/// A store could not do its part. Nothing was half done.
#[derive(Debug)]
pub struct StorageError {
    kind: StorageErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    nothing_done: bool,
    wish: Option<Duration>,
}

/// The kinds of [`StorageError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// It cannot be reached or opened, or broke off midway.
    Unavailable,
    /// Others kept it locked for too long.
    Busy,
    /// It may be read but not written.
    ReadOnly,
    /// No room is left.
    Full,
    /// What it keeps is damaged, or is something else.
    Corrupt,
    /// It was written by another version of this software.
    Incompatible,
}

impl StorageError {
    /// An error of this kind; the message names the store and says what to do.
    pub fn new(kind: StorageErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            nothing_done: false,
            wish: None,
        }
    }

    /// The same, with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The same, where it is certain that nothing was done: what a dead connection leaves in doubt, this does not.
    #[must_use]
    pub fn with_nothing_done(mut self) -> Self {
        self.nothing_done = true;
        self
    }

    /// The same, where the store itself said how long to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wish: Duration) -> Self {
        self.wish = Some(wish);
        self
    }

    /// The kind, for decisions.
    pub fn kind(&self) -> StorageErrorKind {
        self.kind
    }

    /// May the same call be made again?
    pub fn retryability(&self) -> Retryability {
        match self.kind {
            StorageErrorKind::Busy => Retryability::Safe,
            StorageErrorKind::Unavailable if self.nothing_done => Retryability::Safe,
            StorageErrorKind::Unavailable => Retryability::WithIdempotencyKey,
            _ => Retryability::Never,
        }
    }

    /// How long to wait first, where waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self.kind, StorageErrorKind::Busy | StorageErrorKind::Unavailable)
            .then(|| self.wish.unwrap_or(Duration::from_secs(1)))
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
