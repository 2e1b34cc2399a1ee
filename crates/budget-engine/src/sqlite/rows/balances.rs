//! Balances.

use meterbox_core::{Scope, Timestamp, Usd};
use meterbox_sqlite::rusqlite::{Row, Transaction, params};

use super::{Rows, all, money, parsed, time};
use crate::ledger::{AccountChange, AccountRow};

/// Those of a scope that matter since then.
pub(in crate::sqlite) fn balances(
    ledger: &Transaction<'_>,
    scope: &Scope,
    since: Timestamp,
) -> Rows<Vec<AccountRow>> {
    let sql = "SELECT scope, period, ends_at, spend_limit, spent, held FROM balances WHERE scope = ?1 AND ends_at >= ?2";
    all(
        ledger,
        sql,
        params![scope.to_string(), since.as_micros()],
        to_account,
    )
}

pub(in crate::sqlite) fn each_balance(
    ledger: &Transaction<'_>,
    mut visit: impl FnMut(&AccountRow),
) -> Rows<()> {
    let mut statement =
        ledger.prepare("SELECT scope, period, ends_at, spend_limit, spent, held FROM balances")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        visit(&to_account(row)?);
    }
    Ok(())
}

pub(in crate::sqlite) fn add_to_balance(
    ledger: &Transaction<'_>,
    row: &AccountRow,
    change: AccountChange,
) -> Rows<()> {
    let AccountChange {
        held, spent, limit, ..
    } = change;
    let scope = row.scope.to_string();
    let updated = ledger
        .prepare_cached(
            "UPDATE balances SET spent = spent + ?3, held = held + ?4,
                 spend_limit = coalesce(?5, spend_limit) WHERE scope = ?1 AND period = ?2",
        )?
        .execute(params![scope, &*row.period, spent, held, limit.map(Usd::nanos)])?;
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
                row.limit.nanos(),
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
