//! Budgets, top-ups and the kill switch.

use meterbox_budget_engine::{Budget, BudgetState, BudgetStatus, Stop, TopUp};
use meterbox_core::{Scope, Timestamp, Usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All budgets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Budgets {
    /// By scope.
    pub(crate) budgets: Vec<BudgetView>,
    /// Set while the kill switch is on.
    pub(crate) stopped: Option<StopView>,
}

/// A budget, and where it stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BudgetView {
    /// Whose; `user/*` is for each user who has none of their own.
    pub(crate) scope: Scope,
    /// The most that may be spent and set aside in the window.
    pub(crate) limit: Usd,
    /// `lifetime`, `rolling 24h`, or a period and a time zone such as `month UTC`.
    pub(crate) window: String,
    pub(crate) soft_caps: SoftCapsView,
    /// Up to this much of what is left over is added to the next period.
    pub(crate) carry_over: Usd,
    /// This much of the limit is kept for degraded requests.
    pub(crate) degraded_allowance: Usd,
    /// The setting that began this budget, and defines it again when it changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) setting: Option<SettingView>,
    /// Null for a wildcard, which has no balance of its own.
    pub(crate) status: Option<Standing>,
}

/// The setting of a budget. An edit counts until the setting changes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SettingView {
    /// Such as `DEFAULT_BUDGET_LIMIT`.
    pub(crate) name: String,
    /// The limit it says.
    pub(crate) limit: Usd,
    /// Was the budget edited since, so that it is not as the setting says?
    pub(crate) edited: bool,
}

/// Shares of the limit, in percent of what is spent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SoftCapsView {
    /// From here on the state is `warned`.
    pub(crate) warn_percent: u8,
    /// From here on requests move to cheaper models, and the state is `degraded`.
    pub(crate) degrade_percent: u8,
    /// From here on what a request can do without is left out.
    pub(crate) features_off_percent: u8,
    /// From here on only a few requests go on at once.
    pub(crate) squeeze_percent: u8,
    /// How many those few are.
    pub(crate) squeeze_to: u16,
}

/// Where a budget stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Standing {
    /// The concrete scope.
    pub(crate) scope: Scope,
    /// Its limit now, with what was carried over and topped up.
    pub(crate) limit: Usd,
    /// How much of the limit was carried over and topped up.
    pub(crate) extra: Usd,
    /// What is spent in this period.
    pub(crate) spent: Usd,
    /// What is set aside by work under way.
    pub(crate) held: Usd,
    /// What may still be set aside.
    pub(crate) remaining: Usd,
    /// How much of what remains is kept for degraded requests.
    pub(crate) degraded_allowance: Usd,
    /// By how much spending and holds exceed the limit.
    pub(crate) overspent: Usd,
    /// When the limit starts afresh; null if never.
    pub(crate) resets_at: Option<Timestamp>,
    pub(crate) state: State,
}

/// How far spending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Below every soft cap.
    Active,
    /// Above the first soft cap.
    Warned,
    /// Above the second soft cap.
    Degraded,
    /// Nothing is left to spend.
    Stopped,
    /// One this version does not know.
    #[serde(other)]
    Unknown,
}

/// Somebody stopped all spending.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StopView {
    pub(crate) since: Timestamp,
    /// Why, in a few words.
    pub(crate) reason: String,
}

/// What the kill switch is after it was turned.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StopReply {
    /// Null where spending goes on.
    pub(crate) stopped: Option<StopView>,
    /// False where it was so already.
    pub(crate) changed: bool,
}

/// Why all spending is to stop.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRequest {
    /// In a few words; whoever is refused reads it.
    pub(crate) reason: String,
}

/// A budget to define, or what to change of one. What is left out stays as it is, also where somebody else changes that
/// at the same time, or is the default of a new one: the window `month UTC`, soft caps of 80, 95, 97 and 98 %, nothing
/// carried over or kept apart.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetChange {
    /// Such as `user/ana`, or `org/*` for each organisation.
    pub(crate) scope: Scope,
    /// The most that may be spent in the window; 0 stops all spending. A new budget needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Usd>,
    /// `lifetime`, `rolling 24h`, or a period and a time zone such as `month UTC`. A budget keeps its window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) soft_caps: Option<SoftCapsChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) carry_over: Option<Usd>,
    /// Where left out it stays as it is, but never more than the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) degraded_allowance: Option<Usd>,
}

/// Shares of the limit, in percent of what is spent.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SoftCapsChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warn_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) degrade_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) features_off_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) squeeze_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) squeeze_to: Option<u16>,
}

/// Money to add to a limit, once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTopUp {
    pub(crate) amount: Usd,
    /// When what is left of it is gone; never where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    /// What for, in a few words.
    #[serde(default = "top_up_note")]
    pub(crate) note: String,
}

fn top_up_note() -> String {
    "top-up".to_owned()
}

/// Money added to a limit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TopUpView {
    pub(crate) id: String,
    pub(crate) scope: Scope,
    pub(crate) amount: Usd,
    pub(crate) granted_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) note: String,
}

/// Would this be admitted? Nothing is set aside.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckRequest {
    /// All of them must cover it.
    pub(crate) scopes: Vec<Scope>,
    pub(crate) amount: Usd,
}

/// What a hold would get.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CheckReply {
    pub(crate) admitted: bool,
    /// How much would be set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount: Option<Usd>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How long until it may be, where time can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_seconds: Option<u64>,
    /// The budgets it would count against.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) budgets: Vec<Standing>,
}

impl BudgetView {
    pub(crate) fn new(budget: Budget, setting: Option<SettingView>, status: Option<BudgetStatus>) -> Self {
        Self {
            scope: budget.scope,
            limit: budget.limit,
            window: budget.window.to_string(),
            soft_caps: SoftCapsView {
                warn_percent: budget.soft_caps.warn_percent,
                degrade_percent: budget.soft_caps.degrade_percent,
                features_off_percent: budget.soft_caps.features_off_percent,
                squeeze_percent: budget.soft_caps.squeeze_percent,
                squeeze_to: budget.soft_caps.squeeze_to,
            },
            carry_over: budget.carry_over,
            degraded_allowance: budget.degraded_allowance,
            setting,
            status: status.map(Standing::from),
        }
    }
}

impl From<BudgetStatus> for Standing {
    fn from(status: BudgetStatus) -> Self {
        Self {
            scope: status.scope,
            limit: status.limit,
            extra: status.extra,
            spent: status.spent,
            held: status.held,
            remaining: status.remaining,
            degraded_allowance: status.degraded_allowance,
            overspent: status.overspent,
            resets_at: status.resets_at,
            state: match status.state {
                BudgetState::Active => State::Active,
                BudgetState::Warned => State::Warned,
                BudgetState::Degraded => State::Degraded,
                BudgetState::Stopped => State::Stopped,
                _ => State::Unknown,
            },
        }
    }
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Warned => "warned",
            Self::Degraded => "degraded",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Stop> for StopView {
    fn from(stop: Stop) -> Self {
        Self {
            since: stop.since,
            reason: stop.reason,
        }
    }
}

impl From<TopUp> for TopUpView {
    fn from(top_up: TopUp) -> Self {
        Self {
            id: top_up.id.to_string(),
            scope: top_up.scope,
            amount: top_up.amount,
            granted_at: top_up.granted_at,
            expires_at: top_up.expires_at,
            note: top_up.note,
        }
    }
}
