//! Notices what happens to budgets, beside the ledger's own steps and never in their way.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use meterbox_core::{Scope, Timestamp, Usd};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    BudgetEngine, BudgetError, BudgetStatus, Event, ForecastOptions, Happening, HoldFilter, HoldId, HoldPage,
    Rung, Window,
    event::{SWITCH, cap_subject},
    ladder::Told,
};

/// So many holds may tell of their spending before the watcher looks; whatever comes on top is found by the next
/// sweep.
const CAPACITY: usize = 1_024;
const SWEEP: Duration = Duration::from_secs(60);
/// How far back the first sweep looks for holds that have ended, for what a process that is no more did not tell.
const LOOK_BACK: Duration = Duration::from_secs(24 * 60 * 60);
/// A spike of a scope is told of once in this time.
const SPIKE_EVERY: Duration = Duration::from_secs(60 * 60);
const PAGE: usize = 500;
const MAX_REMEMBERED: usize = 10_000;

/// Where holds tell that they spent; nobody listens until there is a [`Watcher`].
#[derive(Debug, Default)]
pub(crate) struct SpendingBell {
    listener: OnceLock<Listener>,
}

#[derive(Debug)]
struct Listener {
    spent: mpsc::Sender<Arc<[Scope]>>,
    missed: Arc<AtomicBool>,
}

impl SpendingBell {
    pub(crate) fn is_heard(&self) -> bool {
        self.listener.get().is_some()
    }

    /// Never waits: where too much was spent to be listed, that is told.
    pub(crate) fn ring(&self, scopes: &Arc<[Scope]>) {
        let Some(listener) = self.listener.get() else {
            return;
        };
        if listener.spent.try_send(Arc::clone(scopes)).is_err() {
            listener.missed.store(true, Ordering::Relaxed);
        }
    }
}

/// Raises an [`Event`] for each threshold that spending reaches, each spike over what was usual, and each turn of the kill switch: once,
/// however many processes watch the same ledger, and also for what a process did that died before it told.
///
/// It learns from this engine's own holds at once and looks at all lately active scopes once a minute. The ledger
/// never waits for it. See [`BudgetEngine::watcher`].
#[derive(Debug)]
pub struct Watcher {
    engine: BudgetEngine,
    spent: mpsc::Receiver<Arc<[Scope]>>,
    missed: Arc<AtomicBool>,
    spikes: ForecastOptions,
    least: Usd,
    /// What was told of last, by subject; saves asking.
    told: HashMap<String, Event>,
    /// The scopes of holds that were open when the last sweep came by, whoever opened them: what they came to is looked
    /// for once more after they have ended.
    open: BTreeSet<Scope>,
    swept_until: Option<Timestamp>,
}

impl BudgetEngine {
    /// The watcher of this engine and its clones; `None` where it has one already.
    pub fn watcher(&self) -> Option<Watcher> {
        let (send, spent) = mpsc::channel(CAPACITY);
        let missed = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            spent: send,
            missed: Arc::clone(&missed),
        };
        self.parts.bell.listener.set(listener).ok()?;
        Some(Watcher {
            engine: self.clone(),
            spent,
            missed,
            spikes: ForecastOptions::default(),
            least: Usd::ZERO,
            told: HashMap::new(),
            open: BTreeSet::new(),
            swept_until: None,
        })
    }
}

impl Watcher {
    /// What counts as a spike.
    #[must_use]
    pub fn spikes(mut self, options: ForecastOptions) -> Self {
        self.spikes = options;
        self
    }

    /// What the least request costs: a budget that has less than this left of its limit is as good as spent, and its
    /// [stop](Rung::Stop) is told of, once in the period as ever. Nothing where not set: then a stop is told of at the
    /// limit itself.
    #[must_use]
    pub fn least_request(mut self, cost: Usd) -> Self {
        self.least = cost;
        self
    }

    /// Watches until the future is dropped. A ledger that cannot be reached is asked again a minute later.
    pub async fn run(mut self) {
        let mut sweeps = interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut spent = Vec::new();
            let looked = tokio::select! {
                _ = sweeps.tick() => self.sweep().await,
                _ = self.spent.recv_many(&mut spent, CAPACITY) => {
                    let scopes: BTreeSet<Scope> = spent.iter().flat_map(|scopes| scopes.iter().cloned()).collect();
                    self.look_at(scopes).await
                }
            };
            if let Err(error) = looked {
                tracing::warn!(%error, "budgets were not watched for a moment");
            }
        }
    }

    /// Looks at all that was active since the last sweep, and at the kill switch. Also at what has been open since before
    /// then, however long: whoever opened it may have died without a word.
    ///
    /// # Errors
    /// Store errors; the next sweep looks at the same again.
    pub async fn sweep(&mut self) -> Result<(), BudgetError> {
        self.missed.store(false, Ordering::Relaxed);
        self.look_at_the_switch().await?;
        let now = self.engine.now();
        let last = self.swept_until.unwrap_or_else(|| before(now, LOOK_BACK));
        let open = self.scopes_of(HoldFilter::Open, None).await?;
        let begun_since = Some(HoldId::before(before(last, SWEEP)));
        let mut active = self.scopes_of(HoldFilter::All, begun_since).await?;
        active.extend(open.union(&self.open).cloned());
        self.look_at(active.iter().cloned()).await?;
        for scope in &active {
            self.look_for_a_spike(scope, now).await?;
        }
        self.open = open;
        self.swept_until = Some(now);
        Ok(())
    }

    /// Did more spend than could be listed since the last sweep? It will be looked at then.
    pub fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// Raises what these scopes have reached and nobody was told of.
    ///
    /// # Errors
    /// Store errors.
    pub async fn look_at(
        &mut self,
        scopes: impl IntoIterator<Item = Scope> + Send,
    ) -> Result<(), BudgetError> {
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        for scope in scopes {
            let status = match self.engine.status(&scope).await {
                Err(BudgetError::NoBudget { .. } | BudgetError::Invalid(_)) => continue,
                status => status?,
            };
            for rung in Rung::ALL {
                self.tell(&status, rung).await?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, status: &BudgetStatus, rung: Rung) -> Result<(), BudgetError> {
        // Most of the time the rung is not even reached.
        if !rung.is_news(status, None, self.least) {
            return Ok(());
        }
        let Some(percent) = status.soft_caps.percent(rung) else {
            return Ok(());
        };
        let subject = cap_subject(&status.scope, &status.period, rung);
        let mut last = self.told.get(&subject).cloned();
        if last.is_none() {
            last = self.engine.store().latest(&subject).await?;
        }
        let now = self.engine.now();
        loop {
            let in_force = last.as_ref().filter(|event| still_counts(event, status, now));
            if !rung.is_news(status, in_force.and_then(Event::told), self.least) {
                self.remember(subject, last);
                return Ok(());
            }
            let number = last.map_or(1, |event| event.number.saturating_add(1));
            let reached = Happening::CapReached {
                scope: status.scope.clone(),
                period: status.period.to_string(),
                rung,
                percent,
                limit: status.limit,
                spent: status.spent,
            };
            let is_raised = self.engine.store().raise(now, number, reached).await?;
            last = self.engine.store().latest(&subject).await?;
            if is_raised {
                self.remember(subject, last);
                return Ok(());
            }
            // Others raised one of this number, perhaps of something before: what is so may still be news after it.
        }
    }

    fn remember(&mut self, subject: String, event: Option<Event>) {
        let Some(event) = event else { return };
        if self.told.len() >= MAX_REMEMBERED {
            self.told.clear();
        }
        self.told.insert(subject, event);
    }

    async fn look_for_a_spike(&mut self, scope: &Scope, now: Timestamp) -> Result<(), BudgetError> {
        let forecast = match self.engine.forecast(scope, self.spikes).await {
            Err(BudgetError::NoBudget { .. }) => return Ok(()),
            forecast => forecast?,
        };
        let spike = forecast.spike;
        // Of somebody who spent nothing before, nothing is unusual yet; the caps watch over them.
        if !spike.is_spike || spike.baseline.is_zero() {
            return Ok(());
        }
        let every = i64::try_from(SPIKE_EVERY.as_micros()).unwrap_or(i64::MAX);
        let number = now
            .as_micros()
            .checked_div(every)
            .unwrap_or_default()
            .unsigned_abs();
        let spike = Happening::Spike {
            scope: scope.clone(),
            recent: spike.recent,
            expected: spike.expected,
        };
        self.engine.store().raise(now, number, spike).await.map(drop)
    }

    async fn look_at_the_switch(&self) -> Result<(), BudgetError> {
        self.engine.tell_of_the_switch().await
    }

    /// The scopes of the holds after this one.
    async fn scopes_of(
        &self,
        only: HoldFilter,
        after: Option<HoldId>,
    ) -> Result<BTreeSet<Scope>, BudgetError> {
        let mut page = HoldPage {
            after,
            limit: PAGE,
            only,
        };
        let mut scopes = BTreeSet::new();
        loop {
            let holds = self.engine.holds(page).await?;
            let Some(last) = holds.last() else {
                return Ok(scopes);
            };
            page.after = Some(last.id);
            scopes.extend(holds.iter().flat_map(|hold| hold.basis.scopes.iter().cloned()));
        }
    }
}

impl BudgetEngine {
    /// Raises a turn of the kill switch that nobody was told of.
    pub(crate) async fn tell_of_the_switch(&self) -> Result<(), BudgetError> {
        let last = self.store().latest(SWITCH).await?;
        let number = last.as_ref().map_or(1, |event| event.number.saturating_add(1));
        let told = last.map(|event| event.what);
        let now = self.now();
        match (self.stopped().await?, told) {
            (Some(stop), Some(Happening::Stopped { since, .. })) if since == stop.since => Ok(()),
            (Some(stop), _) => {
                let stopped = Happening::Stopped {
                    since: stop.since,
                    reason: stop.reason,
                };
                self.store().raise(now, number, stopped).await.map(drop)
            }
            (None, Some(Happening::Stopped { .. })) => self
                .store()
                .raise(now, number, Happening::Resumed)
                .await
                .map(drop),
            (None, _) => Ok(()),
        }
    }
}

/// Of a rolling window, what was told counts for the length of the window; else for the period, which is in its name.
fn still_counts(event: &Event, status: &BudgetStatus, now: Timestamp) -> bool {
    match status.period.parse() {
        Ok(Window::Rolling(length)) => event.at.saturating_add(length) > now,
        _ => true,
    }
}

impl Event {
    fn told(&self) -> Option<Told> {
        match self.what {
            Happening::CapReached { limit, spent, .. } => Some(Told { limit, spent }),
            _ => None,
        }
    }
}

fn before(at: Timestamp, time: Duration) -> Timestamp {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.as_micros().saturating_sub(micros)).unwrap_or(Timestamp::UNIX_EPOCH)
}
