//! What the servers do not take.

use serde_json::Value;

use super::{ModelCall, face::Face, refusal::Refusal};

/// What a model is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelKind {
    /// Takes a temperature, and no effort.
    Plain,
    /// Takes an effort; no temperature, and no `max_tokens`.
    Reasoning,
    /// As [`Plain`](Self::Plain), and knows no structured output.
    Unstructured,
}

pub(super) fn check(call: &ModelCall, face: Face, kind: ModelKind) -> Result<(), Refusal> {
    let body = &call.body;
    let Value::Object(_) = body else {
        return Err(Refusal::invalid(
            "We could not parse the JSON body of your request.",
            None,
            None,
        ));
    };
    if body["stream"] == true {
        return Err(Refusal::invalid(
            "the double streams nothing",
            Some("stream"),
            None,
        ));
    }
    check_messages(body, face)?;
    let has = |name: &str| !body[name].is_null();
    for parameter in refused(face, kind) {
        if has(parameter) {
            return Err(Refusal::unsupported(parameter));
        }
    }
    if kind == ModelKind::Reasoning && has("temperature") && body["temperature"] != 1 {
        let message = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value \
                       is supported.";
        return Err(Refusal::invalid(
            message,
            Some("temperature"),
            Some("unsupported_value"),
        ));
    }
    if face == Face::Messages && body["max_tokens"].as_u64().is_none() {
        return Err(Refusal::invalid("max_tokens: Field required", None, None));
    }
    let schema = match face {
        Face::AzureChat | Face::OpenAiChat => &body["response_format"]["json_schema"]["schema"],
        Face::AzureResponses | Face::OpenAiResponses => &body["text"]["format"]["schema"],
        Face::Messages => &body["output_config"]["format"]["schema"],
    };
    check_schema(schema)
}

fn refused(face: Face, kind: ModelKind) -> &'static [&'static str] {
    match (face, kind) {
        (Face::AzureChat | Face::OpenAiChat, ModelKind::Reasoning) => &["max_tokens", "top_p", "logprobs"],
        (Face::AzureChat | Face::OpenAiChat, ModelKind::Plain) => &["reasoning_effort"],
        (Face::AzureChat | Face::OpenAiChat, ModelKind::Unstructured) => {
            &["reasoning_effort", "response_format"]
        }
        (Face::AzureResponses | Face::OpenAiResponses, ModelKind::Reasoning) => &["max_tokens", "top_p"],
        (Face::AzureResponses | Face::OpenAiResponses, _) => {
            &["max_tokens", "max_completion_tokens", "reasoning"]
        }
        (Face::Messages, ModelKind::Unstructured) => &["output_config"],
        (Face::Messages, _) => &["max_completion_tokens", "response_format"],
    }
}

fn check_messages(body: &Value, face: Face) -> Result<(), Refusal> {
    let (name, roles): (_, &[_]) = match face {
        Face::AzureChat | Face::OpenAiChat => ("messages", &["system", "developer", "user", "assistant"]),
        Face::AzureResponses | Face::OpenAiResponses => {
            ("input", &["system", "developer", "user", "assistant"])
        }
        Face::Messages => ("messages", &["user", "assistant"]),
    };
    let messages = match &body[name] {
        Value::String(_) if name == "input" => return Ok(()),
        Value::Array(messages) if !messages.is_empty() => messages,
        _ => {
            let message = format!("Missing required parameter: '{name}'.");
            return Err(Refusal::invalid(
                &message,
                Some(name),
                Some("missing_required_parameter"),
            ));
        }
    };
    let is_good = |message: &Value| {
        let has_role = message["role"].as_str().is_some_and(|role| roles.contains(&role));
        has_role && (message["content"].is_string() || message["content"].is_array())
    };
    match messages.iter().all(is_good) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "Invalid value in messages",
            Some(name),
            Some("invalid_value"),
        )),
    }
}

/// The strict subset: every property required, no further ones, no limits.
fn check_schema(schema: &Value) -> Result<(), Refusal> {
    let Value::Object(fields) = schema else {
        return Ok(());
    };
    let wrong = |what: &str| {
        let message = format!("Invalid schema for response_format: {what}");
        Err(Refusal::invalid(
            &message,
            Some("response_format"),
            Some("invalid_json_schema"),
        ))
    };
    for limit in [
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
    ] {
        if fields.contains_key(limit) {
            return wrong(&format!("'{limit}' is not permitted."));
        }
    }
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            return wrong("'additionalProperties' is required to be supplied and to be false.");
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        if properties
            .keys()
            .any(|name| !required.contains(&Value::from(name.as_str())))
        {
            return wrong("'required' has to name every property.");
        }
        for property in properties.values() {
            check_schema(property)?;
        }
    }
    check_schema(&schema["items"])
}
