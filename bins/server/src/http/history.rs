//! What was asked before, what it left, and what may still be spent.

use axum::{
    Json,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use meterbox_budget_engine::{BudgetErrorKind, BudgetStatus};
use meterbox_core::{
    AnalysisId, Timestamp, Usd,
    contract::{AnalysisResult, FailureKind, Source, Status},
};
use meterbox_results_store::{PageRequest, ResultsError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::{AppState, Problem};

const DEFAULT_PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;
const PNG: &str = "image/png";
/// A file an analysis left is never a page: no script, no frame, nothing loaded.
const FILE_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Json<BudgetStatus>, Problem> {
    state
        .analyst
        .budget_status(&state.principal)
        .await
        .map(Json)
        .map_err(|error| match error.kind() {
            BudgetErrorKind::NoBudget => Problem::not_found(error.to_string(), "Set DEFAULT_BUDGET_LIMIT."),
            _ => Problem::unavailable(error.to_string(), "Make the data folder readable and writable."),
        })
}

#[derive(Debug, Deserialize)]
pub(crate) struct PageQuery {
    before: Option<String>,
    limit: Option<String>,
}

impl PageQuery {
    fn request(self) -> Result<PageRequest, Problem> {
        let before = match self.before {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Problem::bad_request(
                    "before",
                    "`before` is no id of an analysis.",
                    "Take `next` of the page before.",
                )
            })?),
        };
        let limit = match self.limit {
            None => DEFAULT_PAGE,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
                .ok_or_else(|| {
                    let hint = format!("Use a whole number from 1 to {LARGEST_PAGE}.");
                    Problem::bad_request("limit", "`limit` is not a page's size.", hint)
                })?,
        };
        Ok(PageRequest { before, limit })
    }
}

pub(crate) async fn page(
    State(state): State<AppState>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<PageView>, Problem> {
    let Query(query) = query.map_err(|_| {
        Problem::bad_request(
            "before",
            "The address's query cannot be read.",
            "Use ?before=ID&limit=20.",
        )
    })?;
    let page = state
        .analyst
        .history(&state.principal, query.request()?)
        .await
        .map_err(unreadable)?;
    let analyses = page.results.into_iter().map(Summary::from).collect();
    let unreadable = page.unreadable.into_iter().map(|one| one.id).collect();
    Ok(Json(PageView {
        analyses,
        unreadable,
        next: page.next,
    }))
}

#[derive(Debug, Serialize)]
pub(crate) struct PageView {
    /// Newest first.
    analyses: Vec<Summary>,
    /// Stored, but not to be read by this version.
    unreadable: Vec<AnalysisId>,
    /// `before` of the next page; null at the end.
    next: Option<AnalysisId>,
}

/// One line of the history.
#[derive(Debug, Serialize)]
struct Summary {
    id: AnalysisId,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<String>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureKind>,
    cost: Usd,
    created_at: Timestamp,
}

impl From<AnalysisResult> for Summary {
    fn from(result: AnalysisResult) -> Self {
        Self {
            id: result.id,
            question: result.question,
            status: result.status,
            source: result.source,
            failure: result.failure.map(|failure| failure.kind),
            cost: result.cost,
            created_at: result.created_at,
        }
    }
}

pub(crate) async fn one(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<AnalysisResult>, Problem> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    find(&state, &id).await.map(Json)
}

/// Stops an analysis under way; its result says what it used.
pub(crate) async fn cancel(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: Option<AnalysisId> = id.ok().and_then(|Path(id)| id.parse().ok());
    match id.filter(|id| state.live.cancel(*id)) {
        Some(id) => Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response()),
        None => Err(Problem::not_found(
            "No analysis of this id is under way.",
            "It may have ended; look at it.",
        )),
    }
}

pub(crate) async fn artifact(
    State(state): State<AppState>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let missing = || {
        Problem::not_found(
            "The analysis left no file of this name.",
            "Its result lists its files.",
        )
    };
    let Path((id, name)) = path.map_err(|_| missing())?;
    let result = find(&state, &id).await?;
    // Only names the supervisor itself gave are ever opened.
    let listed = result
        .artifacts
        .iter()
        .find(|artifact| artifact.name == name)
        .ok_or_else(missing)?;
    let file = File::open(state.analyst.artifacts_of(result.id).join(&listed.name))
        .await
        .map_err(|_| missing())?;
    let is_picture = listed.media_type == PNG;
    let media_type = if is_picture {
        PNG
    } else {
        "application/octet-stream"
    };
    let disposition = if is_picture {
        HeaderValue::from_static("inline")
    } else {
        let encoded = utf8_percent_encode(&listed.name, NON_ALPHANUMERIC);
        HeaderValue::try_from(format!("attachment; filename*=UTF-8''{encoded}"))
            .unwrap_or(HeaderValue::from_static("attachment"))
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, FILE_POLICY),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

async fn find(state: &AppState, id: &str) -> Result<AnalysisResult, Problem> {
    let missing = || {
        Problem::not_found(
            "There is no analysis of this id.",
            "GET /api/analyses lists those there are.",
        )
    };
    let id: AnalysisId = id.parse().map_err(|_| missing())?;
    state
        .analyst
        .find(&state.principal, id)
        .await
        .map_err(unreadable)?
        .ok_or_else(missing)
}

fn unreadable(error: ResultsError) -> Problem {
    Problem::unavailable(
        format!("The history cannot be read: {error}."),
        "Make the data folder readable and writable.",
    )
}
