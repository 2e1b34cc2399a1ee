//! Results in a real Postgres: the properties of every store, replicas, restarts, and older schemas.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{process::Command, sync::Arc, time::Duration};

use meterbox_core::{
    AnalysisId, StorageErrorKind, Timestamp,
    contract::{AnalysisResult, Status},
};
use meterbox_results_store::{PageRequest, PostgresResults, ResultsError, ResultsStore, results_conformance};
use meterbox_testkit::PostgresServer;
use tokio::time::{pause, resume, timeout};

async fn new_store() -> Option<PostgresResults> {
    let server = PostgresServer::shared()?;
    Some(PostgresResults::connect(&server.database()).await.unwrap())
}

results_conformance!(postgres, maybe new_store);
results_conformance!(
    postgres_in_a_box,
    maybe || async { new_store().await.map(Box::new) }
);
results_conformance!(
    postgres_in_an_arc,
    maybe || async { new_store().await.map(Arc::new) }
);

fn result(second: u64) -> AnalysisResult {
    let start: Timestamp = "2026-11-23T12:00:00.123456Z".parse().unwrap();
    let at = start.saturating_add(Duration::from_secs(second));
    AnalysisResult::begun(AnalysisId::new(at), "user/ana".parse().unwrap(), at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_begin_write_and_forget_together() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    // Both find nothing, and one makes the tables.
    let (one, two) = tokio::join!(
        PostgresResults::connect(&address),
        PostgresResults::connect(&address)
    );
    let (one, two) = (Arc::new(one.unwrap()), Arc::new(two.unwrap()));
    let writers: Vec<_> = (0..100)
        .map(|second| {
            let store = Arc::clone(if second % 2 == 0 { &one } else { &two });
            tokio::spawn(async move {
                let mut result = result(second / 4);
                store.save(&result).await.unwrap();
                result.status = Status::Ok;
                store.save(&result).await.unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    // The same result by both, at once.
    let same = result(1_000);
    let (first, second) = tokio::join!(one.save(&same), two.save(&same));
    first.and(second).unwrap();
    let page = two.page(&same.principal, PageRequest::newest(500)).await.unwrap();
    assert_eq!(page.results.len(), 101);
    assert_eq!(page.results[0].created_at, same.created_at, "to the microsecond");
    let ended = page.results.iter().filter(|result| result.status == Status::Ok);
    assert_eq!(ended.count(), 100);
    let (first, second) = tokio::join!(
        one.expire(same.created_at, 1_000),
        two.expire(same.created_at, 1_000)
    );
    assert_eq!(first.unwrap() + second.unwrap(), 100, "each is forgotten once");
}

#[tokio::test]
async fn a_server_that_went_and_came_back_is_found_again() {
    let Some(server) = PostgresServer::start_or_skip() else {
        return;
    };
    let address = server.database();
    let store = PostgresResults::connect(&address).await.unwrap();
    let saved = result(0);
    store.save(&saved).await.unwrap();
    server.crash();
    let patient = PostgresResults::lazy(&address).unwrap();
    assert!(patient.check().await.is_err(), "it is away");
    for error in [
        store.save(&result(1)).await.unwrap_err(),
        store.check().await.unwrap_err(),
    ] {
        let ResultsError::Store(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    }
    server.restart();
    assert_eq!(store.find(&saved.principal, saved.id).await.unwrap(), Some(saved));
    store.save(&result(1)).await.unwrap();
    store.check().await.unwrap();
    patient.check().await.unwrap();
}

/// Time is virtual once the server hangs: it passes when nothing else happens.
#[tokio::test]
async fn a_server_that_hangs_is_left_in_time_and_found_again() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let store = PostgresResults::connect(&address).await.unwrap();
    let saved = result(0);
    store.save(&saved).await.unwrap();
    let pids = server
        .sql(
            &address,
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'meterbox'",
        )
        .unwrap();
    let signal = |signal: &str| {
        let sent = Command::new("kill").arg(signal).args(pids.lines()).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    pause();
    let found = timeout(Duration::from_secs(60), store.find(&saved.principal, saved.id)).await;
    resume();
    signal("-CONT");
    let ResultsError::Store(error) = found.expect("it is left").unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(error.kind(), StorageErrorKind::Unavailable);
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert_eq!(store.find(&saved.principal, saved.id).await.unwrap(), Some(saved));
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused_and_a_role_without_rights_said_so() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    PostgresResults::connect(&address).await.unwrap();
    let sql = |sql: &str| server.sql(&address, sql).unwrap();
    sql(
        "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA meterbox_results TO reader;
         GRANT SELECT ON ALL TABLES IN SCHEMA meterbox_results TO reader",
    );
    let reader = PostgresResults::connect(&address.replace("user=meterbox", "user=reader"))
        .await
        .unwrap();
    reader.check().await.unwrap();
    let ResultsError::Store(error) = reader.save(&result(0)).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly, "{error}");

    sql("INSERT INTO meterbox_results.migrations VALUES (99, 'later')");
    let error = PostgresResults::connect(&address).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible);
    assert!(error.to_string().contains("the results on Postgres"), "{error}");
    sql("DELETE FROM meterbox_results.migrations WHERE number = 99;
         UPDATE meterbox_results.migrations SET checksum = 'x' WHERE number = 1");
    let error = PostgresResults::connect(&address).await.unwrap_err();
    assert!(error.to_string().contains("migration 1 differs"), "{error}");
}
