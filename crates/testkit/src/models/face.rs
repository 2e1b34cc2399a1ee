//! Which of the servers a call is for, and how each of them knows who asks.

use std::collections::BTreeSet;

use super::{ModelCall, refusal::Refusal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    AzureChat,
    AzureResponses,
    OpenAiChat,
    OpenAiResponses,
    Messages,
}

/// The server, and the name of the model or deployment that is asked for.
pub(super) fn of(call: &ModelCall) -> Option<(Face, String)> {
    if call.method != "POST" {
        return None;
    }
    let in_body = || call.body["model"].as_str().unwrap_or_default().to_owned();
    let has_version = call
        .query
        .split('&')
        .any(|pair| pair.starts_with("api-version=2"));
    let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    match path.as_slice() {
        ["openai", "deployments", name, "chat", "completions"] if has_version => {
            Some((Face::AzureChat, (*name).to_owned()))
        }
        ["openai", "v1", "chat", "completions"] => Some((Face::AzureChat, in_body())),
        ["openai", "v1", "responses"] => Some((Face::AzureResponses, in_body())),
        ["v1", "chat", "completions"] => Some((Face::OpenAiChat, in_body())),
        ["v1", "responses"] => Some((Face::OpenAiResponses, in_body())),
        ["v1", "messages"] => Some((Face::Messages, in_body())),
        _ => None,
    }
}

impl Face {
    pub(super) fn is_azure(self) -> bool {
        matches!(self, Self::AzureChat | Self::AzureResponses)
    }

    pub(super) fn check_credentials(
        self,
        call: &ModelCall,
        keys: &BTreeSet<String>,
        tokens: &BTreeSet<String>,
    ) -> Result<(), Refusal> {
        let bearer = call
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let shown = match self {
            Self::AzureChat | Self::AzureResponses => call.header("api-key").or(bearer),
            Self::OpenAiChat | Self::OpenAiResponses => bearer,
            Self::Messages => call.header("x-api-key").or(bearer),
        };
        let is_known = shown.is_some_and(|shown| keys.contains(shown))
            || (self.is_azure() && bearer.is_some_and(|bearer| tokens.contains(bearer)));
        if !is_known {
            return Err(Refusal::unknown_key(self, shown.unwrap_or_default()));
        }
        if self == Self::Messages && call.header("anthropic-version").is_none() {
            return Err(Refusal::invalid(
                "anthropic-version: header is required",
                None,
                None,
            ));
        }
        Ok(())
    }
}
