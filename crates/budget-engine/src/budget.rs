use meterbox_core::{Scope, Timestamp, Usd};
use serde::{Serialize, Serializer};

use crate::{BudgetError, Window};

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
}

/// From which share of the limit, in whole percent of spending, the state changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SoftCaps {
    /// From here on the state is [`BudgetState::Warned`].
    pub warn_percent: u8,
    /// From here on the state is [`BudgetState::Degraded`].
    pub degrade_percent: u8,
}

/// Where a budget stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetStatus {
    /// The concrete scope.
    pub scope: Scope,
    /// Its limit.
    pub limit: Usd,
    /// What is spent in this period.
    pub spent: Usd,
    /// What is set aside by holds under way.
    pub held: Usd,
    /// What a new hold may have.
    pub remaining: Usd,
    /// When the limit starts afresh; `None` if never.
    pub resets_at: Option<Timestamp>,
    /// How far spending has come.
    pub state: BudgetState,
}

/// How far spending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetState {
    /// Below every soft cap.
    Active,
    /// Time to tell somebody.
    Warned,
    /// Time for cheaper means.
    Degraded,
    /// Nothing is left to spend.
    Stopped,
}

impl Default for SoftCaps {
    fn default() -> Self {
        Self {
            warn_percent: 80,
            degrade_percent: 95,
        }
    }
}

impl Budget {
    /// A budget with the default soft caps (80 % and 95 %).
    pub fn new(scope: Scope, limit: Usd, window: Window) -> Self {
        Self {
            scope,
            limit,
            window,
            soft_caps: SoftCaps::default(),
        }
    }

    /// # Errors
    /// [`BudgetError::Invalid`] where the soft caps are no rising percentages.
    pub(crate) fn check(&self) -> Result<(), BudgetError> {
        let SoftCaps {
            warn_percent,
            degrade_percent,
        } = self.soft_caps;
        if warn_percent == 0 || warn_percent > degrade_percent || degrade_percent > 100 {
            return Err(BudgetError::Invalid(format!(
                "soft caps of {warn_percent} % and {degrade_percent} % are not 1 to 100 in rising order"
            )));
        }
        Ok(())
    }

    /// Where this budget stands for a concrete scope.
    pub(crate) fn status(&self, scope: Scope, spent: Usd, held: Usd, now: Timestamp) -> BudgetStatus {
        BudgetStatus {
            scope,
            limit: self.limit,
            spent,
            held,
            remaining: self.limit.saturating_sub(spent).saturating_sub(held),
            resets_at: self.window.period_at(now).resets_at,
            state: self.state(spent),
        }
    }

    fn state(&self, spent: Usd) -> BudgetState {
        let reached = |percent: u8| {
            let spent = i128::from(spent.nanos()).saturating_mul(100);
            spent >= i128::from(self.limit.nanos()).saturating_mul(i128::from(percent))
        };
        if reached(100) {
            BudgetState::Stopped
        } else if reached(self.soft_caps.degrade_percent) {
            BudgetState::Degraded
        } else if reached(self.soft_caps.warn_percent) {
            BudgetState::Warned
        } else {
            BudgetState::Active
        }
    }
}

fn as_text<S: Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_spending_exactly() {
        let budget = Budget::new(
            "user/ana".parse().unwrap(),
            Usd::from_dollars(10),
            Window::Lifetime,
        );
        for (spent, state) in [
            ("0", BudgetState::Active),
            ("7.999999999", BudgetState::Active),
            ("8", BudgetState::Warned),
            ("9.5", BudgetState::Degraded),
            ("9.999999999", BudgetState::Degraded),
            ("10", BudgetState::Stopped),
            ("11", BudgetState::Stopped),
        ] {
            assert_eq!(budget.state(spent.parse().unwrap()), state, "{spent}");
        }
        let closed = Budget {
            limit: Usd::ZERO,
            ..budget.clone()
        };
        assert_eq!(closed.state(Usd::ZERO), BudgetState::Stopped);
        let five_hundred = SoftCaps {
            warn_percent: 80,
            degrade_percent: 255,
        };
        assert!(
            Budget {
                soft_caps: five_hundred,
                ..budget
            }
            .check()
            .is_err()
        );
    }
}
