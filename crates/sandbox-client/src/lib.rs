//! Run a program somewhere it can do no harm, under limits, and learn what happened and what it used.
//!
//! [`Sandbox`] is the one trait to begin with; back ends live elsewhere (the embedded one in `meterbox-local-sandbox`).
//! A back end promises that the [`Verdict`] and the [`Usage`](meterbox_core::contract::Usage) of an
//! [`Outcome`] come only from what it saw from outside the program, and that everything the program said
//! (its [`Reply`], its output, its files) is handed over as bytes that nobody has believed yet.
//!
//! A run is alone. Where programs are to build on each other, a back end may offer a [`Session`].

mod artifact_name;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "e2b")]
pub mod e2b;
mod error;
#[cfg(feature = "fake")]
mod fake;
#[cfg(feature = "fake")]
mod fake_session;
mod job;
mod limits;
mod outcome;
pub mod prelude;
mod reply;
mod sandbox;
mod session;
mod session_totals;

pub use artifact_name::{ArtifactNames, printable};
pub use error::{SandboxError, SandboxErrorKind};
#[cfg(feature = "fake")]
pub use fake::{FakeRun, FakeSandbox};
pub use job::{InputFile, Job, PortableTable, Program};
pub use limits::Limits;
pub use outcome::{Artifact, Outcome, ProgramError, RejectedArtifact, Reply, Verdict};
pub use reply::parse_reply;
pub use sandbox::{Capabilities, OutputSink, OutputStream, Sandbox, Sent};
pub use session::{Cell, Session, SessionEnd, SessionSetup, SessionTotal, SessionUsage};
pub use session_totals::SessionTotals;
