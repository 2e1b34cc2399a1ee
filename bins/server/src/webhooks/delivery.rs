//! One endpoint told of one event after the other.

use std::{sync::Arc, time::Duration};

use meterbox_budget_engine::{BudgetEngine, BudgetError, Event, EventPage};
use meterbox_core::Clock;
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    endpoint::Endpoint,
    message::Message,
    post::{Fault, Post},
    retry::{Attempts, Next},
};

/// How often the ledger is asked for news.
const POLL: Duration = Duration::from_secs(1);
/// A process that is gone keeps its turn no longer than this. Longer than an attempt may take.
const TURN: Duration = Duration::from_secs(60);
const PAGE: usize = 50;
/// From so many events waiting on, that is told.
const LAGGING: u64 = 100;

#[derive(Debug)]
pub(super) struct Delivery<P> {
    engine: BudgetEngine,
    endpoint: Endpoint,
    post: P,
    clock: Arc<dyn Clock>,
    /// Of this process, unlike every other's.
    owner: String,
}

/// How a round ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// All is told.
    Done,
    /// Another process tells this endpoint.
    OthersTurn,
    /// There may be more.
    More,
}

impl<P: Post> Delivery<P> {
    pub(super) fn new(engine: BudgetEngine, endpoint: Endpoint, post: P, clock: Arc<dyn Clock>) -> Self {
        Self {
            engine,
            endpoint,
            post,
            clock,
            owner: Uuid::new_v4().to_string(),
        }
    }

    /// Tells the endpoint until the future is dropped.
    pub(super) async fn run(self) {
        loop {
            match self.round().await {
                Ok(Round::More) => continue,
                Ok(Round::Done | Round::OthersTurn) => {}
                Err(error) => tracing::warn!(%error, "events could not be read for a webhook"),
            }
            sleep(POLL).await;
        }
    }

    /// Tells of a page of events.
    pub(super) async fn round(&self) -> Result<Round, BudgetError> {
        let reader = self.endpoint.reader();
        let Some(after) = self.engine.take_turn(&reader, &self.owner, TURN).await? else {
            return Ok(Round::OthersTurn);
        };
        let events = self.engine.events(EventPage { after, limit: PAGE }).await?;
        let Some(last) = events.last().map(|event| event.seq) else {
            return Ok(Round::Done);
        };
        let behind = self.engine.events_behind(last).await?;
        if behind >= LAGGING {
            tracing::warn!(endpoint = self.endpoint.host(), behind, "a webhook lags behind");
        }
        for event in &events {
            if self.engine.take_turn(&reader, &self.owner, TURN).await?.is_none() {
                return Ok(Round::OthersTurn);
            }
            if self.endpoint.wants(&event.what) && !self.tell(event, &reader).await? {
                return Ok(Round::OthersTurn);
            }
            if !self.engine.advance(&reader, &self.owner, event.seq).await? {
                return Ok(Round::OthersTurn);
            }
        }
        Ok(Round::More)
    }

    /// Tells of an event until it is heard or given up; false where the turn was lost meanwhile.
    async fn tell(&self, event: &Event, reader: &str) -> Result<bool, BudgetError> {
        let message = Message::of(event);
        let mut attempts = Attempts::default();
        loop {
            // Each attempt has a time of its own, which receivers compare with theirs.
            let timestamp = self.clock.now().as_micros().div_euclid(1_000_000);
            let Err(fault) = self.post.post(&self.endpoint, &message, timestamp).await else {
                return Ok(true);
            };
            let wish = match fault {
                Fault::Status { wish, .. } => wish,
                Fault::Unreachable(_) => None,
            };
            let host = self.endpoint.host();
            let [jitter, ..] = *Uuid::new_v4().as_bytes();
            match attempts.failed(self.clock.monotonic(), wish, jitter) {
                Next::After(wait) => {
                    tracing::info!(endpoint = host, event = message.id, %fault, "a webhook is tried again");
                    if !self.wait(wait, reader).await? {
                        return Ok(false);
                    }
                }
                Next::GiveUp => {
                    tracing::error!(endpoint = host, event = message.id, %fault, "a webhook was given up");
                    return Ok(true);
                }
            }
        }
    }

    /// Waits and keeps the turn; false where it was lost.
    async fn wait(&self, wait: Duration, reader: &str) -> Result<bool, BudgetError> {
        let mut left = wait;
        loop {
            let step = left.min(TURN / 3);
            sleep(step).await;
            if self.engine.take_turn(reader, &self.owner, TURN).await?.is_none() {
                return Ok(false);
            }
            left = left.saturating_sub(step);
            if left.is_zero() {
                return Ok(true);
            }
        }
    }
}
