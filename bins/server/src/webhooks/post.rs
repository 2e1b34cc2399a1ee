//! One attempt to tell an endpoint.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{StatusCode, header::RETRY_AFTER, redirect::Policy};

use super::{endpoint::Endpoint, message::Message};
use crate::tls;

/// From the name's look-up to the reply's head; the specification's receivers have as long.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an endpoint was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It answered, but not with success; a redirect is not followed, it would carry the message elsewhere.
    #[error("it answered {status}")]
    Status {
        status: u16,
        /// How long it asked to wait.
        wish: Option<Duration>,
    },
    /// It could not be reached, or did not answer in time.
    #[error("{0}")]
    Unreachable(&'static str),
}

/// Sends messages.
#[async_trait]
pub(super) trait Post: Send + Sync + 'static {
    /// Sends a message, signed at this time in seconds since 1970.
    async fn post(&self, endpoint: &Endpoint, message: &Message, timestamp: i64) -> Result<(), Fault>;
}

/// Sends them over HTTP. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct HttpPost {
    client: reqwest::Client,
}

impl HttpPost {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        tls::install();
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .user_agent(concat!("meterbox/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Post for HttpPost {
    /// The body of a reply is not read: nothing depends on it, so none is too large or too slow.
    async fn post(&self, endpoint: &Endpoint, message: &Message, timestamp: i64) -> Result<(), Fault> {
        let signature = endpoint.signature(&message.id, timestamp, &message.body);
        let request = self
            .client
            .post(endpoint.url().clone())
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature)
            .body(message.body.clone());
        // The error's own words may quote the address, and with it what is secret in it.
        let reply = request.send().await.map_err(|error| {
            Fault::Unreachable(if error.is_timeout() {
                "it did not answer in time"
            } else if error.is_connect() {
                "it could not be connected to"
            } else {
                "the connection broke"
            })
        })?;
        let status = reply.status();
        if status.is_success() {
            return Ok(());
        }
        let waits = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let wish = reply.headers().get(RETRY_AFTER).filter(|_| waits);
        let wish = wish.and_then(|wish| wish.to_str().ok()?.parse().ok());
        Err(Fault::Status {
            status: status.as_u16(),
            wish: wish.map(Duration::from_secs),
        })
    }
}
