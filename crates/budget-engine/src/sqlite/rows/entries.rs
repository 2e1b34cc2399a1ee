//! Entries of the ledger.

use meterbox_core::{
    Scope, Timestamp,
    contract::{CostLine, PriceTag},
};
use meterbox_sqlite::rusqlite::{Row, Transaction, params};

use super::{Rows, moment, money, named, one, parse, price, quantity, quantity_column, time};
use crate::{Entry, EntryKind, EntryPage, HoldId, ledger::NewEntry};

pub(in crate::sqlite) fn append(ledger: &Transaction<'_>, at: Timestamp, entry: &NewEntry) -> Rows<()> {
    let line = entry.line.as_ref();
    ledger
        .prepare_cached(
            "INSERT INTO entries (at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key,
                 held_change, spent_change, counts_at, note, price)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            at.as_micros(),
            entry.kind.as_str(),
            entry.hold.map(|hold| hold.to_string()),
            entry.scope.as_ref().map(Scope::to_string),
            entry.amount.nanos(),
            line.map(|line| &line.item),
            line.map(|line| quantity_column(line.quantity)).transpose()?,
            line.map(|line| &line.unit),
            line.map(|line| line.estimated),
            entry.key,
            entry.held_change,
            entry.spent_change,
            entry.counts_at.map(Timestamp::as_micros),
            entry.note,
            line.and_then(|line| line.price.as_ref()).map(PriceTag::as_str),
        ])?;
    Ok(())
}

macro_rules! select_entries {
    ($rest:literal) => {
        concat!(
            "SELECT seq, at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, ",
            "held_change, spent_change, counts_at, note, price FROM entries ",
            $rest
        )
    };
}

pub(in crate::sqlite) fn each_entry(
    ledger: &Transaction<'_>,
    page: EntryPage,
    mut visit: impl FnMut(Entry),
) -> Rows<()> {
    let after = i64::try_from(page.after).unwrap_or(i64::MAX);
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let mut statement = ledger.prepare_cached(select_entries!("WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
    let mut rows = statement.query([after, limit])?;
    while let Some(row) = rows.next()? {
        visit(to_entry(row)?);
    }
    Ok(())
}

pub(in crate::sqlite) fn spending(
    ledger: &Transaction<'_>,
    scope: &Scope,
    from: Timestamp,
    to: Timestamp,
) -> Rows<i64> {
    // The index `entries_by_time` finds the first of them: nothing counts later than it was booked.
    let sql = "SELECT coalesce(sum(spent_change), 0) FROM entries JOIN claims ON claims.hold = entries.hold
               WHERE spent_change <> 0 AND at >= ?2 AND coalesce(counts_at, at) >= ?2
                   AND coalesce(counts_at, at) < ?3 AND claims.scope = ?1";
    let sum = one(
        ledger,
        sql,
        params![scope.to_string(), from.as_micros(), to.as_micros()],
        |row| Ok(row.get(0)?),
    )?;
    Ok(sum.unwrap_or_default())
}

pub(in crate::sqlite) fn draw_by_key(
    ledger: &Transaction<'_>,
    hold: HoldId,
    key: &str,
) -> Rows<Option<CostLine>> {
    let sql = select_entries!("WHERE hold = ?1 AND draw_key = ?2");
    let entry = one(ledger, sql, params![hold.to_string(), key], to_entry)?;
    Ok(entry.and_then(|entry| entry.body.line).map(|line| *line))
}

fn to_entry(row: &Row<'_>) -> Rows<Entry> {
    let seq: i64 = row.get(0)?;
    let hold: Option<String> = row.get(3)?;
    let scope: Option<String> = row.get(4)?;
    let amount = money(row.get(5)?)?;
    let item: Option<String> = row.get(6)?;
    let line = match item {
        None => None,
        Some(item) => Some(Box::new(CostLine {
            item,
            quantity: quantity(row, 7)?,
            unit: row.get(8)?,
            amount,
            estimated: row.get(9)?,
            price: price(row, 15)?,
        })),
    };
    let counts_at: Option<i64> = row.get(13)?;
    let body = NewEntry {
        kind: named(row, 2, EntryKind::from_name)?,
        hold: hold.map(|text| parse(&text)).transpose()?,
        scope: scope.map(|text| parse(&text)).transpose()?,
        amount,
        line,
        key: row.get(10)?,
        counts_at: counts_at.map(moment).transpose()?,
        note: row.get(14)?,
        held_change: row.get(11)?,
        spent_change: row.get(12)?,
    };
    Ok(Entry {
        seq: seq.unsigned_abs(),
        at: time(row, 1)?,
        body,
    })
}
