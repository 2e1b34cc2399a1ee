//! Budgets, administered over HTTP.

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{StatusCode, Uri},
};
use meterbox_core::Scope;

use super::{AppState, Problem, body, caller::Caller};
use crate::administration::{
    BudgetAdministration,
    wire::{
        BudgetChange, BudgetView, Budgets, CheckReply, CheckRequest, ForecastQuery, ForecastView, NewTopUp,
        RangeQuery, SpendingView, StopReply, StopRequest, TopUpView,
    },
};

type ScopePath = Result<Path<String>, PathRejection>;

pub(super) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Budgets>, Problem> {
    Ok(Json(state.administration(&caller).budgets().await?))
}

pub(super) async fn set(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Json<BudgetView>, Problem> {
    let change: BudgetChange = body::json(request).await?;
    Ok(Json(state.administration(&caller).set_budget(change).await?))
}

pub(super) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    scope: ScopePath,
) -> Result<StatusCode, Problem> {
    let scope = scope_of(scope)?;
    state.administration(&caller).remove_budget(&scope).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn top_up(
    State(state): State<AppState>,
    caller: Caller,
    scope: ScopePath,
    request: Request,
) -> Result<Json<TopUpView>, Problem> {
    let scope = scope_of(scope)?;
    let top_up: NewTopUp = body::json(request).await?;
    Ok(Json(state.administration(&caller).top_up(&scope, top_up).await?))
}

pub(super) async fn check(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Json<CheckReply>, Problem> {
    let asked: CheckRequest = body::json(request).await?;
    Ok(Json(state.administration(&caller).check(asked).await?))
}

pub(super) async fn forecast(
    State(state): State<AppState>,
    caller: Caller,
    scope: ScopePath,
    uri: Uri,
) -> Result<Json<ForecastView>, Problem> {
    let scope = scope_of(scope)?;
    let query: ForecastQuery = body::query(&uri)?;
    Ok(Json(state.administration(&caller).forecast(&scope, query).await?))
}

pub(super) async fn spending(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<SpendingView>, Problem> {
    let range: RangeQuery = body::query(&uri)?;
    Ok(Json(state.administration(&caller).spending(range).await?))
}

pub(super) async fn stop(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Json<StopReply>, Problem> {
    let StopRequest { reason } = body::json(request).await?;
    Ok(Json(state.administration(&caller).stop_all(reason).await?))
}

pub(super) async fn resume(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<StopReply>, Problem> {
    Ok(Json(state.administration(&caller).resume().await?))
}

/// The scope that a segment of the path names, percent-encoded.
fn scope_of(segment: ScopePath) -> Result<Scope, Problem> {
    let text = segment.map(|Path(text)| text).unwrap_or_default();
    text.parse().map_err(|error| {
        let hint = "Write the scope percent-encoded as one segment, such as user%2Fana.";
        Problem::bad_request("scope", format!("The address names no scope: {error}."), hint)
    })
}
