use std::time::Duration;

use meterbox_core::{Retryability, StorageError, Timestamp};

use crate::{KeyId, MalformedKey};

/// Why nothing was done. Whatever the error, nothing was half done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The key or session opens nothing.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no key of this name.
    #[error("there is no key {0}; `meterbox keys list` has those there are")]
    UnknownKey(KeyId),
    /// The key was revoked before.
    #[error("the key {id} is revoked since {at}; create a new one")]
    AlreadyRevoked {
        /// Which.
        id: KeyId,
        /// Since when.
        at: Timestamp,
    },
    /// Without this key nobody could administer any more.
    #[error("{0} is the last key that may administer; create another one first")]
    LastAdmin(KeyId),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The machine gave no random numbers.
    #[error("no random numbers can be had ({0}); a key cannot be made without")]
    Randomness(String),
    /// The file cannot be used.
    #[error("the keys and the audit log cannot be used: {0}")]
    Store(#[from] StorageError),
}

/// Why a key or a session opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// It is no key at all.
    #[error(transparent)]
    Malformed(#[from] MalformedKey),
    /// There is no such key, or its secret is another; which of the two is nobody's business.
    #[error("this key is not known here")]
    Unknown,
    /// Its time is over. Said only to who has its secret.
    #[error("this key expired at {0}")]
    Expired(Timestamp),
    /// It was revoked. Said only to who has its secret.
    #[error("this key was revoked at {0}")]
    Revoked(Timestamp),
    /// The sign-in of a browser is unknown or over.
    #[error("signed out; sign in again")]
    SessionOver,
}

/// The kinds of [`AccessError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessErrorKind {
    /// The key or session opens nothing.
    Denied,
    /// There is no such key.
    UnknownKey,
    /// It does not fit what is so: revoked already, or the last one.
    Conflict,
    /// The request is wrong.
    Invalid,
    /// The machine or the file cannot be used.
    Store,
}

impl AccessError {
    /// The kind, for decisions.
    pub fn kind(&self) -> AccessErrorKind {
        match self {
            Self::Denied(_) => AccessErrorKind::Denied,
            Self::UnknownKey(_) => AccessErrorKind::UnknownKey,
            Self::AlreadyRevoked { .. } | Self::LastAdmin(_) => AccessErrorKind::Conflict,
            Self::Invalid(_) => AccessErrorKind::Invalid,
            Self::Randomness(_) | Self::Store(_) => AccessErrorKind::Store,
        }
    }

    /// May the same call be made again?
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Store(error) => error.retryability(),
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
