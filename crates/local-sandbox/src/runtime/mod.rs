//! The Python that programs run under: a virtual environment of our own, filled from a hash-locked list.
//!
//! [`Runtime::locate`] finds one that is complete and whole; [`Runtime::install`] makes one. It is made beside its
//! place, tried out, given its manifest and only then put there in one step, so that whatever is broken off leaves
//! nothing that would be used, and what is in use stays as it is. What was downloaded is kept for the next attempt. Two
//! installations at once wait for each other. Everything is readable by every user of the machine, because a sandbox
//! started by root runs as another one; nothing in it is secret.
//!
//! Each list of packages ([`Packages`]) makes a runtime of its own. Where several are installed, the full list comes
//! before the base list, and a newer Python before an older one.

mod contents;
mod error;
mod install;
mod installer;
mod interpreter;
mod lock;
mod manifest;
mod old;
mod step;
#[cfg(feature = "test-guards")]
mod test_list;
mod turn;
mod types;

use std::{
    fs,
    path::{self, Path, PathBuf},
};

pub use error::RuntimeError;
use lock::{Lock, SUPPORTED};
use manifest::{Manifest, Unusable};
pub(crate) use old::in_use;
#[cfg(feature = "test-guards")]
pub use test_list::TestList;
use turn::Turn;
pub use types::{InstallOptions, OldRuntime, Packages, Phase, Progress, Runtime, RuntimeStatus};

impl Runtime {
    /// The runtime in this folder, if there is one of this version of Meterbox.
    ///
    /// Looks at every file of it, which takes some 50 milliseconds.
    ///
    /// # Errors
    /// [`RuntimeError::Damaged`] where one was installed and is not what it was: files are missing, came or changed their
    /// length, or its Python is gone or another one. The error names the command that mends it.
    pub fn locate(folder: &Path) -> Result<Option<Self>, RuntimeError> {
        Self::locate_among(folder, SUPPORTED)
    }

    fn locate_among(folder: &Path, locks: &'static [Lock]) -> Result<Option<Self>, RuntimeError> {
        let folder = &absolute(folder)?;
        let mut stale = None;
        for lock in locks {
            let damaged = |reason| RuntimeError::damaged(lock.home(folder), reason, lock);
            match Manifest::check(folder, lock) {
                Ok(runtime) => return Ok(Some(runtime)),
                Err(Unusable::Absent | Unusable::Unfinished) => {}
                // Another one, for the Python that is there now, may have taken its place.
                Err(Unusable::Stale(reason)) => stale = stale.or_else(|| Some(damaged(reason))),
                Err(Unusable::Damaged(reason)) => return Err(damaged(reason)),
            }
        }
        stale.map_or(Ok(None), Err)
    }

    /// Installs the runtime into this folder, or returns the one that is there and has all that was asked for. Blocks for
    /// as long as the download takes (some 200 MB; 300 MB for the full list), and for as long as another installation
    /// into this folder goes on. Goes on where an earlier attempt was broken off, and leaves a runtime that is in use as
    /// it is.
    ///
    /// # Errors
    /// [`RuntimeError`] names what is missing and the one fix.
    pub fn install(
        folder: &Path,
        options: &InstallOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, RuntimeError> {
        // An environment knows its own place, and whoever uses it may be in another folder by then.
        install::install(&absolute(folder)?, options, SUPPORTED, progress)
    }

    /// What is in this folder, without changing anything.
    pub fn status(folder: &Path) -> RuntimeStatus {
        match Self::locate(folder) {
            Ok(Some(runtime)) => RuntimeStatus::Ready(runtime),
            Ok(None) => match install::broken_off(folder) {
                None => RuntimeStatus::Absent,
                Some(list) => RuntimeStatus::Incomplete {
                    reason: "the installation was not finished".to_owned(),
                    command: list.command(),
                },
            },
            Err(RuntimeError::Damaged { reason, command, .. }) => {
                RuntimeStatus::Incomplete { reason, command }
            }
            Err(error) => RuntimeStatus::Incomplete {
                reason: error.to_string(),
                command: Packages::Base.command(),
            },
        }
    }

    /// The runtimes in this folder that the next start does not use: of an earlier list of packages, or beside a larger one
    /// or a newer Python. Looks at every file of them.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] where they cannot be read.
    pub fn old(folder: &Path) -> Result<Vec<OldRuntime>, RuntimeError> {
        old::old(folder, SUPPORTED)
    }

    /// Removes those of them that no process uses, and says which there were. One that is in use stays.
    ///
    /// # Errors
    /// [`RuntimeError::Busy`] while somebody installs into the folder, and [`RuntimeError::Io`] where one cannot be removed.
    pub fn remove_old(folder: &Path) -> Result<Vec<OldRuntime>, RuntimeError> {
        old::remove_old(folder, SUPPORTED)
    }

    /// Removes everything in this folder; true if there was something.
    ///
    /// # Errors
    /// [`RuntimeError::Busy`] while somebody installs into it, and [`RuntimeError::Io`] where it cannot be removed.
    pub fn remove(folder: &Path) -> Result<bool, RuntimeError> {
        if !folder.exists() {
            return Ok(false);
        }
        let failed = |source| RuntimeError::io(folder, source);
        let Some(_turn) = Turn::try_take(folder).map_err(failed)? else {
            return Err(RuntimeError::Busy {
                folder: folder.to_owned(),
            });
        };
        fs::remove_dir_all(folder).map_err(failed)?;
        Ok(true)
    }
}

fn absolute(folder: &Path) -> Result<PathBuf, RuntimeError> {
    path::absolute(folder).map_err(|source| RuntimeError::io(folder, source))
}
