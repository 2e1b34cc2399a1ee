//! The process of a session: how it comes to be, rests between cells, and ends.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use meterbox_sandbox_client::{Limits, SandboxError};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::{net::unix::pipe::Sender, time::timeout};

use super::{
    frame::{self, Frame, Nonce},
    frozen::{Frozen, NotFrozen},
};
use crate::{
    artifacts::Seen,
    document::JobDocument,
    meter::millis,
    patience::patience,
    pool::Pool,
    run::{self, Running},
    streams::Step,
    turns::Place,
    waiting::NotSealed,
    zygote::{Ended, Process, Zygote, plain},
};

/// From the last lock to the runner's first word: milliseconds, on a machine that is not full.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);
const ORPHAN_DEADLINE: Duration = Duration::from_secs(2);

/// A process that is stopped, or runs a cell. Dropping it ends it.
pub(crate) struct Body {
    pub(super) running: Running,
    pub(super) cells: Sender,
    /// Its own, also when the sandbox has taken another.
    pub(super) zygote: Arc<Zygote>,
    pub(super) frozen: Frozen,
    pub(super) seen: Seen,
    /// Processor time that somebody has paid for, milliseconds.
    paid: u64,
    /// Its last cell went after others in the end.
    pub(super) goes_after: bool,
    /// Among the programs that are let in, at rest too: it takes a place of its interpreter's.
    pub(super) place: Option<Place>,
}

impl Body {
    /// A process whose runner waits for its first cell.
    pub(super) async fn begin(
        zygote: &Arc<Zygote>,
        pool: &Pool,
        document: &JobDocument<'_>,
        limits: &Limits,
        nonce: Nonce,
    ) -> Result<Self, NotSealed> {
        let (cells, theirs) = cells_pipe().map_err(|error| {
            let message = "the machine has no room for another session";
            NotSealed::Refused(SandboxError::platform(message, error))
        })?;
        let mut running = run::start(
            zygote,
            Some(pool),
            document,
            limits,
            Arc::new(()),
            Some(theirs.as_fd()),
        )
        .await?;
        drop(theirs);
        // Slow or wedged, it is alone in that; its interpreter is not to blame.
        let greeted = timeout(patience(GREETING_DEADLINE), greeting(&mut running, nonce)).await;
        if greeted != Ok(true) {
            let words = running.streams.finish().stderr;
            let message = format!("a session's runner did not come up: {}", words.trim());
            return Err(NotSealed::Broken(plain(message)));
        }
        let frozen = rest(zygote, &mut running).await.map_err(not_sealed)?;
        Ok(Self {
            running,
            cells,
            zygote: Arc::clone(zygote),
            frozen,
            seen: Seen::default(),
            paid: 0,
            goes_after: false,
            place: None,
        })
    }

    /// Stops it.
    pub(super) async fn rest(&mut self) -> Result<(), NotFrozen> {
        self.frozen = rest(&self.zygote, &mut self.running).await?;
        Ok(())
    }

    /// A new cell has had no turn yet, whatever the last one had.
    pub(super) fn goes_with_others(&mut self) {
        if self.goes_after && self.running.child.goes_after_others(false) {
            self.goes_after = false;
        }
    }

    /// Whether it is as it was when it was stopped.
    pub(super) fn has_slept(&mut self) -> bool {
        self.frozen.holds(&self.running.meter)
    }

    /// Processor time since somebody paid last, in milliseconds; that is paid now. Nothing is counted twice or lost by
    /// rounding.
    pub(super) fn pay(&mut self, busy: Duration) -> u64 {
        let now = millis(busy).max(self.paid);
        now - std::mem::replace(&mut self.paid, now)
    }

    /// Ends it, and waits until it is gone. Says what of its processor time nobody has paid for, in milliseconds.
    pub(super) async fn dissolve(mut self) -> Result<u64, SandboxError> {
        match run::killed(&self.zygote, &mut self.running).await {
            Ok(Ended { cpu, .. }) => {
                let own = self.running.meter.own_time(cpu);
                Ok(self.pay(own))
            }
            // Where its interpreter died, nobody tells of it, and the kernel ends it.
            Err(error) => {
                if gone(self.running.child.process()).await {
                    Ok(0)
                } else {
                    Err(error)
                }
            }
        }
    }
}

/// Waits for the end of a process that was killed, and says whether it came.
pub(super) async fn gone(process: Process) -> bool {
    let end = timeout(patience(ORPHAN_DEADLINE), process.end());
    end.await.is_ok()
}

async fn rest(zygote: &Zygote, Running { child, meter, .. }: &mut Running) -> Result<Frozen, NotFrozen> {
    if zygote.is_without("freeze") {
        return Ok(Frozen::not());
    }
    Frozen::stop(child, meter).await
}

fn cells_pipe() -> io::Result<(Sender, OwnedFd)> {
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((Sender::from_owned_fd(ours)?, theirs))
}

async fn greeting(running: &mut Running, nonce: Nonce) -> bool {
    while running.streams.is_open() {
        if running.streams.step().await == Step::OverLimit {
            return false;
        }
        match frame::read(running.streams.reply(), nonce) {
            Frame::Unfinished => {}
            Frame::Whole(_) => return true,
            Frame::Broken(_) => return false,
        }
    }
    false
}

fn not_sealed(error: NotFrozen) -> NotSealed {
    match error {
        NotFrozen::Hidden => NotSealed::Refused(SandboxError::Unavailable {
            missing: "/proc does not show the processes of the sandbox's user, and a session has to be seen to rest"
                .to_owned(),
            fix: "mount /proc without `hidepid`".to_owned(),
        }),
        NotFrozen::Ended => NotSealed::Broken(plain("a session's process ended before its first cell")),
        NotFrozen::Runs => NotSealed::Broken(plain("a session's process could not be stopped")),
    }
}
