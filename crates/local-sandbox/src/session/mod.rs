//! A session: one jail whose process stays for several cells.
//!
//! - **One jail, one process.** It is born and sealed like that of a run, with all of the session's inputs: behind its last
//!   lock nothing can be mounted any more. It is used by one session, and never again after a cell that ended otherwise
//!   than by its own reply.
//! - **At rest it is stopped**, each thread of it ([`frozen`]). So a thread that a cell left behind computes, prints and
//!   writes only while a later cell runs, and then it is that cell's time, output and files. Files are collected while it is
//!   stopped, and what was collected counts only if it has slept through.
//! - **What is measured are differences.** The kernel counts the processor time of a process for its whole life: its limit
//!   there is the session's total, and a cell's share is watched from outside. Every millisecond of it is either a cell's
//!   or, from the process's start and end, the session's own. So is every millisecond on the wall as long as the process
//!   lives: from when a cell has ended it waits for the next one, also while its files are collected.
//! - **A reply is for one cell.** It begins with a number that exists only since the cell began, and nothing may come before
//!   it or after it.
//! - **It is one of the programs that are let in**, from its begin to its end. A cell that has run for a while in a crowd goes
//!   after others; the cell after it begins anew, where the machine gives a process back what it gave up.
//! - **It keeps its interpreter**, which lives on for it when the sandbox has taken a fresh one, and ends with its sandbox.

mod body;
mod cell;
mod frame;
mod frozen;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use meterbox_core::{
    Clock,
    contract::{SandboxReport, Usage},
};
use meterbox_sandbox_client::{
    Cell, Limits, Outcome, OutputSink, SandboxError, Session, SessionEnd, SessionSetup, SessionTotal,
    SessionTotals, SessionUsage, Verdict,
};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    body::Body,
    cell::{Around, Done},
    frame::Nonce,
};
use crate::{
    document::JobDocument,
    meter::millis,
    pool::Pool,
    turns::Place,
    waiting::NotSealed,
    zygote::{Process, Zygote},
};

/// What a new session needs of its sandbox.
pub(crate) struct Host<'a> {
    pub(crate) zygote: &'a Arc<Zygote>,
    pub(crate) pool: &'a Pool,
    pub(crate) report: SandboxReport,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) inputs_root: Option<&'a std::path::Path>,
    /// Ends with the sandbox.
    pub(crate) closing: &'a CancellationToken,
}

/// A session on this machine.
pub(crate) struct LocalSession {
    limits: Limits,
    totals: SessionTotals,
    seed: u64,
    report: SandboxReport,
    clock: Arc<dyn Clock>,
    closing: CancellationToken,
    born: Duration,
    process: Process,
    state: Arc<State>,
    /// While it rests: whoever waits for that to become too long.
    rest: Option<DropGuard>,
}

struct State {
    slot: Mutex<Slot>,
    /// Held while a process is ended, so that whoever closes a session finds it gone.
    ending: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
}

struct Slot {
    /// At rest; absent while a cell runs and when the session has ended.
    body: Option<Box<Body>>,
    end: Option<SessionEnd>,
    usage: SessionUsage,
    idle_since: Duration,
    /// Counts the rests.
    rests: u64,
}

/// Why no cell can be run.
struct NotTaken {
    why: SessionEnd,
    /// What has to be ended for that.
    body: Option<Box<Body>>,
}

/// Begins a session.
pub(crate) async fn begin(host: &Host<'_>, setup: &SessionSetup) -> Result<LocalSession, NotSealed> {
    let nonce = Nonce::new(true).map_err(|error| {
        NotSealed::Refused(SandboxError::platform(
            "the machine gives no random numbers",
            error,
        ))
    })?;
    let document = JobDocument::session(setup, nonce.hex(), host.inputs_root).map_err(NotSealed::Refused)?;
    let born = host.clock.monotonic();
    let mut body = Box::new(Body::begin(host.zygote, host.pool, &document, &setup.limits, nonce).await?);
    let busy = body.running.meter.busy();
    let starting = Usage {
        cpu_ms: body.pay(busy),
        peak_memory_bytes: body.running.meter.held(),
        ..Usage::default()
    };
    let process = body.running.child.process();
    let slot = Slot {
        body: Some(body),
        end: None,
        usage: SessionUsage {
            idle: starting,
            ..SessionUsage::default()
        },
        idle_since: born,
        rests: 0,
    };
    let mut session = LocalSession {
        limits: setup.limits.clone(),
        totals: setup.totals.clone(),
        seed: setup.seed,
        report: host.report.clone(),
        clock: Arc::clone(host.clock),
        closing: host.closing.clone(),
        born,
        process,
        state: Arc::new(State {
            slot: Mutex::new(slot),
            ending: tokio::sync::Mutex::new(()),
            clock: Arc::clone(host.clock),
        }),
        rest: None,
    };
    session.wait();
    Ok(session)
}

impl LocalSession {
    /// Keeps its place among the programs that are let in until its process is gone.
    pub(crate) fn keep(&mut self, place: Place) {
        if let Some(body) = &mut self.state.slot().body {
            body.place = Some(place);
        }
    }

    fn age(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.born)
    }

    /// Takes the process out of its rest for a cell, with what is left for it.
    fn take(&mut self, cell: &Cell, now: Duration) -> Result<(Box<Body>, Limits), NotTaken> {
        self.rest = None;
        let age = now.saturating_sub(self.born);
        let mut slot = self.state.slot();
        if let Some(end) = &slot.end {
            return Err(NotTaken {
                why: end.clone(),
                body: None,
            });
        }
        let left = self.totals.left(&self.limits, &cell.limits, &slot.usage, age);
        let Some(mut body) = slot.leave_rest(now) else {
            return Err(NotTaken {
                why: SessionEnd::Lost,
                body: None,
            });
        };
        let gone = body.running.child.has_ended();
        let why = match left {
            _ if gone => SessionEnd::Lost,
            _ if !body.has_slept() => SessionEnd::Restless,
            Err(total) => SessionEnd::Spent(total),
            Ok(limits) => {
                slot.usage.cells += 1;
                // What stands here counts only where the cell's future is dropped, and its process with it.
                slot.end = Some(SessionEnd::Dropped);
                return Ok((body, limits));
            }
        };
        slot.end = Some(why.clone());
        Err(NotTaken {
            why,
            body: Some(body),
        })
    }

    /// Puts the process back to rest, or takes note of its end.
    async fn settle(&mut self, usage: Usage, rest: Result<(Box<Body>, Duration), SessionEnd>) {
        let spent = {
            let age = self.age();
            let mut slot = self.state.slot();
            slot.count(usage);
            match rest {
                Err(why) => {
                    slot.end = Some(why);
                    return;
                }
                Ok((body, since)) => {
                    slot.end = None;
                    slot.body = Some(body);
                    slot.idle_since = since;
                }
            }
            // Nothing waits for a cell that cannot come.
            self.totals
                .left(&self.limits, &self.limits, &slot.usage, age)
                .err()
        };
        match spent {
            None => self.wait(),
            Some(total) => {
                // It is told by the next call, and by `end`.
                let _ = self.state.finish(SessionEnd::Spent(total), None).await;
            }
        }
    }

    /// Ends the session when its rest has been too long, or its life, or its sandbox goes.
    fn wait(&mut self) {
        let resting = CancellationToken::new();
        self.rest = Some(resting.clone().drop_guard());
        let (state, closing) = (Arc::clone(&self.state), self.closing.clone());
        let rests = state.slot().rests;
        let (idle, life) = (self.totals.idle, self.totals.life.saturating_sub(self.age()));
        tokio::spawn(async move {
            let why = tokio::select! {
                biased;
                () = resting.cancelled() => return,
                () = closing.cancelled() => SessionEnd::Shutdown,
                () = sleep(life) => SessionEnd::Spent(SessionTotal::Life),
                () = sleep(idle) => SessionEnd::Idle,
            };
            if let Err(error) = state.finish(why, Some(rests)).await {
                tracing::warn!(%error, "a session's process is left to its interpreter");
            }
        });
    }
}

impl State {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is at rest (only in this rest, if one is named) and waits until it is gone.
    async fn finish(&self, why: SessionEnd, rests: Option<u64>) -> Result<(), SandboxError> {
        let _turn = self.ending.lock().await;
        let body = {
            let mut slot = self.slot();
            if rests.is_some_and(|rests| rests != slot.rests) {
                return Ok(());
            }
            let body = slot.leave_rest(self.clock.monotonic());
            slot.end.get_or_insert(why);
            body
        };
        match body {
            None => Ok(()),
            Some(body) => self.dissolve(body).await,
        }
    }

    async fn dissolve(&self, body: Box<Body>) -> Result<(), SandboxError> {
        let unpaid = body.dissolve().await?;
        self.slot().usage.idle.cpu_ms += unpaid;
        Ok(())
    }
}

impl Slot {
    /// Takes the process out, and counts its rest.
    fn leave_rest(&mut self, now: Duration) -> Option<Box<Body>> {
        let body = self.body.take()?;
        self.rests += 1;
        self.usage = self.usage_at(now, &body);
        Some(body)
    }

    fn usage_at(&self, now: Duration, body: &Body) -> SessionUsage {
        let mut usage = self.usage;
        usage.idle.wall_ms += millis(now.saturating_sub(self.idle_since));
        usage.idle.peak_memory_bytes = usage.idle.peak_memory_bytes.max(body.running.meter.held());
        usage
    }

    fn count(&mut self, used: Usage) {
        let running = &mut self.usage.running;
        running.wall_ms += used.wall_ms;
        running.cpu_ms += used.cpu_ms;
        running.output_bytes += used.output_bytes;
        running.peak_memory_bytes = running.peak_memory_bytes.max(used.peak_memory_bytes);
    }
}

#[async_trait]
impl Session for LocalSession {
    async fn run(&mut self, cell: Cell, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        cell.check()?;
        if let Some(why) = self.end() {
            return Err(SandboxError::SessionEnded { why });
        }
        if cell.cancel.is_cancelled() {
            return Ok(Outcome {
                seed: self.seed,
                ..Outcome::new(Verdict::Cancelled, self.report.clone())
            });
        }
        let started = self.clock.monotonic();
        let (body, limits) = match self.take(&cell, started) {
            Ok(taken) => taken,
            Err(NotTaken { why, body }) => {
                if let Some(body) = body
                    && let Err(error) = self.state.dissolve(body).await
                {
                    tracing::warn!(%error, "a session's process is left to its interpreter");
                }
                return Err(SandboxError::SessionEnded { why });
            }
        };
        let clock = Arc::clone(&self.clock);
        let closing = self.closing.clone();
        let around = Around {
            limits: &limits,
            total_cpu: self.totals.cpu,
            sink: output,
            report: self.report.clone(),
            seed: self.seed,
            clock: &*clock,
            started,
            closing: &closing,
        };
        let Done { outcome, usage, rest } = cell::run(body, &cell, around).await;
        self.settle(usage, rest).await;
        outcome
    }

    async fn close(&mut self) -> Result<SessionUsage, SandboxError> {
        self.rest = None;
        self.state.finish(SessionEnd::Closed, None).await?;
        // Where a cell was dropped or lost, nobody has waited for it yet.
        if !body::gone(self.process.clone()).await {
            return Err(SandboxError::lost(
                "the process of a session was not gone in time",
            ));
        }
        Ok(self.usage())
    }

    fn usage(&self) -> SessionUsage {
        let slot = self.state.slot();
        match &slot.body {
            Some(body) => slot.usage_at(self.clock.monotonic(), body),
            None => slot.usage,
        }
    }

    fn end(&self) -> Option<SessionEnd> {
        self.state.slot().end.clone()
    }
}

/// At once, also where its rest is watched.
impl Drop for LocalSession {
    fn drop(&mut self) {
        let body = self.state.slot().body.take();
        drop(body);
    }
}

impl fmt::Debug for LocalSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSession")
            .field("usage", &self.usage())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
