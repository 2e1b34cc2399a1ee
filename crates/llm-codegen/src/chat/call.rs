use meterbox_core::TokenUsage;

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    /// What holds for the whole conversation; the same from call to call, so that servers can cache it.
    pub instructions: String,
    /// The conversation so far, ending with a [`Role::User`] message.
    pub messages: Vec<Message>,
    /// The most output tokens, reasoning included.
    pub output_cap: u64,
    /// The schema that the reply's text has to follow. A model that cannot be held to one is asked for JSON or for
    /// nothing, as its [`ProgramFormat`](super::ProgramFormat) says.
    pub schema: Option<ReplySchema>,
}

/// A part of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We do.
    User,
    /// The model does.
    Assistant,
}

/// A JSON Schema of the strict subset: every property required, no further ones, no limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplySchema {
    /// A name of `a-z` and `_`.
    pub name: String,
    /// The schema.
    pub schema: serde_json::Value,
}

/// A request as it goes out: exactly these bytes, to this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to, without query and credentials.
    pub url: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatReply {
    /// Its text: untrusted.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What the server says it used; `None` where it does not say.
    pub usage: Option<TokenUsage>,
    /// The model that answered, as the server calls it.
    pub model: Option<String>,
    /// The server's id of the reply.
    pub id: Option<String>,
    /// The service tier that was used, as the server calls it.
    pub service_tier: Option<String>,
}

impl ChatReply {
    /// What the call cost in tokens.
    pub fn billed(&self) -> Billed {
        self.usage.map_or(Billed::Unknown, Billed::Tokens)
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// It was complete.
    Stop,
    /// For a reason the server names and we do not know.
    Other(String),
}

/// What is known of a call's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billed {
    /// It costs nothing: it was not sent, or turned down before any work.
    Nothing,
    /// It costs these tokens.
    Tokens(TokenUsage),
    /// It may cost something; how much nobody said.
    Unknown,
}
