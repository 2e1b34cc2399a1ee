use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use meterbox_http_client::{Secret, deadline_after};
use reqwest::Url;
use tokio::time::Instant;

use super::{Addressing, E2bBuilder, transport::Transport};

/// A client of E2B's control plane and of what runs in its machines. Clones share their connections.
#[derive(Debug, Clone)]
pub struct E2bClient {
    pub(super) transport: Transport,
    pub(super) api_key: Secret,
    pub(super) api_url: Url,
    pub(super) sandbox_url: Option<Url>,
    pub(super) domain: String,
    pub(super) addressing: Addressing,
    pub(super) request_timeout: Duration,
    /// Learnt from the first create: an older server.
    pub(super) has_only_v1: Arc<AtomicBool>,
}

impl E2bClient {
    /// A client with this key. `http` must not follow redirects: [`http_client`](super::http_client) makes such a one.
    pub fn builder(http: reqwest::Client, api_key: impl Into<String>) -> E2bBuilder {
        E2bBuilder::new(http, api_key)
    }

    /// The deadline of a call that begins now and has no time limit of its own.
    pub(super) fn deadline(&self) -> Instant {
        deadline_after(self.request_timeout)
    }
}
