//! Migrations on a real server: forward from every earlier version, together, and refused where they must be.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use meterbox_core::{StorageError, StorageErrorKind};
use meterbox_postgres::{Pool, Schema, Server};
use meterbox_testkit::PostgresServer;

const STEPS: &[&str] = &[
    "CREATE TABLE things (name TEXT PRIMARY KEY)",
    "ALTER TABLE things ADD COLUMN size BIGINT NOT NULL DEFAULT 7",
    "CREATE INDEX things_by_size ON things (size)",
];

const TWICE: &[&str] = &[
    "CREATE TABLE things (name TEXT)",
    "CREATE TABLE things (name TEXT)",
];
const OTHER: &[&str] = &["CREATE TABLE things (name TEXT)", STEPS[1], STEPS[2]];

fn schema(migrations: &'static [&'static str]) -> Schema {
    Schema {
        name: "meterbox_test",
        lock: 99,
        migrations,
    }
}

fn pool(address: &str) -> Pool {
    let server = Server::from_url(address, "the test").unwrap();
    server.pool(2, "SET search_path = meterbox_test").unwrap()
}

async fn migrate(pool: &Pool, migrations: &'static [&'static str]) -> Result<(), StorageError> {
    let done = pool.migrate(&schema(migrations)).await;
    done.map_err(|fault| pool.explain(fault))
}

#[tokio::test]
async fn every_earlier_version_is_brought_forward_and_keeps_what_it_has() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    for earlier in 1..=STEPS.len() {
        let address = server.database();
        let pool = pool(&address);
        migrate(&pool, &STEPS[..earlier]).await.unwrap();
        server
            .sql(
                &address,
                "INSERT INTO meterbox_test.things (name) VALUES ('kept')",
            )
            .unwrap();
        migrate(&pool, STEPS).await.unwrap();
        migrate(&pool, STEPS).await.unwrap();
        let found = server
            .sql(&address, "SELECT name, size FROM meterbox_test.things")
            .unwrap();
        assert_eq!(found.trim(), "kept|7", "from version {earlier}");
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_take_turns() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let (one, two, three) = (pool(&address), pool(&address), pool(&address));
    let (first, second, third) =
        tokio::join!(migrate(&one, STEPS), migrate(&two, STEPS), migrate(&three, STEPS));
    first.and(second).and(third).unwrap();
    let count = "SELECT count(*) FROM meterbox_test.migrations";
    assert_eq!(server.sql(&address, count).unwrap().trim(), "3");
}

/// The one before may be changing a large table, which takes longer than anybody waits for a row.
#[tokio::test]
async fn a_turn_is_waited_for_as_long_as_it_takes_and_a_table_is_not() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let hasty = Server::from_url(&address, "the test").unwrap();
    let hasty = hasty.pool(
        1,
        "SET search_path = meterbox_test; SET lock_timeout = '1ms'; SET statement_timeout = '20s'",
    );
    let (before, hasty) = (pool(&address), hasty.unwrap());
    let before = before.connection().await.unwrap();
    let turn = "BEGIN; SELECT pg_advisory_xact_lock(1297435203, 99)";
    before.batch_execute(turn).await.unwrap();
    let migrating = tokio::spawn({
        let hasty = hasty.clone();
        async move { migrate(&hasty, &STEPS[..1]).await }
    });
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
    while !migrating.is_finished() && server.sql(&address, waiting).unwrap().trim() == "0" {
        tokio::task::yield_now().await;
    }
    before.batch_execute("COMMIT").await.unwrap();
    migrating.await.unwrap().unwrap();

    let table = "BEGIN; SELECT FROM meterbox_test.things";
    before.batch_execute(table).await.unwrap();
    let error = migrate(&hasty, STEPS).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Busy, "{error}");
}

#[tokio::test]
async fn what_is_newer_or_other_is_refused_and_a_step_that_fails_leaves_nothing() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let pool = pool(&address);
    let broken = migrate(&pool, TWICE).await;
    assert!(broken.is_err());
    migrate(&pool, STEPS).await.unwrap();
    let newer = migrate(&pool, &STEPS[..2]).await.unwrap_err();
    assert_eq!(newer.kind(), StorageErrorKind::Incompatible);
    assert!(newer.to_string().contains("newer version"), "{newer}");
    let other = migrate(&pool, OTHER).await;
    let other = other.unwrap_err().to_string();
    assert!(other.contains("migration 1 differs"), "{other}");
}
