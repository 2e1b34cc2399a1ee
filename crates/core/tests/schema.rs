//! The committed JSON Schema is the contract's own. `UPDATE_SCHEMA=1 cargo test -p meterbox-core` rewrites it.

use std::{fs, path::Path};

use meterbox_core::contract::AnalysisResult;

#[test]
fn committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/analysis-result.json");
    let schema = schemars::schema_for!(AnalysisResult);
    let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, current,
        "the contract changed: run UPDATE_SCHEMA=1 cargo test -p meterbox-core"
    );
}
