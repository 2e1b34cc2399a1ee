//! What a result looks like to whoever reads it: a person's page, a script, next year's version of us.
//!
//! Everything here is plain data with a stable JSON form, numbered by [`CONTRACT_VERSION`]. The schema is
//! committed beside this crate (`schema/analysis-result.json`) and a test rewrites it on request, so a
//! change of the wire form is always seen in review.

mod answer;
mod chart;
mod failure;
mod price;
mod privacy;
mod result;
mod step;
mod table;

pub use answer::{Answer, AnswerColumn, AnswerDocument, Cell};
pub use chart::{ChartKind, ChartSpec};
pub use failure::{Failure, FailureKind, ShortBudget};
pub use price::{InvalidPriceTag, PriceTag};
pub use privacy::{InvalidPrivacyLevel, PrivacyLevel};
pub use result::{
    AnalysisResult, ArtifactRef, CostLine, DatasetRef, Egress, Reading, SandboxReport, Source, Status, Usage,
};
pub use step::{Step, StepEvent, StepState, StepTiming};
pub use table::{ColumnProfile, ColumnRole, ColumnType, DataWarning, TableProfile, ValueCount};

/// The version of the contract this code writes. Results of older versions stay readable.
pub const CONTRACT_VERSION: u32 = 1;
