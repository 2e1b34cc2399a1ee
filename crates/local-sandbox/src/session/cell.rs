//! One cell from its begin to its outcome, judged from outside.

use std::{io, os::fd::AsFd, sync::Arc, time::Duration};

use meterbox_core::{
    Clock,
    contract::{SandboxReport, Usage},
};
use meterbox_sandbox_client::{
    Cell, Limits, Outcome, OutputSink, Reply, SandboxError, SessionEnd, Verdict, parse_reply,
};
use tokio::{io::AsyncWriteExt, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    body::Body,
    frame::{self, Frame, Nonce},
    frozen::NotFrozen,
};
use crate::{
    artifacts::{self, Collected},
    meter::millis,
    run::{self, USED_SO_FAR},
    streams::{Said, Step},
    zygote::Ended,
};

/// What a cell runs in and under.
pub(super) struct Around<'a> {
    /// What is left for it.
    pub(super) limits: &'a Limits,
    /// The session's; at a little more than this the kernel ends the process.
    pub(super) total_cpu: Duration,
    pub(super) sink: Arc<dyn OutputSink>,
    pub(super) report: SandboxReport,
    pub(super) seed: u64,
    pub(super) clock: &'a dyn Clock,
    /// When its process left its rest, by that clock.
    pub(super) started: Duration,
    /// The sandbox is shut down.
    pub(super) closing: &'a CancellationToken,
}

/// What became of a cell and of its session.
pub(super) struct Done {
    pub(super) outcome: Result<Outcome, SandboxError>,
    /// Also where there is no outcome.
    pub(super) usage: Usage,
    /// The process, and since when it has been at rest, or why there is none any more.
    pub(super) rest: Result<(Box<Body>, Duration), SessionEnd>,
}

/// What ended a cell.
enum Cause {
    /// The runner says that it has, which is a claim: so does a cell that imitates it.
    Replied,
    /// The process is gone.
    Ended(Ended),
    /// It has to be ended.
    Verdict(Verdict),
    Shutdown,
}

/// The cell's share of what is measured of its process.
struct Share {
    started: Duration,
    /// Where it has ended by itself: what it takes to bring its process to rest is not its time.
    ended: Option<Duration>,
    busy: Duration,
}

pub(super) async fn run(mut body: Box<Body>, cell: &Cell, around: Around<'_>) -> Done {
    let mut share = Share {
        started: around.started,
        ended: None,
        busy: body.running.meter.busy(),
    };
    let nonce = Nonce::new(!body.zygote.is_without("cell-name"));
    let nonce_and_bytes = nonce.and_then(|nonce| Ok((nonce, frame::cell(cell, around.limits, nonce)?)));
    let (nonce, bytes) = match nonce_and_bytes {
        Ok(made) => made,
        Err(error) => {
            let error = SandboxError::platform("the machine has no room for another cell", error);
            return lost(body, &share, &around, error);
        }
    };
    let room = frame::room(around.limits);
    body.running
        .streams
        .restart(around.limits, room, Arc::clone(&around.sink));
    body.running.meter.begin_cell(around.limits.memory_bytes);
    body.goes_with_others();
    body.running.child.go_on();
    let cause = match first_cause(&mut body, cell, &around, &share, nonce, &bytes).await {
        Ok(cause) => cause,
        Err(error) => return lost(body, &share, &around, error),
    };
    let (why, verdict) = match cause {
        Cause::Replied => {
            share.ended = Some(around.clock.monotonic());
            match at_rest(&mut body, nonce).await {
                Ok(peak) => return alive(body, cell, around, &share, nonce, peak).await,
                Err(Unrest::Ended) => (None, None),
                Err(Unrest::Verdict(verdict)) => (None, Some(verdict)),
                // Its reply is whole; only the session is over.
                Err(Unrest::Runs) => (Some(SessionEnd::Restless), Some(Verdict::Exited { code: 0 })),
            }
        }
        Cause::Ended(ended) => return dead(body, cell, around, &share, nonce, (None, None), ended).await,
        Cause::Verdict(verdict) => (None, Some(verdict)),
        Cause::Shutdown => (Some(SessionEnd::Shutdown), Some(Verdict::Cancelled)),
    };
    let Body { zygote, running, .. } = &mut *body;
    match run::killed(zygote, running).await {
        Ok(ended) => dead(body, cell, around, &share, nonce, (why, verdict), ended).await,
        Err(error) => lost(body, &share, &around, error),
    }
}

/// Hands the cell over and waits for the first thing that ends it.
async fn first_cause(
    body: &mut Body,
    cell: &Cell,
    around: &Around<'_>,
    share: &Share,
    nonce: Nonce,
    bytes: &[u8],
) -> Result<Cause, SandboxError> {
    let limits = around.limits;
    let Body {
        running,
        cells,
        zygote,
        goes_after,
        ..
    } = body;
    let wall = sleep(limits.wall);
    tokio::pin!(wall);
    let so_far = sleep(USED_SO_FAR);
    tokio::pin!(so_far);
    let mut member = zygote.crowd.join();
    let mut poll = run::looks();
    // A cell that nobody takes fails by its time.
    let handing = cells.write_all(bytes);
    tokio::pin!(handing);
    let mut handed = false;
    loop {
        tokio::select! {
            biased;
            () = cell.cancel.cancelled() => return Ok(Cause::Verdict(Verdict::Cancelled)),
            () = around.closing.cancelled() => return Ok(Cause::Shutdown),
            () = &mut wall => return Ok(Cause::Verdict(Verdict::WallLimit)),
            _ = &mut handing, if !handed => handed = true,
            ended = run::ended(zygote, &mut running.child, &mut running.untold, &running.meter) => {
                return ended.map(Cause::Ended);
            },
            _ = poll.tick() => {
                if running.meter.is_over() {
                    return Ok(Cause::Verdict(Verdict::MemoryLimit));
                }
                if running.meter.busy().saturating_sub(share.busy) >= limits.cpu {
                    return Ok(Cause::Verdict(Verdict::CpuLimit));
                }
                if member.has_had_its_turn() && running.child.goes_after_others(true) {
                    member.goes_after();
                    *goes_after = true;
                }
            },
            () = &mut so_far => {
                around.sink.used(Usage {
                    wall_ms: share.wall(around.clock),
                    cpu_ms: millis(running.meter.busy().saturating_sub(share.busy)),
                    peak_memory_bytes: running.meter.own_share(0),
                    output_bytes: running.streams.output_bytes(),
                });
                so_far.set(sleep(USED_SO_FAR));
            },
            step = running.streams.step() => {
                if step == Step::OverLimit {
                    return Ok(Cause::Verdict(Verdict::OutputLimit));
                }
                match frame::read(running.streams.reply(), nonce) {
                    Frame::Unfinished => {}
                    Frame::Whole(_) => return Ok(Cause::Replied),
                    Frame::Broken(reason) => return Ok(Cause::Verdict(Verdict::broken_reply(reason))),
                }
            },
        }
    }
}

/// Why a process whose cell has ended cannot be kept.
enum Unrest {
    Ended,
    Runs,
    Verdict(Verdict),
}

/// Stops the process after its cell, and takes what it has said up to then: nothing of it is left for the next cell. Says the
/// kernel's peak of its memory.
async fn at_rest(body: &mut Body, nonce: Nonce) -> Result<u64, Unrest> {
    body.rest().await.map_err(|error| match error {
        NotFrozen::Ended => Unrest::Ended,
        NotFrozen::Hidden | NotFrozen::Runs => Unrest::Runs,
    })?;
    let (peak, beyond) = body.running.meter.kernels_peak();
    if beyond {
        return Err(Unrest::Verdict(Verdict::MemoryLimit));
    }
    let streams = &mut body.running.streams;
    if streams.drain_now() == Step::OverLimit {
        return Err(Unrest::Verdict(Verdict::OutputLimit));
    }
    let broken = match frame::read(streams.reply(), nonce) {
        Frame::Whole(reply) => parse_reply(reply).err(),
        Frame::Broken(reason) => Some(reason.to_owned()),
        Frame::Unfinished => None,
    };
    broken.map_or(Ok(peak), |reason| {
        Err(Unrest::Verdict(Verdict::broken_reply(reason)))
    })
}

/// The cell has ended and its session goes on. `peak`: the kernel's, of its memory.
async fn alive(
    mut body: Box<Body>,
    cell: &Cell,
    around: Around<'_>,
    share: &Share,
    nonce: Nonce,
    peak: u64,
) -> Done {
    // What follows, files that are collected too, is time of its rest.
    let ended = share.ended(around.clock);
    let wall_ms = millis(ended.saturating_sub(share.started));
    let busy = body.running.meter.busy();
    let said = body.running.streams.finish();
    let usage = Usage {
        wall_ms,
        cpu_ms: body.pay(busy),
        peak_memory_bytes: body.running.meter.own_share(peak),
        output_bytes: said.output_bytes,
    };
    let reply = reply_of(&said, nonce);
    let mut outcome = told(exited(reply.as_ref()), reply, said, usage, &around);
    if let Err(error) = collect(&mut body, cell, around.limits, &mut outcome).await {
        return over(body, Err(error), usage, SessionEnd::Lost).await;
    }
    if !body.has_slept() {
        // Whatever was collected, it may have been changed meanwhile.
        for artifact in std::mem::take(&mut outcome.artifacts) {
            let _ = std::fs::remove_file(&artifact.path);
        }
        outcome.verdict = Verdict::broken_reply("its process went on after it had been stopped");
        outcome.reply = None;
        return over(body, Ok(outcome), usage, SessionEnd::Restless).await;
    }
    Done {
        outcome: Ok(outcome),
        usage,
        rest: Ok((body, ended)),
    }
}

/// The process is gone, and the session with it.
async fn dead(
    mut body: Box<Body>,
    cell: &Cell,
    around: Around<'_>,
    share: &Share,
    nonce: Nonce,
    (why, cause): (Option<SessionEnd>, Option<Verdict>),
    ended: Ended,
) -> Done {
    let wall_ms = share.wall(around.clock);
    let over_limit = run::drain(&mut body.running.streams).await;
    let said = body.running.streams.finish();
    let own = body.running.meter.own_time(ended.cpu);
    let own_share = Ended {
        cpu: own.saturating_sub(share.busy),
        ..ended
    };
    let usage = Usage {
        wall_ms,
        cpu_ms: body.pay(own),
        peak_memory_bytes: body.running.meter.own_share(ended.peak_bytes),
        output_bytes: said.output_bytes,
    };
    let reply = reply_of(&said, nonce);
    let starved = body.running.meter.has_starved(&ended);
    let mut verdict = run::verdict(cause, over_limit, starved, own_share, around.limits);
    if why == Some(SessionEnd::Restless) {
        verdict = exited(reply.as_ref());
    }
    if verdict == (Verdict::Signalled { signal: run::SIGKILL }) && ended.cpu >= around.total_cpu {
        verdict = Verdict::CpuLimit;
    }
    if reply.is_none() && !said.reply.is_empty() && matches!(verdict, Verdict::Exited { .. }) {
        verdict = Verdict::broken_reply("it is not whole, or not one reply in the agreed form");
    }
    if ended.status.is_none() && reply.is_none() && matches!(verdict, Verdict::Exited { .. }) {
        return Done {
            outcome: Err(SandboxError::Lost {
                message: "nobody could tell how a cell ended that did not reply".to_owned(),
                usage: Some(usage),
                source: None,
            }),
            usage,
            rest: Err(SessionEnd::Lost),
        };
    }
    let why = why.unwrap_or_else(|| SessionEnd::Cell(verdict.clone()));
    let mut outcome = told(verdict, reply, said, usage, &around);
    let collected = collect(&mut body, cell, around.limits, &mut outcome).await;
    Done {
        outcome: collected.map(|()| outcome),
        usage,
        rest: Err(why),
    }
}

/// Nobody knows how the cell ended.
fn lost(mut body: Box<Body>, share: &Share, around: &Around<'_>, error: SandboxError) -> Done {
    let busy = body.running.meter.busy();
    let usage = Usage {
        wall_ms: share.wall(around.clock),
        cpu_ms: body.pay(busy),
        peak_memory_bytes: body.running.meter.own_share(0),
        output_bytes: body.running.streams.output_bytes(),
    };
    let error = match error {
        SandboxError::Lost { message, source, .. } => SandboxError::Lost {
            message,
            usage: Some(usage),
            source,
        },
        other => other,
    };
    // Its process is killed with it; whoever would tell of that is the one who could not.
    drop(body);
    Done {
        outcome: Err(error),
        usage,
        rest: Err(SessionEnd::Lost),
    }
}

/// The process has to go though its cell ended by itself. What it has used since then is the cell's as well.
async fn over(
    body: Box<Body>,
    mut outcome: Result<Outcome, SandboxError>,
    mut usage: Usage,
    why: SessionEnd,
) -> Done {
    match body.dissolve().await {
        Ok(unpaid) => usage.cpu_ms += unpaid,
        Err(error) => tracing::warn!(%error, "a session's process is left to its interpreter"),
    }
    match &mut outcome {
        Ok(outcome) => outcome.usage = usage,
        Err(SandboxError::Lost { usage: told, .. }) => *told = Some(usage),
        Err(_) => {}
    }
    Done {
        outcome,
        usage,
        rest: Err(why),
    }
}

/// How a cell ended that ended by itself: as a run of its program would have.
fn exited(reply: Option<&Reply>) -> Verdict {
    Verdict::Exited {
        code: i32::from(matches!(reply, Some(Reply::Error(_)))),
    }
}

fn reply_of(said: &Said, nonce: Nonce) -> Option<Reply> {
    match frame::read(&said.reply, nonce) {
        Frame::Whole(reply) => parse_reply(reply).ok().flatten(),
        Frame::Unfinished | Frame::Broken(_) => None,
    }
}

fn told(verdict: Verdict, reply: Option<Reply>, said: Said, usage: Usage, around: &Around<'_>) -> Outcome {
    let mut outcome = Outcome::new(verdict, around.report.clone());
    outcome.seed = around.seed;
    outcome.reply = reply;
    outcome.stdout = said.stdout;
    outcome.stderr = said.stderr;
    outcome.usage = usage;
    outcome
}

/// Collects files that are new. The process is at rest, or gone.
async fn collect(
    body: &mut Body,
    cell: &Cell,
    limits: &Limits,
    outcome: &mut Outcome,
) -> Result<(), SandboxError> {
    let Some(folder) = cell.artifacts_into.clone() else {
        return Ok(());
    };
    let (mut seen, limits) = (std::mem::take(&mut body.seen), limits.clone());
    let collected = match body.running.scratch.try_clone() {
        Ok(scratch) => tokio::task::spawn_blocking(move || {
            let collected = artifacts::collect_new(scratch.as_fd(), &folder, &limits, &mut seen)?;
            Ok((collected, seen))
        })
        .await
        .map_err(io::Error::other)
        .flatten(),
        Err(error) => Err(error),
    };
    let (Collected { kept, rejected }, seen) = collected.map_err(|error| SandboxError::Lost {
        message: "the cell's files could not be collected".to_owned(),
        usage: Some(outcome.usage),
        source: Some(Box::new(error)),
    })?;
    body.seen = seen;
    outcome.artifacts = kept;
    outcome.rejected = rejected;
    Ok(())
}

impl Share {
    fn ended(&self, clock: &dyn Clock) -> Duration {
        self.ended.unwrap_or_else(|| clock.monotonic())
    }

    fn wall(&self, clock: &dyn Clock) -> u64 {
        millis(self.ended(clock).saturating_sub(self.started))
    }
}
