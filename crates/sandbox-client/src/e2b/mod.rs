//! [E2B](https://e2b.dev), a cloud of micro virtual machines: [`E2bSandbox`] runs jobs there, [`E2bClient`] is the
//! client beneath it.
//!
//! The client speaks the present control plane (`/v2`), and the one before where a server has no other; the daemon
//! inside each machine (`envd`: files and processes, over Connect); and the code interpreter (`/execute`). What it
//! promises:
//!
//! - Each call has one deadline over everything, retries, redirects and slow bodies included. Keep-alives do not
//!   move it.
//! - Bodies are read up to a limit. A stream that ends without saying so was cut, and that is an error.
//! - A sandbox is created at most once for an idempotency key, and lives no longer than the server-side time-out it
//!   was created with, whatever becomes of this process.
//! - Keys and tokens are in no error and no debug output.
//! - Redirects are errors: hand in a client that does not follow them, as [`http_client`] makes one.
//!
//! Dropping a future of the client ends the request; what the server did with it is then unknown. Sources: E2B's
//! OpenAPI and protobuf files, and what its official SDKs send.

mod address;
mod client;
mod config;
mod connect;
mod control;
mod envd;
mod error;
mod interpreter;
mod retry;
mod sandbox;
mod transport;

pub use client::E2bClient;
pub use config::{Addressing, E2bBuilder, InvalidE2bConfig};
pub use control::{
    ListedSandbox, NewSandbox, SandboxAccess, SandboxDetail, SandboxId, SandboxMetric, SandboxState,
};
pub use envd::{Command, FileEntry, FileKind, Process, ProcessEnd, ProcessEvent, Signal};
pub use error::{E2bError, E2bErrorKind};
pub use interpreter::{
    Context, Execution, ExecutionError, ExecutionEvent, ExecutionRequest, ExecutionResult,
};

pub use meterbox_http_client::http_client;
pub use sandbox::{E2bSandbox, MachineSize};
