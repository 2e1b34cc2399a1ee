//! Requests with one deadline, bounded bodies and typed faults.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use meterbox_http_client::{self as http, Fault, Secret, asked_pause, now, shown};
use reqwest::{Request, StatusCode, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep, timeout};

use super::{E2bError, address::SANDBOX_ID, retry};

/// Longer than any honest message of the control plane.
const MAX_REPLY_BYTES: u64 = 4 << 20;
/// For the reasons of a refusal, before the next attempt.
const REFUSAL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
}

/// Is doing it twice the same as doing it once?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeatable {
    Yes,
    No,
}

/// What E2B says when it says no; everything may be missing.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_code: Option<String>,
}

/// A reply that is not yet read.
#[derive(Debug)]
pub(super) struct Reply {
    what: &'static str,
    reply: http::Reply,
    secrets: Secrets,
    /// And not the control plane's.
    is_of_machine: bool,
}

/// What a request was opened with, lest its answer repeats it.
#[derive(Debug, Clone)]
struct Secrets(Vec<Secret>);

impl Transport {
    pub(super) fn new(http: reqwest::Client) -> Self {
        Self { http }
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends it once. Any status is a reply.
    pub(super) async fn send(
        &self,
        what: &'static str,
        request: Request,
        deadline: Instant,
    ) -> Result<Reply, E2bError> {
        let secrets = Secrets::of(&request);
        let is_of_machine = request.headers().contains_key(SANDBOX_ID);
        let sent = http::send(&self.http, request, deadline).await;
        let reply = sent.map_err(|fault| met(what, fault))?;
        Ok(Reply {
            what,
            reply,
            secrets,
            is_of_machine,
        })
    }

    /// Sends it again by the rule of [`retry`], as long as it fails and the deadline allows.
    pub(super) async fn send_retrying(
        &self,
        what: &'static str,
        request: Request,
        repeatable: Repeatable,
        deadline: Instant,
    ) -> Result<Reply, E2bError> {
        self.send_noting_losses(what, request, repeatable, deadline, &mut None, |_| true)
            .await
    }

    /// The same, where it matters that an attempt may have been done though a later one was refused: `lost` is then why
    /// nobody knows. A refusal leaves no doubt where `left_nothing` says so; in doubt, what must not be done twice is not
    /// sent again.
    pub(super) async fn send_noting_losses(
        &self,
        what: &'static str,
        request: Request,
        repeatable: Repeatable,
        deadline: Instant,
        lost: &mut Option<E2bError>,
        left_nothing: fn(&E2bError) -> bool,
    ) -> Result<Reply, E2bError> {
        let mut retries = 0;
        loop {
            let again = request.try_clone();
            let Some(again) = again else {
                return self.send(what, request, deadline).await;
            };
            let sent = self.send(what, again, deadline).await;
            let attempt = match &sent {
                Ok(reply) if reply.status().is_success() => return sent,
                Ok(reply) => retry::Attempt::Answered {
                    status: reply.status().as_u16(),
                    should_retry: flag(reply.reply.headers(), "should-retry"),
                    retry_after: asked_pause(reply.reply.headers()),
                },
                Err(E2bError::Unreachable { .. }) => retry::Attempt::NotSent,
                Err(E2bError::Broken { .. }) if repeatable == Repeatable::Yes => {
                    retry::Attempt::LostButRepeatable
                }
                Err(E2bError::Broken { .. }) => retry::Attempt::Lost,
                Err(_) => return sent,
            };
            let left = deadline.saturating_duration_since(now());
            let Some(wait) = retry::wait(attempt, retries, left, jitter()) else {
                return sent;
            };
            let error = match sent {
                Ok(refused) => refused.refusal_within(REFUSAL).await,
                Err(error) => error,
            };
            if !left_nothing(&error) {
                if repeatable == Repeatable::No {
                    return Err(error);
                }
                *lost = Some(error);
            }
            sleep(wait).await;
            retries += 1;
        }
    }
}

impl Reply {
    pub(super) fn status(&self) -> StatusCode {
        self.reply.status()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.reply.headers().get(name)?.to_str().ok()
    }

    /// Itself if it says yes, and what it says otherwise.
    pub(super) async fn ok(self) -> Result<Self, E2bError> {
        if self.status().is_success() {
            return Ok(self);
        }
        Err(self.refusal().await)
    }

    /// All of it as JSON.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, E2bError> {
        let (what, secrets) = (self.what, self.secrets.clone());
        let kind = self.content_type().map(shown);
        let bytes = self.bytes(MAX_REPLY_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let reason = match kind {
                Some(kind) if !kind.contains("json") => format!("it is {kind}, and no JSON: {error}"),
                _ => error.to_string(),
            };
            secrets.struck_out(E2bError::BadReply { what, reason })
        })
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.header("content-type")
    }

    /// An error about what it says, without what it may not repeat.
    pub(super) fn struck_out(&self, error: E2bError) -> E2bError {
        self.secrets.struck_out(error)
    }

    /// All of it, if it is no more than so many bytes.
    pub(super) async fn bytes(self, limit: u64) -> Result<Vec<u8>, E2bError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let bytes = self.reply.bytes(most).await;
        bytes.map_err(|fault| met(self.what, fault))
    }

    /// The next piece; `None` at the end. Cancel-safe.
    pub(super) async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, E2bError> {
        let chunk = self.reply.chunk().await;
        chunk.map_err(|fault| met(self.what, fault))
    }

    /// What a reply that says no means.
    pub(super) async fn refusal(self) -> E2bError {
        self.refusal_in(|_| None).await
    }

    /// The same, of one that is not waited for long.
    async fn refusal_within(self, time: Duration) -> E2bError {
        let status = self.status().as_u16();
        let retry_after = asked_pause(self.reply.headers());
        timeout(time, self.refusal())
            .await
            .unwrap_or_else(|_| of_status(status, None, String::new(), retry_after))
    }

    /// The same, where it may be in words of another kind.
    pub(super) async fn refusal_in(self, words: impl FnOnce(&[u8]) -> Option<E2bError>) -> E2bError {
        let (status, secrets, is_of_machine) = (self.status(), self.secrets.clone(), self.is_of_machine);
        let retry_after = asked_pause(self.reply.headers());
        let body = self.bytes(MAX_REPLY_BYTES).await.unwrap_or_default();
        if let Some(error) = words(&body) {
            return secrets.struck_out(error);
        }
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let said = refusal
            .message
            .unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        // Struck out before it is cut, which could leave half of one.
        let message = shown(&secrets.strike(&said));
        let code = refusal.error_code.map(|code| shown(&secrets.strike(&code)));
        let of_machine = of_machine(status.as_u16(), &message).filter(|_| is_of_machine);
        if let Some(error) = of_machine {
            return error;
        }
        of_status(status.as_u16(), code, message, retry_after)
    }
}

impl Secrets {
    /// The values that are kept out of logs.
    fn of(request: &Request) -> Self {
        let sensitive = request.headers().values().filter(|value| value.is_sensitive());
        Self(
            sensitive
                .filter_map(|value| value.to_str().ok())
                .map(Secret::new)
                .collect(),
        )
    }

    fn strike(&self, text: &str) -> String {
        let secrets = self.0.iter();
        secrets.fold(text.to_owned(), |text, secret| secret.masked_in(&text))
    }

    fn struck_out(&self, error: E2bError) -> E2bError {
        error.with_texts(|text| shown(&self.strike(text)))
    }
}

/// In words of E2B's client.
fn met(what: &'static str, fault: Fault) -> E2bError {
    match fault {
        Fault::Unreachable {
            server,
            reason,
            source,
        } => E2bError::Unreachable {
            server,
            reason,
            source,
        },
        Fault::Broken {
            server,
            reason,
            source,
        } => E2bError::Broken {
            server,
            reason,
            source,
        },
        Fault::DeadlinePassed { .. } => E2bError::DeadlinePassed { what },
        Fault::TooLarge { limit, .. } => E2bError::TooLarge {
            what,
            limit: limit as u64,
        },
        other => E2bError::BadReply {
            what,
            reason: other.to_string(),
        },
    }
}

/// What the proxy before the machines says of one, and nobody else.
fn of_machine(status: u16, message: &str) -> Option<E2bError> {
    match status {
        502 if message.contains("port is not open") => Some(E2bError::NotReady),
        502 if message.contains("sandbox was not found") => Some(E2bError::NotFound {
            message: message.to_owned(),
        }),
        _ => None,
    }
}

fn of_status(status: u16, code: Option<String>, message: String, retry_after: Option<Duration>) -> E2bError {
    match status {
        401 => E2bError::Unauthorized { message },
        403 => E2bError::Forbidden { message },
        404 => E2bError::NotFound { message },
        409 => E2bError::Conflict { message },
        429 => E2bError::Busy { message, retry_after },
        // Nothing was changed, says E2B.
        503 => E2bError::Busy { message, retry_after },
        400..500 => E2bError::Rejected { status, message },
        _ => E2bError::Server {
            status,
            code,
            message,
        },
    }
}

fn flag(headers: &HeaderMap, name: &str) -> Option<bool> {
    match headers.get(name)?.to_str().ok()?.trim() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    #[expect(
        clippy::cast_precision_loss,
        reason = "a random number needs no more than its upper bits"
    )]
    let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}
