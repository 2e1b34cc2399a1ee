//! Replies of Anthropic Messages.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{Ending, Given};

pub(super) fn reply(given: &Given, number: usize) -> Response {
    let reason = match &given.ending {
        _ if given.refusal.is_some() => "refusal",
        Ending::Complete => "end_turn",
        Ending::CutOff => "max_tokens",
        Ending::Filtered => "refusal",
        Ending::Named(reason) => reason,
    };
    let mut content = Vec::new();
    let spoken = given.refusal.as_ref().unwrap_or(&given.text);
    if !spoken.is_empty() {
        content.push(json!({ "type": "text", "text": spoken, "citations": null }));
    }
    let mut body = json!({
        "id": format!("msg_{number:08}"),
        "type": "message",
        "role": "assistant",
        "model": given.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": null,
    });
    if let Some(used) = &given.usage {
        // What came from and went to a cache is counted beside the input.
        let aside = used.cached + used.cache_write;
        body["usage"] = json!({
            "input_tokens": used.input.saturating_sub(aside),
            "cache_read_input_tokens": used.cached,
            "cache_creation_input_tokens": used.cache_write,
            "cache_creation": { "ephemeral_5m_input_tokens": used.cache_write, "ephemeral_1h_input_tokens": 0 },
            "output_tokens": used.output,
            "service_tier": given.tier.as_deref().unwrap_or("standard"),
        });
    }
    axum::Json(body).into_response()
}
