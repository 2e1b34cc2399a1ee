use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_http_client::{deadline_after, send};
use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    Api, StructuredOutput,
    address::Addresses,
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
    addresses: Addresses,
    counting: Counting,
    learnt: Arc<Learnt>,
    /// One for each way of asking for a program: what is learnt of the server decides which one holds.
    cards: Arc<[ModelCard; 3]>,
}

/// Is a model on its server's list?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listing {
    /// It is, perhaps with a date or a tag after its name.
    Listed,
    /// It is not; where names are aliases that need not mean anything.
    NotListed,
}

#[derive(Debug, Deserialize)]
struct Models {
    data: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    id: String,
}

impl Models {
    fn listing(&self, model: &str) -> Listing {
        let is_it = |named: &Named| {
            let Some(rest) = named.id.strip_prefix(model) else {
                return false;
            };
            let is_dated = || {
                rest.starts_with('-') && rest.bytes().skip(1).take(4).filter(u8::is_ascii_digit).count() == 4
            };
            rest.is_empty() || rest.starts_with([':', '@']) || is_dated()
        };
        match self.data.iter().any(is_it) {
            true => Listing::Listed,
            false => Listing::NotListed,
        }
    }
}

/// What a builder hands over.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) http: reqwest::Client,
    pub(super) credentials: Credentials,
    pub(super) provider: Provider,
    pub(super) api: Api,
    pub(super) addresses: Addresses,
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
        let mut request = self.request(Method::POST, self.addresses.calls.clone(), &pass);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        *request.body_mut() = Some(outgoing.body.clone().into());
        let (status, headers, body) = self.exchange(request, deadline, &pass).await?;
        if !(200..300).contains(&status) {
            return Err(self.refused(Some(outgoing), status, &headers, &Refusal::read(&body), &pass));
        }
        match dialect::read(self.api, &outgoing.body, &body) {
            Read::Reply(reply) => Ok(reply),
            Read::Unusable(error) => Err(error.with_status(status)),
            Read::Refused(refusal) => Err(self.refused(Some(outgoing), status, &headers, &refusal, &pass)),
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
            addresses: parts.addresses,
            counting: Counting::of(&parts.known_as, parts.api),
            learnt: Arc::new(Learnt::new(parts.capabilities)),
            cards: Arc::new(cards),
        }
    }

    /// Asks the server for its list of models, which costs nothing: is it there, does it accept the credentials, is the
    /// model on the list? Azure lists models and not deployments; and some servers show their list to anybody.
    ///
    /// # Errors
    /// [`ChatError`], as of a call.
    pub async fn look_up(&self, within: Duration) -> Result<Listing, ChatError> {
        let deadline = deadline_after(within);
        let pass = self.pass(deadline).await?;
        let mut url = self.addresses.models.clone();
        if self.api == Api::Messages {
            // Lists are short by default.
            url.query_pairs_mut().append_pair("limit", "1000");
        }
        let request = self.request(Method::GET, url, &pass);
        let (status, headers, body) = self.exchange(request, deadline, &pass).await?;
        match serde_json::from_slice::<Models>(&body) {
            Ok(models) if (200..300).contains(&status) => Ok(models.listing(&self.card().model)),
            Err(error) if (200..300).contains(&status) => {
                let message = format!(
                    "{} answered something else than a list: {error}",
                    self.card().server
                );
                Err(ChatError::new(ChatErrorKind::Malformed, message).with_status(status))
            }
            _ => Err(self.refused(None, status, &headers, &Refusal::read(&body), &pass)),
        }
    }

    fn shown_url(&self) -> String {
        let mut url = self.addresses.calls.clone();
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

    fn request(&self, method: Method, url: Url, pass: &Pass) -> Request {
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.api == Api::Messages {
            headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        if let Some((name, value)) = &pass.header {
            headers.insert(name, value.clone());
        }
        request
    }

    /// Status, headers and the whole body.
    async fn exchange(
        &self,
        request: Request,
        deadline: Instant,
        pass: &Pass,
    ) -> Result<(u16, HeaderMap, Vec<u8>), ChatError> {
        let reply = send(&self.http, request, deadline)
            .await
            .map_err(|fault| of_fault(fault, pass))?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        match reply.bytes(MAX_REPLY_BYTES).await {
            Ok(body) => Ok((status, headers, body)),
            // The status says enough.
            Err(_) if !(200..300).contains(&status) => Ok((status, headers, Vec::new())),
            Err(fault) => Err(of_fault(fault, pass).with_status(status)),
        }
    }

    fn refused(
        &self,
        outgoing: Option<&Outgoing>,
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
                let sent = outgoing
                    .map(|outgoing| outgoing.body.as_slice())
                    .unwrap_or_default();
                if let Some(parameter) = self.learnt.adapt(self.api, sent, refusal) {
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
