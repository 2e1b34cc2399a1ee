//! One SQLite file, opened durably, migrated by checksum, used from async code.
//!
//! [`Database`] owns a thread with the connection that writes, and a few with connections that only read; work is sent to
//! them as closures that run inside one transaction. Several processes may use one file: writers take the write lock
//! before they read (`BEGIN IMMEDIATE`) and wait for each other, readers wait for no writer. A write that was answered has reached
//! the disk (WAL with `synchronous=FULL`); writes that wait at the same time share one commit (group commit), each
//! in a savepoint of its own.
//!
//! A file that is removed, moved or replaced while it is open is neither written nor read any more (`Unavailable`, on Unix):
//! whoever opens what is there then would have another file, and neither would know what the other wrote. Reading a backup
//! into the file itself, as `sqlite3 FILE ".restore BACKUP"` does, is a write like any other.
//!
//! A database keeps nothing of its own but the table `meterbox_migrations`.

mod database;
mod error;
mod migration;
mod readers;

pub use database::{Database, Writing};
pub use error::SqliteError;
pub use migration::Migration;
pub use rusqlite;
