//! Reads a JSON body, and says where it is wrong.

use std::{error::Error, time::Duration};

use axum::{
    body::{Bytes, to_bytes},
    extract::{Query, Request},
    http::{HeaderMap, Uri, header},
};
use http_body_util::LengthLimitError;
use meterbox_analysis::MAX_CODE_BYTES;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Problem;
use crate::administration::MAX_UPLOAD_BYTES;

/// A program at its limit, with every line end escaped, and some room for the rest.
const MAX_BODY_BYTES: usize = 2 * MAX_CODE_BYTES + 64 * 1024;
const TIME_TO_ARRIVE: Duration = Duration::from_secs(30);
/// A file at its limit, with every line end and quotation mark escaped.
const MAX_UPLOAD_BODY_BYTES: usize = 2 * MAX_UPLOAD_BYTES + 64 * 1024;
const UPLOAD_TIME_TO_ARRIVE: Duration = Duration::from_secs(120);
/// Parser messages may quote the request; a hostile request must not become a hostile message.
const MAX_MESSAGE_CHARS: usize = 300;

/// Where it is written what a route takes.
pub(crate) const SEE_DOCUMENT: &str = "GET /api/openapi.json says what this address takes.";

/// What to do with a request that is too large.
pub(crate) const NO_DATA: &str = "Send less: Meterbox reads data from its datasets, not from requests.";
/// What to do with a file that is too large.
pub(crate) const SPLIT_FILE: &str =
    "Split the file, or run this where the data folder is: meterbox budget, without --server.";

/// The body, one JSON object, as `T`.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    json_or_hint(request, SEE_DOCUMENT).await
}

/// The same, where somebody who sends something else is told this.
pub(crate) async fn json_or_hint<T: DeserializeOwned>(
    request: Request,
    hint: &'static str,
) -> Result<T, Problem> {
    let bytes = arrived(request, MAX_BODY_BYTES, TIME_TO_ARRIVE, NO_DATA).await?;
    read(&bytes, hint)
}

/// The same, of a body that has a file in it.
pub(crate) async fn upload<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = arrived(request, MAX_UPLOAD_BODY_BYTES, UPLOAD_TIME_TO_ARRIVE, SPLIT_FILE).await?;
    read(&bytes, SEE_DOCUMENT)
}

async fn arrived(
    request: Request,
    at_most: usize,
    within: Duration,
    if_longer: &'static str,
) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::unsupported_media_type());
    }
    match tokio::time::timeout(within, to_bytes(request.into_body(), at_most)).await {
        Err(_) => Err(Problem::request_timeout()),
        Ok(Err(error))
            if error
                .source()
                .is_some_and(|source| source.is::<LengthLimitError>()) =>
        {
            let detail = format!("The request has more than {} KiB.", at_most / 1024);
            Err(Problem::too_large(detail, if_longer))
        }
        Ok(Err(_)) => Err(Problem::malformed("The request's body broke off.")),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], hint: &'static str) -> Result<T, Problem> {
    // Whether it is JSON at all is told first: of a broken document no more can be said.
    let document: &RawValue = serde_json::from_slice(bytes)
        .map_err(|error| Problem::malformed(format!("The JSON cannot be read: {}.", shortened(&error))))?;
    // serde would also take an array, member by member.
    if !document.get().starts_with('{') {
        return Err(not_as_expected("it is no object", hint));
    }
    serde_json::from_str(document.get()).map_err(|error| not_as_expected(&shortened(&error), hint))
}

/// The query of an address as `T`.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(query)| query).map_err(|rejection| {
        let detail = format!(
            "The address's query cannot be read: {}.",
            shortened(&rejection.body_text())
        );
        Problem::bad_request("query", detail, SEE_DOCUMENT)
    })
}

fn not_as_expected(message: &str, hint: &str) -> Problem {
    Problem::bad_request(
        "body",
        format!("The request is JSON, but not as expected: {message}."),
        hint,
    )
}

fn shortened(message: &(impl ToString + ?Sized)) -> String {
    message.to_string().chars().take(MAX_MESSAGE_CHARS).collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"));
    // JSON is UTF-8; a body that says it is in something else is not what was meant.
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    };
    is_json && parts.all(is_utf8)
}
