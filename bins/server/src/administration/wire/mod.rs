//! What administration says and is told in JSON, over HTTP as on the command line. Money is in dollars.

mod budgets;
mod keys;

pub(crate) use budgets::*;
pub(crate) use keys::*;
