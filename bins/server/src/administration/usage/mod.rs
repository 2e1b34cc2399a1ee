//! Files of what was really used: a provider's export, or the events of a sandbox service.

mod e2b;
mod rows;

use meterbox_analysis::ComputePrice;
use meterbox_budget_engine::UsageRecord;
use meterbox_core::Timestamp;
use meterbox_price_book::PriceBook;

use super::wire::UsageFormat;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct UsageFile {
    pub(super) records: Vec<UsageRecord>,
    /// Sandboxes whose use is not complete yet.
    pub(super) incomplete: Vec<String>,
}

/// Reads the text of a file; what has no amount is priced by this book as it is now.
///
/// # Errors
/// A sentence that names the line and field, or event, that is wrong.
pub(super) fn read(
    text: &str,
    format: UsageFormat,
    prices: &PriceBook,
    now: Timestamp,
) -> Result<UsageFile, String> {
    let of_records = |records| UsageFile {
        records,
        incomplete: Vec::new(),
    };
    match format {
        UsageFormat::Csv => rows::csv(text.as_bytes())
            .collect::<Result<_, _>>()
            .map(of_records),
        UsageFormat::Jsonl => rows::json_lines(text.as_bytes())
            .collect::<Result<_, _>>()
            .map(of_records),
        UsageFormat::E2b => {
            let price = ComputePrice::of(prices, "e2b", now).map_err(|error| error.to_string())?;
            let events = e2b::read(text.as_bytes(), &price)?;
            Ok(UsageFile {
                records: events.records,
                incomplete: events.alive,
            })
        }
    }
}
