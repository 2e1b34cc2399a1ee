use std::{error::Error, time::Duration};

use meterbox_core::Retryability;

use crate::SandboxError;

/// What a call of E2B can end with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum E2bError {
    /// No connection could be made: nothing was sent.
    #[error("{server} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection broke after something was sent: what the server did with it is unknown.
    #[error("the connection to {server} broke: {reason}")]
    Broken {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The deadline passed.
    #[error("{what} took longer than allowed")]
    DeadlinePassed {
        /// Which call.
        what: &'static str,
    },
    /// E2B does not accept the key.
    #[error("E2B does not accept the API key: {message}; set E2B_API_KEY to a key of e2b.dev/dashboard")]
    Unauthorized {
        /// What it said.
        message: String,
    },
    /// The key is good, and this is not allowed to it.
    #[error("E2B refused: {message}")]
    Forbidden {
        /// What it said.
        message: String,
    },
    /// There is no such sandbox, template, file or context, or not any more.
    #[error("E2B does not have it: {message}")]
    NotFound {
        /// What it said.
        message: String,
    },
    /// The request is at odds with the state of things.
    #[error("E2B refused for now: {message}")]
    Conflict {
        /// What it said.
        message: String,
    },
    /// A rate or concurrency limit, or no room.
    #[error("E2B has no room: {message}")]
    Busy {
        /// What it said.
        message: String,
        /// When to come back, where it said so.
        retry_after: Option<Duration>,
    },
    /// E2B says that the request is wrong.
    #[error("E2B finds the request wrong (status {status}): {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// A fault of E2B's.
    #[error("E2B failed (status {status}): {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// Its `error_code`, where there is one.
        code: Option<String>,
        /// What it said.
        message: String,
    },
    /// The sandbox is there, and the service in it is not up yet.
    #[error("the sandbox is still starting")]
    NotReady,
    /// The reply is not what the protocol says.
    #[error("the reply of {what} makes no sense: {reason}")]
    BadReply {
        /// Of which call.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The reply is larger than allowed; the rest was not read.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A stream ended before it said so: the sandbox was killed, or the connection cut.
    #[error("the output of {what} was cut off")]
    Cut {
        /// Of which call.
        what: &'static str,
    },
    /// A value cannot be sent as it is.
    #[error("{0}")]
    Invalid(String),
    /// A file of this machine cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    LocalFile {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The kinds of [`E2bError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum E2bErrorKind {
    /// No connection.
    Unreachable,
    /// The connection broke.
    Broken,
    /// The deadline passed.
    DeadlinePassed,
    /// The key is not accepted.
    Unauthorized,
    /// Not allowed to this key.
    Forbidden,
    /// Not there.
    NotFound,
    /// At odds with the state.
    Conflict,
    /// No room.
    Busy,
    /// The request is wrong.
    Rejected,
    /// A fault of E2B's.
    Server,
    /// Not up yet.
    NotReady,
    /// The reply makes no sense.
    BadReply,
    /// The reply is too large.
    TooLarge,
    /// A stream was cut.
    Cut,
    /// A value or file of the caller's cannot be used.
    Invalid,
}

impl E2bError {
    /// Its kind.
    pub fn kind(&self) -> E2bErrorKind {
        match self {
            Self::Unreachable { .. } => E2bErrorKind::Unreachable,
            Self::Broken { .. } => E2bErrorKind::Broken,
            Self::DeadlinePassed { .. } => E2bErrorKind::DeadlinePassed,
            Self::Unauthorized { .. } => E2bErrorKind::Unauthorized,
            Self::Forbidden { .. } => E2bErrorKind::Forbidden,
            Self::NotFound { .. } => E2bErrorKind::NotFound,
            Self::Conflict { .. } => E2bErrorKind::Conflict,
            Self::Busy { .. } => E2bErrorKind::Busy,
            Self::Rejected { .. } => E2bErrorKind::Rejected,
            Self::Server { .. } => E2bErrorKind::Server,
            Self::NotReady => E2bErrorKind::NotReady,
            Self::BadReply { .. } => E2bErrorKind::BadReply,
            Self::TooLarge { .. } => E2bErrorKind::TooLarge,
            Self::Cut { .. } => E2bErrorKind::Cut,
            Self::Invalid(_) | Self::LocalFile { .. } => E2bErrorKind::Invalid,
        }
    }

    /// The same with its texts changed: whoever answers may repeat what must not be shown.
    pub(super) fn with_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Unauthorized { message: text }
            | Self::Forbidden { message: text }
            | Self::NotFound { message: text }
            | Self::Conflict { message: text }
            | Self::Busy { message: text, .. }
            | Self::Rejected { message: text, .. }
            | Self::BadReply { reason: text, .. } => *text = change(text),
            Self::Server { code, message, .. } => {
                *message = change(message);
                *code = code.as_deref().map(change);
            }
            // Ours, and those of this machine.
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::DeadlinePassed { .. }
            | Self::NotReady
            | Self::TooLarge { .. }
            | Self::Cut { .. }
            | Self::Invalid(_)
            | Self::LocalFile { .. } => {}
        }
        self
    }

    /// May the same call be made again?
    pub fn retryability(&self) -> Retryability {
        match self.kind() {
            E2bErrorKind::Unreachable
            | E2bErrorKind::Busy
            | E2bErrorKind::Conflict
            | E2bErrorKind::NotReady => Retryability::Safe,
            E2bErrorKind::Broken
            | E2bErrorKind::DeadlinePassed
            | E2bErrorKind::Server
            | E2bErrorKind::BadReply
            | E2bErrorKind::Cut => Retryability::WithIdempotencyKey,
            _ => Retryability::Never,
        }
    }

    /// How long to wait first, where E2B said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Of a call before the program began.
impl From<E2bError> for SandboxError {
    fn from(error: E2bError) -> Self {
        let message = error.to_string();
        match error {
            E2bError::Busy { retry_after, .. } => Self::Busy { retry_after },
            E2bError::Unauthorized { .. } | E2bError::Forbidden { .. } => Self::Unavailable {
                missing: message,
                fix: "set E2B_API_KEY to a key that may create sandboxes".to_owned(),
            },
            E2bError::Invalid(_) | E2bError::LocalFile { .. } => Self::BadJob { reason: message },
            error => Self::Platform {
                message,
                source: Some(Box::new(error)),
            },
        }
    }
}
