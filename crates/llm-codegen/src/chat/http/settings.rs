//! What can be set of a server.

use serde::Serialize;

/// Which API it is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// Chat Completions of OpenAI, which most servers have.
    ChatCompletions,
    /// Responses of OpenAI, which its newest models need. Replies are not stored.
    Responses,
    /// Messages of Anthropic.
    Messages,
}

/// The name that Chat Completions gives to the output cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputCapField {
    /// `max_tokens`: older, and all that some servers read.
    MaxTokens,
    /// `max_completion_tokens`: what models that reason insist on.
    MaxCompletionTokens,
}

/// How a reply's form can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StructuredOutput {
    /// By a JSON Schema.
    JsonSchema,
    /// As JSON of any form.
    JsonObject,
    /// Not at all.
    None,
}

/// Who speaks the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstructionsRole {
    /// `system`.
    System,
    /// `developer`, its name for models of OpenAI that reason.
    Developer,
}

/// How much a model reasons. Which of these it takes depends on the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// As most models do anyway.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// As much as possible.
    Max,
}
