//! Test doubles with state and a manual clock. A development dependency only.

#[cfg(any(feature = "node", feature = "postgres", feature = "python"))]
mod cache;
#[cfg(feature = "postgres")]
mod certificate;
mod clock;
#[cfg(any(feature = "e2b", feature = "node", feature = "postgres"))]
mod debian;
#[cfg(feature = "e2b")]
mod e2b;
#[cfg(feature = "faulty")]
mod faulty;
#[cfg(all(unix, feature = "postgrest"))]
mod gateway;
#[cfg(feature = "ledger")]
mod ledger;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "python")]
mod peer;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(all(unix, feature = "postgrest"))]
mod postgrest;
#[cfg(feature = "python")]
mod python;

#[cfg(feature = "postgres")]
pub use certificate::self_signed_certificate;
pub use clock::ManualClock;
#[cfg(feature = "e2b")]
pub use e2b::{E2B_KEY, E2bDouble, E2bFault};
#[cfg(feature = "faulty")]
pub use faulty::{FaultyServer, Manner};
#[cfg(feature = "ledger")]
pub use ledger::{FaultyLedger, Moment};
#[cfg(feature = "node")]
pub use node::peer_node;
#[cfg(feature = "python")]
pub use peer::peer_python;
#[cfg(all(unix, feature = "postgres"))]
pub use postgres::PostgresServer;
#[cfg(all(unix, feature = "postgrest"))]
pub use postgrest::PostgrestServer;
#[cfg(feature = "python")]
pub use python::{test_runtime, test_runtime_folder};
