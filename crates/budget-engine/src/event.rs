//! What happened that somebody should hear of, kept with the ledger.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::{Scope, Timestamp, Usd};
use serde::{Deserialize, Serialize};

use crate::{BudgetError, Rung, ledger::EventId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its place, rising in the order in which events can be read.
    pub seq: u64,
    /// Its name, the same for whoever hears of it, however often.
    pub id: EventId,
    /// When it was noticed.
    pub at: Timestamp,
    /// How often this happened to its subject before, or a number that is as good.
    pub number: u64,
    /// What it is.
    #[serde(flatten)]
    pub what: Happening,
}

/// What an [`Event`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happening {
    /// Spending reached a rung of the ladder, for the first time in its period. A stop may come a little before the
    /// limit: see [`Watcher::least_request`](crate::Watcher::least_request).
    CapReached {
        /// Whose.
        scope: Scope,
        /// In which period.
        period: String,
        /// Which rung.
        rung: Rung,
        /// The share of the limit it lies at.
        percent: u8,
        /// The limit then.
        limit: Usd,
        /// What was spent.
        spent: Usd,
    },
    /// Spending became faster.
    Spike {
        /// Whose.
        scope: Scope,
        /// What was spent just now.
        recent: Usd,
        /// What would have been usual.
        expected: Usd,
    },
    /// Somebody stopped all spending.
    Stopped {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: String,
    },
    /// Spending may go on.
    Resumed,
    /// Something that a newer version raised and this one does not know.
    #[serde(other)]
    Other,
}

/// Which events to read, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPage {
    /// Events after this [`seq`](Event::seq); 0 for the first.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

impl Default for EventPage {
    fn default() -> Self {
        Self { after: 0, limit: 100 }
    }
}

impl Happening {
    /// What it happened to: the events of a subject are numbered, and a number is raised once.
    pub fn subject(&self) -> String {
        match self {
            Self::CapReached {
                scope, period, rung, ..
            } => cap_subject(scope, period, *rung),
            Self::Spike { scope, .. } => format!("spike {scope}"),
            Self::Stopped { .. } | Self::Resumed => SWITCH.to_owned(),
            Self::Other => "other".to_owned(),
        }
    }
}

/// The subject of stops and of what ends them.
pub(crate) const SWITCH: &str = "switch";

pub(crate) fn cap_subject(scope: &Scope, period: &str, rung: Rung) -> String {
    format!("cap {scope} {rung} {period}")
}

/// Clocks of different machines may differ by less than this.
pub(crate) const AHEAD: Duration = Duration::from_secs(15 * 60);

/// Where events are kept. Each method is one atomic step, as those of [`LedgerStore`](crate::LedgerStore) are.
#[async_trait]
pub trait EventLog: Send + Sync + fmt::Debug + 'static {
    /// Adds an event, unless its subject has one of this number, whoever added it; true where it was added.
    async fn raise(&self, now: Timestamp, number: u64, what: Happening) -> Result<bool, BudgetError>;

    /// The event of this subject with the highest number.
    async fn latest(&self, subject: &str) -> Result<Option<Event>, BudgetError>;

    /// A page of events, oldest first. Nothing is ever added before what was read.
    async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError>;

    /// The place of the newest event; 0 for none.
    async fn newest_event(&self) -> Result<u64, BudgetError>;

    /// Lets this process pass events on to a reader until then, and says after which event to go on: at first after
    /// those there are. `None` while it is another's turn. One that ends a quarter of an hour after the one that is asked
    /// for, or later, was taken by a clock that was ahead, and is over.
    async fn take_turn(
        &self,
        now: Timestamp,
        reader: &str,
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<u64>, BudgetError>;

    /// Remembers that a reader has heard of all events up to this one; false where the turn is lost.
    async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError>;
}

macro_rules! delegate_event_log {
    ($($pointer:ident)*) => {
        $(
            #[async_trait]
            impl<S: EventLog + ?Sized> EventLog for $pointer<S> {
                async fn raise(&self, now: Timestamp, number: u64, what: Happening) -> Result<bool, BudgetError> {
                    (**self).raise(now, number, what).await
                }

                async fn latest(&self, subject: &str) -> Result<Option<Event>, BudgetError> {
                    (**self).latest(subject).await
                }

                async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError> {
                    (**self).events(page).await
                }

                async fn newest_event(&self) -> Result<u64, BudgetError> {
                    (**self).newest_event().await
                }

                async fn take_turn(
                    &self,
                    now: Timestamp,
                    reader: &str,
                    owner: &str,
                    until: Timestamp,
                ) -> Result<Option<u64>, BudgetError> {
                    (**self).take_turn(now, reader, owner, until).await
                }

                async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError> {
                    (**self).advance(reader, owner, seq).await
                }
            }
        )*
    };
}
delegate_event_log!(Arc Box);
