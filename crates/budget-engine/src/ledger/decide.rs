use std::time::Duration;

use meterbox_core::{Scope, Timestamp, Usd};

use super::{HoldId, HoldRequest};
use crate::{Budget, BudgetError, BudgetStatus, Unbudgeted};

/// Where only holds under way stand in the way, they end sooner than any period.
const POLL_FOR_HELD_MONEY: Duration = Duration::from_secs(5);

/// A hold to be opened; the request is already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHold {
    /// The name it will have.
    pub id: HoldId,
    /// What is asked for.
    pub request: HoldRequest,
    /// What happens where no scope has a budget.
    pub unbudgeted: Unbudgeted,
}

/// What a budget has for a request, and when it may have more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) status: BudgetStatus,
    /// What leaves a rolling window, and when; earliest first.
    pub(crate) leaving: Vec<(Timestamp, Usd)>,
}

/// How much a request gets, given what each budget that applies has for it.
///
/// The whole rule: the amount fits into what is left of every budget that applies, or nothing is held.
pub(crate) fn amount_to_hold(request: &HoldRequest, left: impl Iterator<Item = Usd>) -> Option<Usd> {
    let amount = left.fold(request.amount, Usd::min);
    (amount >= least(request)).then_some(amount)
}

pub(crate) fn least(request: &HoldRequest) -> Usd {
    request.at_least.unwrap_or(request.amount)
}

/// May `new` take the place of `old`? A limit may change at any time and keeps what was spent. Another
/// window would begin with nothing spent, so it takes an explicit removal first.
///
/// # Errors
/// [`BudgetError::Invalid`] where the window differs.
pub(crate) fn check_redefinition(old: &Budget, new: &Budget) -> Result<(), BudgetError> {
    if old.window == new.window {
        return Ok(());
    }
    Err(BudgetError::Invalid(format!(
        "the budget of {} counts per {}; remove it first to count per {}, which begins with nothing spent",
        old.scope, old.window, new.window
    )))
}

impl BudgetStatus {
    /// What a request may have of it.
    pub(crate) fn left_for(&self, degraded: bool) -> Usd {
        if degraded {
            self.remaining
        } else {
            self.remaining.saturating_sub(self.degraded_allowance)
        }
    }
}

/// Names the tightest of the budgets, and a time to retry that suits all that refused.
pub(crate) fn refusal(now: Timestamp, request: &HoldRequest, rooms: &[Room]) -> BudgetError {
    let requested = least(request);
    let left = |room: &Room| room.status.left_for(request.degraded);
    let Some(tightest) = rooms.iter().min_by_key(|room| left(room)) else {
        return BudgetError::NoBudget {
            scopes: request.scopes.clone(),
        };
    };
    let waits: Option<Vec<Duration>> = rooms
        .iter()
        .filter(|room| left(room) < requested)
        .map(|room| room.wait(now, requested, request.degraded))
        .collect();
    let status = &tightest.status;
    BudgetError::Refused {
        scope: status.scope.clone(),
        limit: status.limit,
        spent: status.spent,
        held: status.held,
        remaining: left(tightest),
        requested,
        resets_at: status.resets_at,
        retry_after: waits.and_then(|waits| waits.into_iter().max()),
    }
}

impl From<BudgetStatus> for Room {
    fn from(status: BudgetStatus) -> Self {
        Self {
            status,
            leaving: Vec::new(),
        }
    }
}

impl Room {
    /// How long until this budget may cover the request; `None` if it never will.
    fn wait(&self, now: Timestamp, requested: Usd, degraded: bool) -> Option<Duration> {
        let status = &self.status;
        let kept = if degraded {
            Usd::ZERO
        } else {
            status.degraded_allowance
        };
        let usable = status.limit.saturating_sub(kept);
        let own = usable.saturating_sub(status.extra);
        let until_reset = status.resets_at.map(|at| at.duration_since(now));
        let blocked_by_spending = usable.saturating_sub(status.spent) < requested;
        if !blocked_by_spending {
            return Some(until_reset.map_or(POLL_FOR_HELD_MONEY, |wait| wait.min(POLL_FOR_HELD_MONEY)));
        }
        if status.resets_at.is_some() {
            return until_reset.filter(|_| requested <= own);
        }
        let mut spent = status.spent;
        self.leaving.iter().find_map(|(at, amount)| {
            spent = spent.saturating_sub(*amount);
            (usable.saturating_sub(spent) >= requested).then(|| at.duration_since(now))
        })
    }
}

/// The wildcard's budget seen as that of one of its scopes.
pub(crate) fn no_budget(scope: &Scope) -> BudgetError {
    BudgetError::NoBudget {
        scopes: vec![scope.clone()],
    }
}
