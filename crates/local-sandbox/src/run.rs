//! One run from its birth to its outcome, judged from outside.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use meterbox_core::{
    Clock,
    contract::{SandboxReport, Usage},
};
use meterbox_sandbox_client::{Job, Limits, Outcome, OutputSink, Reply, SandboxError, Verdict, parse_reply};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    artifacts,
    document::{JobDocument, JobPipe},
    folder::Folder,
    meter::{Meter, millis},
    patience::patience,
    pool::{self, Pool},
    streams::{Step, Streams},
    waiting::{FIRST_WORD, Given, NotSealed, Waiting},
    zygote::{ChildEvent, ChildHandle, Ended, Zygote},
};

/// It takes milliseconds.
const TRIAL_DEADLINE: Duration = Duration::from_secs(10);
/// From the kill to the kernel's word that it is dead; freeing gigabytes takes a while.
const REAP_DEADLINE: Duration = Duration::from_secs(10);
/// A program may have begun for so long before its supervisor asks.
const ALREADY_BEGUN: Duration = FIRST_WORD.saturating_mul(2);
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
const MEMORY_POLL: Duration = Duration::from_millis(20);
pub(crate) const USED_SO_FAR: Duration = Duration::from_millis(250);
/// A zygote tells of a death in a millisecond, and on a busy machine in some.
const SILENCE: Duration = Duration::from_secs(2);
pub(crate) const SIGKILL: i32 = 9;

/// A child that is sealed and runs its program, since a few milliseconds ago at most.
pub(crate) struct Running {
    pub(crate) child: ChildHandle,
    pub(crate) streams: Streams,
    pub(crate) scratch: OwnedFd,
    pub(crate) meter: Meter,
    pub(crate) untold: Untold,
    /// Where it has no root of its own; gone with it.
    _folder: Option<Folder>,
}

/// Ends once a child has been dead for so long that the zygote, which alone can reap it, has to be stuck.
pub(crate) type Untold = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) async fn run(
    zygote: &Zygote,
    pool: &Pool,
    job: &Job,
    document: &JobDocument<'_>,
    sink: Arc<dyn OutputSink>,
    report: SandboxReport,
    clock: &dyn Clock,
) -> Result<Outcome, NotSealed> {
    if job.cancel.is_cancelled() {
        return Ok(Outcome::new(Verdict::Cancelled, report));
    }
    let start = start(zygote, Some(pool), document, &job.limits, Arc::clone(&sink), None);
    tokio::pin!(start);
    let running = tokio::select! {
        running = &mut start => running?,
        () = job.cancel.cancelled() => match timeout(ALREADY_BEGUN, start).await {
            // What it has used meanwhile is paid for.
            Ok(Ok(running)) => running,
            // Nothing of the program has run; dropping the set-up has killed the child.
            _ => return Ok(Outcome::new(Verdict::Cancelled, report)),
        },
    };
    judged(zygote, job, running, sink, report, clock)
        .await
        .map_err(NotSealed::Refused)
}

/// The program has begun: whatever goes wrong now, it may not be run again.
async fn judged(
    zygote: &Zygote,
    job: &Job,
    mut running: Running,
    sink: Arc<dyn OutputSink>,
    report: SandboxReport,
    clock: &dyn Clock,
) -> Result<Outcome, SandboxError> {
    let started = clock.monotonic();
    let wall = || clock.monotonic().saturating_sub(started);
    let mut tell = |running: &mut Running| {
        let output_bytes = running.streams.output_bytes();
        sink.used(running.meter.usage(wall(), output_bytes));
    };
    let (cause, ended) = until_dead(zygote, &mut running, job, &mut tell).await?;
    let wall = wall();
    let over = drain(&mut running.streams).await;

    let said = running.streams.finish();
    let starved = running.meter.has_starved(&ended);
    let mut verdict = verdict(cause, over, starved, ended, &job.limits);
    let reply = match parse_reply(&said.reply) {
        Ok(reply) => reply,
        Err(reason) => {
            if matches!(verdict, Verdict::Exited { .. }) {
                verdict = Verdict::broken_reply(reason);
            }
            None
        }
    };
    if ended.status.is_none() && reply.is_none() && matches!(verdict, Verdict::Exited { .. }) {
        return Err(SandboxError::lost(
            "nobody could tell how a program ended that did not reply",
        ));
    }
    let mut outcome = Outcome::new(verdict, report);
    outcome.seed = job.seed;
    outcome.reply = reply;
    outcome.stdout = said.stdout;
    outcome.stderr = said.stderr;
    outcome.usage = Usage {
        wall_ms: millis(wall),
        cpu_ms: millis(running.meter.own_time(ended.cpu)),
        peak_memory_bytes: running.meter.own_share(ended.peak_bytes),
        output_bytes: said.output_bytes,
    };
    #[cfg(feature = "test-guards")]
    crate::naive::judge(
        &zygote.without,
        &said.reply,
        running.scratch.as_fd(),
        job.artifacts_into.as_deref(),
        &mut outcome,
    )
    .map_err(|error| SandboxError::platform("the naive supervisor broke off", error))?;
    if let Some(folder) = job.artifacts_into.clone() {
        let (scratch, limits) = (running.scratch, job.limits.clone());
        let collected =
            tokio::task::spawn_blocking(move || artifacts::collect(scratch.as_fd(), &folder, &limits))
                .await
                .map_err(io::Error::other)
                .flatten()
                .map_err(|error| SandboxError::Lost {
                    message: "the program's files could not be collected".to_owned(),
                    usage: Some(outcome.usage),
                    source: Some(Box::new(error)),
                })?;
        outcome.artifacts = collected.kept;
        outcome.rejected = collected.rejected;
    }
    Ok(outcome)
}

/// Runs the trial that every new zygote has to pass: the names of the checks that fail.
pub(crate) async fn trial(zygote: &Zygote) -> Result<Vec<String>, SandboxError> {
    let tables = Default::default();
    let document = JobDocument::selftest(&tables)?;
    let running = start(zygote, None, &document, &Limits::default(), Arc::new(()), None).await;
    let mut running = running.map_err(NotSealed::error)?;
    let ended = timeout(
        patience(TRIAL_DEADLINE),
        ended(zygote, &mut running.child, &mut running.untold, &running.meter),
    )
    .await;
    let Ok(Ok(ended)) = ended else {
        return Ok(vec!["the trial program did not end".to_owned()]);
    };
    drain(&mut running.streams).await;
    let said = running.streams.finish();
    let Ok(Some(Reply::Value(value))) = parse_reply(&said.reply) else {
        let words = said.stderr.trim();
        let failed = format!("the trial program failed (status {:?}): {words}", ended.status);
        return Ok(vec![failed]);
    };
    let checks: std::collections::BTreeMap<String, bool> = serde_json::from_str(value.get())
        .map_err(|error| SandboxError::platform("the trial program's reply is unknown", error))?;
    Ok(checks
        .into_iter()
        .filter(|(_, holds)| !holds)
        .map(|(check, _)| check)
        .collect())
}

/// Gets a child to run the job: a ready one if there is, and otherwise, or where that one fails, one of its own. `cells`:
/// where those of a session come from.
pub(crate) async fn start(
    zygote: &Zygote,
    pool: Option<&Pool>,
    document: &JobDocument<'_>,
    limits: &Limits,
    sink: Arc<dyn OutputSink>,
    cells: Option<BorrowedFd<'_>>,
) -> Result<Running, NotSealed> {
    let inputs = zygote.inputs.as_deref();
    let folder = match &zygote.folder {
        None => None,
        Some(base) => Some(document.folder(base, inputs).map_err(NotSealed::no_room)?),
    };
    let job = document
        .bytes(folder.as_ref(), inputs)
        .map_err(NotSealed::no_room)?;
    let prepared = |job_pipe: JobPipe, pipes| {
        let given = job_pipe.filled(&job)?;
        let (streams, ends) = Streams::new(pipes, limits, Arc::clone(&sink))?;
        Ok((streams, Given::new(given, ends, cells)))
    };
    let ready = match pool.and_then(Pool::take) {
        None => None,
        Some((waiting, job_pipe, pipes)) => {
            let (streams, given) = prepared(job_pipe, pipes).map_err(NotSealed::no_room)?;
            match waiting.begin(zygote, given, limits, streams.stir()).await {
                // Whatever that one may have said is not what the next one says.
                Err(NotSealed::Broken(error)) => {
                    tracing::warn!(%error, "a ready jail was of no use");
                    None
                }
                sealed => Some((sealed?, streams)),
            }
        }
    };
    let (sealed, streams) = match ready {
        Some(ready) => ready,
        None => {
            let (job_pipe, pipes) = pool::pipes()?;
            let (streams, given) = prepared(job_pipe, pipes).map_err(NotSealed::no_room)?;
            (Waiting::on_demand(zygote, given, limits).await?, streams)
        }
    };
    let mut meter = sealed.meter;
    // Where nobody watches, which is in tests, the kernel's own limits remain.
    if !zygote.is_without("watch") {
        meter.limit(limits.memory_bytes);
    }
    let dead = sealed.child.process().end();
    Ok(Running {
        untold: Box::pin(async {
            dead.await;
            sleep(patience(SILENCE)).await;
        }),
        child: sealed.child,
        streams,
        scratch: sealed.scratch,
        meter,
        _folder: folder,
    })
}

/// Waits for the first reason to end, sees to it that the child is dead, and says why (`None`: by itself).
async fn until_dead(
    zygote: &Zygote,
    running: &mut Running,
    job: &Job,
    tell: &mut (dyn FnMut(&mut Running) + Send),
) -> Result<(Option<Verdict>, Ended), SandboxError> {
    let cause = match first_cause(zygote, running, &job.limits, &job.cancel, tell).await? {
        Ok(ended) => return Ok((None, ended)),
        Err(cause) => cause,
    };
    killed(zygote, running).await.map(|ended| (Some(cause), ended))
}

/// Sees to it that the child is dead.
pub(crate) async fn killed(zygote: &Zygote, running: &mut Running) -> Result<Ended, SandboxError> {
    running.child.kill();
    let dead = ended(zygote, &mut running.child, &mut running.untold, &running.meter);
    zygote
        .patiently(REAP_DEADLINE, dead)
        .await
        .unwrap_or_else(|| Err(SandboxError::lost("a killed program was not gone in time")))
}

/// When its memory is looked at. Its first words are heard before that.
pub(crate) fn looks() -> Interval {
    let mut looks = interval(MEMORY_POLL);
    looks.reset();
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

async fn first_cause(
    zygote: &Zygote,
    running: &mut Running,
    limits: &Limits,
    cancel: &CancellationToken,
    tell: &mut (dyn FnMut(&mut Running) + Send),
) -> Result<Result<Ended, Verdict>, SandboxError> {
    let wall = sleep(limits.wall);
    tokio::pin!(wall);
    let mut member = zygote.crowd.join();
    let mut poll = looks();
    let so_far = sleep(USED_SO_FAR);
    tokio::pin!(so_far);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(Err(Verdict::Cancelled)),
            () = &mut wall => return Ok(Err(Verdict::WallLimit)),
            ended = ended(zygote, &mut running.child, &mut running.untold, &running.meter) => {
                return ended.map(Ok);
            },
            _ = poll.tick() => {
                if running.meter.is_over() {
                    return Ok(Err(Verdict::MemoryLimit));
                }
                if member.has_had_its_turn() && running.child.goes_after_others(true) {
                    member.goes_after();
                }
            },
            () = &mut so_far => {
                tell(running);
                if running.meter.was_over(limits.cpu) {
                    return Ok(Err(Verdict::CpuLimit));
                }
                so_far.set(sleep(USED_SO_FAR));
            },
            step = running.streams.step() => if step == Step::OverLimit {
                return Ok(Err(Verdict::OutputLimit));
            },
        }
    }
}

/// Waits for the end of the child. Cancel-safe.
pub(crate) async fn ended(
    zygote: &Zygote,
    child: &mut ChildHandle,
    untold: &mut Untold,
    meter: &Meter,
) -> Result<Ended, SandboxError> {
    tokio::select! {
        biased;
        event = child.next() => match event {
            Some(ChildEvent::Ended(ended)) => Ok(ended),
            _ => Err(SandboxError::lost("the interpreter died with a program in it")),
        },
        () = untold => {
            zygote.retire();
            let end = meter.end();
            end.ok_or_else(|| SandboxError::lost("nobody could tell how a program ended"))
        }
    }
}

/// Reads what is left in the pipes of a dead program, and says whether that goes beyond a limit.
pub(crate) async fn drain(streams: &mut Streams) -> bool {
    let read = async {
        while streams.is_open() {
            if streams.step().await == Step::OverLimit {
                return true;
            }
        }
        false
    };
    // With their only writer dead the pipes end at once; whatever else may be, nobody waits for them long.
    timeout(DRAIN_DEADLINE, read).await.unwrap_or(false)
}

pub(crate) fn verdict(
    cause: Option<Verdict>,
    over: bool,
    starved: bool,
    ended: Ended,
    limits: &Limits,
) -> Verdict {
    if let Some(cause) = cause {
        return cause;
    }
    // Whatever it was about to say.
    if starved {
        return Verdict::MemoryLimit;
    }
    let Some(status) = ended.status else {
        // It ended, and its reply is whole: that much was seen. Its limit on processor time is looked at all the same.
        return if ended.cpu >= limits.cpu {
            Verdict::CpuLimit
        } else {
            Verdict::Exited { code: 0 }
        };
    };
    let signal = status & 0x7f;
    // The kernel's own kill at the limit. It counts whole ticks, which on a busy machine are off by a good part of the
    // precise time that is measured here; and nobody else sends this signal to a program that has used so much: from
    // inside, the first process of its namespace cannot be killed.
    if signal == SIGKILL && ended.cpu >= limits.cpu / 2 {
        return Verdict::CpuLimit;
    }
    if signal != 0 {
        return Verdict::Signalled { signal };
    }
    if over {
        return Verdict::OutputLimit;
    }
    Verdict::Exited {
        code: (status >> 8) & 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: i32, cpu_ms: u64) -> Verdict {
        let ended = Ended {
            status: Some(status),
            cpu: Duration::from_millis(cpu_ms),
            peak_bytes: 0,
        };
        verdict(None, false, false, ended, &Limits::default())
    }

    #[test]
    fn an_end_by_itself_is_read_from_the_wait_status() {
        assert_eq!(judge(3 << 8, 0), Verdict::Exited { code: 3 });
        assert_eq!(judge(11, 0), Verdict::Signalled { signal: 11 });
        assert_eq!(judge(0x80 | 6, 0), Verdict::Signalled { signal: 6 });
        assert_eq!(judge(9, 100), Verdict::Signalled { signal: 9 });
        assert_eq!(judge(9, 19_990), Verdict::CpuLimit);
    }

    #[test]
    fn an_end_by_its_control_group_is_for_want_of_memory() {
        let killed = Ended {
            status: Some(SIGKILL),
            cpu: Duration::from_secs(20),
            peak_bytes: 0,
        };
        let limits = Limits::default();
        assert_eq!(verdict(None, false, true, killed, &limits), Verdict::MemoryLimit);
        let cancelled = Some(Verdict::Cancelled);
        assert_eq!(
            verdict(cancelled, false, true, killed, &limits),
            Verdict::Cancelled
        );
    }
}
