//! The steps that wait, and the task that does them batch by batch.

use std::{
    collections::HashSet,
    mem,
    time::{Duration, Instant},
};

use meterbox_core::{StorageError, StorageErrorKind, Timestamp};
use meterbox_postgres::{Connection, Fault, Remedy};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{
    batch::{self, Failed, Needs, Ticket},
    connect::Connections,
    memory::Memory,
    rules::RuleChange,
};
use crate::{BudgetError, HoldId, ledger::Books};

/// So many steps share one transaction at most.
const BATCH: usize = 256;
/// So many steps wait at most before their callers wait to be let in.
const WAITING: usize = 4 * BATCH;
/// How often the other tasks of this thread get a turn to send a step before the batch begins.
const TURNS: usize = 3;
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A transaction takes milliseconds; what takes this long has lost its server.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A row may have been tidied away where the writer had nothing to do for a week.
const REGISTER: &str = "INSERT INTO replicas (writer, batch) VALUES ($1, 0) ON CONFLICT DO NOTHING";

/// What `keep_batch` says of a replica that has gone on without the batch, or that was forgotten.
const GONE_ON: &str = "MB002";

/// A step that waits.
pub(super) trait Job: Send {
    fn now(&self) -> Timestamp;
    fn needs(&self) -> &Needs;
    /// Does the step in the books; may be done again in other books, where these could not be kept.
    fn run(&mut self, books: &mut Books, rules: &mut Vec<RuleChange>);
    /// Answers what the step came to, or why it could not be kept.
    fn answer(self: Box<Self>, failed: Option<StorageError>);
}

type Jobs = Vec<Box<dyn Job>>;

struct Step<T, F> {
    now: Timestamp,
    needs: Needs,
    step: F,
    done: Option<Result<T, BudgetError>>,
    answer: oneshot::Sender<Result<T, BudgetError>>,
}

impl<T, F> Job for Step<T, F>
where
    T: Send,
    F: Fn(&mut Books, &mut Vec<RuleChange>) -> Result<T, BudgetError> + Send,
{
    fn now(&self) -> Timestamp {
        self.now
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn run(&mut self, books: &mut Books, rules: &mut Vec<RuleChange>) {
        self.done = Some((self.step)(books, rules));
    }

    fn answer(self: Box<Self>, failed: Option<StorageError>) {
        let answer = match (failed, self.done) {
            (Some(error), _) => Err(error.into()),
            (None, Some(done)) => done,
            (None, None) => return,
        };
        // Nobody may be waiting any more; the step counts all the same.
        drop(self.answer.send(answer));
    }
}

/// Where steps are sent. The worker ends with the last clone.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl std::fmt::Debug for dyn Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Queue {
    /// Starts the worker on the present runtime.
    pub(super) async fn start(connections: Connections) -> Result<Self, Fault> {
        let writer = Uuid::new_v4();
        let client = connections.writer().await?;
        client
            .batch_execute("DELETE FROM replicas WHERE used_at < now() - interval '7 days'")
            .await?;
        client.execute(REGISTER, &[&writer]).await?;
        drop(client);
        let (jobs, waiting) = mpsc::channel(WAITING);
        let worker = Worker {
            connections,
            waiting,
            ticket: Ticket { writer, batch: 0 },
            memory: Memory::default(),
            connected_at: None,
        };
        tokio::spawn(worker.run());
        Ok(Self { jobs })
    }

    /// Sends a step and waits for its answer; dropping the future does not undo a step that was sent.
    pub(super) async fn step<T, F>(&self, now: Timestamp, needs: Needs, step: F) -> Result<T, BudgetError>
    where
        T: Send + 'static,
        F: Fn(&mut Books, &mut Vec<RuleChange>) -> Result<T, BudgetError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Step {
            now,
            needs,
            step,
            done: None,
            answer,
        });
        self.jobs.send(job).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

fn stopped() -> StorageError {
    let message = "the Postgres ledger is no longer served: the runtime it was opened on has ended";
    StorageError::new(StorageErrorKind::Unavailable, message)
}

struct Worker {
    connections: Connections,
    waiting: mpsc::Receiver<Box<dyn Job>>,
    ticket: Ticket,
    /// As of the last batch that was kept.
    memory: Memory,
    /// Since when there is the connection over which that was.
    connected_at: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        let mut turns = 0;
        while let Some(first) = self.waiting.recv().await {
            let mut jobs = vec![first];
            self.collect(&mut jobs, turns).await;
            let was_alone = jobs.len() == 1;
            self.work_off(jobs).await;
            // Who is alone waits for nobody.
            turns = if was_alone && self.waiting.is_empty() {
                0
            } else {
                TURNS
            };
        }
    }

    /// Those just answered send their next step when they get a turn; it shall not miss the batch.
    async fn collect(&mut self, jobs: &mut Jobs, turns: usize) {
        let mut quiet = 0;
        while jobs.len() < BATCH {
            match self.waiting.try_recv() {
                Ok(job) => {
                    jobs.push(job);
                    quiet = 0;
                }
                Err(_) if quiet < turns => {
                    quiet = quiet.saturating_add(1);
                    tokio::task::yield_now().await;
                }
                Err(_) => return,
            }
        }
    }

    /// A batch that cannot be kept for reasons of its own is done step by step, so that only the step at fault fails.
    async fn work_off(&mut self, jobs: Jobs) {
        let mut batches = in_batches(jobs);
        batches.reverse();
        while let Some(jobs) = batches.pop() {
            let (mut jobs, behind) = self.known_first(jobs);
            if !behind.is_empty() {
                batches.push(behind);
            }
            match self.keep(&mut jobs).await {
                Ok(()) => jobs.into_iter().for_each(|job| job.answer(None)),
                Err(failed) if remedy_of(&failed.fault) == Remedy::None && jobs.len() > 1 => {
                    batches.extend(jobs.into_iter().rev().map(|job| vec![job]));
                }
                Err(failed) => self.refuse(jobs, failed),
            }
        }
    }

    /// Those that need nothing read need not wait for those that do. What is done to one hold stays in its order.
    fn known_first(&mut self, jobs: Jobs) -> (Jobs, Jobs) {
        let (mut known, mut behind) = (Vec::new(), Vec::new());
        let mut waiting: HashSet<HoldId> = HashSet::new();
        for job in jobs {
            let needs = job.needs();
            let waits = needs.hold.is_some_and(|hold| waiting.contains(&hold));
            if !waits && self.memory.knows(job.now(), needs) {
                known.push(job);
            } else {
                waiting.extend(needs.hold);
                behind.push(job);
            }
        }
        if known.is_empty() {
            return (behind, known);
        }
        (known, behind)
    }

    fn refuse(&self, jobs: Jobs, failed: Failed) {
        let in_doubt = failed.in_doubt && remedy_of(&failed.fault) == Remedy::Reconnect;
        let error = self.connections.explain(failed.fault);
        tracing::warn!(%error, steps = jobs.len(), in_doubt, "steps of the ledger could not be kept");
        for job in jobs {
            let message = if in_doubt {
                format!("{error}; whether this step was kept is not known")
            } else {
                error.to_string()
            };
            let again = StorageError::new(error.kind(), message);
            job.answer(Some(if in_doubt {
                again
            } else {
                again.with_nothing_done()
            }));
        }
    }

    /// Does these steps in one transaction, and again where others or the connection were in the way.
    async fn keep(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Failed> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            self.ticket.batch = self.ticket.batch.saturating_add(1);
            let Err(mut failed) = self.attempt(jobs, attempt > 1).await else {
                return Ok(());
            };
            let remedy = remedy_of(&failed.fault);
            if failed.in_doubt && remedy == Remedy::Reconnect {
                match self.was_kept().await {
                    Some(true) => return Ok(()),
                    Some(false) => failed.in_doubt = false,
                    None => return Err(failed),
                }
            }
            if remedy == Remedy::None || attempt == ATTEMPTS {
                return Err(failed);
            }
            attempt = attempt.saturating_add(1);
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
        }
    }

    async fn attempt(&mut self, jobs: &mut [Box<dyn Job>], is_repeated: bool) -> Result<(), Failed> {
        let undone = |fault| Failed {
            fault,
            in_doubt: false,
        };
        let client = self.connections.writer().await.map_err(undone)?;
        if is_repeated {
            let registered = client.execute(REGISTER, &[&self.ticket.writer]).await;
            registered.map_err(|error| undone(error.into()))?;
        }
        // What a batch that failed has left there was never so.
        let mut memory = mem::take(&mut self.memory);
        // Another connection may lead to another server, or to one that was put back to an earlier state: there a number
        // that is remembered may come again, and stand for something else.
        let connected_at = Some(Connection::metrics(&client).created);
        if mem::replace(&mut self.connected_at, connected_at) != connected_at {
            memory = Memory::default();
        }
        let run = batch::run(&client, &self.ticket, &mut memory, jobs);
        let done = match timeout(PATIENCE, run).await {
            Ok(done) => done,
            Err(_) => Err(Failed {
                fault: Fault::NoAnswer,
                in_doubt: true,
            }),
        };
        if done.is_ok() {
            self.memory = memory;
        }
        if let Err(failed) = &done {
            let is_alive = remedy_of(&failed.fault) != Remedy::Reconnect;
            let is_clean = is_alive && client.batch_execute("ROLLBACK").await.is_ok();
            if !is_clean {
                // Closes it; the next one is a new connection.
                drop(Connection::take(client));
            }
        }
        done
    }

    /// Was the last batch kept? Asked on a new connection; waits until the old one's transaction has ended. `None`
    /// where nobody can tell.
    async fn was_kept(&mut self) -> Option<bool> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..ATTEMPTS.saturating_add(3) {
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
            if let Ok(kept) = self.kept_or_never().await {
                return kept;
            }
        }
        None
    }

    /// Where the last batch was not kept, makes sure that it never will be: its ticket is no longer good.
    async fn kept_or_never(&mut self) -> Result<Option<bool>, Fault> {
        let Ticket { writer, batch } = self.ticket;
        let mut client = self.connections.writer().await?;
        let transaction = client.transaction().await?;
        let sql = "SELECT batch FROM replicas WHERE writer = $1 FOR UPDATE";
        let Some(row) = transaction.query_opt(sql, &[&writer]).await? else {
            return Ok(None);
        };
        if row.try_get::<_, i64>(0)? == batch {
            return Ok(Some(true));
        }
        let sql = "UPDATE replicas SET batch = $2, used_at = now() WHERE writer = $1";
        let next = batch.saturating_add(1);
        transaction.execute(sql, &[&writer, &next]).await?;
        transaction.commit().await?;
        self.ticket.batch = next;
        Ok(Some(false))
    }
}

/// What a step needs is found by the rules as they are before its batch, so that none is behind one that changes them.
fn in_batches(jobs: Jobs) -> Vec<Jobs> {
    let mut batches: Vec<Jobs> = Vec::new();
    let mut are_changed = false;
    for job in jobs {
        let changes_rules = job.needs().changes_rules;
        match batches.last_mut() {
            Some(batch) if changes_rules || !are_changed => batch.push(job),
            _ => batches.push(vec![job]),
        }
        are_changed = changes_rules;
    }
    batches
}

fn remedy_of(fault: &Fault) -> Remedy {
    match fault.code() {
        Some(code) if code.code() == GONE_ON => Remedy::Again,
        _ => fault.remedy(),
    }
}

/// Between half of it and all of it, so that replicas that met do not meet again.
fn jittered(pause: Duration) -> Duration {
    let half = pause.checked_div(2).unwrap_or_default();
    let [byte, ..] = Uuid::new_v4().into_bytes();
    let share = half
        .saturating_mul(u32::from(byte))
        .checked_div(255)
        .unwrap_or_default();
    half.saturating_add(share)
}
