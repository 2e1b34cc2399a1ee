//! The ledger over HTTP: added up, written out, tried under other rules, corrected.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use meterbox_budget_engine::ExportFormat;

use super::{AppState, Problem, body, caller::Caller};
use crate::administration::{
    Export, LedgerAdministration, MAX_UPLOAD_BYTES,
    wire::{
        Events, EventsQuery, RangeQuery, ReconcileRequest, ReconcileView, ReplayRequest, ReplayView,
        RerateRequest, RerateView, VerifyView,
    },
};

pub(super) async fn verify(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<VerifyView>, Problem> {
    Ok(Json(state.administration(&caller).verify().await?))
}

pub(super) async fn events(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Events>, Problem> {
    let query: EventsQuery = body::query(&uri)?;
    Ok(Json(state.administration(&caller).events(query).await?))
}

pub(super) async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Json<ReplayView>, Problem> {
    let policy: ReplayRequest = body::json(request).await?;
    Ok(Json(state.administration(&caller).replay(policy).await?))
}

pub(super) async fn rerate(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Json<RerateView>, Problem> {
    let prices: RerateRequest = body::upload(request).await?;
    fits(prices.book.as_ref().map_or(0, |book| book.text.len()))?;
    Ok(Json(state.administration(&caller).rerate(prices).await?))
}

pub(super) async fn reconcile(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Json<ReconcileView>, Problem> {
    let usage: ReconcileRequest = body::upload(request).await?;
    fits(usage.content.len())?;
    Ok(Json(state.administration(&caller).reconcile(usage).await?))
}

/// A file that came as a member of JSON is shorter than the JSON.
fn fits(bytes: usize) -> Result<(), Problem> {
    if bytes > MAX_UPLOAD_BYTES {
        return Err(Problem::too_large(
            format!("The file has more than {} MiB.", MAX_UPLOAD_BYTES >> 20),
            body::SPLIT_FILE,
        ));
    }
    Ok(())
}

pub(super) async fn export_csv(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    export(
        &state,
        &caller,
        &uri,
        ExportFormat::Csv,
        "text/csv; charset=utf-8",
    )
    .await
}

pub(super) async fn export_json_lines(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    export(
        &state,
        &caller,
        &uri,
        ExportFormat::JsonLines,
        "application/jsonl",
    )
    .await
}

async fn export(
    state: &AppState,
    caller: &Caller,
    uri: &Uri,
    format: ExportFormat,
    media_type: &'static str,
) -> Result<Response, Problem> {
    let range: RangeQuery = body::query(uri)?;
    let mut export = state.administration(caller).export(format, range).await?;
    // What cannot be read at all is a problem document; what breaks off later is a broken reply.
    let first = export.next().await?;
    let rest = stream::unfold(
        (first, export),
        async |(first, mut export): (_, Box<dyn Export>)| {
            let piece = match first {
                Some(first) => Ok(Some(first)),
                None => export.next().await,
            };
            let piece = piece.transpose()?.map(Bytes::from);
            Some((piece, (None, export)))
        },
    );
    let name = match format {
        ExportFormat::Csv => "attachment; filename=\"ledger.csv\"",
        _ => "attachment; filename=\"ledger.jsonl\"",
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(rest)).into_response())
}
