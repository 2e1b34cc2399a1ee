//! Every store, and every pointer to one, has the properties.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use meterbox_budget_engine::{LedgerStore, MemoryLedger, SqliteLedger, ledger_conformance};

/// Kept after the test, inside the target folder.
fn new_sqlite() -> SqliteLedger {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    SqliteLedger::open(folder.join("ledger.sqlite3")).unwrap()
}

/// The memory ledger does its steps at once, whatever points to it; what may wait does not.
#[test]
fn what_does_its_steps_at_once_says_so() {
    let pointed_to = Arc::new(Box::new(MemoryLedger::new()));
    assert!(MemoryLedger::new().at_once().is_some() && LedgerStore::at_once(&pointed_to).is_some());
    assert!(LedgerStore::at_once(&Arc::new(new_sqlite())).is_none());
}

ledger_conformance!(memory, || async { MemoryLedger::new() });
ledger_conformance!(memory_in_a_box, || async { Box::new(MemoryLedger::new()) });
ledger_conformance!(memory_in_an_arc, || async { Arc::new(MemoryLedger::new()) });
ledger_conformance!(sqlite, || async { new_sqlite() });
ledger_conformance!(sqlite_in_a_box, || async { Box::new(new_sqlite()) });
ledger_conformance!(sqlite_in_an_arc, || async { Arc::new(new_sqlite()) });
