//! The Postgres ledger, and every pointer to one, has the properties of every store.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use meterbox_budget_engine::{LedgerStore, PostgresLedger, ledger_conformance};
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

/// Not even the owner of the tables changes what was written; and a writer that was forgotten goes on.
#[tokio::test]
async fn entries_are_only_added_and_a_forgotten_writer_goes_on() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let ledger = PostgresLedger::connect(&address).await.unwrap();
    let now = "2026-11-25T12:00:00Z".parse().unwrap();
    ledger.stop(now, Some("a test".into())).await.unwrap();
    for change in [
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "TRUNCATE entries",
    ] {
        let refused = server.sql(&address, &format!("SET search_path = meterbox_ledger; {change}"));
        assert!(refused.unwrap_err().contains("append-only"), "{change}");
    }
    server
        .sql(&address, "DELETE FROM meterbox_ledger.writers")
        .unwrap();
    assert!(ledger.stop(now, None).await.unwrap());
    server
        .sql(&address, "UPDATE meterbox_ledger.migrations SET checksum = 'x'")
        .unwrap();
    let error = PostgresLedger::connect(&address).await.unwrap_err();
    assert!(error.to_string().contains("migration 1 differs"), "{error}");
}
