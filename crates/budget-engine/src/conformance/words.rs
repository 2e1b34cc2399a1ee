//! Words for the properties.

use std::{sync::Arc, time::Duration};

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use crate::{
    Budget, BudgetError, BudgetErrorKind, HoldId, HoldRequest, HoldState, LedgerStore, Unbudgeted, Window,
    ledger::{HoldAction, HoldStatus, IntentId, OpenHold},
};

pub(super) type Store = Arc<dyn LedgerStore>;

pub(super) fn after_minutes(minutes: u64) -> Timestamp {
    now().saturating_add(Duration::from_secs(minutes.saturating_mul(60)))
}

pub(super) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub(super) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

pub(super) fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

pub(super) fn line(amount: &str) -> CostLine {
    CostLine {
        item: "output".to_owned(),
        quantity: 7,
        unit: "tokens".to_owned(),
        amount: usd(amount),
        estimated: false,
        price: None,
    }
}

pub(super) fn draw(amount: &str) -> HoldAction {
    HoldAction::Draw {
        key: None,
        line: line(amount),
    }
}

pub(super) fn intend(intent: IntentId, worst_case: &str) -> HoldAction {
    HoldAction::Intend {
        intent,
        line: line(worst_case),
        reference: None,
    }
}

pub(super) fn close(state: HoldState) -> HoldAction {
    HoldAction::Close { state }
}

pub(super) fn open(scopes: &[&str], amount: &str) -> OpenHold {
    let scopes = scopes.iter().map(|text| scope(text));
    let request = HoldRequest::new(scopes, usd(amount), "a property")
        .ttl(Duration::from_secs(60))
        .grace(Duration::ZERO);
    OpenHold {
        id: HoldId::new(now()),
        request,
        unbudgeted: Unbudgeted::Refuse,
    }
}

pub(super) async fn define(store: &Store, of: &str, limit: &str) {
    let month = Window::month("UTC").unwrap();
    store
        .define(now(), Budget::new(scope(of), usd(limit), month))
        .await
        .unwrap();
}

pub(super) async fn hold(store: &Store, scopes: &[&str], amount: &str) -> Result<HoldStatus, BudgetError> {
    store.open(now(), open(scopes, amount)).await
}

pub(super) async fn act(store: &Store, id: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
    store.act(now(), id, action).await
}

pub(super) async fn spent_and_held(store: &Store, of: &str) -> (Usd, Usd) {
    let status = store.status(now(), &scope(of)).await.unwrap().unwrap();
    (status.spent, status.held)
}

pub(super) async fn held(store: &Store, of: &str) -> Usd {
    spent_and_held(store, of).await.1
}

pub(super) fn kind<T>(result: Result<T, BudgetError>) -> Option<BudgetErrorKind> {
    result.err().map(|error| error.kind())
}
