use std::sync::Arc;

use meterbox_core::{Clock, Scope};

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, Hold, HoldRequest, LedgerStore, Settlement,
    VerifyReport,
};

/// Budgets over one ledger. Clones share it.
#[derive(Debug, Clone)]
pub struct BudgetEngine {
    pub(crate) store: Arc<dyn LedgerStore>,
    pub(crate) clock: Arc<dyn Clock>,
    unbudgeted: Unbudgeted,
}

/// What happens to a request none of whose scopes has a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unbudgeted {
    /// It is refused: without a budget nothing may be spent.
    #[default]
    Refuse,
    /// It is admitted and recorded, and counts against nothing.
    Allow,
}

impl BudgetEngine {
    /// An engine that refuses what has no budget.
    pub fn new(store: impl LedgerStore, clock: impl Clock) -> Self {
        Self {
            store: Arc::new(store),
            clock: Arc::new(clock),
            unbudgeted: Unbudgeted::default(),
        }
    }

    /// The same, with this treatment of requests that have no budget.
    #[must_use]
    pub fn with_unbudgeted(mut self, unbudgeted: Unbudgeted) -> Self {
        self.unbudgeted = unbudgeted;
        self
    }

    /// Defines a budget, or changes its limit and keeps what was spent.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`], also where the budget exists with another window; store errors.
    pub async fn define(&self, budget: Budget) -> Result<(), BudgetError> {
        budget.check()?;
        self.store.define(self.clock.now(), budget).await
    }

    /// Removes a budget; false if there was none. What was spent stays in the ledger.
    ///
    /// # Errors
    /// Store errors.
    pub async fn remove(&self, scope: &Scope) -> Result<bool, BudgetError> {
        self.store.remove(self.clock.now(), scope).await
    }

    /// All budgets, by scope.
    ///
    /// # Errors
    /// Store errors.
    pub async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        self.store.budgets().await
    }

    /// Sets money aside in every budget of the request, or in none.
    ///
    /// Cancel-safe: a future dropped midway leaves nothing set aside (or, where no runtime is left to say
    /// so, only until the hold expires).
    ///
    /// # Errors
    /// [`BudgetError::Refused`], [`BudgetError::NoBudget`], [`BudgetError::Invalid`], the idempotency
    /// errors, and store errors.
    pub async fn hold(&self, request: HoldRequest) -> Result<Hold, BudgetError> {
        Hold::open(self.clone(), request.checked()?, self.unbudgeted).await
    }

    /// Where the budget that applies to this scope stands. Expired holds are ended first.
    ///
    /// # Errors
    /// [`BudgetError::NoBudget`] where none applies; [`BudgetError::Invalid`] for a wildcard, which has no
    /// balance of its own; store errors.
    pub async fn status(&self, scope: &Scope) -> Result<BudgetStatus, BudgetError> {
        if scope.is_wildcard() {
            return Err(BudgetError::Invalid(format!(
                "{scope} stands for many scopes; name one of them"
            )));
        }
        let now = self.clock.now();
        self.store.expire(now).await?;
        let status = self.store.status(now, scope).await?;
        status.ok_or_else(|| BudgetError::NoBudget {
            scopes: vec![scope.clone()],
        })
    }

    /// The status with the least left among those of these scopes that have a budget.
    ///
    /// # Errors
    /// As [`BudgetEngine::status`]; [`BudgetError::NoBudget`] where none has.
    pub async fn tightest(&self, scopes: &[Scope]) -> Result<BudgetStatus, BudgetError> {
        let mut tightest: Option<BudgetStatus> = None;
        for scope in scopes {
            let status = match self.status(scope).await {
                Err(BudgetError::NoBudget { .. }) => continue,
                status => status?,
            };
            if tightest
                .as_ref()
                .is_none_or(|least| status.remaining < least.remaining)
            {
                tightest = Some(status);
            }
        }
        tightest.ok_or_else(|| BudgetError::NoBudget {
            scopes: scopes.to_vec(),
        })
    }

    /// A page of the ledger, oldest first.
    ///
    /// # Errors
    /// Store errors.
    pub async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        self.store.entries(page).await
    }

    /// Ends the holds whose time is over, and says what became of them. Opening a hold and reading a
    /// status do so too; call this at start and now and then.
    ///
    /// # Errors
    /// Store errors.
    pub async fn expire(&self) -> Result<Vec<Settlement>, BudgetError> {
        self.store.expire(self.clock.now()).await
    }

    /// Adds up the whole ledger anew: every balance is the sum of its entries, no hold was admitted beyond
    /// a limit, each hold began once and ended at most once. Takes as long as the ledger is.
    ///
    /// # Errors
    /// Store errors; what is wrong with the ledger is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        self.store.verify().await
    }
}
