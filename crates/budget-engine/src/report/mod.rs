//! What can be read out of a ledger, and put right in it, after the fact.

mod export;
mod forecast;
mod reconcile;
mod replay;
mod rows;

pub use export::{Export, ExportRange};
pub use forecast::{Forecast, ForecastOptions, Spike};
pub use reconcile::{Call, Correction, Reconciliation, UsageRecord};
pub use replay::{HoldDifference, Outcome, ReplayReport, Replayed, ScopeTotals};
pub use rows::{ExportFormat, ExportRow, RowWriter, unguarded};
