//! What a batch changed, written in few statements and committed with them.

use std::collections::{BTreeMap, BTreeSet};

use meterbox_core::{Scope, Timestamp, Usd, contract::PriceTag};
use meterbox_postgres::{ClientWrapper, Fault};
use tokio_postgres::{Statement, types::ToSql};

use super::batch::{Failed, Ticket, prepare};
use crate::{
    HoldId, Stop, TopUp,
    ledger::{
        AccountChange, AccountId, AccountRow, Books, Changes, Defined, HoldRecord, IntentRecord, NewEntry,
    },
};

/// The values of a statement; an array of its own, so that it can wait beside others.
pub(super) type Values<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

/// What a step changes beside holds, entries and balances.
#[derive(Debug)]
pub(super) enum RuleChange {
    Budget(Defined),
    Removal(Scope),
    TopUp(TopUp),
    Stop(Option<Stop>),
}

/// All that a batch changed.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) rules: Vec<RuleChange>,
    entries: Vec<(Timestamp, NewEntry)>,
    opened_ids: BTreeSet<HoldId>,
    changed_ids: BTreeSet<HoldId>,
    account_changes: BTreeMap<AccountId, AccountChange>,
    opened: Vec<HoldRecord>,
    changed: Vec<HoldRecord>,
    accounts: Vec<(AccountRow, AccountChange)>,
}

impl Written {
    /// Takes over what a step changed.
    pub(super) fn take(&mut self, books: &mut Books, now: Timestamp) {
        let Changes {
            entries,
            opened,
            holds,
            accounts,
        } = books.take_changes();
        self.entries.extend(entries.into_iter().map(|entry| (now, entry)));
        self.opened_ids.extend(opened);
        self.changed_ids.extend(holds);
        for change in accounts {
            self.account_changes
                .entry(change.account)
                .and_modify(|sum| sum.add(change))
                .or_insert(change);
        }
    }

    /// After the last step: what holds and accounts have become.
    pub(super) fn finish(&mut self, books: &Books) {
        for id in self.opened_ids.union(&self.changed_ids) {
            let Some(record) = books.hold(*id) else {
                continue;
            };
            if self.opened_ids.contains(id) {
                self.opened.push(record);
            } else {
                self.changed.push(record);
            }
        }
        for change in self.account_changes.values() {
            if let Some(row) = books.account_row(change.account) {
                self.accounts.push((row.clone(), *change));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty()
            && self.entries.is_empty()
            && self.opened.is_empty()
            && self.changed.is_empty()
            && self.accounts.is_empty()
    }
}

/// Fails, and the batch with it, where the writer has gone on without it: its connection was given up, and the server
/// comes to it only now.
const TICKET: &str = "WITH punched AS (
        UPDATE writers SET batch = $2, used_at = now() WHERE writer = $1::text::uuid AND batch < $2 RETURNING 1)
    SELECT 1 / count(*) FROM punched";

const OPENED: &str = "INSERT INTO holds (id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, \
    state, created_at, expires_at, grace, ends_at, degraded)
    SELECT id::uuid, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, created_at, \
        expires_at, grace, ends_at, degraded
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], \
        $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[])
    AS new (id, scopes, requested, at_least, amount, drawn, purpose, idempotency_key, state, created_at, \
        expires_at, grace, ends_at, degraded)";

const CLAIMS: &str = "INSERT INTO claims (hold, place, scope, period, spend_limit, ends_at)
    SELECT hold::uuid, place, scope, period, spend_limit, ends_at
    FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
    AS new (hold, place, scope, period, spend_limit, ends_at)";

/// What an action can change.
const CHANGED: &str = "UPDATE holds SET drawn = new.drawn, state = new.state, expires_at = new.expires_at, \
        ends_at = new.ends_at
    FROM unnest($1::text[]::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
    AS new (id, drawn, state, expires_at, ends_at) WHERE holds.id = new.id";

const INTENTS: &str =
    "INSERT INTO intents (hold, place, id, item, quantity, unit, amount, state, at, reference, metered, price)
    SELECT hold::uuid, place, id::uuid, item, quantity, unit, amount, state, at, reference, metered, price
    FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], \
        $8::text[], $9::bigint[], $10::text[], $11::bigint[], $12::text[])
    AS new (hold, place, id, item, quantity, unit, amount, state, at, reference, metered, price)
    ON CONFLICT (hold, place) DO UPDATE SET state = excluded.state, metered = excluded.metered";

/// Changes are added to what is there, so the row must be there: a negative change alone would not pass the checks.
const NEW_BALANCES: &str = "INSERT INTO balances (scope, period, ends_at, spend_limit, spent, held)
    SELECT scope, period, ends_at, 0, 0, 0 FROM unnest($1::text[], $2::text[], $3::bigint[])
    AS new (scope, period, ends_at) ON CONFLICT DO NOTHING";

const BALANCES: &str = "UPDATE balances AS b SET spent = b.spent + new.spent, held = b.held + new.held, \
        spend_limit = coalesce(new.spend_limit, b.spend_limit)
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS new (scope, period, spent, held, spend_limit) WHERE b.scope = new.scope AND b.period = new.period";

const ENTRIES: &str =
    "INSERT INTO entries (at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, \
        held_change, spent_change, counts_at, note, price)
    SELECT at, kind, hold::uuid, scope, amount, item, quantity, unit, estimated, draw_key, held_change, \
        spent_change, counts_at, note, price
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], \
        $8::text[], $9::boolean[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[])
    WITH ORDINALITY AS new (at, kind, hold, scope, amount, item, quantity, unit, estimated, draw_key, \
        held_change, spent_change, counts_at, note, price, place) ORDER BY place";

/// Writes and commits in one round trip; after a statement that fails, the commit is a rollback.
pub(super) async fn write(client: &ClientWrapper, ticket: &Ticket, written: &Written) -> Result<(), Failed> {
    let before = |fault| Failed {
        fault,
        in_doubt: false,
    };
    if written.is_empty() {
        return client
            .batch_execute("COMMIT")
            .await
            .map_err(|error| before(error.into()));
    }
    write_rules(client, &written.rules).await.map_err(before)?;
    let statements = prepare(
        client,
        [
            TICKET,
            OPENED,
            CLAIMS,
            CHANGED,
            INTENTS,
            NEW_BALANCES,
            BALANCES,
            ENTRIES,
            "COMMIT",
        ],
    );
    let [
        ticket_set,
        opened,
        claims,
        changed,
        intents,
        new_balances,
        balances,
        entries,
        commit,
    ] = statements.await.map_err(before)?;
    let done = tokio::try_join!(
        biased;
        execute(client, &ticket_set, true, [&ticket.writer, &ticket.batch]),
        write_opened(client, &opened, &written.opened),
        write_claims(client, &claims, &written.opened),
        write_changed(client, &changed, &written.changed),
        write_intents(client, &intents, written),
        write_balances(client, &new_balances, &balances, &written.accounts),
        write_entries(client, &entries, &written.entries),
        execute(client, &commit, true, []),
    );
    match done {
        Ok(((), ..)) => Ok(()),
        Err(fault) => Err(Failed {
            fault,
            in_doubt: true,
        }),
    }
}

async fn write_rules(client: &ClientWrapper, changes: &[RuleChange]) -> Result<(), Fault> {
    for change in changes {
        match change {
            RuleChange::Budget(Defined {
                budget,
                since,
                setting,
            }) => {
                let setting = setting.as_ref().map(serde_json::to_string).transpose();
                let setting = setting
                    .map_err(|error| Fault::corrupt(format!("a setting cannot be written: {error}")))?;
                let sql = "INSERT INTO budgets (scope, spend_limit, time_window, warn_percent, degrade_percent,
                        carry_over, degraded_allowance, since, features_off_percent, squeeze_percent, squeeze_to,
                        setting)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                    ON CONFLICT (scope) DO UPDATE SET spend_limit = excluded.spend_limit,
                        time_window = excluded.time_window, warn_percent = excluded.warn_percent,
                        degrade_percent = excluded.degrade_percent, carry_over = excluded.carry_over,
                        degraded_allowance = excluded.degraded_allowance, since = excluded.since,
                        features_off_percent = excluded.features_off_percent,
                        squeeze_percent = excluded.squeeze_percent, squeeze_to = excluded.squeeze_to,
                        setting = excluded.setting";
                let params: Values<'_, _> = [
                    &budget.scope.to_string(),
                    &budget.limit.nanos(),
                    &budget.window.to_string(),
                    &i16::from(budget.soft_caps.warn_percent),
                    &i16::from(budget.soft_caps.degrade_percent),
                    &budget.carry_over.nanos(),
                    &budget.degraded_allowance.nanos(),
                    &since.as_micros(),
                    &i16::from(budget.soft_caps.features_off_percent),
                    &i16::from(budget.soft_caps.squeeze_percent),
                    &i32::from(budget.soft_caps.squeeze_to),
                    &setting,
                ];
                client.execute(sql, &params).await?;
            }
            RuleChange::Removal(scope) => {
                let scope = scope.to_string();
                client
                    .execute("DELETE FROM budgets WHERE scope = $1", &[&scope])
                    .await?;
                client
                    .execute("DELETE FROM top_ups WHERE scope = $1", &[&scope])
                    .await?;
            }
            RuleChange::TopUp(top_up) => {
                let sql = "INSERT INTO top_ups VALUES ($1::text::uuid, $2, $3, $4, $5, $6)";
                let params: Values<'_, _> = [
                    &top_up.id.to_string(),
                    &top_up.scope.to_string(),
                    &top_up.amount.nanos(),
                    &top_up.granted_at.as_micros(),
                    &top_up.expires_at.map(Timestamp::as_micros),
                    &top_up.note,
                ];
                client.execute(sql, &params).await?;
            }
            RuleChange::Stop(stop) => {
                client.execute("DELETE FROM stop", &[]).await?;
                if let Some(stop) = stop {
                    let sql = "INSERT INTO stop (one, since, reason) VALUES (1, $1, $2)";
                    client
                        .execute(sql, &[&stop.since.as_micros(), &stop.reason])
                        .await?;
                }
            }
        }
    }
    Ok(())
}

async fn write_opened(
    client: &ClientWrapper,
    statement: &Statement,
    holds: &[HoldRecord],
) -> Result<(), Fault> {
    let params: Values<'_, _> = [
        &column(holds, |hold| hold.id.to_string()),
        &column(holds, |hold| {
            let scopes: Vec<String> = hold.basis.scopes.iter().map(Scope::to_string).collect();
            scopes.join(" ")
        }),
        &column(holds, |hold| hold.requested.nanos()),
        &column(holds, |hold| hold.at_least.map(Usd::nanos)),
        &column(holds, |hold| hold.amount.nanos()),
        &column(holds, |hold| hold.drawn.nanos()),
        &column(holds, |hold| &*hold.purpose),
        &column(holds, |hold| hold.idempotency_key.as_deref()),
        &column(holds, |hold| hold.state.as_str()),
        &column(holds, |hold| hold.created_at.as_micros()),
        &column(holds, |hold| hold.expires_at.as_micros()),
        &column(holds, |hold| {
            i64::try_from(hold.grace.as_micros()).unwrap_or(i64::MAX)
        }),
        &column(holds, |hold| hold.ends_at().as_micros()),
        &column(holds, |hold| hold.degraded),
    ];
    execute(client, statement, !holds.is_empty(), params).await
}

async fn write_claims(
    client: &ClientWrapper,
    statement: &Statement,
    holds: &[HoldRecord],
) -> Result<(), Fault> {
    let mut claims = Vec::new();
    for hold in holds {
        claims.extend(
            (0_i16..)
                .zip(&*hold.basis.claims)
                .map(|(place, claim)| (hold.id, place, claim)),
        );
    }
    let params: Values<'_, _> = [
        &column(&claims, |(hold, ..)| hold.to_string()),
        &column(&claims, |(_, place, _)| *place),
        &column(&claims, |(.., claim)| claim.scope.to_string()),
        &column(&claims, |(.., claim)| &*claim.period),
        &column(&claims, |(.., claim)| claim.limit.nanos()),
        &column(&claims, |(.., claim)| claim.ends_at.as_micros()),
    ];
    execute(client, statement, !claims.is_empty(), params).await
}

async fn write_changed(
    client: &ClientWrapper,
    statement: &Statement,
    holds: &[HoldRecord],
) -> Result<(), Fault> {
    let params: Values<'_, _> = [
        &column(holds, |hold| hold.id.to_string()),
        &column(holds, |hold| hold.drawn.nanos()),
        &column(holds, |hold| hold.state.as_str()),
        &column(holds, |hold| hold.expires_at.as_micros()),
        &column(holds, |hold| hold.ends_at().as_micros()),
    ];
    execute(client, statement, !holds.is_empty(), params).await
}

async fn write_intents(
    client: &ClientWrapper,
    statement: &Statement,
    written: &Written,
) -> Result<(), Fault> {
    let mut intents: Vec<(HoldId, i32, &IntentRecord)> = Vec::new();
    for hold in written.opened.iter().chain(&written.changed) {
        intents.extend(
            (0_i32..)
                .zip(&hold.intents)
                .map(|(place, intent)| (hold.id, place, intent)),
        );
    }
    let params: Values<'_, _> = [
        &column(&intents, |(hold, ..)| hold.to_string()),
        &column(&intents, |(_, place, _)| *place),
        &column(&intents, |(.., intent)| intent.id.to_string()),
        &column(&intents, |(.., intent)| intent.line.item.as_str()),
        &column(&intents, |(.., intent)| number(intent.line.quantity)),
        &column(&intents, |(.., intent)| intent.line.unit.as_str()),
        &column(&intents, |(.., intent)| intent.line.amount.nanos()),
        &column(&intents, |(.., intent)| intent.state.as_str()),
        &column(&intents, |(.., intent)| intent.at.as_micros()),
        &column(&intents, |(.., intent)| intent.reference.as_deref()),
        &column(&intents, |(.., intent)| intent.metered.nanos()),
        &column(&intents, |(.., intent)| {
            intent.line.price.as_ref().map(PriceTag::as_str)
        }),
    ];
    execute(client, statement, !intents.is_empty(), params).await
}

async fn write_balances(
    client: &ClientWrapper,
    new: &Statement,
    changed: &Statement,
    accounts: &[(AccountRow, AccountChange)],
) -> Result<(), Fault> {
    let scopes = column(accounts, |(row, _)| row.scope.to_string());
    let periods = column(accounts, |(row, _)| &*row.period);
    let ends = column(accounts, |(row, _)| row.ends_at.as_micros());
    let spent = column(accounts, |(_, change)| change.spent);
    let held = column(accounts, |(_, change)| change.held);
    let limits = column(accounts, |(_, change)| change.limit.map(Usd::nanos));
    let any = !accounts.is_empty();
    tokio::try_join!(
        biased;
        execute(client, new, any, [&scopes, &periods, &ends]),
        execute(client, changed, any, [&scopes, &periods, &spent, &held, &limits]),
    )?;
    Ok(())
}

async fn write_entries(
    client: &ClientWrapper,
    statement: &Statement,
    entries: &[(Timestamp, NewEntry)],
) -> Result<(), Fault> {
    let params: Values<'_, _> = [
        &column(entries, |(at, _)| at.as_micros()),
        &column(entries, |(_, entry)| entry.kind.as_str()),
        &column(entries, |(_, entry)| entry.hold.map(|hold| hold.to_string())),
        &column(entries, |(_, entry)| entry.scope.as_ref().map(Scope::to_string)),
        &column(entries, |(_, entry)| entry.amount.nanos()),
        &column(entries, |(_, entry)| {
            entry.line.as_ref().map(|line| line.item.as_str())
        }),
        &column(entries, |(_, entry)| {
            entry.line.as_ref().map(|line| number(line.quantity))
        }),
        &column(entries, |(_, entry)| {
            entry.line.as_ref().map(|line| line.unit.as_str())
        }),
        &column(entries, |(_, entry)| {
            entry.line.as_ref().map(|line| line.estimated)
        }),
        &column(entries, |(_, entry)| entry.key.as_deref()),
        &column(entries, |(_, entry)| entry.held_change),
        &column(entries, |(_, entry)| entry.spent_change),
        &column(entries, |(_, entry)| entry.counts_at.map(Timestamp::as_micros)),
        &column(entries, |(_, entry)| entry.note.as_deref()),
        &column(entries, |(_, entry)| {
            let line = entry.line.as_ref();
            line.and_then(|line| line.price.as_ref()).map(PriceTag::as_str)
        }),
    ];
    execute(client, statement, !entries.is_empty(), params).await
}

// === columns ===

fn column<'a, R, T>(records: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    records.iter().map(of).collect()
}

/// Lines were checked on their way in.
fn number(quantity: u64) -> i64 {
    i64::try_from(quantity).unwrap_or(i64::MAX)
}

async fn execute<const N: usize>(
    client: &ClientWrapper,
    statement: &Statement,
    is_needed: bool,
    params: Values<'_, N>,
) -> Result<(), Fault> {
    if is_needed {
        client.execute(statement, &params).await?;
    }
    Ok(())
}
