//! From a question to an analysis program.
//!
//! [`CodeGenerator`] is the one trait. The built-in planner implements it without any model: it maps a
//! question to a typed plan and compiles the plan to a program, or says which words it did not understand.
//! A generator knows no budget; it is told what it may use and reports what it used.

pub mod chat;
mod error;
pub mod eval;
mod generator;
#[cfg(feature = "generator")]
pub mod model;
pub mod planner;

pub use error::GenerateError;
pub use generator::{CodeGenerator, FailedProgram, GenerateRequest, Generated, Prefer};
pub use planner::Planner;
