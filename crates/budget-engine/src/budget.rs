use std::sync::Arc;

use meterbox_core::{Scope, Timestamp, Usd};
use serde::{Serialize, Serializer};

use crate::{BudgetError, BudgetState, SoftCaps, Window, ledger::TopUpId};

/// How much may be spent in a scope, in each period of a window.
///
/// On a wildcard such as `user/*` the limit applies to each user separately; a budget defined on
/// `user/ana` itself replaces the wildcard's for her.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Whose budget.
    pub scope: Scope,
    /// The most that may be spent and set aside; zero stops all spending.
    pub limit: Usd,
    /// When the limit starts afresh.
    #[serde(serialize_with = "as_text")]
    pub window: Window,
    /// What is reported before the limit is reached.
    pub soft_caps: SoftCaps,
    /// What a period leaves unspent is added to the next period's limit, up to this much. It is not carried on
    /// further. Calendar windows only; zero for nothing.
    pub carry_over: Usd,
    /// This much of the limit is kept for requests that ask as [`degraded`](crate::HoldRequest::degraded), so
    /// that something cheap still works when the rest is spent.
    pub degraded_allowance: Usd,
}

/// Money on top of a limit, once.
///
/// What a period spends beyond its own limit comes out of the scope's top-ups, the one that ends first before
/// the others; what is left of them serves the next periods until it ends. In a rolling window a top-up simply
/// raises the limit until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUp {
    /// Its name; granting the same one again changes nothing.
    pub id: TopUpId,
    /// Whose; not a wildcard.
    pub scope: Scope,
    /// How much.
    pub amount: Usd,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// What for, in a few words.
    pub note: String,
}

/// Somebody stopped all spending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// Since when.
    pub since: Timestamp,
    /// Why, in a few words.
    pub reason: String,
}

/// Where a budget stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetStatus {
    /// The concrete scope.
    pub scope: Scope,
    /// Its limit now, with what was carried over and topped up.
    pub limit: Usd,
    /// How much of the limit was carried over and topped up.
    pub extra: Usd,
    /// What is spent in this period.
    pub spent: Usd,
    /// What is set aside by holds under way.
    pub held: Usd,
    /// What a new hold may have; less [`Budget::degraded_allowance`] where it is not degraded.
    pub remaining: Usd,
    /// How much of what remains only degraded requests may have.
    pub degraded_allowance: Usd,
    /// By how much spending, which is booked whatever it is, and holds exceed the limit.
    pub overspent: Usd,
    /// When the limit starts afresh; `None` if never.
    pub resets_at: Option<Timestamp>,
    /// How far spending has come.
    pub state: BudgetState,
    /// What happens before the limit is reached.
    pub soft_caps: SoftCaps,
    /// The name of the period: an event of the ladder is raised once in each.
    #[serde(serialize_with = "shared_text")]
    pub period: Arc<str>,
}

impl Budget {
    /// A budget with the default soft caps and nothing carried over or kept apart.
    pub fn new(scope: Scope, limit: Usd, window: Window) -> Self {
        Self {
            scope,
            limit,
            window,
            soft_caps: SoftCaps::default(),
            carry_over: Usd::ZERO,
            degraded_allowance: Usd::ZERO,
        }
    }

    /// Carries up to this much of what a period leaves over to the next.
    #[must_use]
    pub fn carrying_over(mut self, at_most: Usd) -> Self {
        self.carry_over = at_most;
        self
    }

    /// Keeps this much of the limit for degraded requests.
    #[must_use]
    pub fn with_degraded_allowance(mut self, amount: Usd) -> Self {
        self.degraded_allowance = amount;
        self
    }

    /// # Errors
    /// [`BudgetError::Invalid`] where the soft caps are no rising percentages, more is kept apart than there is,
    /// or something is to be carried over that has no next period.
    pub(crate) fn check(&self) -> Result<(), BudgetError> {
        self.soft_caps.check()?;
        if self.degraded_allowance > self.limit {
            return Err(BudgetError::Invalid(format!(
                "a degraded allowance of {} is more than the limit of {}",
                self.degraded_allowance, self.limit
            )));
        }
        if !self.carry_over.is_zero() && !matches!(self.window, Window::Calendar(..)) {
            return Err(BudgetError::Invalid(format!(
                "nothing can be carried over in the window {}; use a calendar window such as month UTC",
                self.window
            )));
        }
        Ok(())
    }
}

fn as_text<S: Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(window)
}

fn shared_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
