use std::{io, path::PathBuf};

use meterbox_core::Retryability;

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
        "the packages are locked for linux x86_64 with glibc, and this Python is for {found}. Fix: put a Python for such a system first on PATH"
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
    #[error("{}: {source}. Fix: make the data folder writable and leave 1 GB free, or set METERBOX_DATA_DIR to another one", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RuntimeError {
    /// A step may have failed because of the network; installing twice does no harm. Everything else has to
    /// be fixed first.
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Step { .. } => Retryability::Safe,
            _ => Retryability::Never,
        }
    }
}
