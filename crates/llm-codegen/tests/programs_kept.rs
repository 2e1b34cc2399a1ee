//! Programs that answered are found again, by every cache alike, and only for the same question on the same tables.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::sync::Arc;

use meterbox_core::contract::{ColumnType, PrivacyLevel, Reading, TableProfile};
use meterbox_llm_codegen::{
    GenerateRequest,
    model::{KeptProgram, MemoryPrograms, ProgramCache, ProgramKey, SqlitePrograms},
};

fn program(code: &str) -> KeptProgram {
    KeptProgram {
        code: code.to_owned(),
        generator: "openai/gpt-5-mini prompt/2".to_owned(),
        reading: Reading {
            text: "revenue".to_owned(),
            assumptions: vec!["net".to_owned()],
            ignored: vec![],
            as_of: None,
        },
    }
}

fn tables() -> Vec<TableProfile> {
    serde_json::from_str(
        r#"[{"name": "orders", "source": "orders.csv", "rows": 9, "columns": [
            {"name": "product", "type": "text", "role": "dimension", "nulls": 0, "distinct": 3},
            {"name": "revenue", "type": "decimal", "role": "measure", "nulls": 0, "distinct": 9}]}]"#,
    )
    .unwrap()
}

fn request(question: &str) -> GenerateRequest {
    let mut request = GenerateRequest::new(question, tables().into(), None);
    request.tenant = "org/acme".to_owned();
    request
}

async fn keeps_and_replaces(cache: &dyn ProgramCache) {
    let (one, other) = (
        ProgramKey::new("m", &request("a")),
        ProgramKey::new("m", &request("b")),
    );
    assert_eq!(cache.find(&one).await, None);
    cache.keep(one, program("result = 1")).await;
    cache.keep(other, program("result = 2")).await;
    cache.keep(one, program("result = 3")).await;
    assert_eq!(cache.find(&one).await, Some(program("result = 3")));
    assert_eq!(cache.find(&other).await, Some(program("result = 2")));
}

#[tokio::test]
async fn every_cache_keeps_and_replaces() {
    keeps_and_replaces(&MemoryPrograms::new(8)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("programs.sqlite3");
    keeps_and_replaces(&SqlitePrograms::open(&file).unwrap()).await;
    let again = SqlitePrograms::open(&file).unwrap();
    let found = again.find(&ProgramKey::new("m", &request("a"))).await;
    assert_eq!(found, Some(program("result = 3")), "another process finds it");
}

#[tokio::test]
async fn memory_has_an_end() {
    let cache = MemoryPrograms::new(2);
    let keys: Vec<_> = ["a", "b", "c"]
        .map(|question| ProgramKey::new("m", &request(question)))
        .into();
    for key in &keys {
        cache.keep(*key, program("result = 1")).await;
    }
    assert_eq!(cache.find(&keys[0]).await, None);
    assert!(cache.find(&keys[1]).await.is_some() && cache.find(&keys[2]).await.is_some());
}

#[test]
fn the_same_question_on_the_same_tables_has_the_same_key_and_no_other() {
    let key = ProgramKey::new("m", &request("Revenue by  product"));
    assert_eq!(key, ProgramKey::new("m", &request(" revenue BY product\n")));
    let mut others = vec![
        ProgramKey::new("another model", &request("revenue by product")),
        ProgramKey::new("m", &request("revenue by products")),
    ];
    let mut stranger = request("revenue by product");
    stranger.tenant = "org/other".to_owned();
    others.push(ProgramKey::new("m", &stranger));
    for change in [
        |table: &mut TableProfile| table.name.push('x'),
        |table: &mut TableProfile| table.columns[0].name.push('x'),
        |table: &mut TableProfile| table.columns[0].column_type = ColumnType::Boolean,
        |table: &mut TableProfile| table.columns[0].currency = Some("EUR".to_owned()),
        |table: &mut TableProfile| _ = table.columns.pop(),
    ] {
        let mut request = request("revenue by product");
        let mut tables = request.tables.to_vec();
        change(&mut tables[0]);
        request.tables = Arc::from(tables);
        others.push(ProgramKey::new("m", &request));
    }
    let mut elsewhere = request("revenue by product");
    elsewhere.packages = Arc::new([("duckdb".to_owned(), "1.4".to_owned())].into());
    others.push(ProgramKey::new("m", &elsewhere));
    let mut more_private = request("revenue by product");
    more_private.privacy = PrivacyLevel::Samples;
    others.push(ProgramKey::new("m", &more_private));
    assert!(!others.contains(&key));

    let mut more_rows = request("revenue by product");
    let mut tables = more_rows.tables.to_vec();
    tables[0].rows += 1;
    more_rows.tables = Arc::from(tables);
    assert_eq!(
        ProgramKey::new("m", &more_rows),
        key,
        "a program runs on the data of the day"
    );
}
