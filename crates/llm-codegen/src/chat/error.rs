use std::{error::Error, fmt, time::Duration};

use meterbox_core::Retryability;

use super::Billed;

/// Why a model gave no usable reply.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ChatError {
    kind: ChatErrorKind,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
    retryability: Option<Retryability>,
    billed: Billed,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`ChatError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChatErrorKind {
    /// The key or token is not accepted, or may not do this.
    Auth,
    /// There is no such deployment, model or path.
    DeploymentMissing,
    /// Too many requests or tokens for now.
    Rate,
    /// The account has nothing left; waiting does not help.
    Quota,
    /// The provider's content filter stopped prompt or reply.
    ContentFilter,
    /// Prompt and output cap do not fit into the model's context.
    ContextTooLong,
    /// The reply was cut off by the output cap, perhaps before its first visible word.
    Truncated,
    /// The model declined to answer.
    Refusal,
    /// The provider is overloaded or failed.
    Overloaded,
    /// No connection: nothing was sent.
    Unreachable,
    /// The connection broke, or the time was up, after something was sent.
    Interrupted,
    /// The reply is not what the protocol says, or too large.
    Malformed,
    /// The provider finds the request itself wrong.
    Rejected,
    /// The provider does not take a parameter that was sent. The model has learnt it: the same request, encoded anew,
    /// goes without it.
    Unsupported,
}

impl ChatError {
    /// An error of this kind that cost nothing.
    pub fn new(kind: ChatErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            retry_after: None,
            retryability: None,
            billed: Billed::Nothing,
            source: None,
        }
    }

    /// With the HTTP status it came with.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With the pause the provider asks for.
    #[must_use]
    pub fn with_retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// With the provider's own word on whether the call may be made again, which counts more than the kind.
    #[must_use]
    pub fn with_retryability(mut self, retryability: Retryability) -> Self {
        self.retryability = Some(retryability);
        self
    }

    /// With what the call cost all the same.
    #[must_use]
    pub fn with_billed(mut self, billed: Billed) -> Self {
        self.billed = billed;
        self
    }

    /// With what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ChatErrorKind {
        self.kind
    }

    /// The HTTP status, where there was a reply.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// What the call cost all the same.
    pub fn billed(&self) -> Billed {
        self.billed
    }

    /// May the same call be made again? Each attempt is paid for, and [`RetryRule`](super::RetryRule) says when.
    pub fn retryability(&self) -> Retryability {
        if let Some(said) = self.retryability {
            return said;
        }
        match self.kind {
            ChatErrorKind::Rate
            | ChatErrorKind::Overloaded
            | ChatErrorKind::Unreachable
            | ChatErrorKind::Interrupted
            | ChatErrorKind::Unsupported => Retryability::Safe,
            _ => Retryability::Never,
        }
    }

    /// How long to wait first, where the provider said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for ChatErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth => "auth",
            Self::DeploymentMissing => "deployment_missing",
            Self::Rate => "rate_limited",
            Self::Quota => "quota",
            Self::ContentFilter => "content_filter",
            Self::ContextTooLong => "context_too_long",
            Self::Truncated => "truncated",
            Self::Refusal => "refusal",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::Malformed => "malformed",
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
        })
    }
}
