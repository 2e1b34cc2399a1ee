//! The vocabulary every Meterbox crate shares, and nothing else: exact money, budget scopes, time, the
//! retry question, and the [`contract`] that results keep with whoever reads them.
//!
//! No async runtime, no HTTP, no I/O. A crate that needs only these words pulls in nothing heavier.

pub mod contract;
mod id;
mod money;
mod retry;
mod scope;
mod storage;
pub mod telemetry;
mod time;
mod tokens;

pub use id::{AnalysisId, InvalidId};
pub use money::{MoneyError, UnitPrice, Usd};
pub use retry::{Backoff, Retryability};
pub use scope::{InvalidScope, Scope};
pub use storage::{StorageError, StorageErrorKind};
pub use time::{Clock, InvalidTimestamp, SystemClock, Timestamp};
pub use tokens::TokenUsage;

/// A civil date without a time zone, as business data has them.
pub use jiff::civil::Date;
