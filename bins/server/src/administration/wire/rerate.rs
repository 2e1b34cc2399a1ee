//! The ledger at other prices.

use meterbox_budget_engine::{RateTotals, RatedLine, RatedScope, RerateReport};
use meterbox_core::{Scope, Timestamp, Usd};
use meterbox_price_book::PriceBook;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Other prices to try on what was spent. Nothing is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RerateRequest {
    /// Laid over the shipped book; the prices in force where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) book: Option<BookText>,
    /// Only spending from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// Only spending before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
}

/// A price book as the text of its file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookText {
    pub(crate) format: BookFormat,
    /// 16 MiB at most.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BookFormat {
    Json,
    Toml,
}

/// What was spent, and what it would have cost.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RerateView {
    /// The name of the book.
    pub(crate) book: String,
    /// Its fingerprint, as lines have it.
    pub(crate) fingerprint: String,
    /// Lines that the book has prices for.
    pub(crate) rerated: u64,
    pub(crate) recorded: Usd,
    pub(crate) would_be: Usd,
    /// Lines without a price this book knows; what they cost stays as it is.
    pub(crate) left: u64,
    pub(crate) left_recorded: Usd,
    pub(crate) rates: Vec<RatedRate>,
    pub(crate) scopes: Vec<RatedScopeView>,
    /// The first thousand lines that would have cost something else.
    pub(crate) differences: Vec<RatedLineView>,
}

/// All lines of one rate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RatedRate {
    pub(crate) rate: String,
    /// Fingerprints of the books it was priced by.
    pub(crate) books: Vec<String>,
    pub(crate) quantity: u64,
    pub(crate) recorded: Usd,
    pub(crate) would_be: Usd,
}

/// All lines that count in one budget.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RatedScopeView {
    pub(crate) scope: Scope,
    pub(crate) recorded: Usd,
    pub(crate) would_be: Usd,
}

/// A line that would have cost something else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RatedLineView {
    /// The entry's place in the ledger.
    pub(crate) seq: u64,
    /// When it counts.
    pub(crate) at: Timestamp,
    pub(crate) hold: String,
    pub(crate) item: String,
    pub(crate) quantity: u64,
    /// By which rate of which book it was priced: `rate@book`.
    pub(crate) price: String,
    pub(crate) recorded: Usd,
    pub(crate) would_be: Usd,
}

impl RerateView {
    pub(crate) fn new(book: &PriceBook, report: RerateReport) -> Self {
        Self {
            book: book.name().to_owned(),
            fingerprint: book.short_fingerprint().to_owned(),
            rerated: report.rerated,
            recorded: report.recorded,
            would_be: report.would_be,
            left: report.left,
            left_recorded: report.left_recorded,
            rates: report.rates.into_iter().map(Into::into).collect(),
            scopes: report.scopes.into_iter().map(Into::into).collect(),
            differences: report.differences.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<RateTotals> for RatedRate {
    fn from(total: RateTotals) -> Self {
        Self {
            rate: total.rate,
            books: total.books,
            quantity: total.quantity,
            recorded: total.recorded,
            would_be: total.would_be,
        }
    }
}

impl From<RatedScope> for RatedScopeView {
    fn from(total: RatedScope) -> Self {
        Self {
            scope: total.scope,
            recorded: total.recorded,
            would_be: total.would_be,
        }
    }
}

impl From<RatedLine> for RatedLineView {
    fn from(line: RatedLine) -> Self {
        Self {
            seq: line.seq,
            at: line.at,
            hold: line.hold.to_string(),
            item: line.item,
            quantity: line.quantity,
            price: line.price.into(),
            recorded: line.recorded,
            would_be: line.would_be,
        }
    }
}
