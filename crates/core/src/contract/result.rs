use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Answer, CONTRACT_VERSION, ChartSpec, Failure, PriceTag, StepTiming};
use crate::{AnalysisId, Date, Scope, Timestamp, Usd};

/// One question and everything that became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct AnalysisResult {
    /// The version of this contract the result was written under.
    pub contract_version: u32,
    /// The analysis.
    pub id: AnalysisId,
    /// What was asked; absent where the caller brought a program instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Who asked.
    pub principal: Scope,
    /// What became of it.
    pub status: Status,
    /// Where the program came from, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How the question was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// What a reader should know about data and answer.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// How to draw it.
    #[serde(default)]
    pub charts: Vec<ChartSpec>,
    /// Files the analysis left, such as the chart's PNG.
    #[serde(default)]
    pub artifacts: Vec<ArtifactRef>,
    /// The typed plan, where the planner made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schemars",
        schemars(with = "Option<BTreeMap<String, serde_json::Value>>")
    )]
    pub plan: Option<serde_json::Value>,
    /// The program that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What wrote the program, with its version, such as `planner/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// What the program printed, capped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The most this analysis could have cost; set aside before it began.
    pub hold: Usd,
    /// What it did cost.
    pub cost: Usd,
    /// What of question and data left this machine for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Egress>,
    /// The cost, line by line.
    #[serde(default)]
    pub cost_lines: Vec<CostLine>,
    /// What is left of the tightest budget after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<Usd>,
    /// What the program used.
    pub usage: Usage,
    /// How often a program was tried.
    pub attempts: u32,
    /// How long each step took.
    #[serde(default)]
    pub timings: Vec<StepTiming>,
    /// Where the program ran and how it was confined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxReport>,
    /// The data it ran on.
    #[serde(default)]
    pub datasets: Vec<DatasetRef>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl AnalysisResult {
    /// A result that has just begun: running, nothing held, nothing spent.
    pub fn begun(id: AnalysisId, principal: Scope, created_at: Timestamp) -> Self {
        Self {
            contract_version: CONTRACT_VERSION,
            id,
            question: None,
            principal,
            status: Status::Running,
            source: None,
            reading: None,
            warnings: Vec::new(),
            answer: None,
            charts: Vec::new(),
            artifacts: Vec::new(),
            plan: None,
            code: None,
            generator: None,
            output: String::new(),
            hold: Usd::ZERO,
            cost: Usd::ZERO,
            egress: Vec::new(),
            cost_lines: Vec::new(),
            remaining: None,
            usage: Usage::default(),
            attempts: 0,
            timings: Vec::new(),
            sandbox: None,
            datasets: Vec::new(),
            created_at,
            finished_at: None,
            failure: None,
        }
    }
}

/// Something that was sent to another server, or to a model on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Egress {
    /// Where to: an address without credentials.
    pub to: String,
    /// What for, such as `program`, or the name of a file.
    pub purpose: String,
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// The bytes themselves, where they are text that we made; absent for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What became of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Waiting for its turn.
    Queued,
    /// Under way.
    Running,
    /// Answered.
    Ok,
    /// Answered, but a check could not confirm the answer; the warnings say why.
    Unverified,
    /// No answer; the failure says why.
    Failed,
    /// Never started; nothing was charged.
    Refused,
    /// Stopped by somebody.
    Cancelled,
    /// Stopped by the service.
    Interrupted,
}

/// Where the program of an analysis came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The built-in planner.
    Rules,
    /// A language model.
    Model,
    /// An earlier analysis.
    Saved,
    /// The caller.
    Code,
}

/// How a question was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Reading {
    /// The question as understood, in words.
    pub text: String,
    /// What had to be assumed.
    #[serde(default)]
    pub assumptions: Vec<String>,
    /// Words of the question that were not used.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// The date "today" means for this data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub as_of: Option<Date>,
}

/// One line of a bill: a quantity at a unit price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct CostLine {
    /// What was used, such as `sandbox vCPU`.
    pub item: String,
    /// How much of it.
    pub quantity: u64,
    /// In which unit, such as `ms` or `tokens`.
    pub unit: String,
    /// What it cost.
    pub amount: Usd,
    /// True where the use is not known and the worst case was booked.
    #[serde(default)]
    pub estimated: bool,
    /// By which price of which price book; absent where the price came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceTag>,
}

/// What programs of an analysis used, measured from outside the sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Usage {
    /// Wall-clock time, milliseconds.
    pub wall_ms: u64,
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// The largest memory in use at once, bytes.
    pub peak_memory_bytes: u64,
    /// Bytes written to standard output and error.
    pub output_bytes: u64,
}

/// Where a program ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SandboxReport {
    /// Who ran it, such as `local`.
    pub provider: String,
    /// How strongly it was confined, such as `ns`.
    pub tier: String,
    /// What kept it from what: guarantee and mechanism.
    #[serde(default)]
    pub guarantees: BTreeMap<String, String>,
}

/// The data an analysis ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DatasetRef {
    /// The dataset's name.
    pub name: String,
    /// Its version: a hash of its files.
    pub version: String,
}

/// A file an analysis left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ArtifactRef {
    /// Its safe name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its type, such as `image/png`.
    pub media_type: String,
}
