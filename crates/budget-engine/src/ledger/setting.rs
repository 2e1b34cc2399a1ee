use meterbox_core::Usd;
use serde::{Deserialize, Serialize};

use crate::{Budget, SoftCaps};

/// What a setting says of a budget, apart from whose it is and its window, which stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    limit: Usd,
    soft_caps: SoftCaps,
    carry_over: Usd,
    degraded_allowance: Usd,
}

impl Setting {
    /// What this budget says.
    pub(crate) fn of(budget: &Budget) -> Self {
        Self {
            limit: budget.limit,
            soft_caps: budget.soft_caps,
            carry_over: budget.carry_over,
            degraded_allowance: budget.degraded_allowance,
        }
    }

    /// The budget as it would be if only this setting counted.
    pub(crate) fn alone(&self, known: &Budget) -> Budget {
        self.over(known, None)
    }

    /// The budget with what this says otherwise than was said last; an edit of anything else stays. What is kept for
    /// degraded requests never exceeds the limit.
    pub(crate) fn over(&self, known: &Budget, last: Option<&Self>) -> Budget {
        let mut budget = known.clone();
        if last.is_none_or(|last| last.limit != self.limit) {
            budget.limit = self.limit;
        }
        if last.is_none_or(|last| last.soft_caps != self.soft_caps) {
            budget.soft_caps = self.soft_caps;
        }
        if last.is_none_or(|last| last.carry_over != self.carry_over) {
            budget.carry_over = self.carry_over;
        }
        if last.is_none_or(|last| last.degraded_allowance != self.degraded_allowance) {
            budget.degraded_allowance = self.degraded_allowance;
        }
        budget.degraded_allowance = budget.degraded_allowance.min(budget.limit);
        budget
    }
}
