use std::path::Path;

use meterbox_core::{StorageError, StorageErrorKind};
use rusqlite::ErrorCode;

/// What a closure sent to a [`Database`](crate::Database) may fail with; `?` makes it from rusqlite's error.
#[derive(Debug)]
pub struct SqliteError(Fault);

#[derive(Debug)]
enum Fault {
    Sqlite(rusqlite::Error),
    Corrupt(String),
    Incompatible(String),
    BrokenOff,
    Moved,
}

impl SqliteError {
    /// A row does not say what it must.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self(Fault::Corrupt(what.into()))
    }

    pub(crate) fn incompatible(what: impl Into<String>) -> Self {
        Self(Fault::Incompatible(what.into()))
    }

    pub(crate) fn broken_off() -> Self {
        Self(Fault::BrokenOff)
    }

    pub(crate) fn moved() -> Self {
        Self(Fault::Moved)
    }

    /// The same fault in the words all stores share; `path` is the file at fault.
    pub(crate) fn of_file(self, path: &Path) -> StorageError {
        let file = path.display();
        let error = match self.0 {
            Fault::Corrupt(what) => {
                let message = format!("{file} is damaged: {what}");
                return StorageError::new(StorageErrorKind::Corrupt, message);
            }
            Fault::Incompatible(what) => {
                let message = format!("{file} {what}");
                return StorageError::new(StorageErrorKind::Incompatible, message);
            }
            Fault::BrokenOff => {
                let message = format!("{file} could not be written together with another write; try again");
                return StorageError::new(StorageErrorKind::Busy, message);
            }
            Fault::Moved => {
                let message = format!(
                    "{file} is no longer the file that was opened: it was removed, moved or replaced; stop what has it \
                     open, see that the right file is there, and start again"
                );
                return StorageError::new(StorageErrorKind::Unavailable, message);
            }
            Fault::Sqlite(error) => error,
        };
        let (kind, advice) = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (StorageErrorKind::Busy, "is locked by another process; try again")
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
                StorageErrorKind::ReadOnly,
                "cannot be written; check the permissions of the file and its folder",
            ),
            Some(ErrorCode::DiskFull) => (StorageErrorKind::Full, "cannot grow; free some disk space"),
            Some(ErrorCode::DatabaseCorrupt) => (
                StorageErrorKind::Corrupt,
                "is damaged; restore it from a backup or move it away",
            ),
            Some(ErrorCode::NotADatabase) => (
                StorageErrorKind::Corrupt,
                "is not a SQLite database; move it away or name another file",
            ),
            Some(ErrorCode::CannotOpen) => (
                StorageErrorKind::Unavailable,
                "cannot be opened; check that its folder exists and is yours",
            ),
            _ => (StorageErrorKind::Unavailable, "could not be used"),
        };
        StorageError::new(kind, format!("{file} {advice} ({error})")).caused_by(error)
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self(Fault::Sqlite(error))
    }
}
