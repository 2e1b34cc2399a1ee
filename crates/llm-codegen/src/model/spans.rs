//! What is told of calls and checks to whoever traces them: see [`meterbox_core::telemetry`].

use std::ops::Deref;

use meterbox_core::telemetry::{self as attribute, TARGET, bounded, count, span};
use serde_json::json;
use tracing::{Span, field::Empty};

use crate::chat::{ChatError, ChatErrorKind, ChatReply, ChatRequest, Finish, ModelCard, ProgramFormat, Role};

/// The span of one call, one request.
#[derive(Debug)]
pub(super) struct ChatSpan {
    span: Span,
    has_content: bool,
}

impl ChatSpan {
    /// Begins before the request leaves. What the conversation says is told only where `has_content`.
    pub(super) fn begin(card: &ModelCard, chat: &ChatRequest, retry_index: u32, has_content: bool) -> Self {
        let (address, port) = host_and_port(&card.server);
        let output_type = match card.program_format {
            ProgramFormat::JsonSchema | ProgramFormat::JsonObject => "json",
            ProgramFormat::Fenced => "text",
        };
        let span = tracing::info_span!(
            target: TARGET,
            span::CHAT,
            { attribute::OTEL_NAME } = format!("{} {}", span::CHAT, card.model),
            { attribute::OTEL_KIND } = "client",
            { attribute::OTEL_STATUS } = Empty,
            { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
            { attribute::OBSERVATION_TYPE } = "generation",
            { attribute::LEVEL } = Empty,
            { attribute::OPERATION } = "chat",
            { attribute::PROVIDER } = provider(card),
            { attribute::REQUEST_MODEL } = card.model,
            { attribute::REQUEST_MAX_TOKENS } = count(chat.output_cap),
            { attribute::OUTPUT_TYPE } = output_type,
            { attribute::SERVER_ADDRESS } = address,
            { attribute::SERVER_PORT } = port,
            { attribute::RETRY_INDEX } = i64::from(retry_index),
            { attribute::ERROR_TYPE } = Empty,
            { attribute::HTTP_STATUS } = Empty,
            { attribute::RESPONSE_MODEL } = Empty,
            { attribute::RESPONSE_ID } = Empty,
            { attribute::FINISH_REASONS } = Empty,
            { attribute::INPUT_TOKENS } = Empty,
            { attribute::CACHE_READ_TOKENS } = Empty,
            { attribute::CACHE_CREATION_TOKENS } = Empty,
            { attribute::OUTPUT_TOKENS } = Empty,
            { attribute::REASONING_TOKENS } = Empty,
            { attribute::COST_DETAILS } = Empty,
            { attribute::COST_ESTIMATED } = Empty,
            { attribute::PRICE_BOOK } = Empty,
            { attribute::SYSTEM_INSTRUCTIONS } = Empty,
            { attribute::INPUT_MESSAGES } = Empty,
            { attribute::OUTPUT_MESSAGES } = Empty,
        );
        if has_content && !span.is_disabled() {
            let system = json!([{ "type": "text", "content": bounded(&chat.instructions) }]);
            span.record(attribute::SYSTEM_INSTRUCTIONS, system.to_string());
            span.record(attribute::INPUT_MESSAGES, conversation(chat));
        }
        Self { span, has_content }
    }

    /// Does something inside.
    pub(super) fn enter<T>(&self, inside: impl FnOnce() -> T) -> T {
        self.span.in_scope(inside)
    }

    /// What came of it, but for its cost, which whoever admitted the call knows.
    pub(super) fn tell(&self, outcome: Result<&ChatReply, &ChatError>, is_timeout: bool) {
        let billed = match outcome {
            Ok(reply) => {
                self.reply(reply);
                reply.billed()
            }
            Err(error) => {
                self.error(error, is_timeout);
                error.billed()
            }
        };
        let crate::chat::Billed::Tokens(usage) = billed else {
            return;
        };
        let written = usage.cache_write.saturating_add(usage.cache_write_1h);
        for (name, tokens) in [
            (attribute::INPUT_TOKENS, usage.context()),
            (attribute::CACHE_READ_TOKENS, usage.cached),
            (attribute::CACHE_CREATION_TOKENS, written),
            (attribute::OUTPUT_TOKENS, usage.output.max(usage.reasoning)),
            (attribute::REASONING_TOKENS, usage.reasoning),
        ] {
            self.span.record(name, count(tokens));
        }
    }

    fn reply(&self, reply: &ChatReply) {
        let reason = match &reply.finish {
            Finish::Stop => "stop",
            Finish::Other(reason) => reason.as_str(),
        };
        self.span.record(attribute::FINISH_REASONS, texts([reason]));
        if let Some(model) = &reply.model {
            self.span.record(attribute::RESPONSE_MODEL, model);
        }
        if let Some(id) = &reply.id {
            self.span.record(attribute::RESPONSE_ID, id);
        }
        if self.has_content && !self.span.is_disabled() {
            let parts = json!([{ "type": "text", "content": bounded(&reply.text) }]);
            let message = json!([{ "role": "assistant", "parts": parts, "finish_reason": reason }]);
            self.span.record(attribute::OUTPUT_MESSAGES, message.to_string());
        }
    }

    fn error(&self, error: &ChatError, is_timeout: bool) {
        let name = error_type(error, is_timeout);
        if error.kind() == ChatErrorKind::Truncated {
            self.span.record(attribute::FINISH_REASONS, texts(["length"]));
        }
        if let Some(status) = error.status() {
            self.span.record(attribute::HTTP_STATUS, i64::from(status));
        }
        self.span.record(attribute::ERROR_TYPE, &name);
        self.span.record(attribute::OTEL_STATUS, "error");
        self.span.record(attribute::OTEL_STATUS_DESCRIPTION, &name);
        self.span.record(attribute::LEVEL, "ERROR");
    }
}

impl Deref for ChatSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

/// The span of the reading of one program.
#[derive(Debug)]
pub(super) struct CheckSpan(Span);

/// Begins to read a program.
pub(super) fn check_span() -> CheckSpan {
    let span = tracing::info_span!(
        target: TARGET,
        span::CHECK,
        { attribute::OBSERVATION_TYPE } = "guardrail",
        { attribute::CHECK_RULES } = Empty,
        { attribute::ERROR_TYPE } = Empty,
        { attribute::LEVEL } = Empty,
        { attribute::OTEL_STATUS } = Empty,
        { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
    );
    CheckSpan(span)
}

impl CheckSpan {
    /// It broke these rules.
    pub(super) fn fail(&self, rules: impl IntoIterator<Item = &'static str>) {
        let rules: std::collections::BTreeSet<_> = rules.into_iter().collect();
        self.0.record(attribute::CHECK_RULES, texts(rules));
        self.0.record(attribute::ERROR_TYPE, "rejected_program");
        self.0.record(attribute::OTEL_STATUS, "error");
        self.0
            .record(attribute::OTEL_STATUS_DESCRIPTION, "rejected_program");
        self.0.record(attribute::LEVEL, "WARNING");
    }
}

/// The convention's name of whose model it is.
fn provider(card: &ModelCard) -> &str {
    match card.provider.as_str() {
        "azure" => "azure.ai.openai",
        other => other,
    }
}

fn host_and_port(server: &str) -> (&str, i64) {
    const HTTPS: i64 = 443;
    let split = server.rsplit_once(':');
    let with_port = split.and_then(|(host, port)| Some((host, i64::from(port.parse::<u16>().ok()?))));
    with_port.unwrap_or((server, HTTPS))
}

fn conversation(chat: &ChatRequest) -> String {
    let role = |role| match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let messages = chat.messages.iter().map(|message| {
        let parts = json!([{ "type": "text", "content": bounded(&message.text) }]);
        json!({ "role": role(message.role), "parts": parts })
    });
    serde_json::Value::Array(messages.collect()).to_string()
}

/// An array of texts, as fields can have it.
fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    json!(texts.into_iter().collect::<Vec<_>>()).to_string()
}

fn error_type(error: &ChatError, is_timeout: bool) -> String {
    match (error.kind(), error.status()) {
        (ChatErrorKind::Interrupted, _) if is_timeout => "timeout".to_owned(),
        (ChatErrorKind::Overloaded, Some(500..)) => "http_5xx".to_owned(),
        (kind, _) => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_conventions_names() {
        use ChatErrorKind::*;
        for (kind, status, is_timeout, expected) in [
            (Rate, Some(429), false, "rate_limited"),
            (ContentFilter, Some(400), false, "content_filter"),
            (Interrupted, None, true, "timeout"),
            (Interrupted, None, false, "interrupted"),
            (Truncated, Some(200), false, "truncated"),
            (Overloaded, Some(503), false, "http_5xx"),
            (Overloaded, None, false, "overloaded"),
            (Auth, Some(401), false, "auth"),
        ] {
            let error = ChatError::new(kind, "a sentence");
            let error = match status {
                Some(status) => error.with_status(status),
                None => error,
            };
            assert_eq!(error_type(&error, is_timeout), expected);
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        assert_eq!(host_and_port("api.openai.com"), ("api.openai.com", 443));
        assert_eq!(host_and_port("127.0.0.1:8080"), ("127.0.0.1", 8080));
        assert_eq!(host_and_port("[::1]:11434"), ("[::1]", 11434));
    }
}
