use std::time::Duration;

use meterbox_core::{Timestamp, Usd};

use super::{Claim, EntryKind, HoldId, HoldRecord, HoldRequest, HoldState, NewEntry};
use crate::{Budget, BudgetError, BudgetStatus, Period, Unbudgeted};

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

/// A scope of the request that has a budget, and where that stands in its present period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// The period whose balance counts.
    pub period: Period,
    /// The balance, before the request.
    pub status: BudgetStatus,
}

/// Which of a scope's two possible budgets applies: its own, or else its wildcard's.
pub fn applicable(own: Option<Budget>, wildcard: Option<Budget>) -> Option<Budget> {
    own.or(wildcard)
}

/// May `new` take the place of `old`? A limit may change at any time and keeps what was spent. Another
/// window would begin with nothing spent, so it takes an explicit removal first.
///
/// # Errors
/// [`BudgetError::Invalid`] where the window differs.
pub fn check_redefinition(old: &Budget, new: &Budget) -> Result<(), BudgetError> {
    if old.window == new.window {
        return Ok(());
    }
    Err(BudgetError::Invalid(format!(
        "the budget of {} counts per {}; remove it first to count per {}, which begins with nothing spent",
        old.scope, old.window, new.window
    )))
}

/// May this hold be opened? If so, the record to keep and the entry to add; if not, nothing changes.
///
/// The whole rule: the amount fits into what is left of every budget that applies, or nothing is held.
///
/// # Errors
/// [`BudgetError::Refused`] or [`BudgetError::NoBudget`].
pub fn decide(
    now: Timestamp,
    open: OpenHold,
    claimable: &[Claimable],
) -> Result<(HoldRecord, NewEntry), BudgetError> {
    let OpenHold {
        id,
        request,
        unbudgeted,
    } = open;
    if claimable.is_empty() && unbudgeted == Unbudgeted::Refuse {
        return Err(BudgetError::NoBudget {
            scopes: request.scopes,
        });
    }
    let least = request.at_least.unwrap_or(request.amount);
    let tightest = claimable
        .iter()
        .map(|claim| &claim.status)
        .min_by_key(|status| status.remaining);
    if let Some(status) = tightest.filter(|status| status.remaining < least) {
        return Err(refuse(now, least, status, claimable));
    }
    let amount = tightest.map_or(request.amount, |status| request.amount.min(status.remaining));
    let record = HoldRecord {
        id,
        requested: request.amount,
        at_least: request.at_least,
        amount,
        drawn: Usd::ZERO,
        state: HoldState::Open,
        created_at: now,
        expires_at: now.saturating_add(request.ttl),
        claims: claimable.iter().map(Claimable::to_claim).collect(),
        intents: Vec::new(),
        scopes: request.scopes,
        purpose: request.purpose,
        idempotency_key: request.idempotency_key,
    };
    let entry = NewEntry::of_hold(id, EntryKind::Held, amount);
    Ok((
        record,
        NewEntry {
            held_change: amount.nanos(),
            ..entry
        },
    ))
}

/// Names the tightest budget, and a time to retry that suits all that refused.
fn refuse(now: Timestamp, requested: Usd, tightest: &BudgetStatus, claimable: &[Claimable]) -> BudgetError {
    let refusing = claimable
        .iter()
        .map(|claim| &claim.status)
        .filter(|status| status.remaining < requested);
    let waits: Option<Vec<Duration>> = refusing.map(|status| wait(now, requested, status)).collect();
    BudgetError::Refused {
        scope: tightest.scope.clone(),
        limit: tightest.limit,
        spent: tightest.spent,
        held: tightest.held,
        remaining: tightest.remaining,
        requested,
        resets_at: tightest.resets_at,
        retry_after: waits.and_then(|waits| waits.into_iter().max()),
    }
}

/// How long until this budget may cover the request; `None` if it never will.
fn wait(now: Timestamp, requested: Usd, status: &BudgetStatus) -> Option<Duration> {
    if requested > status.limit {
        return None;
    }
    let until_reset = status.resets_at.map(|at| at.duration_since(now));
    let blocked_by_spending = status.limit.saturating_sub(status.spent) < requested;
    if blocked_by_spending {
        return until_reset;
    }
    Some(until_reset.map_or(POLL_FOR_HELD_MONEY, |wait| wait.min(POLL_FOR_HELD_MONEY)))
}

impl Claimable {
    fn to_claim(&self) -> Claim {
        Claim {
            scope: self.status.scope.clone(),
            period: self.period.key.clone(),
            limit: self.status.limit,
        }
    }
}
