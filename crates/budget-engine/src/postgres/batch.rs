//! One transaction for all the steps that waited.
//!
//! Locks are taken in one order by every replica, so that none waits for another in a circle: the rules (shared,
//! or alone where a step changes them; a lock of its own, because a budget that is not there yet has no row to
//! lock), idempotency keys by their hash, holds by id, scopes by name. Expired holds come between without waiting:
//! whoever has them locked ends them, or keeps them alive.

use std::collections::{BTreeMap, BTreeSet};

use meterbox_core::{Scope, Timestamp};
use meterbox_postgres::{ClientWrapper, Fault};
use tokio_postgres::{Row, Statement};

use super::{
    queue::Job,
    rows::{self, parsed},
    write::{Values, Written, write},
};
use crate::{
    HoldId,
    ledger::{Books, HoldRecord},
};

/// What a step must find in the books.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// With budgets, top-ups and balances.
    pub(super) scopes: Vec<Scope>,
    pub(super) hold: Option<HoldId>,
    /// The hold that has this idempotency key.
    pub(super) key: Option<String>,
    /// What this key of a draw was first used for in the hold.
    pub(super) draw_key: Option<String>,
    pub(super) expired: bool,
    pub(super) changes_rules: bool,
}

/// A transaction that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// Was the server told to commit? Then a lost connection leaves in doubt whether it did.
    pub(super) in_doubt: bool,
}

/// Which batch of which writer this is.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) writer: String,
    pub(super) batch: i64,
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const LOCK_RULES: &str = "SELECT pg_advisory_xact_lock_shared(1297435203, 1)";
const LOCK_RULES_ALONE: &str = "SELECT pg_advisory_xact_lock(1297435203, 1)";

const LOCK_KEYS: &str = "SELECT pg_advisory_xact_lock(hash) FROM (
    SELECT DISTINCT hashtextextended(key, 1297435203) AS hash FROM unnest($1::text[]) AS key ORDER BY hash) AS keys";

const LOCK_SCOPES: &str = "SELECT scope FROM scopes WHERE scope = ANY ($1::text[]) ORDER BY scope FOR UPDATE";
const ADD_SCOPES: &str = "INSERT INTO scopes (scope)
    SELECT scope FROM unnest($1::text[]) AS scope ORDER BY scope COLLATE \"C\" ON CONFLICT DO NOTHING";

pub(super) async fn run(
    client: &ClientWrapper,
    ticket: &Ticket,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), Failed> {
    let undone = |fault| Failed {
        fault,
        in_doubt: false,
    };
    let mut books = load(client, Wanted::by(jobs)).await.map_err(undone)?;
    let written = decide(&mut books, jobs);
    write(client, ticket, &written).await
}

/// Runs the steps one after the other; only here is anything decided.
fn decide(books: &mut Books, jobs: &mut [Box<dyn Job>]) -> Written {
    let mut written = Written::default();
    for job in jobs {
        job.run(books, &mut written.rules);
        written.take(books, job.now());
    }
    written.finish(books);
    written
}

/// Locks and reads what the steps need, in three round trips.
async fn load(client: &ClientWrapper, wanted: Wanted) -> Result<Books, Fault> {
    let mut books = Books::default();
    let mut holds = first_trip(client, &wanted, &mut books).await?;

    let mut scopes: BTreeMap<Scope, Timestamp> = wanted.scopes.clone();
    for (scope, since) in &mut scopes {
        *since = books.accounts_matter_since(*since, scope);
    }
    for hold in &holds {
        for scope in &hold.basis.scopes {
            scopes.entry(scope.clone()).or_insert(Timestamp::MAX);
        }
    }
    let (accounts, claims, intents, draws) = second_trip(client, &wanted, &scopes, &holds).await?;
    for row in &accounts {
        books.load_account(rows::to_account(row)?);
    }
    rows::complete(&mut holds, &claims, &intents)?;
    for hold in holds {
        books.load_hold(hold);
    }
    for row in &draws {
        let entry = rows::to_entry(row)?.body;
        if let (Some(hold), Some(key), Some(line)) = (entry.hold, entry.key, entry.line) {
            books.load_draw(hold, &key, *line);
        }
    }
    Ok(books)
}

/// All that the steps of a batch need together.
#[derive(Default)]
struct Wanted {
    /// Each with the earliest time of a step about it.
    scopes: BTreeMap<Scope, Timestamp>,
    holds: Vec<String>,
    keys: Vec<String>,
    draw_holds: Vec<String>,
    draw_keys: Vec<String>,
    /// Holds that end by then.
    expired_by: Option<i64>,
    changes_rules: bool,
}

impl Wanted {
    fn by(jobs: &[Box<dyn Job>]) -> Self {
        let mut wanted = Self::default();
        for job in jobs {
            let (now, needs) = (job.now(), job.needs());
            for scope in &needs.scopes {
                let since = wanted.scopes.entry(scope.clone()).or_insert(now);
                *since = now.min(*since);
            }
            if let Some(hold) = needs.hold {
                wanted.holds.push(hold.to_string());
                if let Some(key) = &needs.draw_key {
                    wanted.draw_holds.push(hold.to_string());
                    wanted.draw_keys.push(key.clone());
                }
            }
            wanted.keys.extend(needs.key.clone());
            if needs.expired {
                wanted.expired_by = wanted.expired_by.max(Some(now.as_micros()));
            }
            wanted.changes_rules |= needs.changes_rules;
        }
        wanted
    }
}

/// Begins, locks rules, keys and holds, and reads holds and rules.
async fn first_trip(
    client: &ClientWrapper,
    wanted: &Wanted,
    books: &mut Books,
) -> Result<Vec<HoldRecord>, Fault> {
    let lock_rules = if wanted.changes_rules {
        LOCK_RULES_ALONE
    } else {
        LOCK_RULES
    };
    let held = format!(
        "SELECT {} FROM holds WHERE id = ANY ($1::text[]::uuid[]) OR idempotency_key = ANY ($2::text[])
         ORDER BY holds.id FOR UPDATE",
        rows::HOLD
    );
    let expired = format!(
        "SELECT {} FROM holds WHERE state = 'open' AND ends_at <= $1 ORDER BY holds.id FOR UPDATE SKIP LOCKED",
        rows::HOLD
    );
    let budgets = format!(
        "SELECT {} FROM budgets WHERE scope = ANY ($1::text[])",
        rows::BUDGET
    );
    let top_ups = format!(
        "SELECT {} FROM top_ups WHERE scope = ANY ($1::text[]) ORDER BY top_ups.id",
        rows::TOP_UP
    );
    let [
        begin,
        lock_rules,
        lock_keys,
        held,
        expired,
        stop,
        budgets,
        top_ups,
    ] = prepare(
        client,
        [
            BEGIN,
            lock_rules,
            LOCK_KEYS,
            &held,
            &expired,
            "SELECT since, reason FROM stop",
            &budgets,
            &top_ups,
        ],
    )
    .await?;

    let scopes: Vec<String> = wanted.scopes.keys().map(Scope::to_string).collect();
    let wildcards: BTreeSet<String> = wanted
        .scopes
        .keys()
        .map(|scope| scope.wildcard().to_string())
        .collect();
    let with_wildcards: Vec<String> = scopes.iter().cloned().chain(wildcards).collect();
    let no_keys = wanted.keys.is_empty();
    let no_scopes = scopes.is_empty();
    // Sent in this order, all at once; the first to fail is the first to say so.
    let (_, _, _, held, expired, stop, budgets, top_ups) = tokio::try_join!(
        biased;
        query(client, &begin, true, []),
        query(client, &lock_rules, true, []),
        query(client, &lock_keys, !no_keys, [&wanted.keys]),
        query(
            client,
            &held,
            !(no_keys && wanted.holds.is_empty()),
            [&wanted.holds, &wanted.keys]
        ),
        query(
            client,
            &expired,
            wanted.expired_by.is_some(),
            [&wanted.expired_by]
        ),
        query(client, &stop, true, []),
        query(client, &budgets, !no_scopes, [&with_wildcards]),
        query(client, &top_ups, !no_scopes, [&scopes]),
    )?;

    books.load_stop(stop.first().map(rows::to_stop).transpose()?);
    for row in &budgets {
        books.load_budget(rows::to_budget(row)?);
    }
    for row in &top_ups {
        books.load_top_up(rows::to_top_up(row)?);
    }
    let mut holds: BTreeMap<HoldId, HoldRecord> = BTreeMap::new();
    for row in held.iter().chain(&expired) {
        holds.insert(parsed(row, 0)?, rows::to_hold(row)?);
    }
    Ok(holds.into_values().collect())
}

/// Locks the scopes, and reads balances, claims, intents and keyed draws.
async fn second_trip(
    client: &ClientWrapper,
    wanted: &Wanted,
    scopes: &BTreeMap<Scope, Timestamp>,
    holds: &[HoldRecord],
) -> Result<(Vec<Row>, Vec<Row>, Vec<Row>, Vec<Row>), Fault> {
    let accounts = format!(
        "SELECT {account} FROM balances b JOIN unnest($1::text[], $2::bigint[]) AS wanted (scope, since)
             ON b.scope = wanted.scope AND b.ends_at >= wanted.since
         UNION
         SELECT {account} FROM balances b JOIN claims c ON b.scope = c.scope AND b.period = c.period
             WHERE c.hold = ANY ($3::text[]::uuid[])",
        account = rows::ACCOUNT
    );
    let draws = format!(
        "SELECT {} FROM entries
         WHERE (hold, draw_key) IN (SELECT * FROM unnest($1::text[]::uuid[], $2::text[]))",
        rows::ENTRY
    );
    let [add_scopes, lock_scopes, accounts, claims, intents, draws] = prepare(
        client,
        [
            ADD_SCOPES,
            LOCK_SCOPES,
            &accounts,
            rows::CLAIMS,
            rows::INTENTS,
            &draws,
        ],
    )
    .await?;

    let names: Vec<String> = scopes.keys().map(Scope::to_string).collect();
    let since: Vec<i64> = scopes.values().map(|since| since.as_micros()).collect();
    let ids: Vec<String> = holds.iter().map(|hold| hold.id.to_string()).collect();
    let (any_scopes, any_holds) = (!names.is_empty(), !ids.is_empty());
    let any_draws = !wanted.draw_keys.is_empty();
    let (_, _, accounts, claims, intents, draws) = tokio::try_join!(
        biased;
        query(client, &add_scopes, any_scopes, [&names]),
        query(client, &lock_scopes, any_scopes, [&names]),
        query(client, &accounts, any_scopes, [&names, &since, &ids]),
        query(client, &claims, any_holds, [&ids]),
        query(client, &intents, any_holds, [&ids]),
        query(client, &draws, any_draws, [&wanted.draw_holds, &wanted.draw_keys]),
    )?;
    Ok((accounts, claims, intents, draws))
}

// === statements ===

/// The client keeps statements by their text. All are prepared before the first of a trip is sent: one that had to
/// be prepared in between would be overtaken.
pub(super) async fn prepare<const N: usize>(
    client: &ClientWrapper,
    sql: [&str; N],
) -> Result<[Statement; N], Fault> {
    let mut prepared = Vec::with_capacity(N);
    for sql in sql {
        prepared.push(client.prepare_cached(sql).await?);
    }
    prepared
        .try_into()
        .map_err(|_| Fault::corrupt("a statement is missing"))
}

async fn query<const N: usize>(
    client: &ClientWrapper,
    statement: &Statement,
    is_needed: bool,
    params: Values<'_, N>,
) -> Result<Vec<Row>, Fault> {
    if !is_needed {
        return Ok(Vec::new());
    }
    Ok(client.query(statement, &params).await?)
}
