//! Locks and reads what the steps of a batch need, in two round trips.

use std::collections::{BTreeMap, BTreeSet};

use meterbox_core::{Scope, Timestamp};
use meterbox_postgres::{ClientWrapper, Fault};
use tokio_postgres::{Row, Statement};

use super::{
    batch::{Wanted, prepare, query},
    memory::{KnownScope, Memory},
    rows::{self, column, parsed},
};
use crate::{HoldId, ledger::HoldRecord};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const LOCK_RULES: &str = "SELECT pg_advisory_xact_lock_shared(1297435203, 1)";
const LOCK_RULES_ALONE: &str = "SELECT pg_advisory_xact_lock(1297435203, 1)";

const LOCK_KEYS: &str = "SELECT pg_advisory_xact_lock(hash) FROM (
    SELECT DISTINCT hashtextextended(key, 1297435203) AS hash FROM unnest($1::text[]) AS key ORDER BY hash) AS keys";

const LOCK_SCOPES: &str =
    "SELECT scope, version FROM scopes WHERE scope = ANY ($1::text[]) ORDER BY scope FOR UPDATE";
const ADD_SCOPES: &str = "INSERT INTO scopes (scope)
    SELECT scope FROM unnest($1::text[]) AS scope ORDER BY scope COLLATE \"C\" ON CONFLICT DO NOTHING";

/// After the columns of a hold.
const VERSION_OF_HOLD: usize = 13;

/// Begins a transaction, and leaves in memory what the steps need, as long as the transaction goes on.
pub(super) async fn load(client: &ClientWrapper, wanted: &Wanted, memory: &mut Memory) -> Result<(), Fault> {
    if let Some(now) = wanted.expired_by {
        memory.forget_due(now);
    }
    let holds = first_trip(client, wanted, memory).await?;
    second_trip(client, wanted, memory, holds).await
}

/// What the steps say of budgets, top-ups and the switch.
struct Rules {
    stop: Vec<Row>,
    budgets: Vec<Row>,
    top_ups: Vec<Row>,
}

/// Holds that the steps need.
#[derive(Default)]
struct Held {
    /// All, without their claims and intents.
    all: BTreeMap<HoldId, HoldRecord>,
    /// Those that are not in the books as they are.
    unknown: Vec<HoldId>,
}

/// Begins, locks rules, keys and holds, and reads holds and those rules that are not in the books.
async fn first_trip(client: &ClientWrapper, wanted: &Wanted, memory: &mut Memory) -> Result<Held, Fault> {
    let lock_rules = if wanted.changes_rules {
        LOCK_RULES_ALONE
    } else {
        LOCK_RULES
    };
    let held = format!(
        "SELECT {}, version FROM holds WHERE id = ANY ($1) OR idempotency_key = ANY ($2)
         ORDER BY holds.id FOR UPDATE",
        rows::HOLD
    );
    let expired = format!(
        "SELECT {}, version FROM holds WHERE state = 'open' AND ends_at <= $1
         ORDER BY holds.id FOR UPDATE SKIP LOCKED",
        rows::HOLD
    );
    let [begin, lock_rules, lock_keys, held, expired, version] = prepare(
        client,
        [
            BEGIN,
            lock_rules,
            LOCK_KEYS,
            &held,
            &expired,
            "SELECT version FROM rules",
        ],
    )
    .await?;
    let reading = RulesQuery::prepare(client).await?;

    let ids: Vec<_> = wanted.holds.iter().map(|hold| hold.uuid()).collect();
    let expired_by = wanted.expired_by.map(Timestamp::as_micros);
    let no_keys = wanted.keys.is_empty();
    let unknown = wanted.scopes.keys().filter(|scope| !memory.has_rules_of(scope));
    let unknown: Vec<Scope> = unknown.cloned().collect();
    // Sent in this order, all at once; the first to fail is the first to say so.
    let (_, _, _, held, expired, version, mut rules) = tokio::try_join!(
        biased;
        query(client, &begin, true, []),
        query(client, &lock_rules, true, []),
        query(client, &lock_keys, !no_keys, [&wanted.keys]),
        query(client, &held, !(no_keys && ids.is_empty()), [&ids, &wanted.keys]),
        query(
            client,
            &expired,
            expired_by.is_some(),
            [&expired_by]
        ),
        query(client, &version, true, []),
        reading.of(client, &unknown, memory.rules.is_none()),
    )?;

    let nothing_to_compare = || Fault::corrupt("the number of its rules is missing");
    let version = column(version.first().ok_or_else(nothing_to_compare)?, 0)?;
    if memory.rules.is_some_and(|known| known != version) {
        let all: Vec<Scope> = wanted.scopes.keys().cloned().collect();
        rules = reading.of(client, &all, true).await?;
    }
    if memory.hold_by(version) {
        memory
            .books
            .load_stop(rules.stop.first().map(rows::to_stop).transpose()?);
    }
    for row in &rules.budgets {
        memory.books.load_budget(rows::to_budget(row)?);
    }
    for row in &rules.top_ups {
        memory.books.load_top_up(rows::to_top_up(row)?);
    }
    let mut holds = Held::default();
    for row in held.iter().chain(&expired) {
        let (id, version) = (parsed(row, 0)?, column(row, VERSION_OF_HOLD)?);
        if !memory.books.is_open(id) || memory.version_of(id) != Some(version) {
            holds.unknown.push(id);
        }
        holds.all.insert(id, rows::to_hold(row)?);
        memory.note(id, version);
    }
    Ok(holds)
}

/// The statements that read rules.
struct RulesQuery {
    stop: Statement,
    budgets: Statement,
    top_ups: Statement,
}

impl RulesQuery {
    async fn prepare(client: &ClientWrapper) -> Result<Self, Fault> {
        let budgets = format!(
            "SELECT {} FROM budgets WHERE scope = ANY ($1::text[])",
            rows::BUDGET
        );
        let top_ups = format!(
            "SELECT {} FROM top_ups WHERE scope = ANY ($1::text[]) ORDER BY top_ups.id",
            rows::TOP_UP
        );
        let statements = ["SELECT since, reason FROM stop", &budgets, &top_ups];
        let [stop, budgets, top_ups] = prepare(client, statements).await?;
        Ok(Self {
            stop,
            budgets,
            top_ups,
        })
    }

    /// Those of these scopes and their wildcards, and the switch where it is wanted too.
    async fn of(&self, client: &ClientWrapper, scopes: &[Scope], with_stop: bool) -> Result<Rules, Fault> {
        let names: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        let wildcards: BTreeSet<String> = scopes.iter().map(|scope| scope.wildcard().to_string()).collect();
        let with_wildcards: Vec<String> = names.iter().cloned().chain(wildcards).collect();
        let any = !names.is_empty();
        let (stop, budgets, top_ups) = tokio::try_join!(
            biased;
            query(client, &self.stop, with_stop, []),
            query(client, &self.budgets, any, [&with_wildcards]),
            query(client, &self.top_ups, any, [&names]),
        )?;
        Ok(Rules {
            stop,
            budgets,
            top_ups,
        })
    }
}

/// Locks the scopes, and reads balances, claims, intents and keyed draws.
async fn second_trip(
    client: &ClientWrapper,
    wanted: &Wanted,
    memory: &mut Memory,
    mut held: Held,
) -> Result<(), Fault> {
    let accounts = format!(
        "SELECT {account} FROM balances b JOIN unnest($1::text[], $2::bigint[]) AS wanted (scope, since)
             ON b.scope = wanted.scope AND b.ends_at >= wanted.since
         UNION
         SELECT {account} FROM balances b JOIN unnest($3::text[], $4::text[]) AS known (scope, period)
             ON b.scope = known.scope AND b.period = known.period
         UNION
         SELECT {account} FROM balances b JOIN claims c ON b.scope = c.scope AND b.period = c.period
             WHERE c.hold = ANY ($5)",
        account = rows::ACCOUNT
    );
    let draws = format!(
        "SELECT {} FROM entries
         WHERE (hold, draw_key) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))",
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

    let scopes = since_when(wanted, memory, held.all.values());
    let unknown = held.unknown.iter().filter_map(|id| held.all.remove(id));
    let mut holds: Vec<HoldRecord> = unknown.collect();
    let names: Vec<String> = scopes.keys().map(Scope::to_string).collect();
    let since: Vec<i64> = scopes.values().map(|since| from(*since).as_micros()).collect();
    let (known_scopes, known_periods) = older_accounts(memory, &scopes);
    let ids: Vec<_> = holds.iter().map(|hold| hold.id.uuid()).collect();
    let (draw_holds, draw_keys): (Vec<_>, Vec<&str>) = wanted
        .draws
        .iter()
        .map(|(hold, key)| (hold.uuid(), key.as_str()))
        .unzip();
    let (any_scopes, any_holds) = (!names.is_empty(), !ids.is_empty());
    let (_, versions, accounts, claims, intents, draws) = tokio::try_join!(
        biased;
        query(client, &add_scopes, any_scopes, [&names]),
        query(client, &lock_scopes, any_scopes, [&names]),
        query(client, &accounts, any_scopes, [&names, &since, &known_scopes, &known_periods, &ids]),
        query(client, &claims, any_holds, [&ids]),
        query(client, &intents, any_holds, [&ids]),
        query(client, &draws, !draw_keys.is_empty(), [&draw_holds, &draw_keys]),
    )?;

    note_versions(memory, &scopes, &versions)?;
    for row in &accounts {
        memory.books.load_account(rows::to_account(row)?);
    }
    rows::complete(&mut holds, &claims, &intents)?;
    for hold in holds {
        memory.books.forget_hold(hold.id);
        memory.books.load_hold(hold);
    }
    for row in &draws {
        let entry = rows::to_entry(row)?.body;
        if let (Some(hold), Some(key), Some(line)) = (entry.hold, entry.key, entry.line) {
            memory.books.load_draw(hold, &key, *line);
        }
    }
    Ok(())
}

/// The scopes of steps and holds, each with the time since when its accounts are wanted, but for those that holds
/// count against; what is in the books already is wanted anew.
fn since_when<'a>(
    wanted: &Wanted,
    memory: &Memory,
    holds: impl Iterator<Item = &'a HoldRecord>,
) -> BTreeMap<Scope, Option<Timestamp>> {
    let known = |scope: &Scope| memory.scopes.get(scope).and_then(|known| known.since);
    let mut scopes: BTreeMap<Scope, Option<Timestamp>> = BTreeMap::new();
    for (scope, now) in &wanted.scopes {
        let since = memory.books.accounts_matter_since(*now, scope);
        let since = known(scope).map_or(since, |known| known.min(since));
        scopes.insert(scope.clone(), Some(since));
    }
    for scope in holds.flat_map(|hold| &hold.basis.scopes) {
        scopes.entry(scope.clone()).or_insert_with(|| known(scope));
    }
    scopes
}

fn from(since: Option<Timestamp>) -> Timestamp {
    since.unwrap_or(Timestamp::MAX)
}

/// The names of accounts that are in the books and end before their scope's are wanted.
fn older_accounts(
    memory: &Memory,
    scopes: &BTreeMap<Scope, Option<Timestamp>>,
) -> (Vec<String>, Vec<String>) {
    let mut older = Vec::new();
    for (scope, since) in scopes {
        let known = memory.books.accounts_of(scope);
        let known = known.filter(|account| account.ends_at < from(*since));
        older.extend(known.map(|account| (scope.to_string(), account.period.to_string())));
    }
    older.into_iter().unzip()
}

fn note_versions(
    memory: &mut Memory,
    scopes: &BTreeMap<Scope, Option<Timestamp>>,
    versions: &[Row],
) -> Result<(), Fault> {
    let mut were_known = false;
    let mut are_as_known = true;
    for row in versions {
        let (scope, version): (Scope, i64) = (parsed(row, 0)?, column(row, 1)?);
        let since = scopes.get(&scope).copied().flatten();
        let before = memory.scopes.insert(scope, KnownScope { version, since });
        if let Some(before) = before {
            were_known = true;
            are_as_known &= before.version == version;
        }
    }
    if were_known {
        memory.is_doubtful = !are_as_known;
    }
    Ok(())
}
