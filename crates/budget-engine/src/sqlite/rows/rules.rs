//! Budgets, top-ups and the switch.

use meterbox_core::{Scope, Timestamp};
use meterbox_sqlite::{
    SqliteError,
    rusqlite::{Row, Transaction, params},
};

use super::{Rows, all, moment, money, one, parsed, time};
use crate::{Budget, SoftCaps, Stop, TopUp, ledger::Defined};

macro_rules! select_budgets {
    ($rest:literal) => {
        concat!(
            "SELECT scope, spend_limit, time_window, warn_percent, degrade_percent, carry_over, ",
            "degraded_allowance, since, features_off_percent, squeeze_percent, squeeze_to, setting FROM budgets ",
            $rest
        )
    };
}

pub(in crate::sqlite) fn budget(ledger: &Transaction<'_>, scope: &Scope) -> Rows<Option<Defined>> {
    let sql = select_budgets!("WHERE scope = ?1");
    one(ledger, sql, [scope.to_string()], to_budget)
}

pub(in crate::sqlite) fn budgets(ledger: &Transaction<'_>) -> Rows<Vec<Budget>> {
    let defined = all(ledger, select_budgets!("ORDER BY scope"), (), to_budget)?;
    Ok(defined.into_iter().map(|defined| defined.budget).collect())
}

pub(in crate::sqlite) fn provisions(ledger: &Transaction<'_>) -> Rows<Vec<Budget>> {
    let sql = select_budgets!("WHERE setting IS NOT NULL ORDER BY scope");
    let defined = all(ledger, sql, (), to_budget)?;
    Ok(defined.iter().filter_map(Defined::as_set).collect())
}

pub(in crate::sqlite) fn wildcard_budgets(ledger: &Transaction<'_>) -> Rows<Vec<Defined>> {
    all(ledger, select_budgets!("WHERE scope LIKE '%/*'"), (), to_budget)
}

pub(in crate::sqlite) fn put_budget(ledger: &Transaction<'_>, defined: &Defined) -> Rows<()> {
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

pub(in crate::sqlite) fn delete_budget(ledger: &Transaction<'_>, scope: &Scope) -> Rows<()> {
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

pub(in crate::sqlite) fn top_ups(ledger: &Transaction<'_>, scope: &Scope) -> Rows<Vec<TopUp>> {
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

pub(in crate::sqlite) fn insert_top_up(ledger: &Transaction<'_>, top_up: &TopUp) -> Rows<()> {
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

pub(in crate::sqlite) fn stop(ledger: &Transaction<'_>) -> Rows<Option<Stop>> {
    one(ledger, "SELECT since, reason FROM stop", (), |row| {
        Ok(Stop {
            since: time(row, 0)?,
            reason: row.get(1)?,
        })
    })
}

pub(in crate::sqlite) fn put_stop(ledger: &Transaction<'_>, stop: Option<&Stop>) -> Rows<()> {
    ledger.execute("DELETE FROM stop", ())?;
    if let Some(stop) = stop {
        let sql = "INSERT INTO stop (one, since, reason) VALUES (1, ?1, ?2)";
        ledger.execute(sql, params![stop.since.as_micros(), stop.reason])?;
    }
    Ok(())
}
