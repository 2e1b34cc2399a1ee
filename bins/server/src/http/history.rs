//! What was asked before, what it left, and what may still be spent.

use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use meterbox_access::Role;
use meterbox_budget_engine::BudgetErrorKind;
use meterbox_core::{
    AnalysisId, Scope, Timestamp, Usd,
    contract::{AnalysisResult, FailureKind, Source, Status},
};
use meterbox_results_store::{PageRequest, ResultsError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::{AppState, Problem, body, caller::Caller};
use crate::administration::{AdminError, BudgetAdministration, wire::Standing};

const DEFAULT_PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;
const PNG: &str = "image/png";
/// A file an analysis left is never a page: no script, no frame, nothing loaded.
const FILE_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// The header by which a caller names another scope than their tightest.
const SCOPE_HEADER: &str = "x-budget-scope-key";

pub(super) async fn metrics(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Standing>, Problem> {
    let missing = |scope: &str| {
        Problem::not_found(
            format!("There is no budget of {scope} to look at."),
            "Set DEFAULT_BUDGET_LIMIT, or define one: meterbox budget set.",
        )
    };
    let Some(scope) = named_scope(&headers)? else {
        let tightest = state.analyst.budget_status(&caller.principal).await;
        return match tightest {
            Err(error) if error.kind() == BudgetErrorKind::NoBudget => {
                Err(missing(&caller.principal.user.to_string()))
            }
            status => Ok(Json(status?.into())),
        };
    };
    // Of other people's budgets nobody but an administrator learns even whether there are any.
    let may_look = caller.role == Role::Admin || caller.principal.scopes().contains(&scope);
    if !may_look {
        return Err(missing(&scope.to_string()));
    }
    match state.administration(&caller).standing(&scope).await {
        Err(AdminError::Budget(error)) if error.kind() == BudgetErrorKind::NoBudget => {
            Err(missing(&scope.to_string()))
        }
        standing => Ok(Json(standing?)),
    }
}

fn named_scope(headers: &HeaderMap) -> Result<Option<Scope>, Problem> {
    let mut named = headers.get_all(SCOPE_HEADER).iter();
    let Some(value) = named.next() else {
        return Ok(None);
    };
    let scope = value.to_str().ok().and_then(|text| text.parse().ok());
    match (scope, named.next()) {
        (Some(scope), None) => Ok(Some(scope)),
        _ => Err(Problem::bad_request(
            SCOPE_HEADER,
            "The header x-budget-scope-key names no scope.",
            "Write one scope, its id percent-encoded, such as team/ops.",
        )),
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PageQuery {
    /// Analyses before this one.
    before: Option<String>,
    /// 1 to 100; 20 where left out.
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

pub(super) async fn page(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<PageView>, Problem> {
    let query: PageQuery = body::query(&uri)?;
    let page = state
        .analyst
        .history(&caller.principal, query.request()?)
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

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PageView {
    /// Newest first.
    analyses: Vec<Summary>,
    /// Stored, but not to be read by this version.
    unreadable: Vec<AnalysisId>,
    /// `before` of the next page; null at the end.
    next: Option<AnalysisId>,
}

/// One line of the history.
#[derive(Debug, Serialize, JsonSchema)]
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

pub(super) async fn one(
    State(state): State<AppState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<AnalysisResult>, Problem> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    find(&state, &caller, &id).await.map(Json)
}

/// What is being stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Cancelled {
    id: AnalysisId,
}

/// Forgets an analysis and its files.
pub(super) async fn forget(
    State(state): State<AppState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id: Option<AnalysisId> = id.ok().and_then(|Path(id)| id.parse().ok());
    let forgotten = state
        .analyst
        .forget(&caller.principal, id.ok_or_else(no_analysis)?);
    if !forgotten.await.map_err(unreadable)? {
        return Err(no_analysis());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Stops an analysis under way; its result says what it used.
pub(super) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: Option<AnalysisId> = id.ok().and_then(|Path(id)| id.parse().ok());
    match id.filter(|id| state.live.cancel(*id, &caller.principal.user)) {
        Some(id) => Ok((StatusCode::ACCEPTED, Json(Cancelled { id })).into_response()),
        None => Err(Problem::not_found(
            "No analysis of this id is under way.",
            "It may have ended; look at it.",
        )),
    }
}

pub(super) async fn artifact(
    State(state): State<AppState>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let missing = || {
        Problem::not_found(
            "The analysis left no file of this name.",
            "Its result lists its files.",
        )
    };
    let Path((id, name)) = path.map_err(|_| missing())?;
    let result = find(&state, &caller, &id).await?;
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

async fn find(state: &AppState, caller: &Caller, id: &str) -> Result<AnalysisResult, Problem> {
    let id: AnalysisId = id.parse().map_err(|_| no_analysis())?;
    state
        .analyst
        .find(&caller.principal, id)
        .await
        .map_err(unreadable)?
        .ok_or_else(no_analysis)
}

fn no_analysis() -> Problem {
    Problem::not_found(
        "There is no analysis of this id.",
        "GET /api/analyses lists those there are.",
    )
}

fn unreadable(error: ResultsError) -> Problem {
    Problem::unavailable(
        format!("The history cannot be read: {error}."),
        "Run `meterbox doctor --online` on the server.",
    )
}
