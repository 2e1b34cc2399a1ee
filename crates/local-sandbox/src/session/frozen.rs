//! A process of which no thread runs, and whether that has stayed so.
//!
//! Between two cells the process is stopped by a signal that it can neither catch nor refuse. So nothing of it computes,
//! prints or changes a file while nobody looks, or while its files are collected. Only a signal wakes it: nobody inside can
//! send one then, and the ways to have the kernel send one are closed by the filter. Whether it has slept through is looked
//! at all the same, by how often each thread has had a processor.

use std::time::Duration;

use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use crate::{
    meter::{Meter, Thread},
    patience::patience,
    zygote::ChildHandle,
};

/// A stop takes effect in microseconds; where a thread is deep in the kernel, or the machine is busy, in some milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);
/// Nobody is to compute for nothing meanwhile.
const MOST_BUSY: Duration = Duration::from_millis(500);
/// So often one looks again at once, which is quicker than any timer.
const AT_ONCE: u32 = 100;

/// Its threads as they were when all of them had stopped.
#[derive(Debug)]
pub(crate) struct Frozen(Vec<Thread>);

/// Why it could not be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFrozen {
    /// It has ended.
    Ended,
    /// The machine does not show its threads.
    Hidden,
    /// They went on.
    Runs,
}

impl Frozen {
    /// Stops it and waits until no thread of it runs.
    pub(crate) async fn stop(child: &ChildHandle, meter: &mut Meter) -> Result<Self, NotFrozen> {
        child.stop();
        let most = meter.busy() + MOST_BUSY;
        let still = async {
            for look in 0_u32.. {
                let threads = all_still(meter);
                if child.has_ended() {
                    return Err(NotFrozen::Ended);
                }
                match threads {
                    Ok(Some(threads)) => return Ok(Self(threads)),
                    Err(hidden) if look >= AT_ONCE => return Err(hidden),
                    _ => {}
                }
                if look < AT_ONCE {
                    yield_now().await;
                } else if meter.busy() > most {
                    break;
                } else {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Err(NotFrozen::Runs)
        };
        timeout(patience(DEADLINE), still)
            .await
            .unwrap_or(Err(NotFrozen::Runs))
    }

    /// A process that was left alone, where tests leave this guard out.
    pub(crate) fn not() -> Self {
        Self(Vec::new())
    }

    /// Whether none of its threads has run since.
    pub(crate) fn holds(&self, meter: &Meter) -> bool {
        self.0.is_empty() || meter.threads().as_ref() == Some(&self.0)
    }
}

/// Its threads where each is still. They are looked at twice: while one is still on its way, it may make another, which the
/// first look misses; once one has stopped, none can be made.
fn all_still(meter: &Meter) -> Result<Option<Vec<Thread>>, NotFrozen> {
    let look = || meter.threads().ok_or(NotFrozen::Hidden);
    let first = look()?;
    if !first.iter().all(Thread::is_still) {
        return Ok(None);
    }
    let second = look()?;
    Ok((first == second).then_some(second))
}
