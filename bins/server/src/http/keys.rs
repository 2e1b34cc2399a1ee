//! API keys and the audit log, administered over HTTP.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{StatusCode, Uri},
};
use meterbox_access::KeyId;

use super::{AppState, Problem, body, caller::Caller};
use crate::administration::{
    KeyAdministration,
    wire::{AuditLog, AuditQuery, CreatedKeyView, KeyView, Keys, NewKey, RotateRequest},
};

type IdPath = Result<Path<String>, PathRejection>;

pub(super) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Keys>, Problem> {
    Ok(Json(state.administration(&caller).keys().await?))
}

pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<CreatedKeyView>), Problem> {
    let key: NewKey = body::json(request).await?;
    let created = state.administration(&caller).create_key(key).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

pub(super) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    id: IdPath,
) -> Result<Json<KeyView>, Problem> {
    let id = id_of(id)?;
    let revoked = state.administration(&caller).revoke_key(&id).await?;
    state.live.cancel_of_key(&id);
    Ok(Json(revoked))
}

pub(super) async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
    id: IdPath,
    request: Request,
) -> Result<(StatusCode, Json<CreatedKeyView>), Problem> {
    let id = id_of(id)?;
    let RotateRequest { grace_seconds } = body::json(request).await?;
    let grace = Duration::from_secs(grace_seconds);
    let created = state.administration(&caller).rotate_key(&id, grace).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

pub(super) async fn audit(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<AuditLog>, Problem> {
    let query: AuditQuery = body::query(&uri)?;
    Ok(Json(state.administration(&caller).audit(query).await?))
}

fn id_of(segment: IdPath) -> Result<KeyId, Problem> {
    let text = segment.map(|Path(text)| text).unwrap_or_default();
    text.parse().map_err(|_| {
        Problem::not_found(
            "There is no key of this id.",
            "GET /api/keys lists those there are.",
        )
    })
}
