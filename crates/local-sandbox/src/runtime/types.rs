//! What is public of a runtime and the same on every system.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

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
    /// pandas, numpy, pyarrow, DuckDB and matplotlib: what programs find loaded. Some 450 MB.
    #[default]
    Base,
    /// Those, and scipy, statsmodels and scikit-learn, which a program has to wait for when it imports them. Some
    /// 700 MB.
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

impl fmt::Display for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
