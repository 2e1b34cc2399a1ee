use std::time::Duration;

use meterbox_http_client::{Secret, parse_address};
use reqwest::Url;

use super::{E2bClient, transport::Transport};

const DOMAIN: &str = "e2b.app";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How the machines are addressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Addressing {
    /// Each by a host name of its own, `{port}-{sandbox}.{domain}`.
    #[default]
    Direct,
    /// All by one host name, `sandbox.{domain}`, and two headers: where there is no wildcard DNS.
    Shared,
}

/// A setting of E2B cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct InvalidE2bConfig {
    /// Which.
    pub setting: &'static str,
    /// What is wrong, and the way out.
    pub problem: String,
}

/// A client under construction: see [`E2bClient::builder`].
#[derive(Debug, Clone)]
pub struct E2bBuilder {
    http: reqwest::Client,
    api_key: Secret,
    domain: String,
    api_url: Option<String>,
    sandbox_url: Option<String>,
    addressing: Addressing,
    request_timeout: Duration,
}

impl E2bBuilder {
    pub(super) fn new(http: reqwest::Client, api_key: impl Into<String>) -> Self {
        Self {
            http,
            api_key: Secret::new(api_key),
            domain: DOMAIN.to_owned(),
            api_url: None,
            sandbox_url: None,
            addressing: Addressing::default(),
            request_timeout: REQUEST_TIMEOUT,
        }
    }

    /// The domain of an E2B of one's own, instead of `e2b.app`; `E2B_DOMAIN` in E2B's SDKs.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    /// The control plane, instead of `https://api.{domain}`; `E2B_API_URL` in E2B's SDKs.
    #[must_use]
    pub fn api_url(mut self, url: impl Into<String>) -> Self {
        self.api_url = Some(url.into());
        self
    }

    /// One address for all machines, which tells them apart by two headers; `E2B_SANDBOX_URL` in E2B's SDKs.
    #[must_use]
    pub fn sandbox_url(mut self, url: impl Into<String>) -> Self {
        self.sandbox_url = Some(url.into());
        self
    }

    /// How the machines are addressed where there is no [`sandbox_url`](Self::sandbox_url).
    #[must_use]
    pub fn addressing(mut self, addressing: Addressing) -> Self {
        self.addressing = addressing;
        self
    }

    /// How long a call may take that has no time limit of its own, retries included; 60 seconds by default.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`InvalidE2bConfig`] names the setting, and never shows the key.
    pub fn build(self) -> Result<E2bClient, InvalidE2bConfig> {
        if !self.api_key.is_plausible() {
            return Err(InvalidE2bConfig {
                setting: "E2B_API_KEY",
                problem: "is empty or has characters that no key has; copy it anew from e2b.dev/dashboard"
                    .to_owned(),
            });
        }
        let domain = self.domain;
        let is_host = !domain.is_empty()
            && domain
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
        if !is_host {
            return Err(InvalidE2bConfig {
                setting: "E2B_DOMAIN",
                problem: format!("is {domain:?}; write a host name such as e2b.app"),
            });
        }
        let api_url = self.api_url.unwrap_or_else(|| format!("https://api.{domain}"));
        Ok(E2bClient {
            transport: Transport::new(self.http),
            api_url: base_url("E2B_API_URL", &api_url)?,
            sandbox_url: self
                .sandbox_url
                .map(|url| base_url("E2B_SANDBOX_URL", &url))
                .transpose()?,
            api_key: self.api_key,
            domain,
            addressing: self.addressing,
            request_timeout: self.request_timeout,
            has_only_v1: std::sync::Arc::default(),
        })
    }
}

fn base_url(setting: &'static str, text: &str) -> Result<Url, InvalidE2bConfig> {
    parse_address(text).map_err(|error| InvalidE2bConfig {
        setting,
        problem: error.to_string(),
    })
}
