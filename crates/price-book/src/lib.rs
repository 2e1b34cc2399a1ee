//! What a unit costs, since when and according to whom: a dated price book, exact to the nano-dollar.
//!
//! ```
//! # use meterbox_price_book::{PriceBook, Terms, TokenUsage};
//! let book = PriceBook::shipped();
//! let model = book.model("openai/gpt-5-mini", "2026-11-26T00:00:00Z".parse()?)?;
//! let usage = TokenUsage { input: 1_200, cached: 1_024, output: 300, ..TokenUsage::default() };
//! let lines = model.lines("answer", &usage, &Terms::default())?;
//! assert_eq!(lines[0].amount, "0.000044".parse()?); // 176 tokens at $0.25 a million
//! assert_eq!(lines[0].price.as_ref().unwrap().rate(), "openai/gpt-5-mini:input");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A price is of a million of what a line counts (tokens; microseconds, of what is paid by the second), in
//! nano-dollars, and each line is rounded up once. Where a book has no price for a part of a usage, the dearer
//! neighbour's counts: cached tokens without a price of their own are input. So no gap makes anything cheaper.
//!
//! - [`PriceBook`]: the book shipped with this version, or one from a file, or the one laid over the other.
//! - [`ModelPrice`]: what a model costs at a moment: lines for a usage, the worst case of a call, and how much output
//!   a sum of money pays for.
//! - [`UnitRate`]: the price of anything else, such as a second of a vCPU.
//! - [`AzureDeployments`]: which model an Azure deployment is.
//!
//! Each line says by which rate of which book it was priced ([`PriceTag`](meterbox_core::contract::PriceTag)), so that
//! a bill can be made again, also by another book ([`PriceBook::amount`]).

#![deny(clippy::float_arithmetic)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod azure;
mod book;
mod document;
mod error;
mod model;
mod rate;

pub use azure::{AzureDeployments, Deployment, Known};
pub use book::{PriceBook, UnitRate};
pub use error::{BookError, PriceError, PriceErrorKind};
pub use meterbox_core::TokenUsage;
pub use model::ModelPrice;
pub use rate::{Component, Terms};
