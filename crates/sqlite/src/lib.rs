//! One SQLite file, opened durably, migrated by checksum, used from async code.
//!
//! [`Database`] owns a thread with the connection; work is sent to it as closures that run inside one
//! transaction. Several processes may use one file: writers take the write lock before they read
//! (`BEGIN IMMEDIATE`) and wait for each other, readers never wait. A write that was answered has reached
//! the disk (WAL with `synchronous=FULL`); writes that wait at the same time share one commit (group commit), each
//! in a savepoint of its own.
//!
//! A database keeps nothing of its own but the table `meterbox_migrations`.

mod database;
mod error;
mod migration;

pub use database::{Database, Writing};
pub use error::SqliteError;
pub use migration::Migration;
pub use rusqlite;
