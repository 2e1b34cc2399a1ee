//! How each API puts a request and a reply.

mod chat_completions;
mod messages;
mod responses;
mod usage;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Api, capabilities::Capabilities, refusal::Refusal};
use crate::chat::{Billed, ChatError, ChatErrorKind, ChatReply, ChatRequest, Finish, Role};

/// A reply as its API puts it.
#[derive(Debug)]
pub(super) enum Read {
    Reply(ChatReply),
    /// It came, and cannot be used.
    Unusable(ChatError),
    /// It says in the body that it is none.
    Refused(Refusal),
}

pub(super) fn encode(api: Api, model: &str, can: &Capabilities, request: &ChatRequest) -> Vec<u8> {
    let body = match api {
        Api::ChatCompletions => serde_json::to_vec(&chat_completions::body(model, can, request)),
        Api::Responses => serde_json::to_vec(&responses::body(model, can, request)),
        Api::Messages => serde_json::to_vec(&messages::body(model, can, request)),
    };
    body.expect("texts and numbers are always JSON")
}

/// Reads a reply to this request that succeeded. Tolerant: only what is used has to be there.
pub(super) fn read(api: Api, request: &[u8], body: &[u8]) -> Read {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            return Read::Unusable(malformed(
                format!("the reply is no JSON: {error}"),
                Billed::Unknown,
            ));
        }
    };
    if !value["error"].is_null() {
        return Read::Refused(Refusal::read(body));
    }
    let said = match api {
        Api::ChatCompletions => chat_completions::said(&value),
        Api::Responses => responses::said(&value, request),
        Api::Messages => messages::said(&value),
    };
    said.judged()
}

/// What a reply says, before it is known to be good.
#[derive(Debug)]
struct Said {
    text: String,
    refusal: Option<String>,
    ending: Ending,
    reply: ChatReply,
}

/// How a reply ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Complete,
    CutOff,
    Filtered,
    TooLong,
    Declined,
    Named(String),
    /// There is nothing where the text should be.
    Nothing,
}

impl Said {
    fn judged(self) -> Read {
        let billed = self.reply.billed();
        let unusable =
            |kind, message: &str| Read::Unusable(ChatError::new(kind, message).with_billed(billed));
        let has_text = !self.text.trim().is_empty();
        if let Some(words) = self.refusal.filter(|words| !words.is_empty()) {
            let message = format!("the model declined: {}", meterbox_http_client::shown(&words));
            return unusable(ChatErrorKind::Refusal, &message);
        }
        let finish = match self.ending {
            Ending::CutOff if has_text => {
                return unusable(
                    ChatErrorKind::Truncated,
                    "the reply was cut off by the output cap",
                );
            }
            Ending::CutOff => {
                return unusable(
                    ChatErrorKind::Truncated,
                    "reasoning used up the output cap before the first word; ask for less effort or allow more output",
                );
            }
            Ending::Filtered => {
                return unusable(
                    ChatErrorKind::ContentFilter,
                    "the provider's content filter stopped the reply",
                );
            }
            Ending::TooLong => {
                return unusable(
                    ChatErrorKind::ContextTooLong,
                    "prompt and reply did not fit into the model's context",
                );
            }
            Ending::Declined => return unusable(ChatErrorKind::Refusal, "the model declined to answer"),
            Ending::Nothing => {
                return Read::Unusable(malformed("the reply has no text where one should be", billed));
            }
            _ if !has_text => return Read::Unusable(malformed("the reply is empty", billed)),
            Ending::Complete => Finish::Stop,
            Ending::Named(reason) => Finish::Other(reason),
        };
        Read::Reply(ChatReply {
            text: self.text,
            finish,
            ..self.reply
        })
    }
}

fn malformed(message: impl Into<String>, billed: Billed) -> ChatError {
    ChatError::new(ChatErrorKind::Malformed, message).with_billed(billed)
}

/// The parts of a reply that stand at its top.
fn frame(value: &Value) -> ChatReply {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    ChatReply {
        text: String::new(),
        finish: Finish::Stop,
        usage: None,
        model: text("model"),
        id: text("id"),
        service_tier: text("service_tier"),
    }
}

/// A message as all of them put it.
#[derive(Debug, Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: &'a str,
}

fn turns(request: &ChatRequest) -> impl Iterator<Item = Turn<'_>> {
    request.messages.iter().map(|message| Turn {
        role: match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        },
        content: &message.text,
    })
}

/// A text, or the texts of a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// A whole number, also where it is written `3.0`; nothing where it is null or negative.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(from = "Value")]
struct Count(Option<u64>);

impl From<Value> for Count {
    fn from(value: Value) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts of tokens are far below, and were checked to be positive"
        )]
        let of_float = || {
            value
                .as_f64()
                .filter(|number| *number >= 0.0)
                .map(|number| number as u64)
        };
        Self(value.as_u64().or_else(of_float))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APIS: [Api; 3] = [Api::ChatCompletions, Api::Responses, Api::Messages];

    fn any_json() -> impl Strategy<Value = Value> {
        let names = [
            "choices",
            "message",
            "content",
            "text",
            "output",
            "type",
            "usage",
            "prompt_tokens",
            "input_tokens",
            "status",
            "incomplete_details",
            "reason",
            "finish_reason",
            "stop_reason",
            "refusal",
            "error",
            "prompt_tokens_details",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z_]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(prop::sample::select(names.to_vec()), inner, 0..5).prop_map(
                    |fields| fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_reply_panics(bytes: Vec<u8>, value in any_json()) {
            for api in APIS {
                read(api, &bytes, &bytes);
                read(api, b"{}", &serde_json::to_vec(&value).expect("JSON"));
            }
        }
    }
}
