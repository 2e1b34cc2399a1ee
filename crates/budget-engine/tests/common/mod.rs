//! Words that several test files share.
#![allow(dead_code, reason = "not every test file uses every word")]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_budget_engine::{Budget, BudgetEngine, HoldRequest, MemoryLedger, Window};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_testkit::ManualClock;

/// Ten dollars a month for each user, in memory, at a time that stands still.
pub(crate) async fn engine() -> (BudgetEngine, ManualClock) {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
    let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    let budget = Budget::new(
        "user/*".parse().unwrap(),
        usd("10"),
        Window::month("UTC").unwrap(),
    );
    engine.define(budget).await.unwrap();
    (engine, clock)
}

pub(crate) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

pub(crate) fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

pub(crate) fn request(amount: &str) -> HoldRequest {
    HoldRequest::new([ana()], usd(amount), "a test")
        .ttl(Duration::from_secs(60))
        .grace(Duration::ZERO)
}

pub(crate) fn line(amount: &str) -> CostLine {
    CostLine {
        item: "output".into(),
        quantity: 1,
        unit: "tokens".into(),
        amount: usd(amount),
        estimated: false,
        price: None,
    }
}

pub(crate) async fn spent_and_held(engine: &BudgetEngine) -> (Usd, Usd) {
    let status = engine.status(&ana()).await.unwrap();
    (status.spent, status.held)
}
