use std::time::Duration;

use super::{face::Face, refusal::Refusal};
use crate::WireFault;

/// What a call can meet instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelFault {
    /// Something below the protocol, or a reply of one's own.
    Wire(WireFault),
    /// 429, to be tried again after this time, which two headers say.
    RateLimited(Duration),
    /// 429, and it stays so: nothing is left.
    QuotaGone,
    /// 529 of Anthropic, 503 of the others.
    Overloaded,
    /// 500.
    Failed,
    /// The content filter stops the prompt.
    ContentFilter,
    /// Prompt and output do not fit.
    ContextTooLong,
    /// The server does not take this parameter.
    Unsupported(&'static str),
}

impl From<WireFault> for ModelFault {
    fn from(fault: WireFault) -> Self {
        Self::Wire(fault)
    }
}

impl ModelFault {
    pub(super) fn met(self, face: Face) -> Result<WireFault, Refusal> {
        Err(match self {
            Self::Wire(fault) => return Ok(fault),
            Self::RateLimited(pause) => Refusal::rate_limited(pause),
            Self::QuotaGone => Refusal::quota_gone(face),
            Self::Overloaded => Refusal::overloaded(face),
            Self::Failed => Refusal::failed(),
            Self::ContentFilter => Refusal::filtered(face),
            Self::ContextTooLong => Refusal::too_long(face),
            Self::Unsupported(parameter) => Refusal::unsupported(parameter),
        })
    }
}
