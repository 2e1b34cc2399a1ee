use std::time::Duration;

use meterbox_core::{Retryability, Scope, StorageError, Timestamp, Usd};

use crate::{Budget, HoldId, Settlement, Stop};

/// Why the engine did not do as asked. Whatever the error, nothing was half done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// A budget does not cover the amount. Nothing was set aside in any scope.
    #[error("{}", refusal(scope, *limit, *remaining, *requested, *resets_at))]
    Refused {
        /// The scope with the least left.
        scope: Scope,
        /// Its limit.
        limit: Usd,
        /// What is spent of it.
        spent: Usd,
        /// What others have set aside.
        held: Usd,
        /// What is left.
        remaining: Usd,
        /// What was asked for.
        requested: Usd,
        /// When the limit starts afresh; `None` if never.
        resets_at: Option<Timestamp>,
        /// How long until the same request may be covered, where time can help.
        retry_after: Option<Duration>,
    },
    /// No budget is defined for any scope of the request, and nothing may be spent without one.
    #[error(
        "no budget is defined for {}; define one for it or for its wildcard",
        list(scopes)
    )]
    NoBudget {
        /// The scopes asked for.
        scopes: Vec<Scope>,
    },
    /// The budget is not what an edit of it was made from.
    #[error("the budget of {scope} was changed by somebody else meanwhile")]
    Changed {
        /// Whose.
        scope: Scope,
        /// What it is now; `None` where it was removed.
        found: Option<Box<Budget>>,
    },
    /// The worst case of a paid call is more than the hold has left; the call must not be made.
    #[error(
        "the hold has {available} left, the call may cost {worst_case}; take a larger hold or a smaller call"
    )]
    HoldTooSmall {
        /// What the hold has left beside its other open intents.
        available: Usd,
        /// What the call may cost.
        worst_case: Usd,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key {key:?} was used for something else; use a new key")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The idempotency key's hold has ended: this is what became of it.
    #[error("the request with this idempotency key has ended; it drew {}", .0.drawn)]
    AlreadyEnded(Box<Settlement>),
    /// The hold's time is over and its grace runs: extend it before the next paid call.
    #[error("the hold's time ended at {at}; extend it before another paid call")]
    Lapsed {
        /// When.
        at: Timestamp,
    },
    /// Somebody stopped all spending.
    #[error("all spending is stopped since {}: {}", .0.since, .0.reason)]
    Stopped(Stop),
    /// There is no such hold.
    #[error("there is no hold {0}")]
    UnknownHold(HoldId),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The ledger cannot be used.
    #[error("the ledger failed: {0}")]
    Store(#[from] StorageError),
}

/// The kinds of [`BudgetError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BudgetErrorKind {
    /// A budget does not cover it.
    Refused,
    /// Nothing may be spent without a budget.
    NoBudget,
    /// Somebody else changed it meanwhile.
    Changed,
    /// The hold does not cover it.
    HoldTooSmall,
    /// An idempotency key does not fit, or its request has ended.
    Idempotency,
    /// The hold's time is over.
    Lapsed,
    /// All spending is stopped.
    Stopped,
    /// There is no such hold.
    UnknownHold,
    /// The request is wrong.
    Invalid,
    /// The ledger cannot be used.
    Store,
}

impl BudgetError {
    /// The kind, for decisions.
    pub fn kind(&self) -> BudgetErrorKind {
        match self {
            Self::Refused { .. } => BudgetErrorKind::Refused,
            Self::NoBudget { .. } => BudgetErrorKind::NoBudget,
            Self::Changed { .. } => BudgetErrorKind::Changed,
            Self::HoldTooSmall { .. } => BudgetErrorKind::HoldTooSmall,
            Self::KeyReused { .. } | Self::AlreadyEnded(_) => BudgetErrorKind::Idempotency,
            Self::Lapsed { .. } => BudgetErrorKind::Lapsed,
            Self::Stopped(_) => BudgetErrorKind::Stopped,
            Self::UnknownHold(_) => BudgetErrorKind::UnknownHold,
            Self::Invalid(_) => BudgetErrorKind::Invalid,
            Self::Store(_) => BudgetErrorKind::Store,
        }
    }

    /// May the same call be made again?
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::Refused {
                retry_after: Some(_), ..
            } => Retryability::Safe,
            Self::Store(error) => error.retryability(),
            _ => Retryability::Never,
        }
    }

    /// How long to wait first, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

fn refusal(
    scope: &Scope,
    limit: Usd,
    remaining: Usd,
    requested: Usd,
    resets_at: Option<Timestamp>,
) -> String {
    let fresh = resets_at
        .map(|at| format!("; it starts afresh at {at}"))
        .unwrap_or_default();
    format!("the budget of {scope} has {remaining} left of {limit}, {requested} is needed{fresh}")
}

fn list(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(", ")
}
