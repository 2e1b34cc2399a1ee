use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_http_client::{deadline_after, send};
use reqwest::{
    Request, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Api, StructuredOutput,
    builder::Provider,
    capabilities::{Capabilities, Learnt},
    classify::{Answered, of_fault},
    credentials::{Credentials, Pass},
    dialect::{self, Read},
    refusal::Refusal,
    tokens::Counting,
};
use crate::chat::{
    Billed, ChatError, ChatErrorKind, ChatModel, ChatReply, ChatRequest, ModelCard, Outgoing, ProgramFormat,
};

/// Longer than any honest reply.
const MAX_REPLY_BYTES: usize = 4 << 20;
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A model behind HTTP. Clones share connections, and what was learnt of the server.
#[derive(Clone)]
pub struct HttpModel {
    http: reqwest::Client,
    credentials: Credentials,
    provider: Provider,
    api: Api,
    url: Url,
    counting: Counting,
    learnt: Arc<Learnt>,
    /// One for each way of asking for a program: what is learnt of the server decides which one holds.
    cards: Arc<[ModelCard; 3]>,
}

/// What a builder hands over.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) http: reqwest::Client,
    pub(super) credentials: Credentials,
    pub(super) provider: Provider,
    pub(super) api: Api,
    pub(super) url: Url,
    pub(super) known_as: String,
    pub(super) capabilities: Capabilities,
    pub(super) card: ModelCard,
}

#[async_trait]
impl ChatModel for HttpModel {
    fn card(&self) -> &ModelCard {
        let [schema, object, fenced] = &*self.cards;
        match self.learnt.capabilities().structured {
            StructuredOutput::JsonSchema => schema,
            StructuredOutput::JsonObject if self.api != Api::Messages => object,
            _ => fenced,
        }
    }

    fn count_input(&self, request: &ChatRequest) -> u64 {
        self.counting.count(request)
    }

    fn encode(&self, request: &ChatRequest) -> Outgoing {
        let capabilities = self.learnt.capabilities();
        Outgoing {
            url: self.shown_url(),
            body: dialect::encode(self.api, &self.card().model, &capabilities, request),
        }
    }

    async fn send(&self, outgoing: &Outgoing, within: Duration) -> Result<ChatReply, ChatError> {
        let deadline = deadline_after(within);
        if outgoing.url != self.shown_url() {
            let message = "the request was encoded for another model";
            return Err(ChatError::new(ChatErrorKind::Rejected, message));
        }
        let pass = self.pass(deadline).await?;
        let request = self.request(outgoing, &pass);
        let reply = send(&self.http, request, deadline)
            .await
            .map_err(|fault| of_fault(fault, &pass))?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let body = match reply.bytes(MAX_REPLY_BYTES).await {
            Ok(body) => body,
            // The status says enough.
            Err(_) if !(200..300).contains(&status) => Vec::new(),
            Err(fault) => return Err(of_fault(fault, &pass).with_status(status)),
        };
        if !(200..300).contains(&status) {
            let refusal = Refusal::read(&body);
            return Err(self.refused(outgoing, status, &headers, &refusal, &pass));
        }
        match dialect::read(self.api, &body) {
            Read::Reply(reply) => Ok(reply),
            Read::Unusable(error) => Err(error.with_status(status)),
            Read::Refused(refusal) => Err(self.refused(outgoing, status, &headers, &refusal, &pass)),
        }
    }
}

impl HttpModel {
    pub(super) fn new(parts: Parts) -> Self {
        let card = |program_format| ModelCard {
            program_format,
            ..parts.card.clone()
        };
        let cards = [
            ProgramFormat::JsonSchema,
            ProgramFormat::JsonObject,
            ProgramFormat::Fenced,
        ]
        .map(card);
        Self {
            http: parts.http,
            credentials: parts.credentials,
            provider: parts.provider,
            api: parts.api,
            url: parts.url,
            counting: Counting::of(&parts.known_as),
            learnt: Arc::new(Learnt::new(parts.capabilities)),
            cards: Arc::new(cards),
        }
    }

    fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }

    async fn pass(&self, deadline: Instant) -> Result<Pass, ChatError> {
        let failed = |message: String| ChatError::new(ChatErrorKind::Auth, message);
        match timeout_at(deadline, self.credentials.pass()).await {
            Ok(Ok(pass)) => Ok(pass),
            Ok(Err(error)) => Err(failed(format!(
                "no token for {} could be had: {error}",
                self.card().server
            ))),
            Err(_) => Err(failed(format!(
                "no token for {} came in time",
                self.card().server
            ))),
        }
    }

    fn request(&self, outgoing: &Outgoing, pass: &Pass) -> Request {
        let mut request = Request::new(reqwest::Method::POST, self.url.clone());
        let headers = request.headers_mut();
        let json = reqwest::header::HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        if self.api == Api::Messages {
            let version = reqwest::header::HeaderValue::from_static(ANTHROPIC_VERSION);
            headers.insert("anthropic-version", version);
        }
        if let Some((name, value)) = &pass.header {
            headers.insert(name, value.clone());
        }
        *request.body_mut() = Some(outgoing.body.clone().into());
        request
    }

    fn refused(
        &self,
        outgoing: &Outgoing,
        status: u16,
        headers: &HeaderMap,
        refusal: &Refusal,
        pass: &Pass,
    ) -> ChatError {
        let card = self.card();
        let error = Answered {
            server: &card.server,
            provider: self.provider,
            model: &card.model,
            status,
            headers,
            refusal,
            pass,
        }
        .error();
        match error.kind() {
            ChatErrorKind::Auth => self.credentials.was_rejected(),
            ChatErrorKind::Rejected if matches!(status, 400 | 422) => {
                if let Some(parameter) = self.learnt.adapt(self.api, &outgoing.body, refusal) {
                    let message = format!(
                        "{} does not take `{parameter}` with {:?}; from now on it is left out",
                        card.server, card.model
                    );
                    return ChatError::new(ChatErrorKind::Unsupported, message)
                        .with_status(status)
                        .with_billed(Billed::Nothing);
                }
            }
            _ => {}
        }
        error
    }
}

impl fmt::Debug for HttpModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpModel")
            .field("card", self.card())
            .field("api", &self.api)
            .field("url", &self.shown_url())
            .field("credentials", &self.credentials)
            .field("learnt", &self.learnt)
            .finish_non_exhaustive()
    }
}
