//! The Postgres ledger, and every pointer to one, has the properties of every store.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use meterbox_budget_engine::{PostgresLedger, ledger_conformance};
use meterbox_testkit::PostgresServer;

async fn new_ledger() -> Option<PostgresLedger> {
    let server = PostgresServer::shared()?;
    Some(PostgresLedger::connect(&server.database()).await.unwrap())
}

ledger_conformance!(postgres, maybe new_ledger);
ledger_conformance!(
    postgres_in_a_box,
    maybe || async { new_ledger().await.map(Box::new) }
);
ledger_conformance!(
    postgres_in_an_arc,
    maybe || async { new_ledger().await.map(Arc::new) }
);
