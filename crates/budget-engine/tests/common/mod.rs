//! Words that several test files share.
#![allow(dead_code, reason = "not every test file uses every word")]
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_budget_engine::{Budget, BudgetEngine, HoldRequest, MemoryLedger, SoftCaps, Watcher, Window};
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

/// Ten dollars in this window, with the rungs at 50, 60, 70, 80 and 100 %.
pub(crate) async fn ten_dollars(window: Window) -> (BudgetEngine, ManualClock, Watcher) {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    limit(&engine, "10", window).await;
    let watcher = engine.watcher().unwrap();
    (engine, clock, watcher)
}

pub(crate) fn month() -> Window {
    Window::month("UTC").unwrap()
}

pub(crate) async fn limit(engine: &BudgetEngine, amount: &str, window: Window) {
    let mut budget = Budget::new(ana(), usd(amount), window);
    budget.soft_caps = SoftCaps {
        warn_percent: 50,
        degrade_percent: 60,
        features_off_percent: 70,
        squeeze_percent: 80,
        squeeze_to: 2,
    };
    engine.define(budget).await.unwrap();
}

pub(crate) async fn spend(engine: &BudgetEngine, amount: &str) {
    let request = HoldRequest::new([ana()], usd(amount), "a test");
    let hold = engine.hold(request).await.unwrap();
    hold.draw(line(amount)).await.unwrap();
    hold.settle().await.unwrap();
}
