//! Sealed execution of AI-written Python on plain Linux: no root, no container, no KVM.
//!
//! [`LocalSandbox`] keeps one prepared Python process, the *zygote*, with pandas and its friends imported.
//! Each run is a child of it that lives once: in namespaces of its own (user, process, mount, network, IPC,
//! host name), in a read-only root that holds Python and this run's input files and nothing else, under
//! resource limits, without capabilities, behind Landlock and a short list of allowed system calls. A child
//! cannot make another process. Where this machine [delegates](Tier::ControlGroup) control groups, it is born in one of its
//! own. From its birth to its last lock no Python runs: a small library without
//! dependencies, which the build script makes of the sources in `native/`, is loaded into the zygote from memory
//! and does all of it.
//!
//! The supervisor in this crate never forks. It decides how a run ended from what it sees from outside: the
//! exit status, the clock, the processor time, the memory, the bytes in the pipes. What the program says
//! (reply, output, files) is handed over as bytes that nobody has believed. `SECURITY.md` says what is promised, which
//! test shows it, and what is not defended.
//!
//! What a machine gives is found by doing it, in processes that are thrown away, and has one of the names of [`Tier`].
//! The strongest is used. Where that is less than [asked for](LocalSandboxBuilder::min_tier), every call is
//! [`SandboxError::Unavailable`](meterbox_sandbox_client::SandboxError::Unavailable), naming what is missing
//! and the fix. [`LocalSandbox::diagnose`] says more, and every outcome says which tier it was and what that promises.
//!
//! # Whose files
//! A job's inputs have to lie under the [inputs root](LocalSandboxBuilder::inputs_root). A program runs as the user
//! who runs the supervisor or, where that is root, as a user of its own (uid 61184 unless set otherwise),
//! who has to be able to read the files: mode 0644 in folders of mode 0755, below the inputs root. The
//! folders above it may be closed to everybody.

mod artifacts;
mod channel;
mod diagnosis;
mod document;
mod folder;
#[cfg(feature = "test-guards")]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod groups;
mod meter;
#[cfg(feature = "test-guards")]
mod naive;
mod native;
mod patience;
mod pool;
mod probe;
mod run;
pub mod runtime;
mod sandbox;
mod seccomp;
mod streams;
mod tier;
mod waiting;
mod zygote;

pub use diagnosis::{Check, Diagnosis};
pub use sandbox::{LocalSandbox, LocalSandboxBuilder};
pub use tier::{Tier, UnknownTier};
