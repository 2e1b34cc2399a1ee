//! The Python that programs run under on Linux. This is another system, where there is none and none can be installed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use meterbox_core::Retryability;

use super::{INSTEAD, here};

#[path = "../runtime/types.rs"]
#[cfg_attr(
    jails,
    allow(clippy::duplicate_mod, reason = "tested here beside the types of this system")
)]
mod types;
pub use types::*;

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// This is not Linux.
    #[error("programs run on Linux only, and this is {found}. Fix: {INSTEAD}")]
    Platform {
        /// System and machine.
        found: String,
    },
    /// The runtime's folder cannot be removed.
    #[error("{}: {source}. Fix: remove it by hand", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RuntimeError {
    /// Never.
    pub fn retryability(&self) -> Retryability {
        Retryability::Never
    }
}

impl Runtime {
    /// None.
    ///
    /// # Errors
    /// None here.
    pub fn locate(_: &Path) -> Result<Option<Self>, RuntimeError> {
        Ok(None)
    }

    /// Says what to use instead.
    ///
    /// # Errors
    /// [`RuntimeError::Platform`], always.
    pub fn install(_: &Path, _: &InstallOptions, _: &mut dyn FnMut(Progress)) -> Result<Self, RuntimeError> {
        Err(RuntimeError::Platform { found: here() })
    }

    /// [`RuntimeStatus::Absent`].
    pub fn status(_: &Path) -> RuntimeStatus {
        RuntimeStatus::Absent
    }

    /// None.
    ///
    /// # Errors
    /// None here.
    pub fn old(_: &Path) -> Result<Vec<OldRuntime>, RuntimeError> {
        Ok(Vec::new())
    }

    /// None.
    ///
    /// # Errors
    /// None here.
    pub fn remove_old(_: &Path) -> Result<Vec<OldRuntime>, RuntimeError> {
        Ok(Vec::new())
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
