use std::time::Duration;

use meterbox_core::{AnalysisId, Retryability, StorageError};

use crate::Unreadable;

/// Why a store did not do as asked. Whatever the error, nothing was half done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// The id belongs to a result of another principal.
    #[error("the id {0} is taken; make a new one")]
    IdTaken(AnalysisId),
    /// The result is there, but cannot be read.
    #[error("the result {} cannot be read: {}", .0.id, .0.reason)]
    Unreadable(Unreadable),
    /// The store will never take this result, whatever becomes of the store: it is too large for it, or the like.
    #[error("the result {id} cannot be kept: {reason}")]
    Rejected {
        /// Which.
        id: AnalysisId,
        /// Why not.
        reason: String,
    },
    /// The store cannot be used.
    #[error("the results cannot be reached: {0}")]
    Store(#[from] StorageError),
}

/// The kinds of [`ResultsError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResultsErrorKind {
    /// The id belongs to a result of another principal.
    IdTaken,
    /// The result cannot be read.
    Unreadable,
    /// The store will never take the result.
    Rejected,
    /// The store cannot be used; its own error says why.
    Store,
}

impl ResultsError {
    /// The kind, for decisions.
    pub fn kind(&self) -> ResultsErrorKind {
        match self {
            Self::IdTaken(_) => ResultsErrorKind::IdTaken,
            Self::Unreadable(_) => ResultsErrorKind::Unreadable,
            Self::Rejected { .. } => ResultsErrorKind::Rejected,
            Self::Store(_) => ResultsErrorKind::Store,
        }
    }

    /// May the same call be made again? Saving twice is saving once, so an unknown outcome does not matter.
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Store(error) if error.retryability() != Retryability::Never => Retryability::Safe,
            _ => Retryability::Never,
        }
    }

    /// How long to wait first, where waiting helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}
