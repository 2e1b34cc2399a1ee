//! Test doubles with state and a manual clock. A development dependency only.

mod clock;
#[cfg(any(feature = "e2b", feature = "postgres"))]
mod debian;
#[cfg(feature = "e2b")]
mod e2b;
#[cfg(feature = "ledger")]
mod ledger;
#[cfg(feature = "models")]
mod models;
#[cfg(feature = "python")]
mod peer;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "tls")]
mod tls;
#[cfg(any(feature = "e2b", feature = "models"))]
mod wire_fault;

pub use clock::ManualClock;
#[cfg(feature = "e2b")]
pub use e2b::{E2B_KEY, E2bDouble};
#[cfg(feature = "ledger")]
pub use ledger::{FaultyLedger, Moment};
#[cfg(feature = "models")]
pub use models::{MODEL_KEY, ModelAnswer, ModelCall, ModelDouble, ModelFault, ModelKind};
#[cfg(feature = "python")]
pub use peer::{peer_node, peer_python, peer_python_of};
#[cfg(all(unix, feature = "postgres"))]
pub use postgres::PostgresServer;
#[cfg(feature = "python")]
pub use python::{test_runtime, test_runtime_folder};
#[cfg(feature = "tls")]
pub use tls::{TlsCertificate, TlsFront};
#[cfg(any(feature = "e2b", feature = "models"))]
pub use wire_fault::WireFault;
/// A [`WireFault`] that the double of E2B meets a request with.
#[cfg(feature = "e2b")]
pub use wire_fault::WireFault as E2bFault;
