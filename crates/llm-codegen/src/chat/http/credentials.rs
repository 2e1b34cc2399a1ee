//! How a server knows who asks.

use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_http_client::Secret;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// Where a key is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyStyle {
    /// In the header `api-key`, as Azure and most gateways before it have it.
    ApiKeyHeader,
    /// In `authorization: Bearer`.
    Bearer,
    /// In the header `x-api-key`, as Anthropic has it.
    XApiKey,
}

/// Gets bearer tokens that expire, such as those of Entra ID. It is asked before each request, so it should keep a
/// token until shortly before its end. Whether it tries again where none can be had is its own business.
#[async_trait]
pub trait TokenSource: Send + Sync + fmt::Debug + 'static {
    /// A token that is still good for a while.
    ///
    /// # Errors
    /// In words for a person, without the token.
    async fn token(&self) -> Result<Secret, Box<dyn Error + Send + Sync>>;

    /// The last token was not accepted: the next one should be another.
    fn was_rejected(&self) {}
}

#[derive(Debug, Clone)]
pub(super) enum Credentials {
    Nothing,
    Key(Secret, KeyStyle),
    Tokens(Arc<dyn TokenSource>),
}

/// What goes with one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Pass {
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    secret: Option<Secret>,
}

impl Credentials {
    pub(super) async fn pass(&self) -> Result<Pass, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Nothing => Ok(Pass::default()),
            Self::Key(key, style) => Pass::new(key.clone(), *style),
            Self::Tokens(source) => Pass::new(source.token().await?, KeyStyle::Bearer),
        }
    }

    /// The server does not accept what was sent.
    pub(super) fn was_rejected(&self) {
        if let Self::Tokens(source) = self {
            source.was_rejected();
        }
    }
}

impl Pass {
    fn new(secret: Secret, style: KeyStyle) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (name, prefix) = match style {
            KeyStyle::ApiKeyHeader => (HeaderName::from_static("api-key"), ""),
            KeyStyle::Bearer => (AUTHORIZATION, "Bearer "),
            KeyStyle::XApiKey => (HeaderName::from_static("x-api-key"), ""),
        };
        let value = secret
            .header(prefix)
            .filter(|_| secret.is_plausible())
            .ok_or("it is empty or has characters that no token has")?;
        Ok(Self {
            header: Some((name, value)),
            secret: Some(secret),
        })
    }

    /// Servers repeat what they were sent.
    pub(super) fn masked_in(&self, text: &str) -> String {
        match &self.secret {
            Some(secret) => secret.masked_in(text),
            None => text.to_owned(),
        }
    }
}
