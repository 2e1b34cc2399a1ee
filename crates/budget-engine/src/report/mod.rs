//! What can be read out of a ledger, and put right in it, after the fact.

mod export;
mod forecast;
mod range;
mod reconcile;
mod replay;
mod rerate;
mod rows;

pub use export::Export;
pub use forecast::{Forecast, ForecastOptions, Spike};
pub use range::TimeRange;
pub use reconcile::{Call, Correction, Reconciliation, UsageRecord};
pub use replay::{HoldDifference, Outcome, ReplayReport, Replayed, ScopeTotals};
pub use rerate::{RateTotals, RatedLine, RatedScope, RerateReport};
pub use rows::{ExportFormat, ExportRow, RowWriter, unguarded};
