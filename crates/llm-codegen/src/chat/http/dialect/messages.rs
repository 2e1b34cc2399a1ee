//! Messages of Anthropic.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Capabilities, Ending, Said, Turn, frame, turns, usage};
use crate::chat::{
    ChatRequest,
    http::{Effort, StructuredOutput},
};

#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig,
}

#[derive(Debug, Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Value>,
}

impl OutputConfig {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

pub(super) fn body<'a>(model: &'a str, can: &Capabilities, request: &'a ChatRequest) -> Body<'a> {
    // There is no plain JSON here: a schema or nothing.
    let schema = request
        .schema
        .as_ref()
        .filter(|_| can.structured == StructuredOutput::JsonSchema);
    Body {
        model,
        max_tokens: request.output_cap,
        system: &request.instructions,
        messages: turns(request).collect(),
        temperature: can.temperature,
        output_config: OutputConfig {
            effort: can.effort,
            format: schema.map(|schema| json!({ "type": "json_schema", "schema": schema.schema })),
        },
    }
}

pub(super) fn said(value: &Value) -> Said {
    let ending = match value["stop_reason"].as_str() {
        _ if !value["content"].is_array() => Ending::Nothing,
        Some("end_turn" | "stop_sequence") => Ending::Complete,
        Some("max_tokens") => Ending::CutOff,
        Some("model_context_window_exceeded") => Ending::TooLong,
        Some("refusal") => Ending::Declined,
        Some(reason) => Ending::Named(reason.to_owned()),
        None => Ending::Named("unnamed".to_owned()),
    };
    let blocks = value["content"].as_array().into_iter().flatten();
    let texts = blocks.filter(|block| block["type"] == "text");
    let mut reply = frame(value);
    reply.usage = usage::of_anthropic(&value["usage"]);
    reply.service_tier = value["usage"]["service_tier"].as_str().map(str::to_owned);
    Said {
        text: texts.filter_map(|block| block["text"].as_str()).collect(),
        refusal: None,
        ending,
        reply,
    }
}
