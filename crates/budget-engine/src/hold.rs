use std::{sync::Arc, time::Duration};

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use tokio::{runtime::Handle, task::AbortHandle};

use crate::{
    AtOnce, BudgetEngine, BudgetError, HoldId, HoldState, Settlement,
    ledger::{HoldAction, HoldStatus, IntentId, OpenHold, check_ttl},
};

/// Money set aside. Draw what is used as it is used, then [`settle`](Hold::settle).
///
/// Dropped unsettled, the hold ends at what was drawn and the rest is free; that is recorded by a task of
/// the current tokio runtime. Where there is none, or the process dies, the hold ends when its time is
/// over. Money spent is booked whenever it is drawn: after the end as well, and beyond the hold's amount.
#[derive(Debug)]
#[must_use = "a hold that is dropped is given up"]
pub struct Hold {
    guard: Guard,
    amount: Usd,
    ttl: Duration,
    keep_alive: Option<AbortHandle>,
}

/// What tells that something was spent.
#[derive(Debug, Clone, Default)]
struct Bell(Option<Arc<[Scope]>>);

/// A paid call under way: its worst case is durable. Dropped, its use counts as unknown, and its worst case
/// is booked when the hold ends.
#[derive(Debug)]
#[must_use = "an intent that is never resolved is booked at its worst case"]
pub struct Intent<'hold> {
    hold: &'hold Hold,
    id: IntentId,
}

/// Ends the hold when dropped, unless told that this is done or is another's business.
#[derive(Debug)]
struct Guard {
    engine: BudgetEngine,
    id: HoldId,
    armed: bool,
    bell: Bell,
}

impl Hold {
    pub(crate) async fn open(
        engine: &BudgetEngine,
        now: Timestamp,
        open: OpenHold,
    ) -> Result<Self, BudgetError> {
        let (guard, ttl) = (Guard::new(engine, &open), open.request.ttl);
        let opened = engine.store().open(now, open).await;
        guard.hold(ttl, opened)
    }

    /// The same where nothing is waited for.
    pub(crate) fn open_at_once(
        engine: &BudgetEngine,
        store: &dyn AtOnce,
        now: Timestamp,
        open: &OpenHold,
    ) -> Result<Self, BudgetError> {
        Guard::new(engine, open).hold(open.request.ttl, store.open(now, open))
    }

    /// Its name in the ledger.
    pub fn id(&self) -> HoldId {
        self.guard.id
    }

    /// How much was set aside: what was asked for, or less where the request allowed less.
    pub fn amount(&self) -> Usd {
        self.amount
    }

    /// True where the request's idempotency key already had this hold. Dropping such a handle does not
    /// end the hold, which belongs to whoever opened it.
    pub fn is_replay(&self) -> bool {
        !self.guard.armed
    }

    /// Spends: durable when this returns. Returns what the hold has left.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] for a malformed line; store errors, after which it is unknown whether the
    /// line was booked: use [`draw_once`](Hold::draw_once) to retry.
    pub async fn draw(&self, line: CostLine) -> Result<Usd, BudgetError> {
        self.act(HoldAction::Draw { key: None, line })
            .await
            .map(|record| record.left())
    }

    /// Spends once, however often it is called with this key.
    ///
    /// # Errors
    /// As [`draw`](Hold::draw), but safe to retry; [`BudgetError::KeyReused`] where the key came with
    /// another line.
    pub async fn draw_once(&self, key: impl Into<String> + Send, line: CostLine) -> Result<Usd, BudgetError> {
        let key = Some(key.into());
        self.act(HoldAction::Draw { key, line })
            .await
            .map(|record| record.left())
    }

    /// Makes the worst case of a paid outside call durable, before the call.
    ///
    /// # Errors
    /// [`BudgetError::HoldTooSmall`], [`BudgetError::Lapsed`], [`BudgetError::Stopped`] or
    /// [`BudgetError::AlreadyEnded`]: the call must not be made; store errors, after which it must not be made either.
    pub async fn intend(&self, worst_case: CostLine) -> Result<Intent<'_>, BudgetError> {
        self.intend_as(worst_case, None).await
    }

    /// The same, with the name that others give the call, such as the request id on a provider's bill; for
    /// [`reconcile`](crate::BudgetEngine::reconcile).
    ///
    /// # Errors
    /// As [`intend`](Self::intend).
    pub async fn intend_known_as(
        &self,
        reference: impl Into<String> + Send,
        worst_case: CostLine,
    ) -> Result<Intent<'_>, BudgetError> {
        self.intend_as(worst_case, Some(reference.into())).await
    }

    async fn intend_as(&self, line: CostLine, reference: Option<String>) -> Result<Intent<'_>, BudgetError> {
        let id = IntentId::new(self.guard.engine.now());
        self.act(HoldAction::Intend {
            intent: id,
            line,
            reference,
        })
        .await?;
        Ok(Intent { hold: self, id })
    }

    /// Lets the hold live for another `ttl` from now.
    ///
    /// # Errors
    /// [`BudgetError::AlreadyEnded`] where it has expired: stop working; [`BudgetError::Invalid`] for a
    /// `ttl` of nothing or of more than a day; store errors.
    pub async fn extend(&self, ttl: Duration) -> Result<(), BudgetError> {
        check_ttl(ttl)?;
        let until = self.guard.engine.now().saturating_add(ttl);
        self.act(HoldAction::Extend { until }).await.map(drop)
    }

    /// Extends the hold by itself from now on, three times per `ttl`, as long as this handle lives.
    pub fn keep_alive(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let engine = self.guard.engine.clone();
        let (id, ttl) = (self.guard.id, self.ttl);
        let beat = async move {
            let mut ticks = tokio::time::interval(ttl.checked_div(3).unwrap_or(ttl));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let now = engine.now();
                let until = now.saturating_add(ttl);
                match engine.store().act(now, id, HoldAction::Extend { until }).await {
                    // Stopped spending may go on before the hold's time is over.
                    Ok(_) | Err(BudgetError::Stopped(_)) => {}
                    Err(BudgetError::Store(error)) => {
                        tracing::warn!(hold = %id, %error, "a hold was not extended");
                    }
                    Err(_) => return,
                }
            }
        };
        let previous = self.keep_alive.replace(runtime.spawn(beat).abort_handle());
        if let Some(previous) = previous {
            previous.abort();
        }
    }

    /// Ends the hold: books open intents at their worst case and frees what was not drawn.
    ///
    /// # Errors
    /// Store errors; the hold then ends when its time is over, at what was drawn.
    pub fn settle(self) -> impl Future<Output = Result<Settlement, BudgetError>> + Send {
        self.close(HoldState::Settled)
    }

    /// Gives the hold up: as [`settle`](Hold::settle), but recorded as work that was not done. What was
    /// drawn stays drawn.
    ///
    /// # Errors
    /// Store errors, as for [`settle`](Hold::settle).
    pub fn release(self) -> impl Future<Output = Result<Settlement, BudgetError>> + Send {
        self.close(HoldState::Released)
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "the arguments of an `async fn` are moved twice, those that a block takes in once"
    )]
    fn close(mut self, state: HoldState) -> impl Future<Output = Result<Settlement, BudgetError>> + Send {
        async move {
            let engine = &self.guard.engine;
            let Some(store) = engine.store().at_once() else {
                // In a box, so that whoever waits for nothing carries no room for waiting about.
                return Box::pin(self.close_in_time(state)).await;
            };
            let status = store.close(engine.now(), self.guard.id, state)?;
            self.guard.bell.ring(engine);
            self.guard.disarm();
            Ok(status.into_settlement())
        }
    }

    /// Stays armed while the store is asked, so that a future dropped midway still ends the hold.
    async fn close_in_time(mut self, state: HoldState) -> Result<Settlement, BudgetError> {
        let status = self.act(HoldAction::Close { state }).await?;
        self.guard.disarm();
        Ok(status.into_settlement())
    }

    async fn act(&self, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        let engine = &self.guard.engine;
        let may_spend = !matches!(action, HoldAction::Extend { .. } | HoldAction::Intend { .. });
        let (store, now) = (engine.store(), engine.now());
        let status = match store.at_once() {
            Some(store) => store.act(now, self.guard.id, action)?,
            None => store.act(now, self.guard.id, action).await?,
        };
        if may_spend {
            self.guard.bell.ring(engine);
        }
        Ok(status)
    }
}

impl Intent<'_> {
    /// Its name in the ledger.
    pub fn id(&self) -> IntentId {
        self.id
    }

    /// Books what the call has used since the last time, while it goes on: durable when this returns. The lines are
    /// taken back when the call is [resolved](Self::resolve) with all it used. Where the status says that spending is
    /// stopped, or that the hold has ended, the call should be ended.
    ///
    /// # Errors
    /// As [`Hold::draw`]; after a store error it is unknown whether the lines were booked, which does no harm: what
    /// counts in the end is what the call is resolved with, or else the greater of the worst case and the lines.
    pub async fn meter(
        &self,
        used: impl IntoIterator<Item = CostLine> + Send,
    ) -> Result<HoldStatus, BudgetError> {
        let lines = used.into_iter().collect();
        let intent = self.id;
        self.hold.act(HoldAction::Meter { intent, lines }).await
    }

    /// Replaces the worst case by what the call used.
    ///
    /// # Errors
    /// As [`Hold::draw`], but safe to retry with nothing booked twice; until it succeeds the worst case
    /// stands.
    pub async fn resolve(&self, used: impl IntoIterator<Item = CostLine> + Send) -> Result<Usd, BudgetError> {
        let lines = used.into_iter().collect();
        let action = HoldAction::Resolve {
            intent: self.id,
            lines,
        };
        self.hold.act(action).await.map(|record| record.left())
    }

    /// The call was never made: nothing is booked.
    ///
    /// # Errors
    /// As [`Intent::resolve`].
    pub async fn cancel(self) -> Result<Usd, BudgetError> {
        self.resolve([]).await
    }
}

impl Guard {
    /// Armed before the store is asked: whatever becomes of the future that asks, the hold does not leak.
    fn new(engine: &BudgetEngine, open: &OpenHold) -> Self {
        let heard = engine.parts.bell.is_heard();
        Self {
            engine: engine.clone(),
            id: open.id,
            armed: true,
            bell: Bell(heard.then(|| open.request.scopes.as_slice().into())),
        }
    }

    /// Ending the hold is done.
    fn disarm(&mut self) {
        self.armed = false;
    }

    /// The hold that was opened.
    fn hold(mut self, ttl: Duration, opened: Result<HoldStatus, BudgetError>) -> Result<Hold, BudgetError> {
        let status = match opened {
            Ok(status) => status,
            Err(error) => {
                // After a broken-off write nobody knows; after any other error there is no hold.
                self.armed = matches!(error, BudgetError::Store(_));
                return Err(error);
            }
        };
        if status.id != self.id {
            self.armed = false;
            self.id = status.id;
        }
        Ok(Hold {
            guard: self,
            amount: status.amount,
            ttl,
            keep_alive: None,
        })
    }
}

impl Bell {
    fn ring(&self, engine: &BudgetEngine) {
        if let Some(scopes) = &self.0 {
            engine.parts.bell.ring(scopes);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(keep_alive) = self.keep_alive.take() {
            keep_alive.abort();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (engine, id, bell) = (self.engine.clone(), self.id, self.bell.clone());
        runtime.spawn(async move {
            let action = HoldAction::Close {
                state: HoldState::Dropped,
            };
            match engine.store().act(engine.now(), id, action).await {
                Ok(_) => bell.ring(&engine),
                Err(BudgetError::UnknownHold(_)) => {}
                Err(error) => tracing::warn!(hold = %id, %error, "a dropped hold stays until it expires"),
            }
        });
    }
}
