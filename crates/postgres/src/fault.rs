use meterbox_core::{StorageError, StorageErrorKind};
use tokio_postgres::error::SqlState;

/// What went wrong between us and the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The client's or the server's own words.
    Client(tokio_postgres::Error),
    /// No connection could be had in time.
    NoConnection,
    /// No answer came in time.
    NoAnswer,
    /// A row does not say what it must.
    Corrupt(String),
    /// The schema is not one of this version's.
    Incompatible(String),
}

/// How to go on after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Others were in the way: the transaction is undone and may be run again.
    Again,
    /// The connection is gone: what it was told last may have been done.
    Reconnect,
    /// Nothing that the same transaction would find otherwise.
    None,
}

impl Fault {
    /// A row does not say what it must.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    /// The server's code, where it said something.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Client(error) => error.code(),
            _ => None,
        }
    }

    /// How to go on.
    pub fn remedy(&self) -> Remedy {
        let error = match self {
            Self::NoConnection | Self::NoAnswer => return Remedy::Reconnect,
            Self::Corrupt(_) | Self::Incompatible(_) => return Remedy::None,
            Self::Client(error) => error,
        };
        let Some(code) = error.code() else {
            // Without the server's word it is the connection, or a value that does not fit its column.
            let is_ours = error.is_closed() || source_is_io(error);
            return if is_ours { Remedy::Reconnect } else { Remedy::None };
        };
        match code {
            &SqlState::T_R_SERIALIZATION_FAILURE
            | &SqlState::T_R_DEADLOCK_DETECTED
            | &SqlState::UNIQUE_VIOLATION
            | &SqlState::LOCK_NOT_AVAILABLE
            | &SqlState::QUERY_CANCELED => Remedy::Again,
            code if is_going_down(code) => Remedy::Reconnect,
            _ => Remedy::None,
        }
    }

    /// The same fault in the words all stores share: `kept`, such as "the ledger", on `server`, which says which one
    /// without its password.
    pub(crate) fn explain(self, kept: &str, server: &str) -> StorageError {
        let error = match self {
            Self::NoConnection => {
                let message = format!(
                    "no connection to {server} could be had in time; check that it runs and is not overloaded"
                );
                return StorageError::new(StorageErrorKind::Unavailable, message);
            }
            Self::NoAnswer => {
                let message = format!("{server} did not answer in time");
                return StorageError::new(StorageErrorKind::Unavailable, message);
            }
            Self::Corrupt(what) => {
                let message = format!("{kept} on {server} is damaged: {what}");
                return StorageError::new(StorageErrorKind::Corrupt, message);
            }
            Self::Incompatible(what) => {
                let message = format!("{kept} on {server} {what}");
                return StorageError::new(StorageErrorKind::Incompatible, message);
            }
            Self::Client(error) => error,
        };
        let (kind, advice) = describe(&error);
        StorageError::new(kind, format!("{server} {advice} ({})", in_words(&error))).caused_by(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Client(error)
    }
}

fn describe(error: &tokio_postgres::Error) -> (StorageErrorKind, &'static str) {
    let Some(code) = error.code() else {
        return (
            StorageErrorKind::Unavailable,
            "cannot be reached; check that it runs",
        );
    };
    match code {
        &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::UNIQUE_VIOLATION
        | &SqlState::LOCK_NOT_AVAILABLE
        | &SqlState::QUERY_CANCELED => (StorageErrorKind::Busy, "was kept busy by others; try again"),
        &SqlState::TOO_MANY_CONNECTIONS => (
            StorageErrorKind::Unavailable,
            "has no connection left; raise its max_connections",
        ),
        &SqlState::DISK_FULL => (StorageErrorKind::Full, "cannot grow; free some disk space"),
        &SqlState::READ_ONLY_SQL_TRANSACTION | &SqlState::INSUFFICIENT_PRIVILEGE => (
            StorageErrorKind::ReadOnly,
            "cannot be written; use the primary, and a role that may",
        ),
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            StorageErrorKind::Unavailable,
            "does not let this user in; check user and password",
        ),
        &SqlState::INVALID_CATALOG_NAME => (
            StorageErrorKind::Unavailable,
            "has no such database; create it first",
        ),
        &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => {
            (StorageErrorKind::Corrupt, "is damaged; restore it from a backup")
        }
        &SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN | &SqlState::INVALID_SCHEMA_NAME => (
            StorageErrorKind::Incompatible,
            "has another schema than this version of Meterbox",
        ),
        _ => (StorageErrorKind::Unavailable, "could not be used"),
    }
}

/// What the server said, or what kind of failure it was: the client's own words are only a kind, its cause says why.
fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn source_is_io(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<std::io::Error>())
}

fn is_going_down(code: &SqlState) -> bool {
    let going = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    going.contains(code) || code.code().starts_with("08")
}
