//! The Postgres ledger, and every pointer to one, has the properties of every store.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::sync::Arc;

use meterbox_budget_engine::{
    Budget, BudgetErrorKind, HoldRequest, HoldState, LedgerStore, PostgresLedger, Unbudgeted, Window,
    ledger::{HoldAction, OpenHold},
    ledger_conformance,
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_testkit::PostgresServer;

async fn new_ledger() -> Option<PostgresLedger> {
    let server = PostgresServer::shared()?;
    Some(PostgresLedger::connect(&server.database()).await.unwrap())
}

ledger_conformance!(postgres, maybe new_ledger);
ledger_conformance!(
    postgres_in_a_box,
    maybe || async { new_ledger().await.map(Box::new) }
);
ledger_conformance!(
    postgres_in_an_arc,
    maybe || async { new_ledger().await.map(Arc::new) }
);

/// Not even the owner of the tables changes what was written; and a writer that was forgotten goes on.
#[tokio::test]
async fn entries_are_only_added_and_a_forgotten_writer_goes_on() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let address = server.database();
    let ledger = PostgresLedger::connect(&address).await.unwrap();
    let now = "2026-11-25T12:00:00Z".parse().unwrap();
    ledger.stop(now, Some("a test".into())).await.unwrap();
    for change in [
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "TRUNCATE entries",
    ] {
        let refused = server.sql(&address, &format!("SET search_path = meterbox_ledger; {change}"));
        assert!(refused.unwrap_err().contains("append-only"), "{change}");
    }
    server
        .sql(&address, "DELETE FROM meterbox_ledger.replicas")
        .unwrap();
    assert!(ledger.stop(now, None).await.unwrap());
    server
        .sql(&address, "UPDATE meterbox_ledger.migrations SET checksum = 'x'")
        .unwrap();
    let error = PostgresLedger::connect(&address).await.unwrap_err();
    assert!(error.to_string().contains("migration 1 differs"), "{error}");
}

/// What a period leaves is carried over by a rule that is new and by one that is old alike: what was spent in it is
/// looked at, however many steps share a transaction.
#[tokio::test]
async fn a_step_behind_a_change_of_rules_finds_what_the_new_rules_need() {
    let Some(ledger) = new_ledger().await else {
        return;
    };
    let [before, now]: [Timestamp; 2] =
        ["2026-10-25T12:00:00Z", "2026-11-25T12:00:00Z"].map(|at| at.parse().unwrap());
    let (scope, wildcard): (Scope, Scope) = ("user/ana".parse().unwrap(), "user/*".parse().unwrap());
    let budget = Budget::new(wildcard, Usd::from_dollars(10), Window::month("UTC").unwrap());
    let open = |id: &str, dollars| OpenHold {
        id: id.parse().unwrap(),
        request: HoldRequest::new([scope.clone()], Usd::from_dollars(dollars), "a test"),
        unbudgeted: Unbudgeted::Refuse,
    };
    ledger.define(before, budget.clone()).await.unwrap();
    let first = open("00000000-0000-7000-8000-000000000001", 10);
    let spent = ledger.open(before, first).await.unwrap().id;
    let line = CostLine {
        item: "call".into(),
        quantity: 1,
        unit: "calls".into(),
        amount: Usd::from_dollars(10),
        estimated: false,
        price: None,
    };
    let draw = HoldAction::Draw { key: None, line };
    let close = HoldAction::Close {
        state: HoldState::Settled,
    };
    for action in [draw, close] {
        ledger.act(before, spent, action).await.unwrap();
    }

    let carrying = budget.carrying_over(Usd::from_dollars(10));
    let second = open("00000000-0000-7000-8000-000000000002", 15);
    let (changed, opened) = tokio::join!(ledger.define(now, carrying), ledger.open(now, second));
    changed.unwrap();
    assert_eq!(opened.unwrap_err().kind(), BudgetErrorKind::Refused);
}
