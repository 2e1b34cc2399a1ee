use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{ChatError, ChatReply, ChatRequest, Outgoing};

/// A language model behind a server.
#[async_trait]
pub trait ChatModel: Send + Sync + fmt::Debug + 'static {
    /// Which model this is, and what it can do. That may change after
    /// [`ChatErrorKind::Unsupported`](super::ChatErrorKind::Unsupported): ask anew.
    fn card(&self) -> &ModelCard;

    /// How many input tokens the request has, at most: never fewer than the server will count, as far as that can be
    /// known from here.
    fn count_input(&self, request: &ChatRequest) -> u64;

    /// The request as it would be sent. Without credentials, which travel in headers.
    fn encode(&self, request: &ChatRequest) -> Outgoing;

    /// Sends a request once and waits at most this long for the whole reply.
    ///
    /// # Errors
    /// [`ChatError`]: no reply, or one without usable text; [`ChatError::billed`] says what it cost all the same.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; whether the server bills the call is then unknown.
    async fn send(&self, outgoing: &Outgoing, within: Duration) -> Result<ChatReply, ChatError>;
}

/// Which model, and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCard {
    /// Whose model: `azure`, `openai`, `anthropic` or `compatible`. With the model's name it finds the price.
    pub provider: String,
    /// The model; of Azure, the deployment.
    pub model: String,
    /// Host, and port where it is not the scheme's own.
    pub server: String,
    /// Is the server this machine?
    pub is_loopback: bool,
    /// How it is asked to hand over a program.
    pub program_format: ProgramFormat,
    /// The smallest output cap worth a call, in tokens: reasoning eats small ones whole.
    pub min_output_cap: u64,
    /// The output cap that is asked for where money allows, in tokens.
    pub max_output_cap: u64,
    /// Input and output together, in tokens, where it is known.
    pub context_window: Option<u64>,
}

/// How a model is asked to hand over a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProgramFormat {
    /// As JSON that the server holds to a schema.
    JsonSchema,
    /// As JSON, by request only.
    JsonObject,
    /// In a fenced block of Markdown.
    Fenced,
}

#[async_trait]
impl<M: ChatModel + ?Sized> ChatModel for Arc<M> {
    fn card(&self) -> &ModelCard {
        (**self).card()
    }

    fn count_input(&self, request: &ChatRequest) -> u64 {
        (**self).count_input(request)
    }

    fn encode(&self, request: &ChatRequest) -> Outgoing {
        (**self).encode(request)
    }

    async fn send(&self, outgoing: &Outgoing, within: Duration) -> Result<ChatReply, ChatError> {
        (**self).send(outgoing, within).await
    }
}

#[async_trait]
impl<M: ChatModel + ?Sized> ChatModel for Box<M> {
    fn card(&self) -> &ModelCard {
        (**self).card()
    }

    fn count_input(&self, request: &ChatRequest) -> u64 {
        (**self).count_input(request)
    }

    fn encode(&self, request: &ChatRequest) -> Outgoing {
        (**self).encode(request)
    }

    async fn send(&self, outgoing: &Outgoing, within: Duration) -> Result<ChatReply, ChatError> {
        (**self).send(outgoing, within).await
    }
}
