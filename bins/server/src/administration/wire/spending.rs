//! Who spent how much, and where that leads.

use meterbox_budget_engine::{Forecast, Spike};
use meterbox_core::{Timestamp, Usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Standing;

/// A range of time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RangeQuery {
    /// From then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// Before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
}

/// Who spent how much, and what for. Work counts as a whole when it began.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SpendingView {
    /// Work that began from then on; the beginning of the month, in UTC, where none was asked for.
    pub(crate) since: Option<Timestamp>,
    /// Work that began before then.
    pub(crate) until: Option<Timestamp>,
    /// All of it together.
    pub(crate) total: Share,
    /// Each user, those who spent most first.
    pub(crate) by_person: Vec<Part>,
    /// Other scopes, such as teams. The same money counts in several of them.
    pub(crate) by_group: Vec<Part>,
    pub(crate) by_purpose: Vec<Part>,
}

/// A part of what was spent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Part {
    /// A scope or a purpose.
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) share: Share,
}

/// How much.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Share {
    pub(crate) spent: Usd,
    /// Still set aside by work under way.
    pub(crate) held: Usd,
    /// How many pieces of work.
    pub(crate) count: u64,
}

/// What a forecast goes by. Times are in seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForecastQuery {
    /// The rate is what was spent in this time just past; a day where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<u64>,
    /// How far to project; to the end of the period where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) horizon: Option<u64>,
    /// What counts as just now for a spike; 15 minutes where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spike_window: Option<u64>,
    /// The time before it, to compare with; a day where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spike_baseline: Option<u64>,
    /// From this multiple of the rate before on it is a spike; 3 where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spike_factor: Option<u32>,
    /// Less than this is never a spike, in dollars; 0.1 where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spike_minimum: Option<Usd>,
}

/// How fast money of a scope goes and where that leads.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ForecastView {
    pub(crate) status: Standing,
    /// Since when the rate is measured.
    pub(crate) since: Timestamp,
    /// What was spent since then.
    pub(crate) recent: Usd,
    pub(crate) per_hour: Usd,
    /// The moment projected to; null where the period has no end and no horizon was given.
    pub(crate) until: Option<Timestamp>,
    /// What will be spent by then.
    pub(crate) projected: Option<Usd>,
    /// When the limit will be reached, if that is before the period ends.
    pub(crate) limit_reached_at: Option<Timestamp>,
    pub(crate) spike: SpikeView,
}

/// Spending just now against the time before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SpikeView {
    pub(crate) is_spike: bool,
    /// What was spent just now.
    pub(crate) recent: Usd,
    /// What was spent in the time before.
    pub(crate) baseline: Usd,
    /// What just now would have cost at the rate of the time before.
    pub(crate) expected: Usd,
}

impl From<Forecast> for ForecastView {
    fn from(forecast: Forecast) -> Self {
        let Spike {
            is_spike,
            recent,
            baseline,
            expected,
        } = forecast.spike;
        Self {
            status: forecast.status.into(),
            since: forecast.since,
            recent: forecast.recent,
            per_hour: forecast.per_hour,
            until: forecast.until,
            projected: forecast.projected,
            limit_reached_at: forecast.limit_reached_at,
            spike: SpikeView {
                is_spike,
                recent,
                baseline,
                expected,
            },
        }
    }
}
