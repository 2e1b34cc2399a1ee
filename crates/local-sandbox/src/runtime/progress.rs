//! How far an installation is.

/// What an installation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Looking for a Python interpreter.
    FindPython,
    /// Another installation into the same folder is running; waiting for it.
    Wait,
    /// Making the virtual environment.
    CreateVenv,
    /// Downloading and installing the wheels: most of the time.
    InstallWheels,
    /// Compiling to bytecode.
    Bytecode,
    /// Building matplotlib's font cache.
    FontCache,
    /// Importing and trying everything in a fresh interpreter.
    SelfTest,
    /// Done.
    Done,
}

impl Phase {
    /// The share of the whole time that has passed when the phase begins.
    fn begins_at(self) -> f64 {
        match self {
            Self::FindPython | Self::Wait => 0.0,
            Self::CreateVenv => 0.01,
            Self::InstallWheels => 0.02,
            Self::Bytecode => 0.70,
            Self::FontCache => 0.90,
            Self::SelfTest => 0.95,
            Self::Done => 1.0,
        }
    }
}

/// A step of an installation, for a progress display.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of the whole is done, from 0 to 1; never falls.
    pub fraction: f64,
    /// The same for people: `installing wheels: pandas`.
    pub message: String,
}

impl Progress {
    pub(super) fn new(phase: Phase, message: impl Into<String>) -> Self {
        Self { phase, fraction: phase.begins_at(), message: message.into() }
    }

    /// `done` of `total` packages are there.
    pub(super) fn wheels(done: usize, total: usize, message: impl Into<String>) -> Self {
        let (from, to) = (Phase::InstallWheels.begins_at(), Phase::Bytecode.begins_at());
        #[expect(clippy::cast_precision_loss, reason = "a few dozen packages")]
        let share = done.min(total) as f64 / total.max(1) as f64;
        Self { phase: Phase::InstallWheels, fraction: from + (to - from) * share, message: message.into() }
    }
}
