//! What tests of models share.
#![allow(dead_code, reason = "each test program uses another part")]

pub(crate) mod peer;

use std::time::Duration;

use meterbox_llm_codegen::chat::{ChatError, ChatModel, ChatReply, ChatRequest, Message, Role, http};

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

pub(crate) async fn call(model: &impl ChatModel, request: &ChatRequest) -> Result<ChatReply, ChatError> {
    model.send(&model.encode(request), MINUTE).await
}
