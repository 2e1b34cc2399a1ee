//! One question, one result: the whole Meterbox pipeline, embeddable, without HTTP.
//!
//! An [`Analyst`] is put together once from parts (a sandbox, a generator, a budget, a breaker, a store)
//! and then asked: [`Analyst::start`] sets the worst case aside, types the data, gets a program written,
//! runs it sealed off, checks what came back, charges what was used and keeps the result.

mod analyst;
mod comparison;
mod failure;
mod look;
mod model_calls;
mod model_price;
mod paid_run;
mod pipeline;
mod places;
mod portable;
mod price;
mod programs;
mod request;
mod running;
mod setting_aside;
mod spans;
mod squeeze;

pub use analyst::{Analyst, AnalystBuilder};
pub use meterbox_llm_codegen::Prefer;
pub use model_price::ModelPrices;
pub use price::ComputePrice;
pub use request::{Ask, MAX_CODE_BYTES, MAX_QUESTION_CHARS, Principal, Request, RequestError};
pub use running::{Event, Interrupted, Running};
