//! Holds with their claims and intents.

use std::{str::FromStr, time::Duration};

use meterbox_core::{
    Scope, Timestamp, Usd,
    contract::{CostLine, PriceTag},
};
use meterbox_sqlite::{
    SqliteError,
    rusqlite::{Row, Transaction, params},
};

use super::{Rows, all, money, named, one, parsed, price, quantity, quantity_column, time};
use crate::{
    HoldFilter, HoldId, HoldPage, HoldState,
    ledger::{Basis, Claim, HoldRecord, IntentRecord, IntentState},
};

macro_rules! select_holds {
    ($rest:literal) => {
        concat!(
            "SELECT id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, ",
            "created_at, expires_at, grace, degraded FROM holds ",
            $rest
        )
    };
}

pub(in crate::sqlite) fn hold(ledger: &Transaction<'_>, id: HoldId) -> Rows<Option<HoldRecord>> {
    one(ledger, select_holds!("WHERE id = ?1"), [id.to_string()], |row| {
        to_hold(ledger, row)
    })
}

pub(in crate::sqlite) fn hold_by_key(ledger: &Transaction<'_>, key: &str) -> Rows<Option<HoldRecord>> {
    one(
        ledger,
        select_holds!("WHERE idempotency_key = ?1"),
        [key],
        |row| to_hold(ledger, row),
    )
}

pub(in crate::sqlite) fn each_hold(ledger: &Transaction<'_>, mut visit: impl FnMut(HoldRecord)) -> Rows<()> {
    let mut statement = ledger.prepare(select_holds!(""))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        visit(to_hold(ledger, row)?);
    }
    Ok(())
}

pub(in crate::sqlite) fn holds(ledger: &Transaction<'_>, page: HoldPage) -> Rows<Vec<HoldRecord>> {
    let sql = match page.only {
        HoldFilter::All => select_holds!("WHERE id > ?1 ORDER BY id LIMIT ?2"),
        // By itself it would look through all there ever were, in the order of their ids.
        HoldFilter::Open => {
            select_holds!("INDEXED BY holds_open WHERE id > ?1 AND state = 'open' ORDER BY id LIMIT ?2")
        }
        HoldFilter::Estimated => select_holds!(
            "WHERE id > ?1 AND id IN (SELECT hold FROM intents WHERE state = 'booked') ORDER BY id LIMIT ?2"
        ),
    };
    let after = page.after.map(|id| id.to_string()).unwrap_or_default();
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    all(ledger, sql, params![after, limit], |row| to_hold(ledger, row))
}

pub(in crate::sqlite) fn expired_holds(ledger: &Transaction<'_>, now: Timestamp) -> Rows<Vec<HoldId>> {
    let sql = "SELECT id FROM holds WHERE state = 'open' AND ends_at <= ?1 ORDER BY ends_at";
    all(ledger, sql, [now.as_micros()], |row| parsed(row, 0))
}

pub(in crate::sqlite) fn insert_hold(ledger: &Transaction<'_>, record: &HoldRecord) -> Rows<()> {
    let scopes: Vec<String> = record.basis.scopes.iter().map(Scope::to_string).collect();
    let id = record.id.to_string();
    ledger
        .prepare_cached(
            "INSERT INTO holds (id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key,
                 state, created_at, expires_at, grace, degraded, ends_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            id,
            scopes.join(" "),
            record.requested.nanos(),
            record.at_least.map(Usd::nanos),
            record.amount.nanos(),
            record.drawn.nanos(),
            record.purpose,
            record.idempotency_key,
            record.state.as_str(),
            record.created_at.as_micros(),
            record.expires_at.as_micros(),
            i64::try_from(record.grace.as_micros()).unwrap_or(i64::MAX),
            record.degraded,
            record.ends_at().as_micros(),
        ])?;
    for (place, claim) in (0_i64..).zip(&*record.basis.claims) {
        ledger
            .prepare_cached(
                "INSERT INTO claims (hold, place, scope, period, spend_limit, ends_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id,
                place,
                claim.scope.to_string(),
                &*claim.period,
                claim.limit.nanos(),
                claim.ends_at.as_micros(),
            ])?;
    }
    Ok(())
}

/// Writes what an action can change.
pub(in crate::sqlite) fn update_hold(ledger: &Transaction<'_>, record: &HoldRecord) -> Rows<()> {
    let id = record.id.to_string();
    ledger
        .prepare_cached(
            "UPDATE holds SET drawn = ?2, state = ?3, expires_at = ?4, ends_at = ?5 WHERE id = ?1",
        )?
        .execute(params![
            id,
            record.drawn.nanos(),
            record.state.as_str(),
            record.expires_at.as_micros(),
            record.ends_at().as_micros(),
        ])?;
    for (place, intent) in (0_i64..).zip(&record.intents) {
        let line = &intent.line;
        ledger
            .prepare_cached(
                "INSERT INTO intents (hold, place, id, item, quantity, unit, amount, state, at, reference, metered, price)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT (hold, place) DO UPDATE SET state = excluded.state, metered = excluded.metered",
            )?
            .execute(params![
                id,
                place,
                intent.id.to_string(),
                line.item,
                quantity_column(line.quantity)?,
                line.unit,
                line.amount.nanos(),
                intent.state.as_str(),
                intent.at.as_micros(),
                intent.reference,
                intent.metered.nanos(),
                line.price.as_ref().map(PriceTag::as_str),
            ])?;
    }
    Ok(())
}

fn to_hold(ledger: &Transaction<'_>, row: &Row<'_>) -> Rows<HoldRecord> {
    let id: HoldId = parsed(row, 0)?;
    let scopes: String = row.get(1)?;
    let scopes = scopes.split(' ').map(Scope::from_str).collect::<Result<_, _>>();
    let at_least: Option<i64> = row.get(3)?;
    let basis = Basis {
        scopes: scopes.map_err(|error| SqliteError::corrupt(error.to_string()))?,
        claims: claims(ledger, id)?.into(),
    };
    Ok(HoldRecord {
        id,
        basis: basis.into(),
        requested: money(row.get(2)?)?,
        at_least: at_least.map(money).transpose()?,
        amount: money(row.get(4)?)?,
        drawn: money(row.get(5)?)?,
        purpose: row.get::<_, String>(6)?.into(),
        idempotency_key: row.get(7)?,
        state: named(row, 8, HoldState::from_name)?,
        created_at: time(row, 9)?,
        expires_at: time(row, 10)?,
        grace: Duration::from_micros(quantity(row, 11)?),
        degraded: row.get(12)?,
        intents: intents(ledger, id)?,
    })
}

fn claims(ledger: &Transaction<'_>, hold: HoldId) -> Rows<Vec<Claim>> {
    let sql = "SELECT scope, period, spend_limit, ends_at FROM claims WHERE hold = ?1 ORDER BY place";
    all(ledger, sql, [hold.to_string()], |row| {
        Ok(Claim {
            scope: parsed(row, 0)?,
            period: row.get::<_, String>(1)?.into(),
            limit: money(row.get(2)?)?,
            ends_at: time(row, 3)?,
        })
    })
}

fn intents(ledger: &Transaction<'_>, hold: HoldId) -> Rows<Vec<IntentRecord>> {
    let sql = "SELECT id, state, item, quantity, unit, amount, at, reference, metered, price
               FROM intents WHERE hold = ?1 ORDER BY place";
    all(ledger, sql, [hold.to_string()], |row| {
        let line = CostLine {
            item: row.get(2)?,
            quantity: quantity(row, 3)?,
            unit: row.get(4)?,
            amount: money(row.get(5)?)?,
            estimated: false,
            price: price(row, 9)?,
        };
        Ok(IntentRecord {
            id: parsed(row, 0)?,
            line,
            at: time(row, 6)?,
            reference: row.get(7)?,
            metered: money(row.get(8)?)?,
            state: named(row, 1, IntentState::from_name)?,
        })
    })
}
