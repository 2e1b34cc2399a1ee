//! Chat Completions of OpenAI, and of everybody who has them too.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Capabilities, Ending, Said, Turn, frame, text_of, turns, usage};
use crate::chat::{
    ChatRequest, ReplySchema,
    http::{Effort, InstructionsRole, OutputCapField, StructuredOutput},
};

#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

pub(super) fn body<'a>(model: &'a str, can: &Capabilities, request: &'a ChatRequest) -> Body<'a> {
    let role = match can.role {
        InstructionsRole::System => "system",
        InstructionsRole::Developer => "developer",
    };
    let instructions = (!request.instructions.is_empty()).then_some(Turn {
        role,
        content: &request.instructions,
    });
    let cap = |field| (can.cap_field == field).then_some(request.output_cap);
    Body {
        model,
        messages: instructions.into_iter().chain(turns(request)).collect(),
        max_tokens: cap(OutputCapField::MaxTokens),
        max_completion_tokens: cap(OutputCapField::MaxCompletionTokens),
        temperature: can.temperature,
        reasoning_effort: can.effort,
        response_format: request
            .schema
            .as_ref()
            .and_then(|schema| format(can.structured, schema)),
    }
}

fn format(structured: StructuredOutput, schema: &ReplySchema) -> Option<Value> {
    match structured {
        StructuredOutput::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": { "name": schema.name, "strict": true, "schema": schema.schema },
        })),
        StructuredOutput::JsonObject => Some(json!({ "type": "json_object" })),
        StructuredOutput::None => None,
    }
}

pub(super) fn said(value: &Value) -> Said {
    let choice = &value["choices"][0];
    let message = &choice["message"];
    let ending = match choice["finish_reason"].as_str() {
        _ if !message.is_object() => Ending::Nothing,
        Some("stop") => Ending::Complete,
        Some("length") => Ending::CutOff,
        Some("content_filter") => Ending::Filtered,
        Some(reason) => Ending::Named(reason.to_owned()),
        None => Ending::Named("unnamed".to_owned()),
    };
    let mut reply = frame(value);
    reply.usage = usage::of_openai(&value["usage"]);
    Said {
        text: text_of(&message["content"]),
        refusal: message["refusal"].as_str().map(str::to_owned),
        ending,
        reply,
    }
}
