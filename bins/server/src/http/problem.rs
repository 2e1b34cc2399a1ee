//! What goes wrong, as `application/problem+json` with a stable `type`.

use std::any::Any;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use meterbox_access::Role;
use meterbox_core::contract::{AnalysisResult, Failure, FailureKind, ShortBudget};
use schemars::{Schema, json_schema};
use serde::Serialize;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"meterbox\"");
/// For faults that may pass by themselves but say nothing about when.
const USUAL_WAIT_SECONDS: f64 = 30.0;

/// One problem document. Boxed, so that it is cheap as the error of a `Result`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem(Box<Document>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    hint: String,
    /// The member of the request at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_understood: Vec<String>,
    #[serde(flatten)]
    budget: Option<Box<ShortBudget>>,
    /// The analysis as far as it came, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis: Option<AnalysisResult>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self(Box::new(Document {
            kind: format!("/problems/{kind}"),
            title,
            status,
            detail: detail.into(),
            hint: hint.into(),
            field: None,
            retry_after: None,
            suggestions: Vec::new(),
            not_understood: Vec::new(),
            budget: None,
            analysis: None,
        }))
    }

    /// The request's body is no JSON.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        let hint = r#"Send one JSON object, such as {"query": "top 5 products by revenue"}."#;
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The request is not valid JSON",
            detail,
            hint,
        )
    }

    /// A member of the request cannot be taken as it is.
    pub(crate) fn bad_request(
        field: &'static str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let mut problem = Self::new(
            status,
            "bad-request",
            "The request cannot be taken as it is",
            detail,
            hint,
        );
        problem.0.field = Some(field);
        problem
    }

    pub(crate) fn not_found(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail, hint)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This address does not take this method.";
        let hint = "Use a method that the Allow header names.";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Method not allowed",
            detail,
            hint,
        )
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        let hint = "Open Meterbox under the address it printed when it started.";
        Self::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "The request comes from elsewhere",
            detail,
            hint,
        )
    }

    /// Nobody knows who calls.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        let hint =
            "Send `Authorization: Bearer mbx_…`, or sign in on the page. `meterbox keys create` makes a key.";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "A key is needed",
            detail,
            hint,
        )
    }

    /// The caller is known and may not do this, whatever it is about.
    pub(crate) fn needs_role(needed: Role, has: Role) -> Self {
        let detail = format!("This needs the role {needed}; the key has the role {has}.");
        let hint = "Use a key with that role, or ask an administrator.";
        Self::new(
            StatusCode::FORBIDDEN,
            "role",
            "The key's role is not enough",
            detail,
            hint,
        )
    }

    /// It does not fit what is so.
    pub(crate) fn conflict(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "This cannot be done as things are",
            detail,
            hint,
        )
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let detail = "The request's body is not marked as JSON in UTF-8.";
        let hint = "Send it with the header `content-type: application/json`.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(
            status,
            "unsupported-media-type",
            "Only JSON is taken",
            detail,
            hint,
        )
    }

    pub(crate) fn too_large(detail: impl Into<String>, hint: &'static str) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The request is too large",
            detail,
            hint,
        )
    }

    pub(crate) fn request_timeout() -> Self {
        let detail = "The request's body did not arrive in time.";
        let hint = "Send it again.";
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "The request took too long",
            detail,
            hint,
        )
    }

    /// The service is stopping, or a part of it does not answer now.
    pub(crate) fn unavailable(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut problem = Self::new(status, "unavailable", "Not available now", detail, hint);
        problem.0.retry_after = Some(USUAL_WAIT_SECONDS);
        problem
    }

    /// The analysis ended together with the service.
    pub(crate) fn interrupted() -> Self {
        let detail = "Meterbox stopped while this analysis ran; what it used until then is charged.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(
            status,
            "interrupted",
            title_of(FailureKind::Interrupted),
            detail,
            "Ask again.",
        )
    }

    /// The document as JSON, for an event stream.
    pub(crate) fn document(&self) -> impl Serialize {
        &self.0
    }
}

/// The result of an analysis as a reply: itself where HTTP has nothing to add, a problem where it has.
pub(crate) fn reply_of(result: AnalysisResult) -> Result<AnalysisResult, Problem> {
    let Some(status) = result
        .failure
        .as_ref()
        .and_then(|failure| status_of(failure.kind))
    else {
        return Ok(result);
    };
    let Some(failure) = result.failure.clone() else {
        return Ok(result);
    };
    let mut problem = Problem::from_failure(status, failure);
    problem.0.analysis = Some(result);
    Err(problem)
}

impl Problem {
    fn from_failure(status: StatusCode, failure: Failure) -> Self {
        let Failure {
            kind,
            message,
            hint,
            retry_after,
            suggestions,
            not_understood,
            budget,
        } = failure;
        let mut problem = Self::new(status, &name_of(kind), title_of(kind), message, hint);
        let usual_wait = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(USUAL_WAIT_SECONDS);
        problem.0.retry_after = retry_after.or(usual_wait);
        problem.0.suggestions = suggestions;
        problem.0.not_understood = not_understood;
        problem.0.budget = budget;
        problem
    }
}

/// The schema of a problem document.
pub(crate) fn schema() -> serde_json::Value {
    let schema: Schema = json_schema!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "hint"],
        "properties": {
            "type": { "type": "string", "description": "Stable; /problems/ and a word" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "hint": { "type": "string", "description": "What to do" },
            "field": { "type": "string", "description": "The member of the request at fault" },
            "retry_after": { "type": "number", "description": "Seconds" },
            "suggestions": { "type": "array", "items": { "type": "string" } },
            "not_understood": { "type": "array", "items": { "type": "string" } },
            "analysis": { "description": "The analysis as far as it came, where there is one" },
        },
    });
    schema.to_value()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (self.0.status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let waits = matches!(
            self.0.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if self.0.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(seconds) = self.0.retry_after.filter(|_| waits) {
            // Whole seconds, rounded up, so that nobody comes too early.
            let seconds = HeaderValue::from(seconds.ceil().max(1.0) as u64);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// The last net: a handler panicked, which is a bug of ours.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    let detail = "Meterbox made a mistake while it answered this request.";
    let hint = "Please report it with the request and what stands in the log.";
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "bug",
        "A mistake in Meterbox",
        detail,
        hint,
    )
    .into_response()
}

/// The status code of a failure; `None` where the result itself is the reply.
fn status_of(kind: FailureKind) -> Option<StatusCode> {
    use FailureKind as K;
    let status = match kind {
        K::ProgramError | K::LimitWall | K::LimitCpu | K::LimitMemory | K::LimitOutput | K::BadAnswer => {
            return None;
        }
        K::Cancelled | K::Interrupted => return None,
        K::BadData | K::BadRequest | K::CannotAnswer | K::Ambiguous => StatusCode::UNPROCESSABLE_ENTITY,
        K::ProviderAuth | K::ProviderQuota | K::ContentFilter | K::Truncated | K::ContextTooLong => {
            StatusCode::BAD_GATEWAY
        }
        K::Budget => StatusCode::PAYMENT_REQUIRED,
        K::Rate | K::Concurrency => StatusCode::TOO_MANY_REQUESTS,
        // The providers' passing faults, the sandbox, the breaker, the ledger.
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Some(status)
}

fn title_of(kind: FailureKind) -> &'static str {
    use FailureKind as K;
    match kind {
        K::ProgramError => "The program stopped with an error",
        K::LimitWall => "The program ran too long",
        K::LimitCpu => "The program used too much processor time",
        K::LimitMemory => "The program needed too much memory",
        K::LimitOutput => "The program wrote too much",
        K::BadAnswer => "The program's result cannot be used",
        K::BadData => "The data cannot be read",
        K::BadRequest => "The request cannot be taken as it is",
        K::CannotAnswer => "Not understood well enough to answer",
        K::Ambiguous => "This can be read in more than one way",
        K::ProviderAuth => "The model provider refused the key",
        K::ProviderRate => "The model provider is limiting the rate",
        K::ProviderQuota => "The account at the model provider is empty",
        K::ContentFilter => "The model provider's filter stopped this",
        K::Truncated => "The model's reply was cut off",
        K::ContextTooLong => "The data's description is too long for the model",
        K::ProviderDown => "The model provider cannot be reached",
        K::SandboxUnavailable => "No sandbox can be had",
        K::LedgerUnavailable => "The ledger cannot be used",
        K::BreakerOpen => "The sandbox is resting after repeated failures",
        K::Budget => "The budget does not cover this",
        K::Rate => "Too many questions in a short time",
        K::Concurrency => "Too many questions at once",
        K::Cancelled => "Cancelled",
        K::Interrupted => "Meterbox stopped while this ran",
        _ => "There is no answer",
    }
}

/// `cannot-answer`: the failure's name in the contract, as a URL has it.
fn name_of(kind: FailureKind) -> String {
    let name = serde_json::to_value(kind).ok();
    let name = name
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or("failure");
    name.replace('_', "-")
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
