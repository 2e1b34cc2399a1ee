use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Scope, Timestamp, Usd};

/// Why there is no answer, and what to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The kind, for programs.
    pub kind: FailureKind,
    /// What happened, for people; names the input at fault.
    pub message: String,
    /// One next step.
    pub hint: String,
    /// When the same request may succeed, in seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<f64>,
    /// Questions that can be answered on this data, where the question could not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
    /// Words of the question that were not understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_understood: Vec<String>,
    /// The budget that does not cover it, where one does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<ShortBudget>>,
}

/// A budget that does not cover a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ShortBudget {
    /// Whose budget.
    pub scope: Scope,
    /// Its limit.
    pub limit: Usd,
    /// What is left of it.
    pub remaining: Usd,
    /// When it starts afresh; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: hint.into(),
            retry_after: None,
            suggestions: Vec::new(),
            not_understood: Vec::new(),
            budget: None,
        }
    }

    /// The same, with when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.map(|wait| wait.as_secs_f64());
        self
    }
}

/// The kinds of failure. Which HTTP status and exit code each has is the server's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The program raised an error, or ended without a result.
    ProgramError,
    /// The program ran longer than allowed.
    LimitWall,
    /// The program used more processor time than allowed.
    LimitCpu,
    /// The program needed more memory than allowed.
    LimitMemory,
    /// The program printed or wrote more than allowed.
    LimitOutput,
    /// The program's result breaks the answer contract.
    BadAnswer,
    /// The data cannot be read: missing, empty, or not what its name says.
    BadData,
    /// The request itself is wrong.
    BadRequest,
    /// The planner could not map the question to the data.
    CannotAnswer,
    /// The question can be read in more than one way.
    Ambiguous,
    /// The model provider refused the credentials.
    ProviderAuth,
    /// The model provider is limiting the rate.
    ProviderRate,
    /// The account at the model provider has no quota left.
    ProviderQuota,
    /// The model provider's content filter stopped the request or reply.
    ContentFilter,
    /// The model's reply was cut off.
    Truncated,
    /// The prompt is longer than the model can read.
    ContextTooLong,
    /// The model provider cannot be reached.
    ProviderDown,
    /// No sandbox can be had.
    SandboxUnavailable,
    /// The ledger cannot be used, so nothing may be spent.
    LedgerUnavailable,
    /// The circuit breaker keeps calls from a failing dependency.
    BreakerOpen,
    /// The budget does not cover it.
    Budget,
    /// Too many requests in this time.
    Rate,
    /// Too many requests at once.
    Concurrency,
    /// Somebody cancelled it.
    Cancelled,
    /// The service stopped while it ran.
    Interrupted,
}
