//! One run from its birth to its outcome, judged from outside.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use meterbox_core::{
    Clock,
    contract::{SandboxReport, Usage},
};
use meterbox_sandbox_client::{Job, Limits, Outcome, OutputSink, Reply, SandboxError, Verdict};
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    artifacts,
    channel::Channel,
    diagnosis,
    document::JobDocument,
    meter::{Meter, millis},
    reply,
    streams::{Step, Streams},
    zygote::{ChildEvent, ChildHandle, Ended, FailedStep, Zygote, plain},
};

/// A healthy set-up takes milliseconds.
const SETUP_DEADLINE: Duration = Duration::from_secs(10);
/// From the kill to the kernel's word that it is dead; freeing gigabytes takes a while.
const REAP_DEADLINE: Duration = Duration::from_secs(10);
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
const MEMORY_POLL: Duration = Duration::from_millis(20);
const USED_SO_FAR: Duration = Duration::from_millis(250);
const SIGKILL: i32 = 9;

/// A child that is sealed and about to run its program.
struct Running {
    child: ChildHandle,
    streams: Streams,
    scratch: OwnedFd,
    meter: Meter,
}

pub(crate) async fn run(
    zygote: &Zygote,
    job: &Job,
    document: &JobDocument<'_>,
    sink: Arc<dyn OutputSink>,
    report: SandboxReport,
    clock: &dyn Clock,
) -> Result<Outcome, SandboxError> {
    if job.cancel.is_cancelled() {
        return Ok(Outcome::new(Verdict::Cancelled, report));
    }
    let mut running = tokio::select! {
        running = start(zygote, document, &job.limits, Arc::clone(&sink)) => running?,
        // Nothing of the program has run yet; dropping the set-up kills the child.
        () = job.cancel.cancelled() => return Ok(Outcome::new(Verdict::Cancelled, report)),
    };
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
    let mut verdict = verdict(cause, over, ended, &job.limits);
    let reply = match reply::parse(&said.reply) {
        Ok(reply) => reply,
        Err(reason) => {
            if matches!(verdict, Verdict::Exited { .. }) {
                verdict = Verdict::BrokenReply { reason };
            }
            None
        }
    };
    let mut outcome = Outcome::new(verdict, report);
    outcome.reply = reply;
    outcome.stdout = said.stdout;
    outcome.stderr = said.stderr;
    outcome.usage = Usage {
        wall_ms: millis(wall),
        cpu_ms: millis(ended.cpu),
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
    let mut running = start(zygote, &document, &Limits::default(), Arc::new(())).await?;
    let ended = timeout(SETUP_DEADLINE, ended(&mut running.child)).await;
    let Ok(Ok(ended)) = ended else {
        return Ok(vec!["the trial program did not end".to_owned()]);
    };
    drain(&mut running.streams).await;
    let said = running.streams.finish();
    let Ok(Some(Reply::Value(value))) = reply::parse(&said.reply) else {
        let words = said.stderr.trim();
        let failed = format!("the trial program failed (status {}): {words}", ended.status);
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

async fn start(
    zygote: &Zygote,
    document: &JobDocument<'_>,
    limits: &Limits,
    sink: Arc<dyn OutputSink>,
) -> Result<Running, SandboxError> {
    let resources = "the machine has no room for another run";
    let no_room = |error: io::Error| SandboxError::platform(resources, error);
    let job = document.sealed().map_err(no_room)?;
    let (streams, ends) = Streams::new(limits, sink).map_err(no_room)?;
    let (setup, setup_end) = Channel::pair().map_err(no_room)?;

    let prepared = async move {
        let mut child = {
            let descriptors = [&job, &ends.stdout, &ends.stderr, &ends.reply, &setup_end].map(AsFd::as_fd);
            zygote.child(descriptors).await?
        };
        // The child gets its own; ours would keep the pipes open after its death.
        drop((setup_end, ends, job));
        let (pid, pidfd) = match child.next().await {
            Some(ChildEvent::Started { pid, pidfd }) => (pid, pidfd),
            Some(ChildEvent::Refused { message }) => {
                return Err(plain(format!("no process could be made: {message}")));
            }
            _ => return Err(died(zygote)),
        };
        let most = zygote.ready.baseline.resident.saturating_add(limits.memory_bytes);
        let mut meter = Meter::new(pid, &pidfd, most);
        let scratch = sealed(&setup, zygote).await?;
        meter.begin();
        Ok(Running {
            child,
            streams,
            scratch,
            meter,
        })
    };
    match timeout(SETUP_DEADLINE, prepared).await {
        Ok(result) => result,
        Err(_) => {
            zygote.abandon();
            Err(plain("a jail was not ready within 10 seconds"))
        }
    }
}

/// Waits for the child's word that it is sealed, and takes the handle of its working folder. The program
/// itself never has this socket.
async fn sealed(setup: &Channel, zygote: &Zygote) -> Result<OwnedFd, SandboxError> {
    #[derive(Deserialize)]
    struct Failed {
        failed: FailedStep,
    }
    let mut scratch = None;
    loop {
        let message = setup
            .receive()
            .await
            .map_err(|error| SandboxError::platform("a jail fell silent", error))?;
        let Some(message) = message else {
            return Err(died(zygote));
        };
        match (message.bytes.as_slice(), message.descriptor, scratch.take()) {
            (b"prepared", Some(folder), None) => scratch = Some(folder),
            (b"sealed", None, Some(folder)) => return Ok(folder),
            (bytes, _, _) => {
                let Ok(Failed { failed }) = serde_json::from_slice(bytes) else {
                    return Err(plain("a jail said something unknown"));
                };
                return Err(diagnosis::failed_run(&failed));
            }
        }
    }
}

fn died(zygote: &Zygote) -> SandboxError {
    plain(format!("the interpreter broke off: {}", zygote.last_words()))
}

/// Waits for the first reason to end, sees to it that the child is dead, and says why (`None`: by itself).
async fn until_dead(
    zygote: &Zygote,
    running: &mut Running,
    job: &Job,
    tell: &mut (dyn FnMut(&mut Running) + Send),
) -> Result<(Option<Verdict>, Ended), SandboxError> {
    let cause = match first_cause(running, &job.limits, &job.cancel, tell).await? {
        Ok(ended) => return Ok((None, ended)),
        Err(cause) => cause,
    };
    running.child.kill();
    match timeout(REAP_DEADLINE, ended(&mut running.child)).await {
        Ok(Ok(ended)) => Ok((Some(cause), ended)),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            zygote.abandon();
            Err(SandboxError::lost(
                "a killed program was not gone within 10 seconds",
            ))
        }
    }
}

async fn first_cause(
    running: &mut Running,
    limits: &Limits,
    cancel: &CancellationToken,
    tell: &mut (dyn FnMut(&mut Running) + Send),
) -> Result<Result<Ended, Verdict>, SandboxError> {
    let wall = sleep(limits.wall);
    tokio::pin!(wall);
    let mut poll = tokio::time::interval(MEMORY_POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let so_far = sleep(USED_SO_FAR);
    tokio::pin!(so_far);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(Err(Verdict::Cancelled)),
            () = &mut wall => return Ok(Err(Verdict::WallLimit)),
            ended = ended(&mut running.child) => return ended.map(Ok),
            _ = poll.tick() => if running.meter.is_over() {
                return Ok(Err(Verdict::MemoryLimit));
            },
            () = &mut so_far => {
                tell(running);
                so_far.set(sleep(USED_SO_FAR));
            },
            step = running.streams.step() => if step == Step::OverLimit {
                return Ok(Err(Verdict::OutputLimit));
            },
        }
    }
}

/// Cancel-safe.
async fn ended(child: &mut ChildHandle) -> Result<Ended, SandboxError> {
    match child.next().await {
        Some(ChildEvent::Ended(ended)) => Ok(ended),
        _ => Err(SandboxError::lost("the interpreter died with a program in it")),
    }
}

/// Reads what is left in the pipes of a dead program, and says whether that goes beyond a limit.
async fn drain(streams: &mut Streams) -> bool {
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

fn verdict(cause: Option<Verdict>, over: bool, ended: Ended, limits: &Limits) -> Verdict {
    if let Some(cause) = cause {
        return cause;
    }
    let signal = ended.status & 0x7f;
    // The kernel's own kill at the limit. It counts by ticks, which on a busy machine are off by some percent;
    // from inside, the first process of its namespace cannot be killed.
    if signal == SIGKILL && ended.cpu + limits.cpu / 4 >= limits.cpu {
        return Verdict::CpuLimit;
    }
    if signal != 0 {
        return Verdict::Signalled { signal };
    }
    if over {
        return Verdict::OutputLimit;
    }
    Verdict::Exited {
        code: (ended.status >> 8) & 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: i32, cpu_ms: u64) -> Verdict {
        let ended = Ended {
            status,
            cpu: Duration::from_millis(cpu_ms),
            peak_bytes: 0,
        };
        verdict(None, false, ended, &Limits::default())
    }

    #[test]
    fn an_end_by_itself_is_read_from_the_wait_status() {
        assert_eq!(judge(3 << 8, 0), Verdict::Exited { code: 3 });
        assert_eq!(judge(11, 0), Verdict::Signalled { signal: 11 });
        assert_eq!(judge(0x80 | 6, 0), Verdict::Signalled { signal: 6 });
        assert_eq!(judge(9, 100), Verdict::Signalled { signal: 9 });
        assert_eq!(judge(9, 19_990), Verdict::CpuLimit);
    }
}
