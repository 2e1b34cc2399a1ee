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
//! # Sessions
//! [`Sandbox::session`](meterbox_sandbox_client::Sandbox::session) keeps one child for several programs, so that a follow-up
//! builds on what was computed: names, imports and files live on. Its inputs are bound when it begins, because a sealed child
//! gets no mounts. Between two programs every thread of it is stopped. So what one leaves behind uses nothing and changes
//! nothing until the next one runs, and files are collected while none of them can change. A child costs memory as long as it
//! waits: [`SessionUsage`](meterbox_sandbox_client::SessionUsage) says how much and for how long, apart from what programs
//! used. It needs a `/proc` that shows the processes of the sandbox's user.
//!
//! # Other systems
//! Jails are Linux's, on x86-64 and aarch64. Elsewhere the crate has the same surface, and every call says that it is not
//! Linux and what to use instead: a virtual machine or a container with Linux in it, or the E2B cloud
//! (`meterbox_sandbox_client::e2b`).
//!
//! # Whose files
//! A job's inputs have to lie under the [inputs root](LocalSandboxBuilder::inputs_root). A program runs as the user
//! who runs the supervisor or, where that is root, as a user of its own (uid 61184 unless set otherwise),
//! who has to be able to read the files: mode 0644 in folders of mode 0755, below the inputs root. The
//! folders above it may be closed to everybody.

#[cfg(jails)]
mod artifacts;
#[cfg(jails)]
mod channel;
#[cfg_attr(not(jails), allow(dead_code, reason = "nothing works elsewhere"))]
mod check;
#[cfg(jails)]
mod diagnosis;
#[cfg(jails)]
mod document;
#[cfg(any(not(jails), test))]
#[cfg_attr(
    jails,
    allow(dead_code, unreachable_pub, reason = "tested here, for use elsewhere")
)]
mod elsewhere;
#[cfg(jails)]
mod folder;
#[cfg(all(jails, feature = "test-guards"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(jails)]
mod generation;
#[cfg(jails)]
mod groups;
#[cfg(jails)]
mod meter;
#[cfg(all(jails, feature = "test-guards"))]
mod naive;
#[cfg(jails)]
mod native;
#[cfg(jails)]
mod patience;
#[cfg(jails)]
mod pool;
#[cfg(jails)]
mod probe;
#[cfg(jails)]
mod run;
#[cfg(jails)]
pub mod runtime;
#[cfg(jails)]
mod sandbox;
#[cfg(jails)]
mod seccomp;
#[cfg(jails)]
mod session;
#[cfg(jails)]
mod streams;
#[cfg_attr(not(jails), allow(dead_code, reason = "it reports on jails"))]
mod tier;
#[cfg(jails)]
mod turns;
#[cfg(jails)]
mod waiting;
#[cfg(jails)]
mod zygote;

pub use check::{Check, Diagnosis};
#[cfg(not(jails))]
pub use elsewhere::{LocalSandbox, LocalSandboxBuilder, runtime};
#[cfg(jails)]
pub use sandbox::{LocalSandbox, LocalSandboxBuilder};
pub use tier::{Tier, UnknownTier};
