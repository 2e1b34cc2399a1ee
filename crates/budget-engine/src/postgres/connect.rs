//! The connections of one ledger, and what they begin with.

use std::fmt;

use meterbox_core::StorageError;
use meterbox_postgres::{Connection, Fault, Pool, Schema, Server};

pub(super) const SCHEMA: Schema = Schema {
    name: "meterbox_ledger",
    lock: 0,
    migrations: &[
        include_str!("../../migrations/postgres/001_ledger.sql"),
        include_str!("../../migrations/postgres/002_prices_and_events.sql"),
        include_str!("../../migrations/postgres/003_settings.sql"),
        include_str!("../../migrations/postgres/004_versions.sql"),
    ],
};

/// What messages call it.
pub(super) const KEEPS: &str = "the ledger";

const READERS: usize = 4;

/// A replica that hangs in the middle of a transaction keeps others waiting no longer than this. What a server
/// calls committed must be on its disk; stricter settings than `on` stay. A batch that is kept in one round trip has no
/// `BEGIN` that could name its isolation. Every statement looks rows up by an index: a plan shall not depend on how small
/// a table was when it was made.
const SESSION: &str = "
    SET search_path = meterbox_ledger;
    SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '15s';
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The connections of one store: one writes, a few read.
#[derive(Clone)]
pub(super) struct Connections {
    writer: Pool,
    readers: Pool,
}

impl Connections {
    pub(super) fn new(server: &Server) -> Result<Self, StorageError> {
        Ok(Self {
            writer: server.pool(1, SESSION)?,
            readers: server.pool(READERS, SESSION)?,
        })
    }

    pub(super) async fn migrate(&self) -> Result<(), Fault> {
        self.writer.migrate(&SCHEMA).await
    }

    pub(super) async fn writer(&self) -> Result<Connection, Fault> {
        self.writer.connection().await
    }

    pub(super) async fn reader(&self) -> Result<Connection, Fault> {
        self.readers.connection().await
    }

    pub(super) fn explain(&self, fault: Fault) -> StorageError {
        self.writer.explain(fault)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("server", &self.writer.description())
            .finish_non_exhaustive()
    }
}
