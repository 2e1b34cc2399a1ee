//! One posting a row, as CSV or as JSON lines.

use std::{
    borrow::Cow,
    io::{self, Write},
    str::FromStr,
};

use meterbox_core::{Scope, Timestamp, Usd, contract::PriceTag};
use serde::Serialize;

use crate::{Account, BudgetError, EntryKind, HoldId};

/// A posting of the double entry in one budget, or an entry that moves no money.
///
/// The same money counts in the budget of every scope of its hold, and has a row in each: add up one scope at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportRow {
    /// The entry's place in the ledger; all rows of an entry have the same.
    pub seq: u64,
    /// When the entry was written.
    pub at: Timestamp,
    /// When its spending counts, where that is another time.
    pub counts_at: Option<Timestamp>,
    /// What happened.
    pub kind: EntryKind,
    /// To which hold.
    pub hold: Option<HoldId>,
    /// What the hold is for.
    pub purpose: Option<String>,
    /// In whose budget; `None` where a hold counts against none.
    pub scope: Option<Scope>,
    /// In which period.
    pub period: Option<String>,
    /// In which piece of a rolling window spending is kept; what is held is kept in the period.
    pub piece: Option<String>,
    /// The account the money arrives in; `None` where none moves.
    pub debit: Option<Account>,
    /// The account it leaves.
    pub credit: Option<Account>,
    /// How much moves; of an entry that moves none, how much it is about.
    pub amount: Usd,
    /// What was used.
    pub item: Option<String>,
    /// How much of it.
    pub quantity: Option<u64>,
    /// In which unit.
    pub unit: Option<String>,
    /// True where the use is not known and the worst case was booked.
    pub estimated: Option<bool>,
    /// By which price of which price book it was priced.
    pub price: Option<PriceTag>,
    /// The idempotency key of a draw.
    pub key: Option<Box<str>>,
    /// Why, for top-ups and stops.
    pub note: Option<Box<str>>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportFormat {
    /// RFC 4180 with a header. Amounts are plain decimals in dollars. A cell that a spreadsheet would take for a
    /// formula has a `'` before it; [`unguarded`] takes it away.
    Csv,
    /// A JSON object a line, with the fields of [`ExportRow`]. Amounts are numbers of dollars, or strings where a
    /// double could not carry them.
    JsonLines,
}

impl FromStr for ExportFormat {
    type Err = BudgetError;

    fn from_str(name: &str) -> Result<Self, BudgetError> {
        match name {
            "csv" => Ok(Self::Csv),
            "json" | "jsonl" => Ok(Self::JsonLines),
            _ => Err(BudgetError::Invalid(format!(
                "{:?} is no format of an export; use csv or json",
                name.chars().take(40).collect::<String>()
            ))),
        }
    }
}

/// Writes rows as they come.
#[derive(Debug)]
pub struct RowWriter<W: Write>(Writer<W>);

#[derive(Debug)]
enum Writer<W: Write> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
}

const HEADER: [&str; 19] = [
    "seq",
    "at",
    "counts_at",
    "kind",
    "hold",
    "purpose",
    "scope",
    "period",
    "piece",
    "debit",
    "credit",
    "amount",
    "item",
    "quantity",
    "unit",
    "estimated",
    "price",
    "key",
    "note",
];

impl<W: Write> RowWriter<W> {
    /// Begins a document; CSV gets its header, also where no row follows.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(format: ExportFormat, out: W) -> io::Result<Self> {
        match format {
            ExportFormat::JsonLines => Ok(Self(Writer::JsonLines(out))),
            ExportFormat::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(HEADER).map_err(io::Error::from)?;
                Ok(Self(Writer::Csv(Box::new(csv))))
            }
        }
    }

    /// Writes a row; blocks as `out` does.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&mut self, row: &ExportRow) -> io::Result<()> {
        match &mut self.0 {
            Writer::Csv(csv) => csv.write_record(cells(row).iter().map(|cell| &**cell))?,
            Writer::JsonLines(out) => {
                serde_json::to_writer(&mut *out, row)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// What `out` says.
    pub fn finish(mut self) -> io::Result<()> {
        match &mut self.0 {
            Writer::Csv(csv) => csv.flush(),
            Writer::JsonLines(out) => out.flush(),
        }
    }
}

fn cells(row: &ExportRow) -> [Cow<'_, str>; 19] {
    fn shown<T: ToString>(value: Option<T>) -> Cow<'static, str> {
        value.map(|value| value.to_string()).unwrap_or_default().into()
    }
    let words = |text: Option<&str>| guarded(text.unwrap_or_default().to_owned());
    [
        row.seq.to_string().into(),
        row.at.to_string().into(),
        shown(row.counts_at),
        row.kind.as_str().into(),
        shown(row.hold),
        words(row.purpose.as_deref()),
        shown(row.scope.as_ref()),
        words(row.period.as_deref()),
        words(row.piece.as_deref()),
        row.debit.map_or("", Account::as_str).into(),
        row.credit.map_or("", Account::as_str).into(),
        decimal(row.amount).into(),
        words(row.item.as_deref()),
        shown(row.quantity),
        words(row.unit.as_deref()),
        shown(row.estimated),
        words(row.price.as_ref().map(PriceTag::as_str)),
        words(row.key.as_deref()),
        words(row.note.as_deref()),
    ]
}

/// The amount without its dollar sign, exact.
fn decimal(amount: Usd) -> String {
    amount.to_string().trim_start_matches('$').to_owned()
}

/// OWASP's list of what begins a formula in a spreadsheet, and the guard itself so that it can be taken away again.
fn is_taken_for_a_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\''])
}

fn guarded<'a>(cell: String) -> Cow<'a, str> {
    if is_taken_for_a_formula(&cell) {
        return format!("'{cell}").into();
    }
    cell.into()
}

/// A cell of an export as it was, without the guard against formulas.
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

impl Account {
    /// Its name in exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Spent => "spent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_guarded_and_come_back() {
        for cell in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'x", "''", "plain", "", "a=b",
        ] {
            let written = guarded(cell.to_owned());
            assert!(!written.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
            assert_eq!(unguarded(&written), cell);
        }
    }
}
