//! What administration says and is told in JSON, over HTTP as on the command line. Money is in dollars.

mod budgets;
mod events;
mod keys;
mod ledger;
mod replay;
mod rerate;
mod spending;

pub(crate) use budgets::*;
pub(crate) use events::*;
pub(crate) use keys::*;
pub(crate) use ledger::*;
pub(crate) use replay::*;
pub(crate) use rerate::*;
pub(crate) use spending::*;
