//! The crate on a system that has no jails: the same surface, and every call says what to use instead.

pub mod runtime;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::{Clock, contract::Usage};
use meterbox_sandbox_client::{
    Capabilities, Job, Limits, Outcome, OutputSink, Sandbox, SandboxError, Session, SessionSetup,
};

use crate::{
    check::{Check, Diagnosis},
    tier::Tier,
};

/// What is needed.
const LINUX: &str = "Linux on x86-64 or aarch64";
/// What to use instead.
pub(crate) const INSTEAD: &str =
    "run Meterbox in a virtual machine or a container with Linux, or use the cloud sandbox (E2B)";

/// Runs programs on Linux. This is another system, where every call is [`SandboxError::Unavailable`] and says what to use
/// instead.
pub struct LocalSandbox(());

/// Makes a [`LocalSandbox`].
#[derive(Debug)]
pub struct LocalSandboxBuilder(());

impl LocalSandbox {
    /// A sandbox whose programs would run in this Python.
    pub fn builder(_: runtime::Runtime) -> LocalSandboxBuilder {
        LocalSandboxBuilder(())
    }

    /// Says that this is not Linux.
    #[allow(clippy::unused_async, reason = "on Linux it waits")]
    pub async fn diagnose(&self) -> Diagnosis {
        Diagnosis {
            checks: vec![Check::fails(LINUX, here(), INSTEAD)],
        }
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        Err(unavailable())
    }

    async fn run(&self, _: Job, _: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        Err(unavailable())
    }

    async fn session(&self, _: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        Err(unavailable())
    }

    fn worst_usage(&self, limits: &Limits) -> Usage {
        limits.worst_usage()
    }
}

/// Settings mean nothing here.
impl LocalSandboxBuilder {
    /// The folder that every job's inputs lie in.
    #[must_use]
    pub fn inputs_root(self, _: impl Into<PathBuf>) -> Self {
        self
    }

    /// Who programs run as.
    #[must_use]
    pub fn run_as(self, _: u32, _: u32) -> Self {
        self
    }

    /// Measures wall-clock time by this clock.
    #[must_use]
    pub fn clock(self, _: Arc<dyn Clock>) -> Self {
        self
    }

    /// How many single-use children are kept ready.
    #[must_use]
    pub fn ready(self, _: usize) -> Self {
        self
    }

    /// How long one prepared interpreter is used.
    #[must_use]
    pub fn renew_after(self, _: u64, _: Duration) -> Self {
        self
    }

    /// How many programs run at once at most.
    #[must_use]
    pub fn at_once(self, _: usize, _: Duration) -> Self {
        self
    }

    /// The weakest jail that is good enough.
    #[must_use]
    pub fn min_tier(self, _: Tier) -> Self {
        self
    }

    /// The control group to make groups in.
    #[must_use]
    pub fn control_group(self, _: impl Into<PathBuf>) -> Self {
        self
    }

    /// The sandbox, whose calls say what to use instead.
    ///
    /// # Errors
    /// None here.
    pub fn build(self) -> Result<LocalSandbox, SandboxError> {
        Ok(LocalSandbox(()))
    }
}

impl fmt::Debug for LocalSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSandbox").finish_non_exhaustive()
    }
}

fn unavailable() -> SandboxError {
    SandboxError::Unavailable {
        missing: format!("the local sandbox needs {LINUX}, and this is {}", here()),
        fix: INSTEAD.to_owned(),
    }
}

pub(crate) fn here() -> String {
    format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)
}

#[cfg(test)]
mod tests;
