//! What a replica remembers is read once, is good only as long as it is so, and goes with the version that wrote it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, BudgetErrorKind, Hold, HoldRequest, HoldState, PostgresLedger, Window,
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_postgres::{Connection, Schema, Server, migrate};
use meterbox_testkit::{ManualClock, PostgresServer};

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

async fn replica(address: &str) -> BudgetEngine {
    let ledger = PostgresLedger::connect(address).await.unwrap();
    BudgetEngine::new(ledger, ManualClock::at(now()))
}

async fn hold(engine: &BudgetEngine, dollars: u32) -> Result<Hold, BudgetError> {
    let request = HoldRequest::new([ana()], Usd::from_dollars(dollars), "work");
    engine.hold(request).await
}

fn dollar() -> CostLine {
    CostLine {
        item: "call".into(),
        quantity: 1,
        unit: "calls".into(),
        amount: Usd::from_dollars(1),
        estimated: false,
        price: None,
    }
}

/// How often somebody looked whether spending is stopped, which is read with all that a step needs. The server says so
/// when a connection ends.
async fn readings(server: &PostgresServer, address: &str) -> u64 {
    let ours = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'meterbox'";
    while server.sql(address, ours).unwrap().trim() != "0" {
        tokio::task::yield_now().await;
    }
    let scans = "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'stop'";
    server.sql(address, scans).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_remembered_is_not_read_again() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let engine = replica(&address).await;
    let budget = Budget::new(ana(), Usd::from_dollars(100), Window::Lifetime);
    engine.define(budget).await.unwrap();
    for _ in 0..30 {
        let hold = hold(&engine, 2).await.unwrap();
        hold.draw(dollar()).await.unwrap();
        hold.settle().await.unwrap();
    }
    assert_eq!(engine.status(&ana()).await.unwrap().spent, Usd::from_dollars(30));
    assert!(engine.verify().await.unwrap().is_clean());
    drop(engine);
    // Of ninety steps only the first of all, and those before it that change rules.
    let readings = readings(server, &address).await;
    assert!(readings < 9, "{readings}");
}

/// Whatever the other replica has changed meanwhile: money, rules, the switch, the hold itself.
#[tokio::test]
async fn what_others_changed_is_seen_by_the_very_next_step() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let [one, other] = [replica(&address).await, replica(&address).await];
    let budget = |dollars| Budget::new(ana(), Usd::from_dollars(dollars), Window::Lifetime);
    one.define(budget(10)).await.unwrap();
    let warm = async |engine: &BudgetEngine| hold(engine, 1).await.unwrap().settle().await.unwrap();
    let kind = |refused: Result<Hold, BudgetError>| refused.unwrap_err().kind();

    warm(&one).await;
    let all = hold(&other, 10).await.unwrap();
    assert_eq!(kind(hold(&one, 1).await), BudgetErrorKind::Refused);
    all.release().await.unwrap();

    warm(&one).await;
    other.define(budget(5)).await.unwrap();
    assert_eq!(kind(hold(&one, 6).await), BudgetErrorKind::Refused);

    warm(&one).await;
    other.stop_all("a test").await.unwrap();
    assert_eq!(kind(hold(&one, 1).await), BudgetErrorKind::Stopped);
    other.resume().await.unwrap();

    // Its clock is ahead.
    let later = PostgresLedger::connect(&address).await.unwrap();
    let later = BudgetEngine::new(
        later,
        ManualClock::at(now().saturating_add(Duration::from_secs(3_600))),
    );
    let mine = hold(&one, 5).await.unwrap();
    mine.draw(dollar()).await.unwrap();
    assert_eq!(later.expire().await.unwrap().len(), 1);
    assert_eq!(
        mine.intend(dollar()).await.unwrap_err().kind(),
        BudgetErrorKind::Idempotency
    );
    let status = one.status(&ana()).await.unwrap();
    assert_eq!((status.spent, status.held), (Usd::from_dollars(1), Usd::ZERO));
    assert_eq!(mine.settle().await.unwrap().state, HoldState::Expired);
    assert!(one.verify().await.unwrap().is_clean());
}

/// A server that others have taken over, or that was put back to a state of before, may have the numbers that are
/// remembered for something else: what is remembered goes with the connection.
#[tokio::test]
async fn nothing_is_remembered_beyond_a_connection() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let [one, other] = [replica(&address).await, replica(&address).await];
    let budget = Budget::new(ana(), Usd::from_dollars(10), Window::Lifetime);
    one.define(budget).await.unwrap();
    hold(&one, 1).await.unwrap().settle().await.unwrap();
    let version = "SELECT version FROM meterbox_ledger.scopes";
    let remembered = server.sql(&address, version).unwrap();

    let all = hold(&other, 10).await.unwrap();
    let back = format!(
        "UPDATE meterbox_ledger.scopes SET version = {}",
        remembered.trim()
    );
    server.sql(&address, &back).unwrap();
    let ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'meterbox'";
    let lose = format!("SELECT pg_terminate_backend(pid) {ours}");
    server.sql(&address, &lose).unwrap();
    while server
        .sql(&address, &format!("SELECT count(*) {ours}"))
        .unwrap()
        .trim()
        != "0"
    {
        tokio::task::yield_now().await;
    }
    // The connection's own task hears of it.
    drop(one.status(&ana()).await);
    assert_eq!(hold(&one, 1).await.unwrap_err().kind(), BudgetErrorKind::Refused);
    all.release().await.unwrap();
    assert!(one.verify().await.unwrap().is_clean());
}

/// It does not undo the batch that it waits in; the server would write that down as an error.
#[tokio::test]
async fn a_draw_that_is_sent_again_is_found_before_it_is_made_again() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let engine = replica(&server.database()).await;
    let budget = Budget::new(ana(), Usd::from_dollars(10), Window::Lifetime);
    engine.define(budget).await.unwrap();
    let hold = hold(&engine, 5).await.unwrap();
    for _ in 0..3 {
        let left = hold.draw_once("first", dollar()).await.unwrap();
        assert_eq!(left, Usd::from_dollars(4));
    }
    let other = CostLine {
        amount: Usd::from_dollars(2),
        ..dollar()
    };
    assert_eq!(
        hold.draw_once("first", other).await.unwrap_err().kind(),
        BudgetErrorKind::Idempotency
    );
    assert_eq!(hold.settle().await.unwrap().drawn, Usd::from_dollars(1));
    assert!(engine.verify().await.unwrap().is_clean());
    assert_eq!(server.count_in_log("entries_by_draw_key"), 0);
}

/// So that no other replica has to read them again.
#[tokio::test]
async fn what_moves_no_money_leaves_scopes_as_they_are() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let engine = replica(&address).await;
    let budget = Budget::new(ana(), Usd::from_dollars(10), Window::Lifetime);
    engine.define(budget).await.unwrap();
    let hold = hold(&engine, 5).await.unwrap();
    let versions = || {
        let sql = "SELECT scope, version FROM meterbox_ledger.scopes";
        server.sql(&address, sql).unwrap()
    };
    let before = versions();
    let intent = hold.intend(dollar()).await.unwrap();
    hold.extend(Duration::from_secs(600)).await.unwrap();
    assert_eq!(versions(), before);
    intent.resolve([dollar()]).await.unwrap();
    assert_ne!(versions(), before);
    hold.settle().await.unwrap();
    assert!(engine.verify().await.unwrap().is_clean());
}

/// Without it nothing can be compared, and nobody would hear of a budget that is written.
#[tokio::test]
async fn a_ledger_without_its_number_of_rules_is_damaged() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let engine = replica(&address).await;
    let budget = |dollars| Budget::new(ana(), Usd::from_dollars(dollars), Window::Lifetime);
    engine.define(budget(10)).await.unwrap();
    server.sql(&address, "DELETE FROM meterbox_ledger.rules").unwrap();
    let error = engine.define(budget(20)).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(engine.budgets().await.unwrap(), [budget(10)]);
}

/// Sixteen callers of two replicas want one dollar of three each, again and again: `verify` adds up what was held at
/// every single admission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_remember_never_admit_too_much() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let replicas = [replica(&address).await, replica(&address).await];
    let budget = Budget::new(ana(), Usd::from_dollars(3), Window::Lifetime);
    replicas[0].define(budget).await.unwrap();
    let callers = (0..16).map(|caller| {
        let engine = replicas[caller % 2].clone();
        tokio::spawn(async move {
            let mut admitted = 0_u32;
            for _ in 0..40 {
                match hold(&engine, 1).await {
                    Ok(hold) => {
                        admitted += 1;
                        hold.release().await.unwrap();
                    }
                    Err(error) => assert_eq!(error.kind(), BudgetErrorKind::Refused, "{error}"),
                }
            }
            admitted
        })
    });
    let mut admitted = 0;
    for caller in callers.collect::<Vec<_>>() {
        admitted += caller.await.unwrap();
    }
    let report = replicas[1].verify().await.unwrap();
    assert!(report.is_clean() && report.open_holds == 0, "{report:?}");
    assert_eq!(report.holds, u64::from(admitted));
    assert!(admitted > 0);
}

const BEFORE: &[&str] = &[
    include_str!("../migrations/postgres/001_ledger.sql"),
    include_str!("../migrations/postgres/002_prices_and_events.sql"),
    include_str!("../migrations/postgres/003_settings.sql"),
];

/// A dollar of ten is spent and two are held under a key, as the version before wrote it.
const KEPT: &str = "
    INSERT INTO budgets (scope, spend_limit, time_window, warn_percent, degrade_percent, carry_over,
        degraded_allowance, since) VALUES ('user/ana', 10000000000, 'lifetime', 100, 100, 0, 0, 0);
    INSERT INTO scopes VALUES ('user/ana');
    INSERT INTO balances VALUES ('user/ana', 'lifetime', 253402207200000000, 10000000000, 1000000000, 2000000000);
    INSERT INTO holds VALUES ('00000000-0000-7000-8000-000000000001', 'user/ana', 3000000000, NULL, 3000000000,
        1000000000, 'work', 'key', 'open', 1795608000000000, 1795608300000000, 30000000, 1795608330000000, false);
    INSERT INTO claims VALUES ('00000000-0000-7000-8000-000000000001', 0, 'user/ana', 'lifetime', 10000000000,
        253402207200000000);
    INSERT INTO entries (at, kind, hold, amount, held_change, spent_change) VALUES
        (1795608000000000, 'held', '00000000-0000-7000-8000-000000000001', 3000000000, 3000000000, 0);
    INSERT INTO entries (at, kind, hold, amount, item, quantity, unit, estimated, held_change, spent_change) VALUES
        (1795608000000000, 'drawn', '00000000-0000-7000-8000-000000000001', 1000000000, 'call', 1, 'calls', false,
        -1000000000, 1000000000);
    INSERT INTO writers (writer, batch) VALUES ('00000000-0000-4000-8000-000000000001', 7)";

/// What the version before does first when it keeps a batch.
const TICKET_BEFORE: &str = "WITH punched AS (
        UPDATE writers SET batch = 8, used_at = now()
        WHERE writer = '00000000-0000-4000-8000-000000000001' AND batch < 8 RETURNING 1)
    SELECT 1 / count(*) FROM punched";

/// A connection to a ledger as the version before left it.
async fn old_ledger(address: &str) -> Connection {
    let server = Server::from_url(address, "a test").unwrap();
    let pool = server.pool(1, "SET search_path = meterbox_ledger").unwrap();
    let schema = Schema {
        name: "meterbox_ledger",
        lock: 0,
        migrations: BEFORE,
    };
    let mut before = pool.connection().await.unwrap();
    migrate(&mut before, &schema).await.unwrap();
    before.batch_execute(KEPT).await.unwrap();
    before
}

#[tokio::test]
async fn a_ledger_of_the_version_before_goes_on_and_that_version_no_longer_writes() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let before = old_ledger(&address).await;
    let ticket = before.prepare(TICKET_BEFORE).await.unwrap();

    let engine = replica(&address).await;
    assert!(engine.verify().await.unwrap().is_clean());
    let refused = before.query(&ticket, &[]).await.unwrap_err();
    assert_eq!(
        refused.code().unwrap().code(),
        "42P01",
        "the table is gone: {refused}"
    );

    let request = HoldRequest::new([ana()], Usd::from_dollars(3), "work").idempotency_key("key");
    let replayed = engine.hold(request).await.unwrap();
    assert!(replayed.is_replay());
    replayed.draw(dollar()).await.unwrap();
    assert_eq!(
        hold(&engine, 8).await.unwrap_err().kind(),
        BudgetErrorKind::Refused
    );
    assert_eq!(replayed.settle().await.unwrap().drawn, Usd::from_dollars(2));
    drop(hold(&engine, 8).await.unwrap());
    let report = engine.verify().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// A replica of the version before is in the middle of a batch: it has locked a hold and comes to the scopes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_migration_waits_for_a_batch_of_the_version_before() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let before = old_ledger(&address).await;
    let lock_hold = "BEGIN; SELECT FROM holds FOR UPDATE";
    before.batch_execute(lock_hold).await.unwrap();
    let migrating = tokio::spawn({
        let address = address.clone();
        async move { PostgresLedger::connect(&address).await }
    });
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE datname = current_database() AND locktype = 'relation' AND NOT granted";
    while server.sql(&address, waiting).unwrap().trim() == "0" {
        tokio::task::yield_now().await;
    }
    let rest = "SELECT FROM scopes FOR UPDATE; UPDATE writers SET batch = 8; UPDATE holds SET drawn = drawn;
        UPDATE balances SET spent = spent; COMMIT";
    before.batch_execute(rest).await.unwrap();
    migrating.await.unwrap().unwrap();
    assert!(replica(&address).await.verify().await.unwrap().is_clean());
}
