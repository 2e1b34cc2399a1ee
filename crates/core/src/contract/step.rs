use serde::{Deserialize, Serialize};

use crate::Usd;

/// The steps of an analysis, in the order they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Typing the data, once per version of it.
    Import,
    /// Setting money aside.
    Hold,
    /// Writing the program.
    Program,
    /// Checking the program before it runs.
    Screen,
    /// Running it in the sandbox.
    Run,
    /// Checking what it returned.
    Check,
    /// Drawing the chart.
    Chart,
    /// Charging what was used, freeing the rest.
    Settle,
    /// Keeping the result.
    Store,
}

/// News of a step, as it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct StepEvent {
    /// Which step.
    pub step: Step,
    /// What became of it.
    pub state: StepState,
    /// What it did, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took, in milliseconds, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// What it cost, once it ended and if it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Under way.
    Started,
    /// Done.
    Done,
    /// Ended without success.
    Failed,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct StepTiming {
    /// Which step.
    pub step: Step,
    /// Milliseconds.
    pub elapsed_ms: f64,
}
