//! What tests of models share.
#![allow(dead_code, reason = "each test program uses another part")]

pub(crate) mod peer;
pub(crate) mod texts;

use std::time::Duration;

use meterbox_llm_codegen::chat::{
    ChatError, ChatModel, ChatReply, ChatRequest, Message, ReplySchema, Role,
    http::{self, HttpModel, HttpModelBuilder},
};
use meterbox_testkit::{MODEL_KEY, ModelDouble};
use serde_json::json;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn client() -> reqwest::Client {
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    http::http_client().expect("TLS can be set up")
}

pub(crate) fn asking(text: &str) -> ChatRequest {
    ChatRequest {
        instructions: "You write short programs.".to_owned(),
        messages: vec![Message {
            role: Role::User,
            text: text.to_owned(),
        }],
        output_cap: 64,
        schema: None,
    }
}

pub(crate) async fn call(
    model: &(impl ChatModel + ?Sized),
    request: &ChatRequest,
) -> Result<ChatReply, ChatError> {
    model.send(&model.encode(request), MINUTE).await
}

pub(crate) fn azure(double: &ModelDouble, deployment: &str) -> HttpModelBuilder {
    HttpModel::azure(client(), double.azure_url(), deployment).key(MODEL_KEY)
}

pub(crate) fn openai(double: &ModelDouble, model: &str) -> HttpModelBuilder {
    HttpModel::openai(client(), model)
        .base_url(double.openai_url())
        .key(MODEL_KEY)
}

pub(crate) fn anthropic(double: &ModelDouble) -> HttpModelBuilder {
    HttpModel::anthropic(client(), "claude-sonnet-4-5")
        .base_url(double.anthropic_url())
        .key(MODEL_KEY)
}

pub(crate) fn with_schema() -> ChatRequest {
    let schema = json!({
        "type": "object", "properties": { "code": { "type": "string" } }, "required": ["code"],
        "additionalProperties": false,
    });
    ChatRequest {
        messages: vec![
            Message {
                role: Role::User,
                text: "Write it.".to_owned(),
            },
            Message {
                role: Role::Assistant,
                text: "x".to_owned(),
            },
            Message {
                role: Role::User,
                text: "Better.".to_owned(),
            },
        ],
        schema: Some(ReplySchema {
            name: "program".to_owned(),
            schema,
        }),
        ..asking("")
    }
}
