use std::{io, path::PathBuf, time::Duration};

use meterbox_core::Retryability;

/// Why data cannot be used. Each names the file; [`hint`](DatasetError::hint) is the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// There is no such file or folder.
    #[error("there is no {0}")]
    Missing(PathBuf),
    /// The file has no bytes.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// The file's ending is none that can be read.
    #[error("{0} is no file of a kind that can be read")]
    Unsupported(PathBuf),
    /// The folder holds nothing that can be read.
    #[error("{0} holds no data file")]
    NoData(PathBuf),
    /// No path was given.
    #[error("no data was given")]
    NothingGiven,
    /// The files are larger together than is allowed.
    #[error("the files are larger than {limit_mib} MiB together, with {path}")]
    TooLarge {
        /// The file that was too much.
        path: PathBuf,
        /// The limit.
        limit_mib: u64,
    },
    /// Two files of one name.
    #[error("two files are called {0:?}")]
    SameName(String),
    /// A file could not be typed.
    #[error("{file}: {message}")]
    Unreadable {
        /// Which file.
        file: String,
        /// A stable word for programs, such as `no_header`.
        code: String,
        /// What is wrong with it.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The import program's reply is not in the agreed form.
    #[error("the import's reply cannot be used: {0}")]
    BrokenReply(String),
    /// A file cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The kinds of [`DatasetError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatasetErrorKind {
    /// The files are not there, or of no use.
    BadData,
    /// The store's own folder or the import failed.
    Internal,
}

impl DatasetError {
    /// The kind, for decisions.
    pub fn kind(&self) -> DatasetErrorKind {
        match self {
            Self::BrokenReply(_) | Self::Io { .. } => DatasetErrorKind::Internal,
            _ => DatasetErrorKind::BadData,
        }
    }

    /// One next step.
    pub fn hint(&self) -> &str {
        match self {
            Self::Missing(_) => "Check the path; it is taken from the current folder.",
            Self::Empty(_) => "Export it again; it has no bytes at all.",
            Self::Unsupported(_) => "Export it as CSV, TSV, JSON, XLSX or Parquet.",
            Self::NoData(_) => "Name a folder or files of CSV, TSV, JSON, XLSX or Parquet.",
            Self::NothingGiven => "Name at least one file or folder.",
            Self::TooLarge { .. } => "Name fewer files, or split them by year.",
            Self::SameName(_) => "Rename one of them.",
            Self::Unreadable { hint, .. } => hint,
            Self::BrokenReply(_) => "Try again; if it stays, the sandbox is damaged: run `meterbox doctor`.",
            Self::Io { .. } => "Make it readable, and the data folder writable.",
        }
    }

    /// May the same call be made again?
    pub fn retryability(&self) -> Retryability {
        match self.kind() {
            DatasetErrorKind::Internal => Retryability::Safe,
            DatasetErrorKind::BadData => Retryability::Never,
        }
    }

    /// How long to wait first; never known here.
    pub fn retry_after(&self) -> Option<Duration> {
        None
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
