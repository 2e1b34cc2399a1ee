use std::{collections::BTreeMap, fmt};

use axum::http::request::Parts;
use serde_json::Value;

/// A call that a [`ModelDouble`](super::ModelDouble) was asked to answer.
#[derive(Clone, PartialEq)]
pub struct ModelCall {
    /// Such as `POST`.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The exact body.
    pub bytes: Vec<u8>,
    /// The body as JSON; null where it is none.
    pub body: Value,
}

impl ModelCall {
    pub(super) fn new(head: &Parts, bytes: Vec<u8>) -> Self {
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        }
    }

    /// Every text of instructions and messages, in order, a line each.
    pub fn prompt(&self) -> String {
        let mut texts = Vec::new();
        for part in ["instructions", "system", "messages", "input"] {
            gather(&self.body[part], &mut texts);
        }
        texts.join("\n")
    }

    /// The most output tokens it asks for, by whichever name.
    pub fn output_cap(&self) -> Option<u64> {
        ["max_completion_tokens", "max_output_tokens", "max_tokens"]
            .iter()
            .find_map(|name| self.body[name].as_u64())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| gather(item, texts)),
        Value::Object(item) => {
            for name in ["content", "text"] {
                item.get(name).into_iter().for_each(|inner| gather(inner, texts));
            }
        }
        _ => {}
    }
}

/// Without headers: they carry keys.
impl fmt::Debug for ModelCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.body)
    }
}
