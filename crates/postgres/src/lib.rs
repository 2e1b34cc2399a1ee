//! Connections to a Postgres server: asked for by an address, bounded in time and number, described without their
//! password; and migrations by checksum.
//!
//! [`Server`] is an address that was understood. [`Server::pool`] makes a [`Pool`] of connections that all begin with
//! the same settings; nothing is connected before the first is asked for. [`migrate`] brings a schema up to date, and
//! replicas that start at once take turns. A [`Fault`] is what went wrong; [`Pool::explain`] says it in the words all
//! stores share.

mod fault;
mod migration;
mod server;
#[cfg(feature = "tls")]
mod tls;

pub use deadpool_postgres::{ClientWrapper, Object as Connection, Transaction};
pub use fault::{Fault, Remedy};
pub use migration::{Schema, migrate};
pub use server::{Pool, Server};
pub use tokio_postgres;
