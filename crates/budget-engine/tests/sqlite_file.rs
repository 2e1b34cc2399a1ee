//! The ledger's file: what it keeps, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{fs, path::PathBuf};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetErrorKind, EntryPage, EventLog, HoldRequest, SqliteLedger, Window,
};
use meterbox_core::{Clock, Scope, StorageErrorKind, Usd, contract::CostLine};
use meterbox_testkit::ManualClock;
use rusqlite::Connection;

fn new_file() -> PathBuf {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
        .keep()
        .join("ledger.sqlite3")
}

fn engine(file: &PathBuf) -> BudgetEngine {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    BudgetEngine::new(SqliteLedger::open(file).unwrap(), clock)
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

/// A ledger with a closed and an open hold, and money spent.
async fn used_ledger(file: &PathBuf) -> BudgetEngine {
    let engine = engine(file);
    let month = Window::month("Europe/Berlin").unwrap();
    engine
        .define(Budget::new(
            "user/*".parse().unwrap(),
            Usd::from_dollars(10),
            month,
        ))
        .await
        .unwrap();
    let line = CostLine {
        item: "output".into(),
        quantity: 900,
        unit: "tokens".into(),
        amount: "0.009".parse().unwrap(),
        estimated: false,
        price: None,
    };
    for settle in [true, false] {
        let hold = engine
            .hold(HoldRequest::new([ana()], Usd::from_dollars(2), "work"))
            .await
            .unwrap();
        hold.draw(line.clone()).await.unwrap();
        drop(hold.intend(line.clone()).await.unwrap());
        if settle {
            hold.settle().await.unwrap();
        } else {
            // As if the process had died: nothing ends the hold.
            std::mem::forget(hold);
        }
    }
    engine
}

#[tokio::test]
async fn everything_survives_reopening() {
    let file = new_file();
    let before = used_ledger(&file).await;
    let all = EntryPage { after: 0, limit: 100 };
    let (status, entries) = (
        before.status(&ana()).await.unwrap(),
        before.entries(all).await.unwrap(),
    );
    let budgets = before.budgets().await.unwrap();
    drop(before);
    let after = engine(&file);
    assert_eq!(after.status(&ana()).await.unwrap(), status);
    assert_eq!(after.entries(all).await.unwrap(), entries);
    assert_eq!(after.budgets().await.unwrap(), budgets);
    assert!(after.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn entries_cannot_be_changed_and_every_tampering_is_found() {
    let file = new_file();
    drop(used_ledger(&file).await);
    let connection = Connection::open(&file).unwrap();
    for sql in ["UPDATE entries SET amount = 0", "DELETE FROM entries"] {
        let error = connection.execute(sql, ()).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    connection
        .execute_batch("DROP TRIGGER entries_are_never_changed; DROP TRIGGER entries_are_never_deleted")
        .unwrap();
    for (sql, found) in [
        ("UPDATE balances SET spent = spent - 1", "the balance of user/ana"),
        ("UPDATE holds SET drawn = drawn + 1", "do not add up"),
        (
            "UPDATE holds SET state = 'open' WHERE state = 'settled'",
            "ended 1 times",
        ),
        ("UPDATE claims SET spend_limit = 1", "beyond the limit"),
        (
            "UPDATE entries SET spent_change = 1 WHERE kind = 'drawn'",
            "the balance of user/ana",
        ),
        ("DELETE FROM entries WHERE kind = 'held'", "began 0 times"),
        ("DELETE FROM balances", "no balance"),
    ] {
        let copy = new_file();
        connection
            .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
            .unwrap();
        Connection::open(&copy).unwrap().execute(sql, ()).unwrap();
        let report = engine(&copy).verify().await.unwrap();
        assert!(
            report.problems.iter().any(|problem| problem.contains(found)),
            "{sql}: {report:?}"
        );
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_an_error_and_not_a_panic() {
    for sql in [
        "UPDATE holds SET state = 'odd'",
        "UPDATE entries SET kind = 'odd'",
        "UPDATE claims SET spend_limit = -5",
        "UPDATE holds SET scopes = 'nonsense'",
        "UPDATE budgets SET time_window = 'month Mars'",
    ] {
        let file = new_file();
        drop(used_ledger(&file).await);
        let connection = Connection::open(&file).unwrap();
        connection
            .execute_batch(&format!("DROP TRIGGER entries_are_never_changed; {sql}"))
            .unwrap();
        let engine = engine(&file);
        let error = match engine.verify().await {
            Ok(_) => engine
                .hold(HoldRequest::new([ana()], Usd::from_dollars(1), "work"))
                .await
                .err(),
            Err(error) => Some(error),
        };
        assert_eq!(
            error.map(|error| error.kind()),
            Some(BudgetErrorKind::Store),
            "{sql}"
        );
    }
}

#[test]
fn files_of_others_and_of_other_versions_are_refused() {
    let file = new_file();
    fs::write(&file, "not a ledger, but long enough to be one ".repeat(100)).unwrap();
    assert_eq!(
        SqliteLedger::open(&file).unwrap_err().kind(),
        StorageErrorKind::Corrupt
    );

    for (sql, named) in [
        (
            "INSERT INTO meterbox_migrations VALUES (99, 'later')",
            "newer version",
        ),
        (
            "UPDATE meterbox_migrations SET checksum = 'other'",
            "migration 1 differs",
        ),
    ] {
        let file = new_file();
        drop(SqliteLedger::open(&file).unwrap());
        Connection::open(&file).unwrap().execute(sql, ()).unwrap();
        let error = SqliteLedger::open(&file).unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Incompatible);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn a_ledger_that_another_process_locks_for_ever_is_busy_and_not_lost() {
    let file = new_file();
    let engine = used_ledger(&file).await;
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let attempt = engine.hold(HoldRequest::new([ana()], Usd::from_dollars(1), "work"));
    let error = attempt.await.unwrap_err();
    assert_eq!(error.kind(), BudgetErrorKind::Store);
    assert!(error.to_string().contains("locked by another process"), "{error}");
    assert!(error.retry_after().is_some());
    connection.execute_batch("ROLLBACK").unwrap();
    engine
        .hold(HoldRequest::new([ana()], Usd::from_dollars(1), "work"))
        .await
        .unwrap()
        .settle()
        .await
        .unwrap();
    assert!(engine.verify().await.unwrap().is_clean());
}

/// Reading events writes to the file as well, without a look at what steps remember of it.
#[tokio::test]
async fn whoever_reads_events_does_not_hide_what_another_process_did() {
    let file = new_file();
    let mine = SqliteLedger::open(&file).unwrap();
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let (now, until) = (clock.now(), "2026-11-23T12:01:00Z".parse().unwrap());
    let (here, there) = (BudgetEngine::new(mine.clone(), clock), engine(&file));
    let hold = async |engine: &BudgetEngine, dollars: u32| {
        let request = HoldRequest::new([ana()], Usd::from_dollars(dollars), "work");
        engine.hold(request).await
    };
    let turn = async || mine.take_turn(now, "webhooks", "mine", until).await.unwrap();

    let budget = Budget::new(ana(), Usd::from_dollars(10), Window::Lifetime);
    here.define(budget).await.unwrap();
    let _here = hold(&here, 1).await.unwrap();
    let _there = hold(&there, 8).await.unwrap();
    turn().await;
    let refused = hold(&here, 2).await.unwrap_err();
    assert_eq!(refused.kind(), BudgetErrorKind::Refused, "{refused}");

    there.stop_all("enough").await.unwrap();
    turn().await;
    let refused = hold(&here, 1).await.unwrap_err();
    assert_eq!(refused.kind(), BudgetErrorKind::Stopped, "{refused}");
}
