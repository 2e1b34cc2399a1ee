//! How each of the servers says no.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::face::Face;

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    message: String,
    kind: &'static str,
    code: Option<&'static str>,
    parameter: Option<String>,
    /// Azure says more of what its filter stopped.
    is_of_filter: bool,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind,
            code,
            parameter: None,
            is_of_filter: false,
            headers: Vec::new(),
        }
    }

    /// The request is wrong, perhaps in this parameter.
    pub(super) fn invalid(message: &str, parameter: Option<&str>, code: Option<&'static str>) -> Self {
        let mut refusal = Self::new(400, "invalid_request_error", code, message);
        refusal.parameter = parameter.map(str::to_owned);
        refusal
    }

    pub(super) fn unsupported(parameter: &str) -> Self {
        let instead = match parameter {
            "max_tokens" => " Use 'max_completion_tokens' instead.",
            _ => "",
        };
        let message =
            format!("Unsupported parameter: '{parameter}' is not supported with this model.{instead}");
        Self::invalid(&message, Some(parameter), Some("unsupported_parameter"))
    }

    pub(super) fn no_such_path(path: &str) -> Self {
        Self::new(
            404,
            "invalid_request_error",
            None,
            format!("Invalid URL (POST {path})"),
        )
    }

    pub(super) fn unknown_key(face: Face, shown: &str) -> Self {
        match face {
            Face::AzureChat | Face::AzureResponses => Self::new(
                401,
                "",
                Some("401"),
                "Access denied due to invalid subscription key or wrong API endpoint.",
            ),
            Face::OpenAiChat | Face::OpenAiResponses => {
                // A server that repeats what it was sent.
                let message = format!("Incorrect API key provided: {shown}.");
                Self::new(401, "invalid_request_error", Some("invalid_api_key"), message)
            }
            Face::Messages => Self::new(
                401,
                "authentication_error",
                None,
                format!("invalid x-api-key {shown}"),
            ),
        }
    }

    pub(super) fn no_such_model(face: Face, name: &str) -> Self {
        match face {
            Face::AzureChat | Face::AzureResponses => Self::new(
                404,
                "",
                Some("DeploymentNotFound"),
                "The API deployment for this resource does not exist. If you created the deployment within the last \
                 5 minutes, please wait a moment and try again.",
            ),
            Face::OpenAiChat | Face::OpenAiResponses => {
                let message = format!("The model `{name}` does not exist or you do not have access to it.");
                Self::new(404, "invalid_request_error", Some("model_not_found"), message)
            }
            Face::Messages => Self::new(404, "not_found_error", None, format!("model: {name}")),
        }
    }

    pub(super) fn rate_limited(pause: Duration) -> Self {
        let seconds = pause.as_millis().div_ceil(1_000);
        let message = format!("Rate limit is exceeded. Please retry after {seconds} seconds.");
        let mut refusal = Self::new(429, "rate_limit_error", Some("429"), message);
        refusal.headers = vec![
            ("retry-after-ms", pause.as_millis().to_string()),
            ("retry-after", seconds.to_string()),
        ];
        refusal
    }

    pub(super) fn quota_gone(face: Face) -> Self {
        if face == Face::Messages {
            let message = "Your credit balance is too low to access the Anthropic API.";
            return Self::new(400, "invalid_request_error", None, message);
        }
        let message = "You exceeded your current quota, please check your plan and billing details.";
        Self::new(429, "insufficient_quota", Some("insufficient_quota"), message)
    }

    pub(super) fn overloaded(face: Face) -> Self {
        match face {
            Face::Messages => Self::new(529, "overloaded_error", None, "Overloaded"),
            _ => Self::new(503, "server_error", None, "The engine is currently overloaded."),
        }
    }

    pub(super) fn failed() -> Self {
        Self::new(
            500,
            "server_error",
            None,
            "The server had an error while processing your request.",
        )
    }

    /// A test that planned too little.
    pub(super) fn unscripted() -> Self {
        let mut refusal = Self::new(
            500,
            "server_error",
            None,
            "the double has no script for this call",
        );
        refusal.headers = vec![("x-should-retry", "false".to_owned())];
        refusal
    }

    pub(super) fn filtered(face: Face) -> Self {
        if face == Face::Messages {
            return Self::new(
                400,
                "invalid_request_error",
                None,
                "Output blocked by content filtering policy",
            );
        }
        let message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.";
        let mut refusal = Self::invalid(message, Some("prompt"), Some("content_filter"));
        refusal.is_of_filter = true;
        refusal
    }

    pub(super) fn too_long(face: Face) -> Self {
        if face == Face::Messages {
            let message = "prompt is too long: 210000 tokens > 200000 maximum";
            return Self::new(400, "invalid_request_error", None, message);
        }
        let message = "This model's maximum context length is 128000 tokens. However, your messages resulted in 210000 \
                       tokens. Please reduce the length of the messages.";
        Self::invalid(message, Some("messages"), Some("context_length_exceeded"))
    }

    pub(super) fn in_form_of(self, face: Face) -> Response {
        let body = match face {
            Face::Messages => json!({
                "type": "error",
                "error": { "type": self.kind, "message": self.message },
                "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy",
            }),
            // Some of Azure's errors have neither type nor parameter.
            _ if self.kind.is_empty() => json!({ "error": { "code": self.code, "message": self.message } }),
            _ => {
                let mut error = json!({
                    "message": self.message, "type": self.kind, "param": self.parameter, "code": self.code,
                });
                if self.is_of_filter && face.is_azure() {
                    error["status"] = json!(400);
                    error["innererror"] = violation();
                }
                json!({ "error": error })
            }
        };
        let status = StatusCode::from_u16(self.status).expect("a status");
        let mut reply = (status, axum::Json(body)).into_response();
        for (name, value) in self.headers {
            reply.headers_mut().insert(name, value.parse().expect("a header"));
        }
        reply
    }
}

fn violation() -> Value {
    let verdict = |filtered, severity| json!({ "filtered": filtered, "severity": severity });
    let safe = verdict(false, "safe");
    json!({
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {
            "hate": safe, "self_harm": safe, "sexual": safe, "violence": verdict(true, "high"),
            "jailbreak": { "filtered": false, "detected": false },
        },
    })
}
