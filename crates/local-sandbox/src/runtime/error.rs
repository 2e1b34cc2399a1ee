//! What can go wrong with the Python runtime, and the one thing to do about it.

use std::{io, path::PathBuf};

use meterbox_core::Retryability;

/// Why there is no usable Python runtime. Each message says what is missing and how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// Nothing was installed under this data folder yet.
    #[error("no Python runtime in {folder}. Fix: `meterbox runtime install`")]
    NotInstalled {
        /// Where it would be.
        folder: PathBuf,
    },
    /// A runtime is there, but it is not the one that was installed and tested.
    #[error("the Python runtime in {folder} cannot be used: {reason}. Fix: `meterbox runtime install`")]
    Unusable {
        /// The runtime's folder.
        folder: PathBuf,
        /// What does not match.
        reason: String,
    },
    /// No interpreter of a supported version was found.
    #[error(
        "no usable Python found ({}). Fix: install CPython {} for 64-bit, for example `apt install python3`",
        listed(.tried), .supported.join(", ")
    )]
    NoPython {
        /// The names looked for, each with what was wrong.
        tried: Vec<String>,
        /// The minor versions a lock exists for.
        supported: Vec<&'static str>,
    },
    /// Nothing that can install wheels was found.
    #[error("nothing here can install Python packages ({}). Fix: `apt install python3-pip`, or install uv", listed(.tried))]
    NoInstaller {
        /// The installers looked for, each with what was wrong.
        tried: Vec<String>,
    },
    /// The folder given as wheelhouse is not one.
    #[error("the wheelhouse {folder} is not a folder that can be read. Fix: give the folder that holds the .whl files")]
    NoWheelhouse {
        /// The folder given.
        folder: PathBuf,
    },
    /// The installer ran and failed.
    #[error(
        "{installer} could not install the packages: {last_lines}. \
         Fix: check the network and pip's configuration, or give the wheels with `--wheelhouse DIR`"
    )]
    Wheels {
        /// Which installer.
        installer: String,
        /// Its own last lines.
        last_lines: String,
    },
    /// The virtual environment could not be made.
    #[error("{python} could not make a virtual environment: {last_lines}. Fix: install its standard library in full, for example `apt install python3-venv`")]
    Venv {
        /// The interpreter.
        python: PathBuf,
        /// Its own last lines.
        last_lines: String,
    },
    /// The packages are installed and do not work.
    #[error("the installed packages failed their self-test: {last_lines}. Fix: `meterbox runtime remove`, then `meterbox runtime install` with another Python first on PATH")]
    SelfTest {
        /// What the test said last.
        last_lines: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}: {source}. Fix: make the data folder writable and leave 1 GB free, or set METERBOX_DATA_DIR to another one")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RuntimeError {
    /// Whether installing again, unchanged, can help: only where the network may have been at fault.
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Wheels { .. } => Retryability::Transient,
            _ => Retryability::Permanent,
        }
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn listed(tried: &[String]) -> String {
    if tried.is_empty() { "nothing on PATH".to_owned() } else { tried.join("; ") }
}
