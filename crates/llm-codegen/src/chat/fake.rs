use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use meterbox_core::TokenUsage;
use serde_json::{Value, json};

use super::{
    Billed, ChatError, ChatErrorKind, ChatModel, ChatReply, ChatRequest, Finish, ModelCard, Outgoing,
    ProgramFormat, Role,
};

/// A model that says what it was told to say next, and remembers what it was asked. It counts a byte as a token, and
/// keeps to output caps.
///
/// ```
/// # use meterbox_llm_codegen::chat::{ChatErrorKind, FakeModel, FakeTurn};
/// let model = FakeModel::new();
/// model.next(FakeTurn::fails(ChatErrorKind::Overloaded));
/// model.next(FakeTurn::says("```python\nresult = 1\n```"));
/// ```
#[derive(Debug, Clone)]
pub struct FakeModel {
    card: ModelCard,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<FakeTurn>,
    handler: Option<Handler>,
    sent: Vec<Outgoing>,
    dropped: usize,
}

type Handler = Arc<dyn Fn(&Value) -> FakeTurn + Send + Sync>;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("script", &self.script)
            .field("sent", &self.sent.len())
            .finish_non_exhaustive()
    }
}

/// What a [`FakeModel`] does with a call.
#[derive(Debug, Clone)]
pub struct FakeTurn {
    end: End,
    usage: Usage,
}

#[derive(Debug, Clone)]
enum End {
    Says(String),
    Fails(ChatErrorKind, Option<Duration>),
    Hangs,
}

#[derive(Debug, Clone, Copy)]
enum Usage {
    Counted,
    Told(TokenUsage),
    Untold,
}

impl FakeTurn {
    /// It answers with this text.
    pub fn says(text: impl Into<String>) -> Self {
        Self::ending(End::Says(text.into()))
    }

    /// It fails so. What was turned down or cut off after work has usage, as with real servers.
    pub fn fails(kind: ChatErrorKind) -> Self {
        Self::ending(End::Fails(kind, None))
    }

    /// There are too many requests, and a pause is asked for.
    pub fn rate_limited(pause: Duration) -> Self {
        Self::ending(End::Fails(ChatErrorKind::Rate, Some(pause)))
    }

    /// Nothing ever comes back.
    pub fn hangs() -> Self {
        Self::ending(End::Hangs)
    }

    fn ending(end: End) -> Self {
        Self {
            end,
            usage: Usage::Counted,
        }
    }

    /// It says that it used this much.
    #[must_use]
    pub fn using(mut self, usage: TokenUsage) -> Self {
        self.usage = Usage::Told(usage);
        self
    }

    /// It does not say what it used.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.usage = Usage::Untold;
        self
    }
}

impl Default for FakeModel {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeModel {
    /// A model without a script, which hands over programs in fenced blocks: it fails every call until told otherwise.
    pub fn new() -> Self {
        Self::with_card(ModelCard {
            provider: "compatible".to_owned(),
            model: "fake-1".to_owned(),
            server: "localhost".to_owned(),
            is_loopback: true,
            program_format: ProgramFormat::Fenced,
            min_output_cap: 100,
            max_output_cap: 4_000,
            context_window: None,
        })
    }

    /// One that says this of itself.
    pub fn with_card(card: ModelCard) -> Self {
        Self {
            card,
            state: Arc::default(),
        }
    }

    /// Adds what to do with the next call nothing is planned for.
    pub fn next(&self, turn: FakeTurn) {
        self.lock().script.push_back(turn);
    }

    /// What to do with calls the script does not cover; the request is handed over as JSON: `instructions`, `messages`
    /// with `role` and `text`, `output_cap`, `schema`.
    pub fn otherwise(&self, handler: impl Fn(&Value) -> FakeTurn + Send + Sync + 'static) {
        self.lock().handler = Some(Arc::new(handler));
    }

    /// The calls it was sent, oldest first.
    pub fn sent(&self) -> Vec<Outgoing> {
        self.lock().sent.clone()
    }

    /// How many calls were dropped before they ended.
    pub fn dropped(&self) -> usize {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, outgoing: &Outgoing, request: &Value) -> Option<FakeTurn> {
        let handler = {
            let mut state = self.lock();
            state.sent.push(outgoing.clone());
            if let Some(turn) = state.script.pop_front() {
                return Some(turn);
            }
            state.handler.clone()
        };
        handler.map(|handler| handler(request))
    }
}

#[async_trait]
impl ChatModel for FakeModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn count_input(&self, request: &ChatRequest) -> u64 {
        self.encode(request).body.len() as u64
    }

    fn encode(&self, request: &ChatRequest) -> Outgoing {
        let messages: Vec<Value> = request
            .messages
            .iter()
            .map(|message| {
                let role = match message.role {
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                json!({ "role": role, "text": message.text })
            })
            .collect();
        let body = json!({
            "instructions": request.instructions,
            "messages": messages,
            "output_cap": request.output_cap,
            "schema": request.schema.as_ref().map(|schema| &schema.schema),
        });
        Outgoing {
            url: format!("http://{}/fake", self.card.server),
            body: body.to_string().into_bytes(),
        }
    }

    async fn send(&self, outgoing: &Outgoing, within: Duration) -> Result<ChatReply, ChatError> {
        let request: Value = serde_json::from_slice(&outgoing.body).unwrap_or_default();
        let Some(turn) = self.take(outgoing, &request) else {
            return Err(ChatError::new(
                ChatErrorKind::Rejected,
                "the fake has no script for this call",
            ));
        };
        let input = outgoing.body.len() as u64;
        let cap = request["output_cap"].as_u64().unwrap_or(u64::MAX);
        let usage = |output: u64| match turn.usage {
            Usage::Told(usage) => Some(usage),
            Usage::Untold => None,
            Usage::Counted => Some(TokenUsage {
                input,
                output: output.min(cap),
                ..TokenUsage::default()
            }),
        };
        let billed = |output| usage(output).map_or(Billed::Unknown, Billed::Tokens);
        match turn.end {
            End::Says(text) if text.len() as u64 > cap => {
                let error = ChatError::new(
                    ChatErrorKind::Truncated,
                    "the reply was cut off by the output cap",
                );
                Err(error.with_status(200).with_billed(billed(cap)))
            }
            End::Says(text) => Ok(ChatReply {
                usage: usage(text.len() as u64),
                text,
                finish: Finish::Stop,
                model: Some(self.card.model.clone()),
                id: None,
                service_tier: None,
            }),
            End::Fails(kind, pause) => {
                let error = ChatError::new(kind, format!("the fake failed as ordered: {kind}"));
                let billed = match kind {
                    ChatErrorKind::Truncated | ChatErrorKind::ContentFilter | ChatErrorKind::Refusal => {
                        billed(cap)
                    }
                    ChatErrorKind::Interrupted | ChatErrorKind::Malformed => Billed::Unknown,
                    _ => Billed::Nothing,
                };
                Err(error.with_retry_after(pause).with_billed(billed))
            }
            End::Hangs => {
                let mut under_way = CountsAsDropped(Some(Arc::clone(&self.state)));
                tokio::time::sleep(within).await;
                under_way.0 = None;
                let error = ChatError::new(ChatErrorKind::Interrupted, "the fake took longer than allowed");
                Err(error.with_billed(Billed::Unknown))
            }
        }
    }
}

/// Notices a call whose future was dropped midway.
struct CountsAsDropped(Option<Arc<Mutex<State>>>);

impl Drop for CountsAsDropped {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.lock().unwrap_or_else(PoisonError::into_inner).dropped += 1;
        }
    }
}
