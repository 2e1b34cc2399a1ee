//! The ledger added up, and corrected by what was really used.

use meterbox_budget_engine::{Correction, Reconciliation, VerifyReport};
use meterbox_core::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What adding up the whole ledger anew found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VerifyView {
    pub(crate) entries: u64,
    pub(crate) holds: u64,
    pub(crate) open_holds: u64,
    pub(crate) balances: u64,
    /// None where every balance is the sum of its entries.
    pub(crate) problems: Vec<String>,
}

/// Calls booked at their worst case, to be corrected by a file of what was really used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconcileRequest {
    /// What the file is called, for the audit log.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) source: String,
    pub(crate) format: UsageFormat,
    /// The file's text, 16 MiB at most; rows of one call belong together.
    pub(crate) content: String,
    /// Only say what would be corrected.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// What a file of usage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UsageFormat {
    /// Columns reference or intent, item, quantity, unit, amount (dollars)
    Csv,
    /// An object a line, with the fields of the CSV
    Jsonl,
    /// Sandbox lifecycle events of E2B, priced by the price book
    E2b,
}

/// What became of a file of usage. Calls are named by their reference where they have one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReconcileView {
    /// Booked at their worst case, and now, or to be, booked at what they used.
    pub(crate) corrected: Vec<CorrectionView>,
    /// Known before; nothing was changed.
    pub(crate) already_known: Vec<String>,
    /// Still going on; their owner will say what they used.
    pub(crate) under_way: Vec<String>,
    /// References of more than one call, and second names of one; nothing was changed.
    pub(crate) ambiguous: Vec<String>,
    /// Not in this ledger.
    pub(crate) unmatched: Vec<String>,
    /// Sandboxes that were paused and not killed yet, whose use is not complete.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) incomplete: Vec<String>,
}

/// A worst case that gives way to what was used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CorrectionView {
    pub(crate) call: String,
    /// The hold it belongs to.
    pub(crate) hold: String,
    /// What was booked.
    pub(crate) from: Usd,
    /// What it used.
    pub(crate) to: Usd,
}

impl From<VerifyReport> for VerifyView {
    fn from(report: VerifyReport) -> Self {
        Self {
            entries: report.entries,
            holds: report.holds,
            open_holds: report.open_holds,
            balances: report.balances,
            problems: report.problems,
        }
    }
}

impl ReconcileView {
    pub(crate) fn new(report: Reconciliation, incomplete: Vec<String>) -> Self {
        Self {
            corrected: report.corrected.into_iter().map(Into::into).collect(),
            already_known: report.already_known,
            under_way: report.under_way,
            ambiguous: report.ambiguous,
            unmatched: report.unmatched,
            incomplete,
        }
    }
}

impl From<Correction> for CorrectionView {
    fn from(one: Correction) -> Self {
        Self {
            call: one.call,
            hold: one.hold.to_string(),
            from: one.from,
            to: one.to,
        }
    }
}
