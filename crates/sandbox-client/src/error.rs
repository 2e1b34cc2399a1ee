use std::{error::Error, time::Duration};

use meterbox_core::{Retryability, contract::Usage};

use crate::SessionEnd;

/// A fault of the sandbox itself; what a program does to itself is an [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// This machine cannot give the promised isolation; nothing weaker is used instead.
    #[error("no sandbox can be had here: {missing}")]
    Unavailable {
        /// What is missing.
        missing: String,
        /// How to fix it.
        fix: String,
    },
    /// The sandbox failed while it should have worked, and before the program began.
    #[error("the sandbox failed: {message}")]
    Platform {
        /// What happened.
        message: String,
        /// The cause, if one is known.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The run was lost after it had begun to cost: its program may have used up to its limits.
    #[error("the run was lost: {message}")]
    Lost {
        /// What happened.
        message: String,
        /// What is to be billed, where that was still measured.
        usage: Option<Usage>,
        /// The cause, if one is known.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The sandbox is at its limit.
    #[error("the sandbox is busy")]
    Busy {
        /// When it may have room.
        retry_after: Option<Duration>,
    },
    /// The job itself is wrong, such as an input that does not exist.
    #[error("the job cannot be run: {reason}")]
    BadJob {
        /// What is wrong.
        reason: String,
    },
    /// The session has ended, and this cell was not run.
    #[error("the session has ended: {why}; begin a new one")]
    SessionEnded {
        /// Why it has ended.
        why: SessionEnd,
    },
    /// This sandbox does not offer that, see [`Capabilities`](crate::Capabilities).
    #[error("this sandbox has no {what}")]
    Unsupported {
        /// What it does not offer.
        what: &'static str,
    },
}

/// The kinds of [`SandboxError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SandboxErrorKind {
    /// No sandbox can be had here.
    Unavailable,
    /// The platform failed before the program began.
    Platform,
    /// The platform failed after the program had begun.
    Lost,
    /// At its limit.
    Busy,
    /// The caller's job is wrong.
    BadJob,
    /// The session has ended.
    SessionEnded,
    /// Not offered.
    Unsupported,
}

impl SandboxError {
    /// A platform fault with a cause.
    pub fn platform(message: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Platform {
            message: message.into(),
            source: Some(Box::new(source)),
        }
    }

    /// A run lost for this reason, whatever it used.
    pub fn lost(message: impl Into<String>) -> Self {
        Self::Lost {
            message: message.into(),
            usage: None,
            source: None,
        }
    }

    /// The kind, for decisions.
    pub fn kind(&self) -> SandboxErrorKind {
        match self {
            Self::Unavailable { .. } => SandboxErrorKind::Unavailable,
            Self::Platform { .. } => SandboxErrorKind::Platform,
            Self::Lost { .. } => SandboxErrorKind::Lost,
            Self::Busy { .. } => SandboxErrorKind::Busy,
            Self::BadJob { .. } => SandboxErrorKind::BadJob,
            Self::SessionEnded { .. } => SandboxErrorKind::SessionEnded,
            Self::Unsupported { .. } => SandboxErrorKind::Unsupported,
        }
    }

    /// May the same job be run again? Runs have no effect outside, so only the cause decides;
    /// a lost run may have to be paid all the same.
    pub fn retryability(&self) -> Retryability {
        match self.kind() {
            SandboxErrorKind::Platform | SandboxErrorKind::Lost | SandboxErrorKind::Busy => {
                Retryability::Safe
            }
            SandboxErrorKind::Unavailable
            | SandboxErrorKind::BadJob
            | SandboxErrorKind::SessionEnded
            | SandboxErrorKind::Unsupported => Retryability::Never,
        }
    }

    /// How long to wait first, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => *retry_after,
            _ => None,
        }
    }
}
