use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_core::contract::{SandboxReport, Usage};

use crate::{Job, Limits, Outcome, SandboxError, Session, SessionSetup};

/// A place to run programs nobody trusts.
#[async_trait]
pub trait Sandbox: Send + Sync + fmt::Debug + 'static {
    /// What programs find here. Prepares the sandbox if it is not ready yet.
    ///
    /// # Errors
    /// [`SandboxError`] where no program could be run.
    async fn capabilities(&self) -> Result<Capabilities, SandboxError>;

    /// Runs one job once, in a place of its own that is gone afterwards.
    ///
    /// `output` hears what the program prints as it prints it.
    ///
    /// # Errors
    /// Only faults of the sandbox itself. Whatever the program does to itself is an [`Outcome`].
    ///
    /// # Cancel safety
    /// Dropping the future kills the program; its usage is then unknown. To learn it, cancel
    /// [`Job::cancel`] and await the outcome.
    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError>;

    /// Begins a session: a place of its own for programs that follow one another. It is not longer there than this
    /// sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Unsupported`] where there are no [sessions](Capabilities::sessions), as in a back end that does not
    /// say otherwise; otherwise faults of the sandbox, and what is wrong with the setup. Whatever wraps a sandbox has to
    /// hand this on.
    ///
    /// # Cancel safety
    /// Nothing is left where the future is dropped.
    async fn session(&self, setup: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        let _ = setup;
        Err(SandboxError::Unsupported { what: "sessions" })
    }

    /// The most that a run under these limits can be billed, whatever becomes of it: what has to be set aside before.
    ///
    /// A back end that bills what a program itself uses answers [`Limits::worst_usage`]. One that bills a machine
    /// answers with all of that machine, from its creation to the moment at which it ends though everybody forgot it.
    /// More time is never less usage. What a run uses beyond this is not billed.
    fn worst_usage(&self, limits: &Limits) -> Usage;
}

/// What programs find in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The interpreter's version, such as `3.11.7`.
    pub python: String,
    /// Importable packages and their versions.
    pub packages: BTreeMap<String, String>,
    /// How programs are confined.
    pub sandbox: SandboxReport,
    /// Whether there are [sessions](Sandbox::session).
    pub sessions: bool,
}

/// Hears of a program while it runs.
pub trait OutputSink: Send + Sync + 'static {
    /// Some text was printed: untrusted text, as it comes. Must not block.
    fn printed(&self, stream: OutputStream, text: &str);

    /// What the program has used so far, measured from outside: never less than the time before. A back end
    /// that can measure says so a few times a second; the outcome's usage is the last word. Must not block.
    fn used(&self, usage: Usage) {
        let _ = usage;
    }

    /// Something left this machine, or as much of it as was sent before it broke off. Must not block.
    fn sent(&self, sent: Sent) {
        let _ = sent;
    }
}

/// Something that a back end sent to another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where to: a host.
    pub to: String,
    /// What it is: a path under the data folder, or `job`.
    pub name: String,
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// The bytes, where they are text that we made; absent for files.
    pub body: Option<String>,
}

/// Where text was printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Hears nothing.
impl OutputSink for () {
    fn printed(&self, _: OutputStream, _: &str) {}
}

#[async_trait]
impl<S: Sandbox + ?Sized> Sandbox for Arc<S> {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        (**self).capabilities().await
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        (**self).run(job, output).await
    }

    async fn session(&self, setup: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        (**self).session(setup).await
    }

    fn worst_usage(&self, limits: &Limits) -> Usage {
        (**self).worst_usage(limits)
    }
}

#[async_trait]
impl<S: Sandbox + ?Sized> Sandbox for Box<S> {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        (**self).capabilities().await
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        (**self).run(job, output).await
    }

    async fn session(&self, setup: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        (**self).session(setup).await
    }

    fn worst_usage(&self, limits: &Limits) -> Usage {
        (**self).worst_usage(limits)
    }
}
