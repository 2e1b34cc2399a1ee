//! The Python that programs run under: a virtual environment of our own, filled from a hash-locked list.
//!
//! [`Runtime::locate`] finds one that is complete; [`Runtime::install`] makes one. An installation is complete
//! only once its manifest is written, which happens last, so that a crash midway leaves nothing that would be
//! used; two installations at once wait for each other. Everything is readable by every user of the machine,
//! because a sandbox started by root runs as another one; nothing in it is secret.

mod error;
mod install;
mod installer;
mod interpreter;
mod lock;
mod manifest;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{self, Path, PathBuf},
};

pub use error::RuntimeError;
pub use install::{Phase, Progress};
use manifest::Manifest;

/// An installed runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The environment's interpreter.
    pub python: PathBuf,
    /// Where the interpreter the environment was made from keeps its standard library.
    pub base_prefix: PathBuf,
    /// The environment's folder.
    pub venv: PathBuf,
    /// Where matplotlib finds its font cache.
    pub font_cache: PathBuf,
    /// The interpreter's version, such as `3.11.7`.
    pub version: String,
    /// The installed packages and their versions.
    pub packages: BTreeMap<String, String>,
}

/// How to install.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// Take wheels from this folder only, and nothing from the network.
    pub wheelhouse: Option<PathBuf>,
    /// Where programs are looked for, as `PATH` has it.
    pub search_path: OsString,
}

/// What is in the runtime folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeStatus {
    /// Nothing.
    Absent,
    /// An installation that was broken off or damaged; installing again mends it.
    Incomplete {
        /// What is wrong with it.
        reason: String,
    },
    /// A complete runtime.
    Ready(Runtime),
}

impl Runtime {
    /// The runtime in this folder, if it is complete and of this version of Meterbox.
    ///
    /// Reads two small files; fast enough for every start.
    pub fn locate(folder: &Path) -> Option<Self> {
        let folder = &path::absolute(folder).ok()?;
        let manifest = lock::SUPPORTED
            .iter()
            .rev()
            .find_map(|lock| Manifest::read(&lock.home(folder), lock).ok())?;
        Some(manifest.runtime())
    }

    /// Installs the runtime into this folder, or returns the one that is there. Blocks for as long as the
    /// download takes, some 300 MB; resumes what an earlier attempt left.
    ///
    /// # Errors
    /// [`RuntimeError`] names what is missing and the one fix.
    pub fn install(
        folder: &Path,
        options: &InstallOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, RuntimeError> {
        // An environment knows its own place, and whoever uses it may be in another folder by then.
        let absolute = path::absolute(folder).map_err(|source| RuntimeError::Io {
            path: folder.to_owned(),
            source,
        })?;
        install::install(&absolute, options, progress)
    }

    /// What is in this folder. Counts every file, so slower than [`Runtime::locate`].
    pub fn status(folder: &Path) -> RuntimeStatus {
        let mut status = RuntimeStatus::Absent;
        let Ok(folder) = &path::absolute(folder) else {
            return status;
        };
        for lock in lock::SUPPORTED {
            let home = lock.home(folder);
            if !home.exists() {
                continue;
            }
            match Manifest::read(&home, lock).and_then(Manifest::checked) {
                Ok(manifest) => return RuntimeStatus::Ready(manifest.runtime()),
                Err(reason) => status = RuntimeStatus::Incomplete { reason },
            }
        }
        status
    }

    /// Removes everything in this folder; true if there was something.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] where it cannot be removed.
    pub fn remove(folder: &Path) -> Result<bool, RuntimeError> {
        match fs::remove_dir_all(folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(RuntimeError::Io {
                path: folder.to_owned(),
                source,
            }),
        }
    }
}
