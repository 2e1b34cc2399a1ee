//! Replies of Responses.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{Ending, Given};

pub(super) fn reply(given: &Given, number: usize) -> Response {
    let reason = match &given.ending {
        Ending::Complete => None,
        Ending::CutOff => Some("max_output_tokens"),
        Ending::Filtered => Some("content_filter"),
        Ending::Named(reason) => Some(reason.as_str()),
    };
    let status = if reason.is_some() {
        "incomplete"
    } else {
        "completed"
    };
    let mut output = Vec::new();
    if given.usage.is_some_and(|used| used.reasoning > 0) {
        output.push(json!({ "id": format!("rs_{number:08}"), "type": "reasoning", "summary": [] }));
    }
    let content = match &given.refusal {
        Some(words) => json!({ "type": "refusal", "refusal": words }),
        None => json!({ "type": "output_text", "text": given.text, "annotations": [], "logprobs": [] }),
    };
    if given.refusal.is_some() || !given.text.is_empty() {
        output.push(json!({
            "id": format!("msg_{number:08}"),
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [content],
        }));
    }
    let mut body = json!({
        "id": format!("resp_{number:08}"),
        "object": "response",
        "created_at": 1_795_651_200,
        "status": status,
        "error": null,
        "incomplete_details": reason.map(|reason| json!({ "reason": reason })),
        "instructions": null,
        "metadata": {},
        "model": given.model,
        "output": output,
        "parallel_tool_calls": true,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
    });
    if let Some(used) = &given.usage {
        body["usage"] = json!({
            "input_tokens": used.input,
            "input_tokens_details": { "cached_tokens": used.cached, "cache_write_tokens": used.cache_write },
            "output_tokens": used.output,
            "output_tokens_details": { "reasoning_tokens": used.reasoning },
            "total_tokens": used.input + used.output,
        });
    }
    if let Some(tier) = &given.tier {
        body["service_tier"] = json!(tier);
    }
    axum::Json(body).into_response()
}
