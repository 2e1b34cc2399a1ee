//! The rules of the ledger, free of clocks, locks and I/O.
//!
//! A store loads the rows a call needs inside one atomic step, asks these functions what must change, and
//! writes that. So every store obeys the same rules, and the rules can be tested without one.
//!
//! - [`decide`]: may this hold be opened?
//! - [`HoldRecord::apply`]: what does this action change?

mod action;
mod decide;
mod entry;
mod record;
mod request;

pub use action::{HoldAction, replayed_draw};
pub use decide::{Claimable, OpenHold, applicable, check_redefinition, decide};
pub use entry::{Entry, EntryKind, EntryPage, NewEntry};
pub use record::{Claim, HoldId, HoldRecord, HoldState, IntentId, IntentRecord, IntentState, Settlement};
pub use request::HoldRequest;

pub(crate) use request::{check_line, check_ttl};
