//! The ledger under another policy.

use meterbox_budget_engine::{HoldDifference, Outcome, ReplayReport, Replayed, ScopeTotals};
use meterbox_core::{Scope, Timestamp, Usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A policy to try on the ledger as it is. Nothing is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// All budgets there would be.
    pub(crate) budgets: Vec<PolicyBudget>,
    /// Ask only holds that began from then on; earlier ones count as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// Leave out holds that began then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
}

/// A budget of a policy. What is left out is as in a new budget.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBudget {
    pub(crate) scope: Scope,
    pub(crate) limit: Usd,
    /// `lifetime`, `rolling 24h`, or a period and a time zone such as `month UTC`.
    pub(crate) window: String,
    #[serde(default)]
    pub(crate) carry_over: Usd,
    #[serde(default)]
    pub(crate) degraded_allowance: Usd,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warn_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) degrade_percent: Option<u8>,
}

/// What the ledger would have been.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReplayView {
    /// Entries read.
    pub(crate) entries: u64,
    /// Holds replayed.
    pub(crate) holds: u64,
    /// Holds that would have got as much as they got.
    pub(crate) unchanged: u64,
    pub(crate) shrunk: u64,
    pub(crate) enlarged: u64,
    pub(crate) refused: u64,
    /// Every hold that would have got, or spent, something else, in the order of the ledger.
    pub(crate) differences: Vec<ReplayedHold>,
    pub(crate) scopes: Vec<ReplayedScope>,
    /// The same for the same ledger and policy.
    pub(crate) sha256: String,
}

/// A hold that would have been another.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReplayedHold {
    pub(crate) hold: String,
    /// When it began.
    pub(crate) at: Timestamp,
    pub(crate) purpose: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) requested: Usd,
    pub(crate) recorded: HeldAndSpent,
    pub(crate) replayed: HeldAndSpent,
    /// `admitted`, `shrunk`, `enlarged` or `refused`.
    pub(crate) outcome: String,
    /// Why, where it would have been refused.
    pub(crate) reason: Option<String>,
}

/// What was set aside, and what was spent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HeldAndSpent {
    pub(crate) held: Usd,
    pub(crate) spent: Usd,
}

/// The holds of one scope.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReplayedScope {
    pub(crate) scope: Scope,
    pub(crate) holds: u64,
    pub(crate) shrunk: u64,
    pub(crate) refused: u64,
    pub(crate) recorded: HeldAndSpent,
    pub(crate) replayed: HeldAndSpent,
}

impl From<ReplayReport> for ReplayView {
    fn from(report: ReplayReport) -> Self {
        Self {
            entries: report.entries,
            holds: report.holds,
            unchanged: report.unchanged,
            shrunk: report.shrunk,
            enlarged: report.enlarged,
            refused: report.refused,
            differences: report.differences.into_iter().map(Into::into).collect(),
            scopes: report.scopes.into_iter().map(Into::into).collect(),
            sha256: report.sha256,
        }
    }
}

impl From<HoldDifference> for ReplayedHold {
    fn from(hold: HoldDifference) -> Self {
        let outcome = match hold.outcome {
            Outcome::Admitted => "admitted",
            Outcome::Shrunk => "shrunk",
            Outcome::Enlarged => "enlarged",
            Outcome::Refused => "refused",
            _ => "unknown",
        };
        Self {
            hold: hold.hold.to_string(),
            at: hold.at,
            purpose: hold.purpose,
            scopes: hold.scopes,
            requested: hold.requested,
            recorded: hold.recorded.into(),
            replayed: hold.replayed.into(),
            outcome: outcome.to_owned(),
            reason: hold.reason,
        }
    }
}

impl From<ScopeTotals> for ReplayedScope {
    fn from(total: ScopeTotals) -> Self {
        Self {
            scope: total.scope,
            holds: total.holds,
            shrunk: total.shrunk,
            refused: total.refused,
            recorded: total.recorded.into(),
            replayed: total.replayed.into(),
        }
    }
}

impl From<Replayed> for HeldAndSpent {
    fn from(Replayed { held, spent }: Replayed) -> Self {
        Self { held, spent }
    }
}
