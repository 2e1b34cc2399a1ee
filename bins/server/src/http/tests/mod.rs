//! The whole HTTP face over a real analyst; only the sandbox, the generator and the clock are doubles.

mod analyses;
mod app;
mod budgets;
mod goldens;
mod hostile;
mod ledger;
mod openapi;
mod page;
mod roles;
mod sessions;
mod spending;
