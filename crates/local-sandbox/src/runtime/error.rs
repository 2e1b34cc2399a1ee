use std::{
    io,
    path::{Path, PathBuf},
};

use meterbox_core::Retryability;

use super::lock::Lock;

/// Why there is no runtime; each says the one thing that fixes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No interpreter of a supported version was found.
    #[error("no usable Python: {tried}. Fix: install Python 3.11 to 3.14, for example `apt install python3`")]
    NoPython {
        /// What was found instead.
        tried: String,
    },
    /// The interpreter is made for a system that the locked wheels are not for.
    #[error(
        "the packages are locked for linux x86_64 and aarch64 with glibc, and this Python is for {found}. Fix: put a Python for such a system first on PATH"
    )]
    Platform {
        /// System, machine and C library of the interpreter.
        found: String,
    },
    /// Nothing that installs packages was found.
    #[error("nothing here installs Python packages: {} has no pip of version 22.3 or later, uv is not on PATH, and there is no bundled pip. Fix: `apt install python3-pip`", .python.display())]
    NoInstaller {
        /// The interpreter that was asked for its pip.
        python: PathBuf,
    },
    /// A package is not the one that was locked.
    #[error("a package is not the one that is locked, and nothing was installed: {output}. Fix: {fix}")]
    Altered {
        /// The last lines that the installer printed.
        output: String,
        /// What to do.
        fix: &'static str,
    },
    /// The packages' index cannot be reached.
    #[error(
        "the packages cannot be downloaded: {output}. Fix: check the network and the index in pip's configuration (`pip config list`), then try again, which goes on where this ended; or take wheels from a folder with --wheelhouse DIR"
    )]
    Network {
        /// The last lines that the installer printed.
        output: String,
    },
    /// There is no room for the runtime.
    #[error("{} has {} MB free, and an installation needs {}. Fix: make room, or set METERBOX_DATA_DIR to a folder on a larger disk", .folder.display(), .free >> 20, wanted(*.needed))]
    NoRoom {
        /// The runtime folder.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that it takes at least, where that is known.
        needed: Option<u64>,
    },
    /// An installation that was complete is no longer what it was.
    #[error("the Python runtime in {} cannot be used: {reason}. Fix: run `{command}`", .home.display())]
    Damaged {
        /// Its folder.
        home: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The command that mends it.
        command: &'static str,
    },
    /// Somebody installs into the folder.
    #[error("an installation into {} is under way. Fix: wait for it, or end it", .folder.display())]
    Busy {
        /// The runtime folder.
        folder: PathBuf,
    },
    /// A step of the installation failed.
    #[error("{step} failed: {output}. Fix: {fix}")]
    Step {
        /// The step.
        step: &'static str,
        /// The last lines that the program printed.
        output: String,
        /// What to do.
        fix: &'static str,
    },
    /// The runtime's folder cannot be read or written.
    #[error("{}: {source}. Fix: make the data folder writable, or set METERBOX_DATA_DIR to another one", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RuntimeError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return Self::no_room(path, None);
        }
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// For a folder whose disk has too little left.
    pub(super) fn no_room(folder: &Path, needed: Option<u64>) -> Self {
        Self::NoRoom {
            folder: folder.to_owned(),
            free: free_bytes(folder).unwrap_or_default(),
            needed,
        }
    }

    pub(super) fn damaged(home: PathBuf, reason: String, lock: &Lock) -> Self {
        Self::Damaged {
            home,
            reason,
            command: lock.list.command(),
        }
    }

    /// A step may have failed because of the network; installing twice does no harm. Everything else has to
    /// be fixed first.
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Step { .. } | Self::Network { .. } | Self::Busy { .. } => Retryability::Safe,
            _ => Retryability::Never,
        }
    }
}

/// What is left of the disk that a folder is on.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn wanted(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "more".to_owned(), |bytes| format!("{} MB", bytes >> 20))
}
