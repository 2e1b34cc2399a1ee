use std::time::Duration;

use meterbox_core::{Scope, Usd, contract::CostLine};

use crate::BudgetError;

pub(crate) const MAX_SCOPES: usize = 16;
const MAX_TEXT_BYTES: usize = 256;
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_TTL: Duration = Duration::from_secs(5 * 60);
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const MAX_GRACE: Duration = Duration::from_secs(60 * 60);

/// What is to be set aside, and in which budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRequest {
    /// Every scope whose budget must cover it; all or none. A scope without a budget is passed over as
    /// long as another has one.
    pub scopes: Vec<Scope>,
    /// The worst case; more than zero.
    pub amount: Usd,
    /// Where less than `amount` is left, take what is left if it is at least this.
    pub at_least: Option<Usd>,
    /// What for, in a few words; kept in the ledger.
    pub purpose: String,
    /// A retry with the same key gets the same hold, never a second one. Keys share one name space: put
    /// the principal in front.
    pub idempotency_key: Option<String>,
    /// How long the hold lives unless it is extended; 5 minutes by default, at most a day.
    pub ttl: Duration,
    /// How long after its time the money stays set aside, for an owner that was held up; 30 seconds by default, at
    /// most an hour. New paid calls are refused by then, and extending still helps.
    pub grace: Duration,
    /// May it have the part of the limit that is kept for degraded requests?
    pub degraded: bool,
}

impl HoldRequest {
    /// Sets `amount` aside in the budgets of all these scopes.
    pub fn new(scopes: impl IntoIterator<Item = Scope>, amount: Usd, purpose: impl Into<String>) -> Self {
        Self {
            scopes: scopes.into_iter().collect(),
            amount,
            at_least: None,
            purpose: purpose.into(),
            idempotency_key: None,
            ttl: DEFAULT_TTL,
            grace: DEFAULT_GRACE,
            degraded: false,
        }
    }

    /// Where less is left, takes what is left if it is at least this.
    #[must_use]
    pub fn or_at_least(mut self, amount: Usd) -> Self {
        self.at_least = Some(amount);
        self
    }

    /// Makes a retry with the same key get the same hold.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Lets the hold live this long.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Keeps the money set aside this long after the hold's time.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Also takes what is kept for degraded requests: for the cheap kind of work that goes on when a budget is spent.
    #[must_use]
    pub fn degraded(mut self) -> Self {
        self.degraded = true;
        self
    }

    /// Puts the scopes in one order, each once, and looks whether all makes sense.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] names what is wrong.
    pub(crate) fn check(&mut self) -> Result<(), BudgetError> {
        if !self.scopes.is_sorted_by(|one, next| one < next) {
            self.scopes.sort();
            self.scopes.dedup();
        }
        let invalid = |message: String| Err(BudgetError::Invalid(message));
        if self.scopes.is_empty() || self.scopes.len() > MAX_SCOPES {
            return invalid(format!(
                "a hold needs 1 to {MAX_SCOPES} scopes, not {}",
                self.scopes.len()
            ));
        }
        if let Some(wildcard) = self.scopes.iter().find(|scope| scope.is_wildcard()) {
            return invalid(format!(
                "{wildcard} stands for many scopes; name the one whose money is meant"
            ));
        }
        if self.amount.is_zero() || self.at_least.is_some_and(Usd::is_zero) {
            return invalid("a hold of no money protects nothing; hold the worst case".to_owned());
        }
        if self.at_least.is_some_and(|least| least > self.amount) {
            return invalid("the least amount of a hold is more than the hold itself".to_owned());
        }
        check_text("the purpose", &self.purpose)?;
        if let Some(key) = &self.idempotency_key {
            check_text("the idempotency key", key)?;
        }
        check_ttl(self.ttl)?;
        if self.grace > MAX_GRACE {
            return invalid("a hold's grace is at most an hour".to_owned());
        }
        Ok(())
    }
}

pub(crate) fn check_ttl(ttl: Duration) -> Result<(), BudgetError> {
    if ttl.is_zero() || ttl > MAX_TTL {
        return Err(BudgetError::Invalid(
            "a hold lives more than no time and at most a day".to_owned(),
        ));
    }
    Ok(())
}

pub(crate) fn check_line(line: &CostLine) -> Result<(), BudgetError> {
    check_text("the item of a line", &line.item)?;
    check_text("the unit of a line", &line.unit)?;
    if i64::try_from(line.quantity).is_err() {
        return Err(BudgetError::Invalid(format!(
            "a quantity of {} is too large",
            line.quantity
        )));
    }
    Ok(())
}

pub(crate) fn check_text(what: &str, text: &str) -> Result<(), BudgetError> {
    // Nearly all of it is printable ASCII, which is told byte by byte.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let has_controls = !is_plain && text.chars().any(char::is_control);
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || has_controls {
        return Err(BudgetError::Invalid(format!(
            "{what} must be 1 to {MAX_TEXT_BYTES} bytes without control characters"
        )));
    }
    Ok(())
}
