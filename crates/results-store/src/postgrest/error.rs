use std::{error::Error, fmt, time::Duration};

use meterbox_core::Retryability;

/// What a request can end with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgrestError {
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
    /// The time limit passed; what the server did is unknown.
    #[error("{server} did not answer within {} s", .limit.as_secs())]
    TimedOut {
        /// Host and port.
        server: String,
        /// How long it had.
        limit: Duration,
    },
    /// A row is in the way. Nothing was changed.
    #[error("{server} has that already: {refusal}")]
    Conflict {
        /// Host and port.
        server: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The key or token is not accepted, or is not allowed this.
    #[error("{server} does not allow it: {refusal}")]
    Forbidden {
        /// Host and port.
        server: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// It has no such table, column or function.
    #[error("{server} does not know what was asked for: {refusal}")]
    Missing {
        /// Host and port.
        server: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// It cannot do it now. Nothing was changed.
    #[error("{server} is not able to now: {refusal}")]
    Busy {
        /// Host and port.
        server: String,
        /// What it said.
        refusal: Box<Refusal>,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// It refuses for another reason. Nothing was changed.
    #[error("{server} refused: {refusal}")]
    Refused {
        /// Host and port.
        server: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// What it answers is not what a PostgREST server answers.
    #[error("{server} answers as no PostgREST does: {reason}; check the address")]
    BadReply {
        /// Host and port.
        server: String,
        /// In which way.
        reason: String,
    },
    /// The reply is larger than allowed.
    #[error("{server} answers with more than {limit} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// In bytes.
        limit: usize,
    },
    /// Nothing was sent, because what was handed in cannot be used.
    #[error("{what} cannot be used: {reason}")]
    Unusable {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// The kinds of [`PostgrestError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PostgrestErrorKind {
    /// No connection could be made.
    Unreachable,
    /// The connection broke.
    Broken,
    /// The time limit passed.
    TimedOut,
    /// A row is in the way.
    Conflict,
    /// The key or token is not accepted, or not allowed this.
    Forbidden,
    /// No such table, column or function.
    Missing,
    /// Not now.
    Busy,
    /// Refused for another reason.
    Refused,
    /// Not the answer of a PostgREST server.
    BadReply,
    /// The reply is too large.
    TooLarge,
    /// What was handed in cannot be used.
    Unusable,
}

/// What a server says when it says no. Printable, cut, and without keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Postgres's SQLSTATE of five characters, or PostgREST's own code such as `PGRST116`; absent where a proxy spoke.
    pub code: Option<String>,
    /// In words.
    pub message: String,
    /// More words.
    pub details: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Refusal {
    /// Postgres's code, where Postgres spoke.
    pub fn sqlstate(&self) -> Option<&str> {
        let is_sqlstate =
            |code: &&str| code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        self.code.as_deref().filter(is_sqlstate)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({}, {code})", self.status),
            None => write!(f, " ({})", self.status),
        }
    }
}

impl PostgrestError {
    /// The kind, for decisions.
    pub fn kind(&self) -> PostgrestErrorKind {
        match self {
            Self::Unreachable { .. } => PostgrestErrorKind::Unreachable,
            Self::Broken { .. } => PostgrestErrorKind::Broken,
            Self::TimedOut { .. } => PostgrestErrorKind::TimedOut,
            Self::Conflict { .. } => PostgrestErrorKind::Conflict,
            Self::Forbidden { .. } => PostgrestErrorKind::Forbidden,
            Self::Missing { .. } => PostgrestErrorKind::Missing,
            Self::Busy { .. } => PostgrestErrorKind::Busy,
            Self::Refused { .. } => PostgrestErrorKind::Refused,
            Self::BadReply { .. } => PostgrestErrorKind::BadReply,
            Self::TooLarge { .. } => PostgrestErrorKind::TooLarge,
            Self::Unusable { .. } => PostgrestErrorKind::Unusable,
        }
    }

    /// May the same request be sent again?
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => Retryability::Safe,
            Self::Broken { .. } | Self::TimedOut { .. } => Retryability::WithIdempotencyKey,
            Self::Refused { refusal, .. } if refusal.status >= 500 => Retryability::WithIdempotencyKey,
            _ => Retryability::Never,
        }
    }

    /// How long to wait first, where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the server said, where it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Conflict { refusal, .. }
            | Self::Forbidden { refusal, .. }
            | Self::Missing { refusal, .. }
            | Self::Busy { refusal, .. }
            | Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}
