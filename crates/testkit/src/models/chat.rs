//! Replies of Chat Completions.

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{Ending, Given, Used};

pub(super) fn reply(given: &Given, number: usize, of_azure: bool) -> Response {
    let finish = match &given.ending {
        Ending::Complete => "stop",
        Ending::CutOff => "length",
        Ending::Filtered => "content_filter",
        Ending::Named(reason) => reason,
    };
    let content = given.refusal.is_none().then_some(given.text.as_str());
    let mut choice = json!({
        "index": 0,
        "message": { "role": "assistant", "content": content, "refusal": given.refusal, "annotations": [] },
        "logprobs": null,
        "finish_reason": finish,
    });
    let mut body = json!({
        "id": format!("chatcmpl-{number:08}"),
        "object": "chat.completion",
        "created": 1_795_651_200,
        "model": given.model,
        "system_fingerprint": null,
    });
    if let Some(used) = &given.usage {
        body["usage"] = usage(used);
    }
    if let Some(tier) = &given.tier {
        body["service_tier"] = json!(tier);
    }
    if of_azure {
        let safe = json!({ "filtered": false, "severity": "safe" });
        let verdicts = json!({ "hate": safe, "self_harm": safe, "sexual": safe, "violence": safe });
        choice["content_filter_results"] = verdicts.clone();
        body["prompt_filter_results"] = json!([{ "prompt_index": 0, "content_filter_results": verdicts }]);
    }
    body["choices"] = json!([choice]);
    axum::Json(body).into_response()
}

fn usage(used: &Used) -> Value {
    json!({
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        // Servers leave parts out by null.
        "prompt_tokens_details": {
            "cached_tokens": used.cached, "cache_write_tokens": used.cache_write, "audio_tokens": null,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning, "audio_tokens": null,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}
