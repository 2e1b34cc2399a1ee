//! Rows to records and back; no decisions.

use std::{str::FromStr, time::Duration};

use meterbox_core::{
    Scope, Timestamp, Usd,
    contract::{CostLine, PriceTag},
};
use meterbox_sqlite::{
    SqliteError,
    rusqlite::{OptionalExtension, Params, Row, Transaction, params},
};

use crate::{
    Budget, Entry, EntryKind, EntryPage, HoldFilter, HoldId, HoldPage, HoldState, SoftCaps, Stop, TopUp,
    ledger::{AccountRow, Basis, Claim, Defined, HoldRecord, IntentRecord, IntentState, NewEntry},
};

type Rows<T> = Result<T, SqliteError>;

// === budgets ===

macro_rules! select_budgets {
    ($rest:literal) => {
        concat!(
            "SELECT scope, spend_limit, time_window, warn_percent, degrade_percent, carry_over, ",
            "degraded_allowance, since, features_off_percent, squeeze_percent, squeeze_to, setting FROM budgets ",
            $rest
        )
    };
}

pub(super) fn budget(ledger: &Transaction<'_>, scope: &Scope) -> Rows<Option<Defined>> {
    let sql = select_budgets!("WHERE scope = ?1");
    one(ledger, sql, [scope.to_string()], to_budget)
}

pub(super) fn budgets(ledger: &Transaction<'_>) -> Rows<Vec<Budget>> {
    let defined = all(ledger, select_budgets!("ORDER BY scope"), (), to_budget)?;
    Ok(defined.into_iter().map(|defined| defined.budget).collect())
}

pub(super) fn provisions(ledger: &Transaction<'_>) -> Rows<Vec<Budget>> {
    let sql = select_budgets!("WHERE setting IS NOT NULL ORDER BY scope");
    let defined = all(ledger, sql, (), to_budget)?;
    Ok(defined.iter().filter_map(Defined::as_set).collect())
}

pub(super) fn wildcard_budgets(ledger: &Transaction<'_>) -> Rows<Vec<Defined>> {
    all(ledger, select_budgets!("WHERE scope LIKE '%/*'"), (), to_budget)
}

pub(super) fn put_budget(ledger: &Transaction<'_>, defined: &Defined) -> Rows<()> {
    let budget = &defined.budget;
    let setting = defined.setting.as_ref().map(serde_json::to_string).transpose();
    let setting =
        setting.map_err(|error| SqliteError::corrupt(format!("a setting cannot be written: {error}")))?;
    ledger
        .prepare_cached(
            "INSERT OR REPLACE INTO budgets (scope, spend_limit, time_window, warn_percent, degrade_percent,
                 carry_over, degraded_allowance, since, features_off_percent, squeeze_percent, squeeze_to, setting)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            budget.scope.to_string(),
            budget.limit.nanos(),
            budget.window.to_string(),
            budget.soft_caps.warn_percent,
            budget.soft_caps.degrade_percent,
            budget.carry_over.nanos(),
            budget.degraded_allowance.nanos(),
            defined.since.as_micros(),
            budget.soft_caps.features_off_percent,
            budget.soft_caps.squeeze_percent,
            budget.soft_caps.squeeze_to,
            setting,
        ])?;
    Ok(())
}

pub(super) fn delete_budget(ledger: &Transaction<'_>, scope: &Scope) -> Rows<()> {
    for sql in [
        "DELETE FROM budgets WHERE scope = ?1",
        "DELETE FROM top_ups WHERE scope = ?1",
    ] {
        ledger.execute(sql, [scope.to_string()])?;
    }
    Ok(())
}

fn to_budget(row: &Row<'_>) -> Rows<Defined> {
    let soft_caps = SoftCaps {
        warn_percent: row.get(3)?,
        degrade_percent: row.get(4)?,
        features_off_percent: row.get(8)?,
        squeeze_percent: row.get(9)?,
        squeeze_to: row.get(10)?,
    };
    let budget = Budget {
        soft_caps,
        carry_over: money(row.get(5)?)?,
        degraded_allowance: money(row.get(6)?)?,
        ..Budget::new(parsed(row, 0)?, money(row.get(1)?)?, parsed(row, 2)?)
    };
    let setting = row
        .get::<_, Option<String>>(11)?
        .map(|json| serde_json::from_str(&json))
        .transpose();
    let setting =
        setting.map_err(|error| SqliteError::corrupt(format!("a setting cannot be read: {error}")))?;
    Ok(Defined {
        budget,
        since: time(row, 7)?,
        setting,
    })
}

// === top-ups and the switch ===

pub(super) fn top_ups(ledger: &Transaction<'_>, scope: &Scope) -> Rows<Vec<TopUp>> {
    let sql =
        "SELECT id, scope, amount, granted_at, expires_at, note FROM top_ups WHERE scope = ?1 ORDER BY id";
    all(ledger, sql, [scope.to_string()], |row| {
        let expires_at: Option<i64> = row.get(4)?;
        Ok(TopUp {
            id: parsed(row, 0)?,
            scope: parsed(row, 1)?,
            amount: money(row.get(2)?)?,
            granted_at: time(row, 3)?,
            expires_at: expires_at.map(moment).transpose()?,
            note: row.get(5)?,
        })
    })
}

pub(super) fn insert_top_up(ledger: &Transaction<'_>, top_up: &TopUp) -> Rows<()> {
    ledger.execute(
        "INSERT INTO top_ups (id, scope, amount, granted_at, expires_at, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            top_up.id.to_string(),
            top_up.scope.to_string(),
            top_up.amount.nanos(),
            top_up.granted_at.as_micros(),
            top_up.expires_at.map(Timestamp::as_micros),
            top_up.note,
        ],
    )?;
    Ok(())
}

pub(super) fn stop(ledger: &Transaction<'_>) -> Rows<Option<Stop>> {
    one(ledger, "SELECT since, reason FROM stop", (), |row| {
        Ok(Stop {
            since: time(row, 0)?,
            reason: row.get(1)?,
        })
    })
}

pub(super) fn put_stop(ledger: &Transaction<'_>, stop: Option<&Stop>) -> Rows<()> {
    ledger.execute("DELETE FROM stop", ())?;
    if let Some(stop) = stop {
        let sql = "INSERT INTO stop (one, since, reason) VALUES (1, ?1, ?2)";
        ledger.execute(sql, params![stop.since.as_micros(), stop.reason])?;
    }
    Ok(())
}

// === balances ===

/// Those of a scope that matter since then.
pub(super) fn balances(ledger: &Transaction<'_>, scope: &Scope, since: Timestamp) -> Rows<Vec<AccountRow>> {
    let sql = "SELECT scope, period, ends_at, spend_limit, spent, held FROM balances WHERE scope = ?1 AND ends_at >= ?2";
    all(
        ledger,
        sql,
        params![scope.to_string(), since.as_micros()],
        to_account,
    )
}

pub(super) fn each_balance(ledger: &Transaction<'_>, mut visit: impl FnMut(&AccountRow)) -> Rows<()> {
    let mut statement =
        ledger.prepare("SELECT scope, period, ends_at, spend_limit, spent, held FROM balances")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        visit(&to_account(row)?);
    }
    Ok(())
}

pub(super) fn add_to_balance(ledger: &Transaction<'_>, row: &AccountRow, held: i64, spent: i64) -> Rows<()> {
    let (scope, limit) = (row.scope.to_string(), row.limit.nanos());
    let updated = ledger
        .prepare_cached(
            "UPDATE balances SET spent = spent + ?3, held = held + ?4,
                 spend_limit = iif(?5 > 0, ?5, spend_limit) WHERE scope = ?1 AND period = ?2",
        )?
        .execute(params![scope, &*row.period, spent, held, limit])?;
    if updated == 0 {
        ledger
            .prepare_cached(
                "INSERT INTO balances (scope, period, spent, held, spend_limit, ends_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                scope,
                &*row.period,
                spent,
                held,
                limit,
                row.ends_at.as_micros()
            ])?;
    }
    Ok(())
}

fn to_account(row: &Row<'_>) -> Rows<AccountRow> {
    let period: String = row.get(1)?;
    Ok(AccountRow {
        scope: parsed(row, 0)?,
        period: period.into(),
        ends_at: time(row, 2)?,
        limit: money(row.get(3)?)?,
        spent: row.get(4)?,
        held: row.get(5)?,
    })
}

// === holds ===

macro_rules! select_holds {
    ($rest:literal) => {
        concat!(
            "SELECT id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, ",
            "created_at, expires_at, grace, degraded FROM holds ",
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

pub(super) fn holds(ledger: &Transaction<'_>, page: HoldPage) -> Rows<Vec<HoldRecord>> {
    let sql = match page.only {
        HoldFilter::All => select_holds!("WHERE id > ?1 ORDER BY id LIMIT ?2"),
        HoldFilter::Open => select_holds!("WHERE id > ?1 AND state = 'open' ORDER BY id LIMIT ?2"),
        HoldFilter::Estimated => select_holds!(
            "WHERE id > ?1 AND id IN (SELECT hold FROM intents WHERE state = 'booked') ORDER BY id LIMIT ?2"
        ),
    };
    let after = page.after.map(|id| id.to_string()).unwrap_or_default();
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    all(ledger, sql, params![after, limit], |row| to_hold(ledger, row))
}

pub(super) fn expired_holds(ledger: &Transaction<'_>, now: Timestamp) -> Rows<Vec<HoldId>> {
    let sql = "SELECT id FROM holds WHERE state = 'open' AND ends_at <= ?1 ORDER BY ends_at";
    all(ledger, sql, [now.as_micros()], |row| parsed(row, 0))
}

pub(super) fn insert_hold(ledger: &Transaction<'_>, record: &HoldRecord) -> Rows<()> {
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
pub(super) fn update_hold(ledger: &Transaction<'_>, record: &HoldRecord) -> Rows<()> {
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

// === entries ===

pub(super) fn append(ledger: &Transaction<'_>, at: Timestamp, entry: &NewEntry) -> Rows<()> {
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

pub(super) fn spending(ledger: &Transaction<'_>, scope: &Scope, from: Timestamp, to: Timestamp) -> Rows<i64> {
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

pub(super) fn draw_by_key(ledger: &Transaction<'_>, hold: HoldId, key: &str) -> Rows<Option<CostLine>> {
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
