//! The rules of the ledger, free of clocks, locks and I/O.
//!
//! [`Books`] is a ledger, or the part of one that a step needs: it decides what may be held and what an action
//! changes, and says what must be written. A store keeps it in memory for good, or loads into it what a step needs
//! inside one atomic transaction and writes the [`Changes`]. So every store obeys the same rules, and the rules can
//! be tested without one.

mod action;
mod books;
mod decide;
mod entry;
mod extra;
mod rebook;
mod record;
mod request;
mod setting;

pub use action::HoldAction;
pub use books::{AccountChange, AccountId, AccountRow, Books, Changes, Defined};
pub use decide::OpenHold;
pub use entry::{Account, Entry, EntryKind, EntryPage, HoldFilter, HoldPage, NewEntry, Posting};
pub use record::{
    Basis, Claim, EventId, HoldId, HoldRecord, HoldState, HoldStatus, IntentId, IntentRecord, IntentState,
    Settlement, TopUpId,
};
pub use request::HoldRequest;
pub use setting::Setting;

pub(crate) use decide::{Room, amount_to_hold, no_budget, refusal};
pub(crate) use request::{MAX_SCOPES, check_line, check_text, check_ttl};
