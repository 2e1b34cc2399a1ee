//! The words that settings of a model are written in.

use meterbox_llm_codegen::{
    chat::http::{Api, Effort, KeyStyle},
    model::Trust,
};

use super::ModelError;

pub(super) fn chosen<T>(
    name: &'static str,
    text: Option<&str>,
    known: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ModelError> {
    let Some(text) = text else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| ModelError::Unknown {
        name,
        value: cut(text),
        known,
    })
}

pub(super) fn api(text: &str) -> Option<Api> {
    Some(match text {
        "chat" => Api::ChatCompletions,
        "responses" => Api::Responses,
        "messages" => Api::Messages,
        _ => return None,
    })
}

pub(super) fn key_style(text: &str) -> Option<KeyStyle> {
    Some(match text {
        "api-key" => KeyStyle::ApiKeyHeader,
        "bearer" => KeyStyle::Bearer,
        "x-api-key" => KeyStyle::XApiKey,
        _ => return None,
    })
}

pub(super) fn effort(text: &str) -> Option<Effort> {
    Some(match text {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::XHigh,
        "max" => Effort::Max,
        _ => return None,
    })
}

pub(super) fn trust(text: &str) -> Option<Trust> {
    Some(match text {
        "off" => Trust::Off,
        "proven" => Trust::Proven,
        "always" => Trust::Always,
        _ => return None,
    })
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
