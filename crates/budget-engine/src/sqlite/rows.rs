//! Rows to records and back; no decisions.

use std::str::FromStr;

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_sqlite::{
    SqliteError,
    rusqlite::{OptionalExtension, Params, Row, Transaction, params},
};

use crate::{
    Budget, BudgetError, Entry, EntryKind, EntryPage, HoldId, HoldState, SoftCaps,
    ledger::{Claim, HoldRecord, IntentRecord, IntentState, NewEntry},
};

type Rows<T> = Result<T, SqliteError>;

// === budgets ===

pub(super) fn budget(ledger: &Transaction<'_>, scope: &Scope) -> Rows<Option<Budget>> {
    let sql =
        "SELECT scope, spend_limit, time_window, warn_percent, degrade_percent FROM budgets WHERE scope = ?1";
    one(ledger, sql, [scope.to_string()], to_budget)
}

pub(super) fn budgets(ledger: &Transaction<'_>) -> Rows<Vec<Budget>> {
    let sql =
        "SELECT scope, spend_limit, time_window, warn_percent, degrade_percent FROM budgets ORDER BY scope";
    all(ledger, sql, (), to_budget)
}

pub(super) fn put_budget(ledger: &Transaction<'_>, budget: &Budget) -> Rows<()> {
    let SoftCaps {
        warn_percent,
        degrade_percent,
    } = budget.soft_caps;
    ledger
        .prepare_cached(
            "INSERT OR REPLACE INTO budgets (scope, spend_limit, time_window, warn_percent, degrade_percent)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            budget.scope.to_string(),
            budget.limit.nanos(),
            budget.window.to_string(),
            warn_percent,
            degrade_percent
        ])?;
    Ok(())
}

pub(super) fn delete_budget(ledger: &Transaction<'_>, scope: &Scope) -> Rows<()> {
    ledger.execute("DELETE FROM budgets WHERE scope = ?1", [scope.to_string()])?;
    Ok(())
}

fn to_budget(row: &Row<'_>) -> Rows<Budget> {
    Ok(Budget {
        scope: parsed(row, 0)?,
        limit: money(row.get(1)?)?,
        window: parsed(row, 2)?,
        soft_caps: SoftCaps {
            warn_percent: row.get(3)?,
            degrade_percent: row.get(4)?,
        },
    })
}

// === balances ===

/// Spent and held, zero where nothing happened yet.
pub(super) fn balance(ledger: &Transaction<'_>, scope: &Scope, period: &str) -> Rows<(i64, i64)> {
    let sql = "SELECT spent, held FROM balances WHERE scope = ?1 AND period = ?2";
    let balance = one(ledger, sql, params![scope.to_string(), period], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(balance.unwrap_or_default())
}

/// Applies the entries' changes to the balance of every claim; none where a sum would overflow.
pub(super) fn check_and_move(
    ledger: &Transaction<'_>,
    record: &HoldRecord,
    entries: &[NewEntry],
) -> Rows<Result<(), BudgetError>> {
    let mut moved = Vec::new();
    for claim in &record.claims {
        let before = balance(ledger, &claim.scope, &claim.period)?;
        let Some(after) = entries.iter().try_fold(before, |(spent, held), entry| {
            Some((
                spent.checked_add(entry.spent_change)?,
                held.checked_add(entry.held_change)?,
            ))
        }) else {
            let message = "the sum would be larger than can be counted".to_owned();
            return Ok(Err(BudgetError::Invalid(message)));
        };
        moved.push((claim, after));
    }
    for (claim, (spent, held)) in moved {
        ledger
            .prepare_cached(
                "INSERT INTO balances (scope, period, spent, held) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (scope, period) DO UPDATE SET spent = excluded.spent, held = excluded.held",
            )?
            .execute(params![claim.scope.to_string(), claim.period, spent, held])?;
    }
    Ok(Ok(()))
}

pub(super) fn each_balance(
    ledger: &Transaction<'_>,
    mut visit: impl FnMut(&Scope, &str, i64, i64),
) -> Rows<()> {
    let mut statement = ledger.prepare("SELECT scope, period, spent, held FROM balances")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let period: String = row.get(1)?;
        visit(&parsed(row, 0)?, &period, row.get(2)?, row.get(3)?);
    }
    Ok(())
}

// === holds ===

macro_rules! select_holds {
    ($rest:literal) => {
        concat!(
            "SELECT id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, ",
            "created_at, expires_at FROM holds ",
            $rest
        )
    };
}

pub(super) fn hold(ledger: &Transaction<'_>, id: HoldId) -> Rows<Option<HoldRecord>> {
    one(ledger, select_holds!("WHERE id = ?1"), [id.to_string()], |row| {
        to_hold(ledger, row)
    })
}

pub(super) fn hold_by_key(ledger: &Transaction<'_>, key: &str) -> Rows<Option<HoldRecord>> {
    one(
        ledger,
        select_holds!("WHERE idempotency_key = ?1"),
        [key],
        |row| to_hold(ledger, row),
    )
}

pub(super) fn each_hold(ledger: &Transaction<'_>, mut visit: impl FnMut(HoldRecord)) -> Rows<()> {
    let mut statement = ledger.prepare(select_holds!(""))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        visit(to_hold(ledger, row)?);
    }
    Ok(())
}

pub(super) fn expired_holds(ledger: &Transaction<'_>, now: Timestamp) -> Rows<Vec<HoldId>> {
    let sql = "SELECT id FROM holds WHERE state = 'open' AND expires_at <= ?1 ORDER BY expires_at";
    all(ledger, sql, [now.as_micros()], |row| parsed(row, 0))
}

pub(super) fn insert_hold(ledger: &Transaction<'_>, record: &HoldRecord) -> Rows<()> {
    let scopes: Vec<String> = record.scopes.iter().map(Scope::to_string).collect();
    ledger
        .prepare_cached(
            "INSERT INTO holds (id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key,
                 state, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            record.id.to_string(),
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
        ])?;
    for (place, claim) in (0_i64..).zip(&record.claims) {
        ledger
            .prepare_cached(
                "INSERT INTO claims (hold, place, scope, period, spend_limit) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                record.id.to_string(),
                place,
                claim.scope.to_string(),
                claim.period,
                claim.limit.nanos()
            ])?;
    }
    Ok(())
}

/// Writes what an action can change.
pub(super) fn update_hold(ledger: &Transaction<'_>, record: &HoldRecord) -> Rows<()> {
    let id = record.id.to_string();
    ledger
        .prepare_cached("UPDATE holds SET drawn = ?2, state = ?3, expires_at = ?4 WHERE id = ?1")?
        .execute(params![
            id,
            record.drawn.nanos(),
            record.state.as_str(),
            record.expires_at.as_micros()
        ])?;
    for (place, intent) in (0_i64..).zip(&record.intents) {
        let line = &intent.line;
        ledger
            .prepare_cached(
                "INSERT INTO intents (hold, place, id, item, quantity, unit, amount, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (hold, place) DO UPDATE SET state = excluded.state",
            )?
            .execute(params![
                id,
                place,
                intent.id.to_string(),
                line.item,
                quantity_column(line.quantity)?,
                line.unit,
                line.amount.nanos(),
                intent.state.as_str()
            ])?;
    }
    Ok(())
}

fn to_hold(ledger: &Transaction<'_>, row: &Row<'_>) -> Rows<HoldRecord> {
    let id: HoldId = parsed(row, 0)?;
    let scopes: String = row.get(1)?;
    let scopes = scopes.split(' ').map(Scope::from_str).collect::<Result<_, _>>();
    let at_least: Option<i64> = row.get(3)?;
    Ok(HoldRecord {
        id,
        scopes: scopes.map_err(|error| SqliteError::corrupt(error.to_string()))?,
        requested: money(row.get(2)?)?,
        at_least: at_least.map(money).transpose()?,
        amount: money(row.get(4)?)?,
        drawn: money(row.get(5)?)?,
        purpose: row.get(6)?,
        idempotency_key: row.get(7)?,
        state: named(row, 8, HoldState::from_name)?,
        created_at: time(row, 9)?,
        expires_at: time(row, 10)?,
        claims: claims(ledger, id)?,
        intents: intents(ledger, id)?,
    })
}

fn claims(ledger: &Transaction<'_>, hold: HoldId) -> Rows<Vec<Claim>> {
    let sql = "SELECT scope, period, spend_limit FROM claims WHERE hold = ?1 ORDER BY place";
    all(ledger, sql, [hold.to_string()], |row| {
        Ok(Claim {
            scope: parsed(row, 0)?,
            period: row.get(1)?,
            limit: money(row.get(2)?)?,
        })
    })
}

fn intents(ledger: &Transaction<'_>, hold: HoldId) -> Rows<Vec<IntentRecord>> {
    let sql = "SELECT id, state, item, quantity, unit, amount FROM intents WHERE hold = ?1 ORDER BY place";
    all(ledger, sql, [hold.to_string()], |row| {
        let line = CostLine {
            item: row.get(2)?,
            quantity: quantity(row, 3)?,
            unit: row.get(4)?,
            amount: money(row.get(5)?)?,
            estimated: false,
        };
        Ok(IntentRecord {
            id: parsed(row, 0)?,
            line,
            state: named(row, 1, IntentState::from_name)?,
        })
    })
}

// === entries ===

pub(super) fn append(ledger: &Transaction<'_>, at: Timestamp, entry: &NewEntry) -> Rows<()> {
    let line = entry.line.as_ref();
    ledger
        .prepare_cached(
            "INSERT INTO entries (at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key,
                 held_change, spent_change)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
        ])?;
    Ok(())
}

macro_rules! select_entries {
    ($rest:literal) => {
        concat!(
            "SELECT seq, at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, ",
            "held_change, spent_change FROM entries ",
            $rest
        )
    };
}

pub(super) fn each_entry(
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

pub(super) fn draw_by_key(ledger: &Transaction<'_>, hold: HoldId, key: &str) -> Rows<Option<CostLine>> {
    let sql = select_entries!("WHERE hold = ?1 AND draw_key = ?2");
    let entry = one(ledger, sql, params![hold.to_string(), key], to_entry)?;
    Ok(entry.and_then(|entry| entry.body.line))
}

fn to_entry(row: &Row<'_>) -> Rows<Entry> {
    let seq: i64 = row.get(0)?;
    let hold: Option<String> = row.get(3)?;
    let scope: Option<String> = row.get(4)?;
    let amount = money(row.get(5)?)?;
    let item: Option<String> = row.get(6)?;
    let line = match item {
        None => None,
        Some(item) => Some(CostLine {
            item,
            quantity: quantity(row, 7)?,
            unit: row.get(8)?,
            amount,
            estimated: row.get(9)?,
        }),
    };
    let body = NewEntry {
        kind: named(row, 2, EntryKind::from_name)?,
        hold: hold.map(|text| parse(&text)).transpose()?,
        scope: scope.map(|text| parse(&text)).transpose()?,
        amount,
        line,
        key: row.get(10)?,
        held_change: row.get(11)?,
        spent_change: row.get(12)?,
    };
    Ok(Entry {
        seq: seq.unsigned_abs(),
        at: time(row, 1)?,
        body,
    })
}

// === columns ===

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

pub(super) fn money(nanos: i64) -> Rows<Usd> {
    let amount = u64::try_from(nanos)
        .ok()
        .and_then(|nanos| Usd::from_nanos(nanos).ok());
    amount.ok_or_else(|| SqliteError::corrupt("an amount of money is negative"))
}

fn time(row: &Row<'_>, column: usize) -> Rows<Timestamp> {
    Timestamp::from_micros(row.get(column)?).ok_or_else(|| SqliteError::corrupt("a time is out of range"))
}

fn quantity(row: &Row<'_>, column: usize) -> Rows<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|_| SqliteError::corrupt("a quantity is negative"))
}

/// Lines were checked on their way in.
fn quantity_column(quantity: u64) -> Rows<i64> {
    i64::try_from(quantity).map_err(|_| SqliteError::corrupt("a quantity is too large"))
}

fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Rows<T> {
    let text: String = row.get(column)?;
    parse(&text)
}

fn parse<T: FromStr>(text: &str) -> Rows<T> {
    text.parse()
        .map_err(|_| SqliteError::corrupt(format!("{text:?} makes no sense in its column")))
}

fn named<T>(row: &Row<'_>, column: usize, from_name: impl FnOnce(&str) -> Option<T>) -> Rows<T> {
    let name: String = row.get(column)?;
    from_name(&name).ok_or_else(|| SqliteError::corrupt(format!("{name:?} makes no sense in its column")))
}
