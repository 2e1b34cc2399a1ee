use std::{sync::Arc, time::Duration};

use meterbox_core::{Clock, Scope, Timestamp, Usd};
use serde::Serialize;

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, Event, EventPage, Hold, HoldId, HoldPage,
    HoldRequest, LedgerStore, Settlement, Stop, TopUp, TopUpId, VerifyReport,
    ledger::{HoldRecord, OpenHold, Room, amount_to_hold, check_text, refusal},
    watch::SpendingBell,
};

/// Budgets over one ledger. Clones share it.
#[derive(Debug, Clone)]
pub struct BudgetEngine {
    pub(crate) parts: Arc<Parts>,
    pub(crate) unbudgeted: Unbudgeted,
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Box<dyn LedgerStore>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) bell: SpendingBell,
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

/// What a hold would get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// How much would be set aside.
    pub amount: Usd,
    /// Where the budgets stand that it would count against.
    pub budgets: Vec<BudgetStatus>,
}

impl BudgetEngine {
    /// An engine that refuses what has no budget.
    pub fn new(store: impl LedgerStore, clock: impl Clock) -> Self {
        Self {
            parts: Arc::new(Parts {
                store: Box::new(store),
                clock: Box::new(clock),
                bell: SpendingBell::default(),
            }),
            unbudgeted: Unbudgeted::default(),
        }
    }

    /// The same, with this treatment of requests that have no budget.
    #[must_use]
    pub fn with_unbudgeted(mut self, unbudgeted: Unbudgeted) -> Self {
        self.unbudgeted = unbudgeted;
        self
    }

    pub(crate) fn store(&self) -> &dyn LedgerStore {
        &*self.parts.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Defines a budget, or changes its limit and keeps what was spent.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`], also where the budget exists with another window; store errors.
    pub async fn define(&self, budget: Budget) -> Result<(), BudgetError> {
        budget.check()?;
        self.store().define(self.now(), budget).await
    }

    /// Defines a budget in the place of what it was [read](Self::budgets) to be, `None` for one that was not there: of
    /// two who edit the same at once neither undoes what the other did.
    ///
    /// # Errors
    /// [`BudgetError::Changed`] where it is no longer so, with what it is; make the edit of that. As of
    /// [`define`](Self::define).
    pub async fn edit(&self, before: Option<Budget>, after: Budget) -> Result<(), BudgetError> {
        after.check()?;
        self.store().edit(self.now(), before, after).await
    }

    /// Defines a budget as a setting has it, for a program that does so whenever it starts; false where that changes
    /// nothing.
    ///
    /// The setting makes the budget where there is none. Of one that there is, only that is changed which the setting
    /// says otherwise than last time: what was [edited](Self::edit) since stays until the setting changes as well. A
    /// [removed](Self::remove) budget is made anew.
    ///
    /// # Errors
    /// As of [`define`](Self::define).
    pub async fn provision(&self, budget: Budget) -> Result<bool, BudgetError> {
        budget.check()?;
        self.store().provision(self.now(), budget).await
    }

    /// Of the budgets that a setting [began](Self::provision), what it last said, by scope. Where a budget is otherwise
    /// now, that was an edit.
    ///
    /// # Errors
    /// Store errors.
    pub async fn provisions(&self) -> Result<Vec<Budget>, BudgetError> {
        self.store().provisions().await
    }

    /// Removes a budget and its top-ups; false if there was none. What was spent stays in the ledger.
    ///
    /// # Errors
    /// Store errors.
    pub async fn remove(&self, scope: &Scope) -> Result<bool, BudgetError> {
        self.store().remove(self.now(), scope).await
    }

    /// All budgets, by scope.
    ///
    /// # Errors
    /// Store errors.
    pub async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        self.store().budgets().await
    }

    /// Adds money to the limit of a scope, once: see [`TopUp`].
    ///
    /// # Errors
    /// [`BudgetError::NoBudget`] where the scope has no budget; [`BudgetError::Invalid`] for a wildcard, no money, an
    /// end in the past, or a note that is no short text; store errors.
    pub async fn top_up(
        &self,
        scope: &Scope,
        amount: Usd,
        expires_at: Option<Timestamp>,
        note: &str,
    ) -> Result<TopUp, BudgetError> {
        let now = self.now();
        check_text("the note of a top-up", note)?;
        let wrong = if scope.is_wildcard() {
            Some(format!("{scope} stands for many scopes; top up one of them"))
        } else if amount.is_zero() {
            Some("a top-up of no money changes nothing".to_owned())
        } else if expires_at.is_some_and(|end| end <= now) {
            Some("a top-up cannot end before it begins".to_owned())
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return Err(BudgetError::Invalid(wrong));
        }
        let top_up = TopUp {
            id: TopUpId::new(now),
            scope: scope.clone(),
            amount,
            granted_at: now,
            expires_at,
            note: note.to_owned(),
        };
        self.store().top_up(now, top_up.clone()).await?;
        Ok(top_up)
    }

    /// The top-ups of a scope, oldest first, used ones too.
    ///
    /// # Errors
    /// Store errors.
    pub async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError> {
        self.store().top_ups(scope).await
    }

    /// The kill switch: from now on, in every process, no hold is opened or extended and no paid call begun; whoever
    /// draws from an open hold is told to stop. What is used is still booked. False where all was stopped already.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] for a reason that is no short text; store errors.
    pub async fn stop_all(&self, reason: &str) -> Result<bool, BudgetError> {
        let is_new = self.store().stop(self.now(), Some(reason.to_owned())).await?;
        self.switched(is_new).await;
        Ok(is_new)
    }

    /// Lets spending go on; false where nothing was stopped.
    ///
    /// # Errors
    /// Store errors.
    pub async fn resume(&self) -> Result<bool, BudgetError> {
        let is_new = self.store().stop(self.now(), None).await?;
        self.switched(is_new).await;
        Ok(is_new)
    }

    /// Raises the event of a turn of the switch. Where that fails, whoever watches the ledger does it later.
    async fn switched(&self, is_new: bool) {
        if is_new && let Err(error) = self.tell_of_the_switch().await {
            tracing::warn!(%error, "the event of the kill switch was not raised yet");
        }
    }

    /// A page of events, oldest first. They stay: a reader that is slow misses nothing, and nobody waits for it.
    ///
    /// # Errors
    /// Store errors.
    pub async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError> {
        self.store().events(page).await
    }

    /// How many events there are after this one: how far a reader lags behind, at most.
    ///
    /// # Errors
    /// Store errors.
    pub async fn events_behind(&self, after: u64) -> Result<u64, BudgetError> {
        Ok(self.store().newest_event().await?.saturating_sub(after))
    }

    /// Takes or keeps the turn of passing events on to a reader, for this long, and says after which event to go on;
    /// `None` while another owner has it. A new reader begins after the events there are.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] for names that are no short texts; store errors.
    pub async fn take_turn(
        &self,
        reader: &str,
        owner: &str,
        time: Duration,
    ) -> Result<Option<u64>, BudgetError> {
        check_text("the name of a reader", reader)?;
        check_text("the name of an owner", owner)?;
        let now = self.now();
        self.store()
            .take_turn(now, reader, owner, now.saturating_add(time))
            .await
    }

    /// Remembers that a reader has heard of all events up to this one; false where the turn was lost meanwhile, and
    /// somebody else passes them on.
    ///
    /// # Errors
    /// Store errors.
    pub async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError> {
        self.store().advance(reader, owner, seq).await
    }

    /// Is all spending stopped, since when, and why?
    ///
    /// # Errors
    /// Store errors.
    pub async fn stopped(&self) -> Result<Option<Stop>, BudgetError> {
        self.store().stopped().await
    }

    /// What [`hold`](Self::hold) would do now, without doing it.
    ///
    /// # Errors
    /// What it would fail with.
    pub async fn dry_run(&self, mut request: HoldRequest) -> Result<DryRun, BudgetError> {
        request.check()?;
        if let Some(stop) = self.stopped().await? {
            return Err(BudgetError::Stopped(stop));
        }
        let mut budgets = Vec::new();
        for scope in &request.scopes {
            match self.status(scope).await {
                Err(BudgetError::NoBudget { .. }) => {}
                status => budgets.push(status?),
            }
        }
        if budgets.is_empty() && self.unbudgeted == Unbudgeted::Refuse {
            return Err(refusal(self.now(), &request, &[]));
        }
        let left = budgets.iter().map(|status| status.left_for(request.degraded));
        if let Some(amount) = amount_to_hold(&request, left) {
            return Ok(DryRun { amount, budgets });
        }
        let rooms: Vec<Room> = budgets.into_iter().map(Room::from).collect();
        Err(refusal(self.now(), &request, &rooms))
    }

    /// Sets money aside in every budget of the request, or in none.
    ///
    /// Cancel-safe: a future dropped midway leaves nothing set aside (or, where no runtime is left to say
    /// so, only until the hold expires).
    ///
    /// # Errors
    /// [`BudgetError::Refused`], [`BudgetError::NoBudget`], [`BudgetError::Invalid`], the idempotency
    /// errors, and store errors.
    #[expect(
        clippy::manual_async_fn,
        reason = "the arguments of an `async fn` are moved twice, those that a block takes in once"
    )]
    pub fn hold(&self, request: HoldRequest) -> impl Future<Output = Result<Hold, BudgetError>> + Send {
        async move {
            let now = self.now();
            let mut open = OpenHold {
                id: HoldId::new(now),
                request,
                unbudgeted: self.unbudgeted,
            };
            open.request.check()?;
            match self.store().at_once() {
                Some(store) => Hold::open_at_once(self, store, now, &open),
                // In a box, so that whoever waits for nothing carries no room for waiting about.
                None => Box::pin(Hold::open(self, now, open)).await,
            }
        }
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
        let now = self.now();
        self.store().expire(now).await?;
        let status = self.store().status(now, scope).await?;
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

    /// A hold, open or ended; `None` where there is none of this name.
    ///
    /// # Errors
    /// Store errors.
    pub async fn find_hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError> {
        self.store().hold(id).await
    }

    /// A page of holds, oldest first.
    ///
    /// # Errors
    /// Store errors.
    pub async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError> {
        self.store().holds(page).await
    }

    /// A page of the ledger, oldest first.
    ///
    /// # Errors
    /// Store errors.
    pub async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        self.store().entries(page).await
    }

    /// Ends the holds whose time is over, and says what became of them. Opening a hold and reading a
    /// status do so too; call this at start and now and then.
    ///
    /// # Errors
    /// Store errors.
    pub async fn expire(&self) -> Result<Vec<Settlement>, BudgetError> {
        self.store().expire(self.now()).await
    }

    /// Adds up the whole ledger anew: every balance is the sum of its entries, no hold was admitted beyond
    /// a limit, each hold began once and ended at most once. Takes as long as the ledger is.
    ///
    /// # Errors
    /// Store errors; what is wrong with the ledger is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        self.store().verify().await
    }
}
