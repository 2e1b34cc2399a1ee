//! Reads a JSON body, and says where it is wrong.

use std::{error::Error, time::Duration};

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use meterbox_analysis::MAX_CODE_BYTES;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::Problem;

/// A program at its limit, with every line end escaped, and some room for the rest.
const MAX_BODY_BYTES: usize = 2 * MAX_CODE_BYTES + 64 * 1024;
const TIME_TO_ARRIVE: Duration = Duration::from_secs(30);
/// Parser messages may quote the request; a hostile request must not become a hostile message.
const MAX_MESSAGE_CHARS: usize = 300;

/// The body as `T`.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::unsupported_media_type());
    }
    let body = tokio::time::timeout(TIME_TO_ARRIVE, to_bytes(request.into_body(), MAX_BODY_BYTES)).await;
    let bytes = match body {
        Err(_) => return Err(Problem::request_timeout()),
        Ok(Err(error))
            if error
                .source()
                .is_some_and(|source| source.is::<LengthLimitError>()) =>
        {
            return Err(Problem::too_large(format!(
                "The request has more than {} KiB.",
                MAX_BODY_BYTES / 1024
            )));
        }
        Ok(Err(_)) => return Err(Problem::malformed("The request's body broke off.")),
        Ok(Ok(bytes)) => bytes,
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let message: String = error.to_string().chars().take(MAX_MESSAGE_CHARS).collect();
        match error.classify() {
            Category::Data => Problem::bad_request(
                "body",
                format!("The request is JSON, but not as expected: {message}."),
                "Send query or code, and if needed datasets and max_cost.",
            ),
            _ => Problem::malformed(format!("The JSON cannot be read: {message}.")),
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}
