//! What happened that somebody should hear of.

use meterbox_budget_engine::{Event, Happening};
use meterbox_core::{Scope, Timestamp, Usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which events to read.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Events after this one; from the first where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    /// How many; 100 where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) limit: Option<usize>,
}

/// A page of events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Events {
    /// Oldest first.
    pub(crate) events: Vec<EventView>,
    /// `after` of the next page, also of events still to come.
    pub(crate) next: u64,
}

/// Something that happened, once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EventView {
    pub(crate) seq: u64,
    /// The same in the webhook that tells of it.
    pub(crate) id: String,
    /// When it was noticed.
    pub(crate) at: Timestamp,
    pub(crate) number: u64,
    #[serde(flatten)]
    pub(crate) what: HappeningView,
}

/// What it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum HappeningView {
    /// Spending reached a step of the ladder; a stop, also where what is left of the limit does not pay for the least
    /// analysis any more.
    CapReached {
        scope: Scope,
        period: String,
        /// `warn`, `cheaper_model`, `features_off`, `squeeze` or `stop`.
        rung: String,
        /// The share of the limit it lies at.
        percent: u8,
        limit: Usd,
        spent: Usd,
    },
    /// Spending became faster.
    Spike {
        scope: Scope,
        /// What was spent just now.
        recent: Usd,
        /// What would have been usual.
        expected: Usd,
    },
    /// Somebody stopped all spending.
    Stopped { since: Timestamp, reason: String },
    /// Spending may go on.
    Resumed,
    /// One this version does not know.
    #[serde(other)]
    Other,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq,
            id: event.id.to_string(),
            at: event.at,
            number: event.number,
            what: event.what.into(),
        }
    }
}

impl From<Happening> for HappeningView {
    fn from(what: Happening) -> Self {
        match what {
            Happening::CapReached {
                scope,
                period,
                rung,
                percent,
                limit,
                spent,
            } => Self::CapReached {
                scope,
                period,
                rung: rung.to_string(),
                percent,
                limit,
                spent,
            },
            Happening::Spike {
                scope,
                recent,
                expected,
            } => Self::Spike {
                scope,
                recent,
                expected,
            },
            Happening::Stopped { since, reason } => Self::Stopped { since, reason },
            Happening::Resumed => Self::Resumed,
            _ => Self::Other,
        }
    }
}
