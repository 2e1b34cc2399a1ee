//! Every store, and every pointer to one, has the properties.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use meterbox_budget_engine::{MemoryLedger, SqliteLedger, ledger_conformance};

/// Kept after the test, inside the target folder.
fn new_sqlite() -> SqliteLedger {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    SqliteLedger::open(folder.join("ledger.sqlite3")).unwrap()
}

ledger_conformance!(memory, || async { MemoryLedger::new() });
ledger_conformance!(memory_in_a_box, || async { Box::new(MemoryLedger::new()) });
ledger_conformance!(memory_in_an_arc, || async { Arc::new(MemoryLedger::new()) });
ledger_conformance!(sqlite, || async { new_sqlite() });
ledger_conformance!(sqlite_in_a_box, || async { Box::new(new_sqlite()) });
ledger_conformance!(sqlite_in_an_arc, || async { Arc::new(new_sqlite()) });
