//! What a Postgres server can refuse is said in type, and leaves nothing half-done.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{process::Command, time::Duration};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, HoldRequest, LedgerStore, PostgresLedger, Window,
};
use meterbox_core::{
    Retryability, Scope, StorageError, StorageErrorKind, Timestamp, Usd, contract::CostLine,
};
use meterbox_testkit::{ManualClock, PostgresServer};
use tokio::time::{pause, resume, timeout};

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

async fn engine(address: &str) -> BudgetEngine {
    let ledger = PostgresLedger::connect(address).await.unwrap();
    BudgetEngine::new(ledger, ManualClock::at(now()))
}

fn of_store(error: BudgetError) -> StorageError {
    match error {
        BudgetError::Store(error) => error,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_so_soon() {
    let Some(server) = PostgresServer::start_or_skip() else {
        return;
    };
    let address = server.database();
    let ledger = PostgresLedger::connect(&address).await.unwrap();
    let nobody = PostgresLedger::connect(&address.replace("dbname=", "dbname=no_")).await;
    let error = nobody.unwrap_err();
    assert!(error.to_string().contains("create it first"), "{error}");
    server.crash();
    let error = of_store(ledger.stop(now(), Some("a test".into())).await.unwrap_err());
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    assert_eq!(
        error.retryability(),
        Retryability::Safe,
        "nothing was sent: {error}"
    );
    assert!(ledger.status(now(), &ana()).await.is_err());
    server.restart();
    assert_eq!(ledger.status(now(), &ana()).await.unwrap(), None);
    assert!(ledger.stop(now(), Some("a test".into())).await.unwrap());
}

/// Time is virtual once the server hangs: it passes when nothing else happens.
#[tokio::test]
async fn a_question_to_a_server_that_hangs_is_left_in_time() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let ledger = PostgresLedger::connect(&address).await.unwrap();
    assert_eq!(ledger.budgets().await.unwrap(), []);
    let budgets = unanswered(server, &address, ledger.budgets()).await;
    let error = of_store(budgets.unwrap_err());
    assert_eq!(error.kind(), StorageErrorKind::Unavailable);
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert_eq!(ledger.budgets().await.unwrap(), []);
    // It takes as long as the ledger is, but does not wait for ever.
    let report = unanswered(server, &address, ledger.verify()).await;
    let error = of_store(report.unwrap_err());
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert!(ledger.verify().await.unwrap().is_clean());
}

/// Asks while the server hangs in all connections there are.
async fn unanswered<T>(server: &PostgresServer, address: &str, question: impl Future<Output = T>) -> T {
    let ours = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'meterbox'";
    let pids = server.sql(address, ours).unwrap();
    let signal = |signal: &str| {
        let sent = Command::new("kill").arg(signal).args(pids.lines()).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    pause();
    let answer = timeout(Duration::from_secs(60), question).await;
    resume();
    signal("-CONT");
    answer.expect("it is left")
}

/// The role may read the tables and no more, as of a replica that follows another server.
#[tokio::test]
async fn a_ledger_that_may_only_be_read_is_read_only() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let owner = engine(&address).await;
    let budget = Budget::new(ana(), Usd::from_dollars(10), Window::Lifetime);
    owner.define(budget).await.unwrap();
    let role = "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA meterbox_ledger TO reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA meterbox_ledger TO reader;";
    server.sql(&address, role).unwrap();

    let reader = PostgresLedger::connect(&address.replace("user=meterbox", "user=reader")).await;
    let error = match reader {
        // It is told as late as the first step, or as soon as it makes itself known as a writer.
        Ok(ledger) => {
            let engine = BudgetEngine::new(ledger, ManualClock::at(now()));
            let hold = engine.hold(HoldRequest::new([ana()], Usd::from_dollars(1), "work"));
            of_store(hold.await.unwrap_err())
        }
        Err(error) => error,
    };
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly, "{error}");
    let status = owner.status(&ana()).await.unwrap();
    assert_eq!((status.spent, status.held), (Usd::ZERO, Usd::ZERO));
    assert!(owner.verify().await.unwrap().is_clean());
}

/// Draws until the disk is full: what was acknowledged is there, what was refused is not, and with room again the
/// ledger goes on.
#[tokio::test]
async fn a_full_disk_keeps_what_was_acknowledged_and_nothing_more() {
    let Some(server) = PostgresServer::with_small_disk_or_skip(24 << 20) else {
        return;
    };
    let address = server.small_database();
    let engine = engine(&address).await;
    let budget = Budget::new(ana(), Usd::from_dollars(1_000), Window::Lifetime);
    engine.define(budget).await.unwrap();
    let request = HoldRequest::new([ana()], Usd::from_dollars(500), "work");
    let hold = engine.hold(request).await.unwrap();

    let filler = "CREATE TABLE filler (bytes text); ALTER TABLE filler ALTER bytes SET STORAGE EXTERNAL";
    server.sql(&address, filler).unwrap();
    // In ever smaller pieces, so that next to nothing is left.
    for rows in [1_000, 100, 10, 1] {
        let fill = format!(
            "INSERT INTO filler SELECT repeat(md5(n::text), 200) FROM generate_series(1, {rows}) AS n"
        );
        while server.sql(&address, &fill).is_ok() {}
    }
    let a_cent = CostLine {
        item: "output".repeat(40),
        quantity: 1,
        unit: "tokens".into(),
        amount: "0.01".parse().unwrap(),
        estimated: false,
        price: None,
    };
    let mut acknowledged = Usd::ZERO;
    let error = loop {
        match hold.draw(a_cent.clone()).await {
            Ok(_) => acknowledged = acknowledged.checked_add(a_cent.amount).unwrap(),
            Err(error) => break of_store(error),
        }
    };
    assert_eq!(error.kind(), StorageErrorKind::Full, "{error}");
    assert_eq!(engine.status(&ana()).await.unwrap().spent, acknowledged);

    server.sql(&address, "DROP TABLE filler").unwrap();
    hold.draw(a_cent.clone()).await.unwrap();
    let settled = hold.settle().await.unwrap();
    assert_eq!(settled.drawn, acknowledged.checked_add(a_cent.amount).unwrap());
    let report = engine.verify().await.unwrap();
    assert!(report.is_clean() && report.open_holds == 0, "{report:?}");
}
