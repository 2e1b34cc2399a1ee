//! Rows to records and back; no decisions.

mod balances;
mod entries;
mod holds;
mod rules;

use std::str::FromStr;

use meterbox_core::{Timestamp, Usd, contract::PriceTag};
use meterbox_sqlite::{
    SqliteError,
    rusqlite::{OptionalExtension, Params, Row, Transaction},
};

pub(super) use self::balances::{add_to_balance, balances, each_balance};
pub(super) use self::entries::{append, draw_by_key, each_entry, spending};
pub(super) use self::holds::{each_hold, expired_holds, hold, hold_by_key, holds, insert_hold, update_hold};
pub(super) use self::rules::{
    budget, budgets, delete_budget, insert_top_up, provisions, put_budget, put_stop, stop, top_ups,
    wildcard_budgets,
};

type Rows<T> = Result<T, SqliteError>;

fn one<T>(
    ledger: &Transaction<'_>,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Rows<T>,
) -> Rows<Option<T>> {
    let mut statement = ledger.prepare_cached(sql)?;
    let row = statement.query_row(params, |row| Ok(read(row))).optional()?;
    row.transpose()
}

fn all<T>(
    ledger: &Transaction<'_>,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Rows<T>,
) -> Rows<Vec<T>> {
    let mut statement = ledger.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}

fn money(nanos: i64) -> Rows<Usd> {
    let amount = u64::try_from(nanos)
        .ok()
        .and_then(|nanos| Usd::from_nanos(nanos).ok());
    amount.ok_or_else(|| SqliteError::corrupt("an amount of money is negative"))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Rows<Timestamp> {
    moment(row.get(column)?)
}

fn moment(micros: i64) -> Rows<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| SqliteError::corrupt("a time is out of range"))
}

pub(super) fn quantity(row: &Row<'_>, column: usize) -> Rows<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| SqliteError::corrupt("a quantity is negative"))
}

/// Lines were checked on their way in.
pub(super) fn quantity_column(quantity: u64) -> Rows<i64> {
    i64::try_from(quantity).map_err(|_| SqliteError::corrupt("a quantity is too large"))
}

pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Rows<T> {
    let text: String = row.get(column)?;
    parse(&text)
}

fn price(row: &Row<'_>, column: usize) -> Rows<Option<PriceTag>> {
    let text: Option<String> = row.get(column)?;
    text.as_deref().map(parse).transpose()
}

fn parse<T: FromStr>(text: &str) -> Rows<T> {
    text.parse()
        .map_err(|_| SqliteError::corrupt(format!("{text:?} makes no sense in its column")))
}

fn named<T>(row: &Row<'_>, column: usize, from_name: impl FnOnce(&str) -> Option<T>) -> Rows<T> {
    let name: String = row.get(column)?;
    from_name(&name).ok_or_else(|| SqliteError::corrupt(format!("{name:?} makes no sense in its column")))
}
