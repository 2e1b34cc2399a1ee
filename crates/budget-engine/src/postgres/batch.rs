//! One transaction for all the steps that waited.
//!
//! Where the replica remembers all that the steps need, they are decided by that, and kept in one round trip, which
//! compares what is remembered with what is there. Where something is missing, or is no longer so, it is locked and read
//! before.
//!
//! Locks are taken in one order by every replica, so that none waits for another in a circle: the rules (shared,
//! or alone where a step changes them; a lock of its own, because a budget that is not there yet has no row to
//! lock), idempotency keys by their hash, holds by id, scopes by name. Expired holds come between without waiting:
//! whoever has them locked ends them, or keeps them alive.

use std::collections::BTreeMap;

use meterbox_core::{Scope, Timestamp};
use meterbox_postgres::{ClientWrapper, Fault};
use tokio_postgres::{Row, Statement, types::ToSql};
use uuid::Uuid;

use super::{keep::Call, load::load, memory::Memory, queue::Job, rules, written::Written};
use crate::{HoldId, ledger::Books};

/// The values of a statement; an array of its own, so that it can wait beside others.
pub(super) type Values<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

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
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) writer: Uuid,
    pub(super) batch: i64,
}

/// All that the steps of a batch need together.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Each with the earliest time of a step about it.
    pub(super) scopes: BTreeMap<Scope, Timestamp>,
    pub(super) holds: Vec<HoldId>,
    pub(super) keys: Vec<String>,
    /// By hold and key.
    pub(super) draws: Vec<(HoldId, String)>,
    /// Holds that end by then.
    pub(super) expired_by: Option<Timestamp>,
    pub(super) changes_rules: bool,
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
                wanted.holds.push(hold);
                wanted.draws.extend(needs.draw_key.clone().map(|key| (hold, key)));
            }
            wanted.keys.extend(needs.key.clone());
            if needs.expired {
                wanted.expired_by = wanted.expired_by.max(Some(now));
            }
            wanted.changes_rules |= needs.changes_rules;
        }
        wanted.holds.sort_unstable();
        wanted.holds.dedup();
        wanted
    }
}

/// Does these steps and keeps what they changed. After an error the memory is no longer good.
pub(super) async fn run(
    client: &ClientWrapper,
    ticket: &Ticket,
    memory: &mut Memory,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), Failed> {
    let wanted = Wanted::by(jobs);
    if jobs.iter().all(|job| memory.knows(job.now(), job.needs())) {
        if from_memory(client, ticket, memory, &wanted, jobs).await? {
            return Ok(());
        }
        *memory = Memory::doubtful();
    }
    after_reading(client, ticket, memory, &wanted, jobs).await
}

/// True where what was remembered is still so.
async fn from_memory(
    client: &ClientWrapper,
    ticket: &Ticket,
    memory: &mut Memory,
    wanted: &Wanted,
    jobs: &mut [Box<dyn Job>],
) -> Result<bool, Failed> {
    let written = decide(&mut memory.books, jobs);
    let call = Call::new(*ticket, memory, &written, Some(wanted)).map_err(undone)?;
    let prepared = call.prepare(client).await.map_err(undone)?;
    let is_kept = call.send(client, &prepared).await.map_err(|fault| Failed {
        fault,
        in_doubt: true,
    })?;
    if is_kept {
        memory.kept(&written);
    }
    Ok(is_kept)
}

async fn after_reading(
    client: &ClientWrapper,
    ticket: &Ticket,
    memory: &mut Memory,
    wanted: &Wanted,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), Failed> {
    load(client, wanted, memory).await.map_err(undone)?;
    let written = decide(&mut memory.books, jobs);
    if written.is_empty() {
        let committed = client.batch_execute("COMMIT").await;
        committed.map_err(|error| undone(error.into()))?;
        memory.kept(&written);
        return Ok(());
    }
    rules::write(client, &written.rules).await.map_err(undone)?;
    let call = Call::new(*ticket, memory, &written, None).map_err(undone)?;
    let prepared = call.prepare(client).await.map_err(undone)?;
    let [commit] = prepare(client, ["COMMIT"]).await.map_err(undone)?;
    // One round trip; after a statement that fails, the commit is a rollback.
    let done = tokio::try_join!(biased; call.send(client, &prepared), query(client, &commit, true, []));
    let is_kept = match done {
        Ok((is_kept, _)) => is_kept,
        Err(fault) => {
            return Err(Failed {
                fault,
                in_doubt: true,
            });
        }
    };
    if !is_kept {
        return Err(undone(Fault::corrupt("what is locked was changed by others")));
    }
    memory.kept(&written);
    Ok(())
}

fn undone(fault: Fault) -> Failed {
    Failed {
        fault,
        in_doubt: false,
    }
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

pub(super) async fn query<const N: usize>(
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
