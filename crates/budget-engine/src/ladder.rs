//! The policy ladder: what happens as spending comes near a limit. Free of clocks and I/O.

use std::fmt;

use meterbox_core::Usd;
use serde::{Deserialize, Serialize};

use crate::{BudgetError, BudgetStatus};

/// From which share of the limit, in whole percent of spending, what happens. 100 for something that shall not
/// happen before the limit itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftCaps {
    /// From here on the state is [`BudgetState::Warned`].
    pub warn_percent: u8,
    /// From here on the state is [`BudgetState::Degraded`], and requests move to cheaper models.
    pub degrade_percent: u8,
    /// From here on what a request can do without is left out.
    pub features_off_percent: u8,
    /// From here on only so many requests as [`squeeze_to`](Self::squeeze_to) go on at once.
    pub squeeze_percent: u8,
    /// At least 1.
    pub squeeze_to: u16,
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

/// A step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rung {
    /// Somebody is told.
    Warn,
    /// Requests move to cheaper models.
    CheaperModel,
    /// What a request can do without is left out.
    FeaturesOff,
    /// Only a few requests go on at once.
    Squeeze,
    /// Nothing goes on: the limit is reached, or what is left of it does not pay for the least request any more, where
    /// whoever watches [knows what that costs](crate::Watcher::least_request).
    Stop,
}

/// When a rung was last told of, in this period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) limit: Usd,
    pub(crate) spent: Usd,
}

impl Default for SoftCaps {
    fn default() -> Self {
        Self {
            warn_percent: 80,
            degrade_percent: 95,
            features_off_percent: 97,
            squeeze_percent: 98,
            squeeze_to: 1,
        }
    }
}

impl SoftCaps {
    /// These two, with the steps between degraded and stopped as by default, or at `degrade_percent` where that comes
    /// later.
    pub fn new(warn_percent: u8, degrade_percent: u8) -> Self {
        let default = Self::default();
        Self {
            warn_percent,
            degrade_percent,
            features_off_percent: default.features_off_percent.max(degrade_percent),
            squeeze_percent: default.squeeze_percent.max(degrade_percent),
            squeeze_to: default.squeeze_to,
        }
    }

    /// Can they be the caps of a budget?
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where they are no percentages in rising order.
    pub fn check(&self) -> Result<(), BudgetError> {
        let rising = [
            self.warn_percent,
            self.degrade_percent,
            self.features_off_percent,
            self.squeeze_percent,
        ];
        if self.warn_percent == 0 || self.squeeze_percent > 100 || !rising.is_sorted() {
            let shown = rising.map(|percent| format!("{percent} %")).join(", ");
            return Err(BudgetError::Invalid(format!(
                "soft caps of {shown} (warn, degrade, features off, squeeze) are not 1 to 100 in rising order"
            )));
        }
        if self.squeeze_to == 0 {
            let message = "squeezed to no request at once is a stop; squeeze to at least 1".to_owned();
            return Err(BudgetError::Invalid(message));
        }
        Ok(())
    }

    /// From which percentage on a rung counts; `None` where it does not come before the limit.
    pub fn percent(&self, rung: Rung) -> Option<u8> {
        let percent = match rung {
            Rung::Warn => self.warn_percent,
            Rung::CheaperModel => self.degrade_percent,
            Rung::FeaturesOff => self.features_off_percent,
            Rung::Squeeze => self.squeeze_percent,
            Rung::Stop => return Some(100),
        };
        (percent < 100).then_some(percent)
    }

    /// How far `spent` of `limit` is.
    pub(crate) fn state(&self, limit: Usd, spent: Usd) -> BudgetState {
        let reached = |percent| has_reached(spent, limit, percent);
        if reached(100) {
            BudgetState::Stopped
        } else if reached(self.degrade_percent) {
            BudgetState::Degraded
        } else if reached(self.warn_percent) {
            BudgetState::Warned
        } else {
            BudgetState::Active
        }
    }
}

impl Rung {
    pub(crate) const ALL: [Self; 5] = [
        Self::Warn,
        Self::CheaperModel,
        Self::FeaturesOff,
        Self::Squeeze,
        Self::Stop,
    ];

    /// Its name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::CheaperModel => "cheaper_model",
            Self::FeaturesOff => "features_off",
            Self::Squeeze => "squeeze",
            Self::Stop => "stop",
        }
    }

    /// Is this rung reached, and nobody told?
    ///
    /// A rung is told of once a period. Only where the limit was raised since, so far that spending fell below the
    /// rung again, it is told of once more when spending gets there. A limit that moves a little (what was carried
    /// over changes with late bills) is no news.
    pub(crate) fn is_news(self, status: &BudgetStatus, told: Option<Told>, least: Usd) -> bool {
        let Some(percent) = status.soft_caps.percent(self) else {
            return false;
        };
        let reached = |spent| self.is_reached(spent, status.limit, percent, least);
        if !reached(status.spent) {
            return false;
        }
        told.is_none_or(|told| told.limit < status.limit && !reached(told.spent))
    }

    /// What is set aside may become free again, so only what is spent counts.
    fn is_reached(self, spent: Usd, limit: Usd, percent: u8, least: Usd) -> bool {
        has_reached(spent, limit, percent) || self == Self::Stop && limit.saturating_sub(spent) < least
    }
}

/// Are these nano-dollars at least this percentage of the limit? Exact.
pub(crate) fn has_reached(amount: Usd, limit: Usd, percent: u8) -> bool {
    i128::from(amount.nanos()).saturating_mul(100) >= share(limit, percent)
}

/// Are they more than it?
pub(crate) fn is_past(amount: Usd, limit: Usd, percent: u8) -> bool {
    i128::from(amount.nanos()).saturating_mul(100) > share(limit, percent)
}

fn share(limit: Usd, percent: u8) -> i128 {
    i128::from(limit.nanos()).saturating_mul(i128::from(percent))
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_spending_exactly() {
        let (caps, limit) = (SoftCaps::default(), Usd::from_dollars(10));
        for (spent, state) in [
            ("0", BudgetState::Active),
            ("7.999999999", BudgetState::Active),
            ("8", BudgetState::Warned),
            ("9.499999999", BudgetState::Warned),
            ("9.5", BudgetState::Degraded),
            ("9.999999999", BudgetState::Degraded),
            ("10", BudgetState::Stopped),
            ("11", BudgetState::Stopped),
        ] {
            assert_eq!(caps.state(limit, spent.parse().unwrap()), state, "{spent}");
        }
        assert_eq!(caps.state(Usd::ZERO, Usd::ZERO), BudgetState::Stopped);
        assert_eq!(caps.state(Usd::MAX, Usd::MAX), BudgetState::Stopped);
    }

    #[test]
    fn caps_that_do_not_rise_to_a_hundred_are_refused() {
        let caps = SoftCaps::default();
        assert!(caps.check().is_ok() && SoftCaps::new(50, 99).check().is_ok());
        assert!(SoftCaps::new(100, 100).check().is_ok());
        for wrong in [
            SoftCaps::new(0, 95),
            SoftCaps::new(96, 95),
            SoftCaps::new(80, 101),
            SoftCaps {
                features_off_percent: 90,
                ..caps
            },
            SoftCaps {
                squeeze_percent: 255,
                ..caps
            },
            SoftCaps {
                squeeze_to: 0,
                ..caps
            },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert_eq!(
            SoftCaps::new(100, 100).percent(Rung::Squeeze),
            None,
            "the stop alone"
        );
    }
}
