//! Every store, and every pointer to one, has the properties; the file survives what files meet.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{fs, path::PathBuf, sync::Arc};

use meterbox_core::{AnalysisId, Scope, StorageErrorKind, Timestamp, contract::AnalysisResult};
use meterbox_results_store::{
    MemoryResults, PageRequest, ResultsErrorKind, ResultsStore, SqliteResults, results_conformance,
};

/// Kept after the test, inside the target folder.
fn new_file() -> PathBuf {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
        .keep()
        .join("results.sqlite3")
}

fn new_sqlite() -> SqliteResults {
    SqliteResults::open(new_file()).unwrap()
}

results_conformance!(memory, || async { MemoryResults::new() });
results_conformance!(memory_in_a_box, || async { Box::new(MemoryResults::new()) });
results_conformance!(memory_in_an_arc, || async { Arc::new(MemoryResults::new()) });
results_conformance!(sqlite, || async { new_sqlite() });
results_conformance!(sqlite_in_a_box, || async { Box::new(new_sqlite()) });
results_conformance!(sqlite_in_an_arc, || async { Arc::new(new_sqlite()) });

fn result() -> AnalysisResult {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    AnalysisResult::begun(AnalysisId::new(now), "user/ana".parse().unwrap(), now)
}

#[tokio::test]
async fn results_survive_reopening_and_two_handles_share_a_file() {
    let file = new_file();
    let (first, second) = (
        SqliteResults::open(&file).unwrap(),
        SqliteResults::open(&file).unwrap(),
    );
    let result = result();
    first.save(&result).await.unwrap();
    assert_eq!(
        second.find(&result.principal, result.id).await.unwrap(),
        Some(result.clone())
    );
    drop((first, second));
    let reopened = SqliteResults::open(&file).unwrap();
    assert_eq!(
        reopened.find(&result.principal, result.id).await.unwrap(),
        Some(result)
    );
}

#[tokio::test]
async fn an_older_document_is_read_and_an_unreadable_one_is_reported_and_kept() {
    let file = new_file();
    let store = SqliteResults::open(&file).unwrap();
    let ana: Scope = "user/ana".parse().unwrap();
    let [minimal, broken, newer] = std::array::from_fn(|_| result());
    for result in [&minimal, &broken, &newer] {
        store.save(result).await.unwrap();
    }
    let connection = rusqlite::Connection::open(&file).unwrap();
    let put = |id: AnalysisId, version: u32, document: &str| {
        let sql = "UPDATE results SET contract_version = ?2, document = ?3 WHERE id = ?1";
        connection
            .execute(sql, (id.to_string(), version, document))
            .unwrap();
    };
    // Only what every version had: the optional fields are absent.
    let fewest = format!(
        r#"{{"contract_version":0,"id":"{}","principal":"user/ana","status":"ok","hold":1,"cost":0.5,"attempts":1,
            "usage":{{"wall_ms":1,"cpu_ms":1,"peak_memory_bytes":1,"output_bytes":0}},
            "created_at":"2025-01-01T00:00:00Z"}}"#,
        minimal.id
    );
    put(minimal.id, 0, &fewest);
    put(broken.id, 1, r#"{"half": "#);
    put(newer.id, 9, r#"{"contract_version":9,"status":"quantum"}"#);

    let page = store.page(&ana, PageRequest::default()).await.unwrap();
    assert_eq!(
        page.results.iter().map(|result| result.id).collect::<Vec<_>>(),
        [minimal.id]
    );
    let mut unreadable: Vec<_> = page
        .unreadable
        .iter()
        .map(|row| (row.id, row.contract_version))
        .collect();
    unreadable.sort();
    let mut expected = vec![(broken.id, 1), (newer.id, 9)];
    expected.sort();
    assert_eq!(unreadable, expected);
    let error = store.find(&ana, newer.id).await.unwrap_err();
    assert_eq!(error.kind(), ResultsErrorKind::Unreadable);
    assert!(error.to_string().contains("newer"), "{error}");
    assert!(store.delete(&ana, broken.id).await.unwrap());
}

#[test]
fn files_that_cannot_be_used_are_refused_with_what_to_do() {
    let file = new_file();
    fs::write(&file, "order,total\n1,2\n".repeat(1_000)).unwrap();
    let error = SqliteResults::open(&file).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Corrupt);
    assert!(error.to_string().contains("is not a SQLite database"), "{error}");

    let nowhere = new_file().join("deeper/results.sqlite3");
    let error = SqliteResults::open(&nowhere).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable);
    assert!(
        error.to_string().contains("check that its folder exists"),
        "{error}"
    );
}

/// What each earlier version wrote is read, and goes on.
#[tokio::test]
async fn a_file_of_every_earlier_version_is_brought_forward() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut steps: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    steps.sort();
    for version in 1..steps.len() {
        let (whole, early) = (new_file(), new_file());
        SqliteResults::open(&whole).unwrap();
        let checksums = rusqlite::Connection::open(&whole).unwrap();
        let connection = rusqlite::Connection::open(&early).unwrap();
        connection
            .execute_batch("CREATE TABLE meterbox_migrations (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT")
            .unwrap();
        for (number, step) in (1..).zip(&steps[..version]) {
            connection
                .execute_batch(&fs::read_to_string(step).unwrap())
                .unwrap();
            let sql = "SELECT checksum FROM meterbox_migrations WHERE number = ?1";
            let checksum: String = checksums.query_row(sql, [number], |row| row.get(0)).unwrap();
            let sql = "INSERT INTO meterbox_migrations VALUES (?1, ?2)";
            connection.execute(sql, (number, checksum)).unwrap();
        }
        let result = result();
        let document = serde_json::to_string(&result).unwrap();
        connection
            .execute(
                "INSERT INTO results (principal, id, contract_version, status, created_at, document)
                 VALUES ('user/ana', ?1, 1, 'running', ?2, ?3)",
                (result.id.to_string(), result.created_at.as_micros(), document),
            )
            .unwrap();
        drop(connection);
        let store = SqliteResults::open(&early).unwrap();
        let found = store.find(&result.principal, result.id).await.unwrap();
        assert_eq!(found, Some(result.clone()), "from version {version}");
        let later = result
            .created_at
            .saturating_add(std::time::Duration::from_secs(1));
        assert_eq!(store.expire(later, 10).await.unwrap(), 1);
    }
}
