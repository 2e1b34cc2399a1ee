//! Test doubles with state and a manual clock. A development dependency only.

#[cfg(any(feature = "peers", feature = "postgres"))]
mod cache;
#[cfg(all(unix, feature = "postgres"))]
mod certificate;
mod clock;
#[cfg(any(feature = "peers", feature = "postgres"))]
mod debian;
#[cfg(feature = "e2b")]
mod e2b;
#[cfg(feature = "faulty")]
mod faulty;
#[cfg(all(unix, feature = "postgrest"))]
mod gateway;
#[cfg(feature = "ledger")]
mod ledger;
#[cfg(feature = "models")]
mod models;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "peers")]
mod peer;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(all(unix, feature = "postgrest"))]
mod postgrest;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "tls")]
mod tls;
#[cfg(any(feature = "e2b", feature = "models", feature = "otlp"))]
mod wire_fault;

pub use clock::ManualClock;
#[cfg(feature = "e2b")]
pub use e2b::{E2B_KEY, E2bDouble};
#[cfg(feature = "faulty")]
pub use faulty::{FaultyServer, Manner};
#[cfg(feature = "ledger")]
pub use ledger::{FaultyLedger, Moment};
#[cfg(feature = "models")]
pub use models::{MODEL_KEY, ModelAnswer, ModelCall, ModelDouble, ModelFault, ModelKind};
#[cfg(feature = "otlp")]
pub use otlp::{LANGFUSE_KEYS, OtlpSink, SunkMetric, SunkPoint, SunkRequest, SunkSpan};
#[cfg(feature = "peers")]
pub use peer::{peer_node, peer_python, peer_python_of};
#[cfg(all(unix, feature = "postgres"))]
pub use postgres::PostgresServer;
#[cfg(all(unix, feature = "postgrest"))]
pub use postgrest::PostgrestServer;
#[cfg(feature = "python")]
pub use python::{full_test_runtime, test_runtime, test_runtime_folder};
#[cfg(feature = "tls")]
pub use tls::{TlsCertificate, TlsFront};
#[cfg(any(feature = "e2b", feature = "models", feature = "otlp"))]
pub use wire_fault::WireFault;
/// A [`WireFault`] that the double of E2B meets a request with.
#[cfg(feature = "e2b")]
pub use wire_fault::WireFault as E2bFault;
