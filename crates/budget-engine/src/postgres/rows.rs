//! Rows to records; no decisions.

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use meterbox_core::{
    Timestamp, Usd,
    contract::{CostLine, PriceTag},
};
use tokio_postgres::{Row, types::FromSql};

use crate::{
    Budget, Entry, EntryKind, HoldId, HoldState, SoftCaps, Stop, TopUp,
    ledger::{AccountRow, Basis, Claim, Defined, HoldRecord, IntentRecord, IntentState, NewEntry},
};
use meterbox_postgres::Fault;

type Read<T> = Result<T, Fault>;

pub(super) const BUDGET: &str = "scope, spend_limit, time_window, warn_percent, degrade_percent, carry_over, degraded_allowance, since, \
     features_off_percent, squeeze_percent, squeeze_to, setting";

pub(super) fn to_budget(row: &Row) -> Read<Defined> {
    let soft_caps = SoftCaps {
        warn_percent: percent(row, 3)?,
        degrade_percent: percent(row, 4)?,
        features_off_percent: percent(row, 8)?,
        squeeze_percent: percent(row, 9)?,
        squeeze_to: u16::try_from(column::<i32>(row, 10)?)
            .map_err(|_| Fault::corrupt("a number of requests is out of range"))?,
    };
    let budget = Budget {
        soft_caps,
        carry_over: money(row, 5)?,
        degraded_allowance: money(row, 6)?,
        ..Budget::new(parsed(row, 0)?, money(row, 1)?, parsed(row, 2)?)
    };
    let setting: Option<String> = column(row, 11)?;
    let setting = setting.map(|json| serde_json::from_str(&json)).transpose();
    Ok(Defined {
        budget,
        since: time(row, 7)?,
        setting: setting.map_err(|error| Fault::corrupt(format!("a setting cannot be read: {error}")))?,
    })
}

pub(super) const TOP_UP: &str = "id::text, scope, amount, granted_at, expires_at, note";

pub(super) fn to_top_up(row: &Row) -> Read<TopUp> {
    Ok(TopUp {
        id: parsed(row, 0)?,
        scope: parsed(row, 1)?,
        amount: money(row, 2)?,
        granted_at: time(row, 3)?,
        expires_at: column::<Option<i64>>(row, 4)?.map(moment).transpose()?,
        note: column(row, 5)?,
    })
}

pub(super) fn to_stop(row: &Row) -> Read<Stop> {
    Ok(Stop {
        since: time(row, 0)?,
        reason: column(row, 1)?,
    })
}

pub(super) const ACCOUNT: &str = "b.scope, b.period, b.ends_at, b.spend_limit, b.spent, b.held";

pub(super) fn to_account(row: &Row) -> Read<AccountRow> {
    Ok(AccountRow {
        scope: parsed(row, 0)?,
        period: column::<&str>(row, 1)?.into(),
        ends_at: time(row, 2)?,
        limit: money(row, 3)?,
        spent: column(row, 4)?,
        held: column(row, 5)?,
    })
}

pub(super) const HOLD: &str = "id::text, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, \
                               state, created_at, expires_at, grace, degraded";

/// Without its claims and intents.
pub(super) fn to_hold(row: &Row) -> Read<HoldRecord> {
    let scopes = column::<&str>(row, 1)?
        .split(' ')
        .map(parse)
        .collect::<Read<_>>()?;
    let basis = Basis {
        scopes,
        claims: Box::default(),
    };
    Ok(HoldRecord {
        id: parsed(row, 0)?,
        basis: basis.into(),
        requested: money(row, 2)?,
        at_least: column::<Option<i64>>(row, 3)?.map(dollars).transpose()?,
        amount: money(row, 4)?,
        drawn: money(row, 5)?,
        purpose: column::<&str>(row, 6)?.into(),
        idempotency_key: column(row, 7)?,
        state: named(row, 8, HoldState::from_name)?,
        created_at: time(row, 9)?,
        expires_at: time(row, 10)?,
        grace: Duration::from_micros(quantity(row, 11)?),
        degraded: column(row, 12)?,
        intents: Vec::new(),
    })
}

/// Gives holds their claims and intents, which come in order.
pub(super) fn complete(holds: &mut [HoldRecord], claims: &[Row], intents: &[Row]) -> Read<()> {
    let mut by_id: HashMap<HoldId, &mut HoldRecord> = holds.iter_mut().map(|hold| (hold.id, hold)).collect();
    let mut claims_of: HashMap<HoldId, Vec<Claim>> = HashMap::new();
    for row in claims {
        claims_of.entry(parsed(row, 0)?).or_default().push(Claim {
            scope: parsed(row, 1)?,
            period: column::<&str>(row, 2)?.into(),
            limit: money(row, 3)?,
            ends_at: time(row, 4)?,
        });
    }
    for (id, claims) in claims_of {
        if let Some(hold) = by_id.get_mut(&id) {
            Arc::make_mut(&mut hold.basis).claims = claims.into();
        }
    }
    for row in intents {
        if let Some(hold) = by_id.get_mut(&parsed(row, 0)?) {
            hold.intents.push(IntentRecord {
                id: parsed(row, 1)?,
                state: named(row, 2, IntentState::from_name)?,
                line: CostLine {
                    item: column(row, 3)?,
                    quantity: quantity(row, 4)?,
                    unit: column(row, 5)?,
                    amount: money(row, 6)?,
                    estimated: false,
                    price: price(row, 10)?,
                },
                at: time(row, 7)?,
                reference: column(row, 8)?,
                metered: money(row, 9)?,
            });
        }
    }
    Ok(())
}

pub(super) const CLAIMS: &str = "SELECT hold::text, scope, period, spend_limit, ends_at FROM claims
    WHERE hold = ANY ($1) ORDER BY hold, place";

pub(super) const INTENTS: &str =
    "SELECT hold::text, id::text, state, item, quantity, unit, amount, at, reference, metered, price
    FROM intents WHERE hold = ANY ($1) ORDER BY hold, place";

pub(super) const ENTRY: &str = "seq, at, kind, hold::text, scope, amount, item, quantity, unit, estimated, \
                                draw_key, held_change, spent_change, counts_at, note, price";

pub(super) fn to_entry(row: &Row) -> Read<Entry> {
    let amount = money(row, 5)?;
    let line = match column::<Option<String>>(row, 6)? {
        None => None,
        Some(item) => Some(Box::new(CostLine {
            item,
            quantity: quantity(row, 7)?,
            unit: column(row, 8)?,
            amount,
            estimated: column(row, 9)?,
            price: price(row, 15)?,
        })),
    };
    let body = NewEntry {
        kind: named(row, 2, EntryKind::from_name)?,
        hold: column::<Option<&str>>(row, 3)?.map(parse).transpose()?,
        scope: column::<Option<&str>>(row, 4)?.map(parse).transpose()?,
        amount,
        line,
        key: column::<Option<&str>>(row, 10)?.map(Into::into),
        counts_at: column::<Option<i64>>(row, 13)?.map(moment).transpose()?,
        note: column::<Option<&str>>(row, 14)?.map(Into::into),
        held_change: column(row, 11)?,
        spent_change: column(row, 12)?,
    };
    Ok(Entry {
        seq: column::<i64>(row, 0)?.unsigned_abs(),
        at: time(row, 1)?,
        body,
    })
}

// === columns ===

pub(super) fn column<'row, T: FromSql<'row>>(row: &'row Row, index: usize) -> Read<T> {
    Ok(row.try_get(index)?)
}

pub(super) fn parsed<T: FromStr>(row: &Row, index: usize) -> Read<T> {
    parse(column(row, index)?)
}

fn parse<T: FromStr>(text: &str) -> Read<T> {
    text.parse()
        .map_err(|_| Fault::corrupt(format!("{text:?} makes no sense in its column")))
}

fn price(row: &Row, index: usize) -> Read<Option<PriceTag>> {
    column::<Option<&str>>(row, index)?.map(parse).transpose()
}

fn named<T>(row: &Row, index: usize, from_name: impl FnOnce(&str) -> Option<T>) -> Read<T> {
    let name: &str = column(row, index)?;
    from_name(name).ok_or_else(|| Fault::corrupt(format!("{name:?} makes no sense in its column")))
}

fn money(row: &Row, index: usize) -> Read<Usd> {
    dollars(column(row, index)?)
}

fn dollars(nanos: i64) -> Read<Usd> {
    let amount = u64::try_from(nanos)
        .ok()
        .and_then(|nanos| Usd::from_nanos(nanos).ok());
    amount.ok_or_else(|| Fault::corrupt("an amount of money is negative"))
}

pub(super) fn time(row: &Row, index: usize) -> Read<Timestamp> {
    moment(column(row, index)?)
}

fn moment(micros: i64) -> Read<Timestamp> {
    Timestamp::from_micros(micros).ok_or_else(|| Fault::corrupt("a time is out of range"))
}

fn quantity(row: &Row, index: usize) -> Read<u64> {
    let stored: i64 = column(row, index)?;
    u64::try_from(stored).map_err(|_| Fault::corrupt("a quantity is negative"))
}

fn percent(row: &Row, index: usize) -> Read<u8> {
    let stored: i16 = column(row, index)?;
    u8::try_from(stored).map_err(|_| Fault::corrupt("a percentage is out of range"))
}
