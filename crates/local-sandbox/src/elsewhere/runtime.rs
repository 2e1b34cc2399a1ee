//! The Python that programs run under on Linux. This is another system, where there is none and none can be installed.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use meterbox_core::Retryability;

use super::{INSTEAD, here};

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
    /// Which list of packages it was installed from.
    pub list: Packages,
    /// The installed packages and their versions.
    pub packages: BTreeMap<String, String>,
}

/// What a runtime has in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Packages {
    /// pandas, numpy, pyarrow, DuckDB and matplotlib: what programs find loaded.
    #[default]
    Base,
    /// Those, and scipy, statsmodels and scikit-learn.
    Full,
}

impl Packages {
    /// `base` or `full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Full => "full",
        }
    }
}

/// How to install.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// What to install.
    pub packages: Packages,
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
    /// An installation that was broken off or damaged; this command mends it.
    Incomplete {
        /// What is wrong with it.
        reason: String,
        /// The command.
        command: &'static str,
    },
    /// A complete runtime.
    Ready(Runtime),
}

/// A runtime that the next start does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRuntime {
    /// Its folder.
    pub home: PathBuf,
    /// What its files take up, in bytes.
    pub bytes: u64,
    /// Whether a process that began earlier runs programs in it.
    pub in_use: bool,
}

/// The phases of an installation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Finding a Python and something that installs packages.
    Find,
    /// Waiting for another installation into the same folder to end.
    Wait,
    /// Making the environment.
    Environment,
    /// Downloading and installing the packages.
    Packages,
    /// Compiling them.
    Bytecode,
    /// Importing and using them once.
    SelfTest,
}

/// How far an installation is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// How much of the whole is done, from 0 to 1.
    pub done: f64,
    /// What is happening, in a few words.
    pub message: String,
}

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
