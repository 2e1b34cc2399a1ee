//! The page and its parts, embedded, with validators.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Problem;

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $media_type:expr,)*) => {
        &[$(Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../assets/", $name)),
        },)*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = assets! {
    "index.html": "text/html; charset=utf-8",
    "admin.html": "text/html; charset=utf-8",
    "admin.css": "text/css; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "admin.js": SCRIPT,
    "admin-audit.js": SCRIPT,
    "admin-budgets.js": SCRIPT,
    "admin-form.js": SCRIPT,
    "admin-keys.js": SCRIPT,
    "admin-spending.js": SCRIPT,
    "answer.js": SCRIPT,
    "api.js": SCRIPT,
    "budget.js": SCRIPT,
    "chart.js": SCRIPT,
    "chart-data.js": SCRIPT,
    "chart-kinds.js": SCRIPT,
    "data.js": SCRIPT,
    "dom.js": SCRIPT,
    "failure.js": SCRIPT,
    "format.js": SCRIPT,
    "history.js": SCRIPT,
    "page.js": SCRIPT,
    "session.js": SCRIPT,
    "steps.js": SCRIPT,
    "table.js": SCRIPT,
};

pub(crate) async fn page(headers: HeaderMap) -> Response {
    reply("index.html", &headers)
}

pub(crate) async fn admin(headers: HeaderMap) -> Response {
    reply("admin.html", &headers)
}

pub(crate) async fn asset(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    match name {
        Ok(Path(name)) if !name.ends_with(".html") => reply(&name, &headers),
        _ => unknown(),
    }
}

fn reply(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return unknown();
    };
    let tag = asset.tag();
    let common = [
        (
            header::ETAG,
            HeaderValue::try_from(&tag).unwrap_or(HeaderValue::from_static("\"0\"")),
        ),
        // Kept, but asked about each time: a new version shows at once.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if is_known(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(header::CONTENT_TYPE, asset.media_type)], asset.bytes).into_response()
}

impl Asset {
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn unknown() -> Response {
    Problem::not_found("There is no such part of the page.", "Start at /.").into_response()
}
