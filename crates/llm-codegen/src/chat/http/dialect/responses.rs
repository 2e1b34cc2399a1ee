//! Responses of OpenAI.

use meterbox_core::TokenUsage;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Capabilities, Ending, Said, Turn, frame, turns, usage};
use crate::chat::{
    ChatRequest, ReplySchema,
    http::{Effort, StructuredOutput},
};

#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    input: Vec<Turn<'a>>,
    max_output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
    /// Replies are kept by default, which nobody asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Reasoning {
    effort: Effort,
}

pub(super) fn body<'a>(model: &'a str, can: &Capabilities, request: &'a ChatRequest) -> Body<'a> {
    let format = request
        .schema
        .as_ref()
        .and_then(|schema| format(can.structured, schema));
    Body {
        model,
        instructions: &request.instructions,
        input: turns(request).collect(),
        max_output_tokens: request.output_cap,
        temperature: can.temperature,
        reasoning: can.effort.map(|effort| Reasoning { effort }),
        text: format.map(|format| json!({ "format": format })),
        store: can.takes_store.then_some(false),
    }
}

fn format(structured: StructuredOutput, schema: &ReplySchema) -> Option<Value> {
    match structured {
        StructuredOutput::JsonSchema => Some(json!({
            "type": "json_schema", "name": schema.name, "strict": true, "schema": schema.schema,
        })),
        StructuredOutput::JsonObject => Some(json!({ "type": "json_object" })),
        StructuredOutput::None => None,
    }
}

pub(super) fn said(value: &Value, request: &[u8]) -> Said {
    let items = value["output"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = || {
        let messages = items.iter().filter(|item| item["type"] == "message");
        messages.flat_map(|message| message["content"].as_array().into_iter().flatten())
    };
    let mut reply = frame(value);
    reply.usage = usage::of_openai(&value["usage"]);
    let reaches_cap = |used: TokenUsage| used.output >= cap_of(request);
    let reason = value["incomplete_details"]["reason"].as_str();
    let ending = match (value["status"].as_str(), reason) {
        _ if !value["output"].is_array() => Ending::Nothing,
        (_, Some("max_output_tokens")) => Ending::CutOff,
        (_, Some("content_filter")) => Ending::Filtered,
        (_, Some(reason)) => Ending::Named(reason.to_owned()),
        // Servers that know no details call complete what they cut off.
        _ if value.get("incomplete_details").is_none() && reply.usage.is_some_and(reaches_cap) => {
            Ending::CutOff
        }
        (Some("completed") | None, None) => Ending::Complete,
        (Some(status), None) => Ending::Named(status.to_owned()),
    };
    Said {
        text: parts().filter_map(|part| part["text"].as_str()).collect(),
        refusal: parts()
            .find_map(|part| part["refusal"].as_str())
            .map(str::to_owned),
        ending,
        reply,
    }
}

fn cap_of(request: &[u8]) -> u64 {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    request["max_output_tokens"].as_u64().unwrap_or(u64::MAX)
}
