//! A child between its birth and the job it is for.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use meterbox_sandbox_client::{Limits, SandboxError};
use tokio::time::timeout;

use crate::{
    channel::Channel,
    diagnosis,
    groups::Caps,
    meter::Meter,
    native::wire::{self, Failed},
    patience::patience,
    zygote::{ChildEvent, ChildHandle, FailedStep, Zygote, plain},
};

/// A healthy set-up takes milliseconds.
const SETUP_DEADLINE: Duration = Duration::from_secs(5);
/// What is left of it for a child from the pool takes less than one.
const POOLED_DEADLINE: Duration = Duration::from_secs(1);

/// A child that has run nothing yet. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Waiting {
    child: ChildHandle,
    setup: Channel,
    /// What it has before its program: as long as it waits, or else from the moment on at which it is prepared.
    meter: Meter,
}

/// A child that is sealed and runs its program.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) child: ChildHandle,
    pub(crate) meter: Meter,
    /// Its working folder.
    pub(crate) scratch: OwnedFd,
}

/// Why a child was not sealed. No program has run.
#[derive(Debug)]
pub(crate) enum NotSealed {
    /// The job or the machine is at fault: another child fails as well.
    Refused(SandboxError),
    /// This child is at fault, or the zygote.
    Broken(SandboxError),
}

impl Waiting {
    /// A child for this very job: it is told before it is born, and waits for nobody.
    pub(crate) async fn on_demand(
        zygote: &Zygote,
        descriptors: &[BorrowedFd<'_>],
        limits: &Limits,
    ) -> Result<Sealed, NotSealed> {
        let sealed = async {
            let (child, setup) = Self::ask(zygote, zygote.caps(limits), false).await?;
            give(&setup, descriptors).await?;
            Self::born(zygote, child, setup).await?.sealed(zygote).await
        };
        within(SETUP_DEADLINE, zygote, sealed).await
    }

    /// A child that waits for its job, set up as far as goes without it.
    pub(crate) async fn ready(zygote: &Zygote) -> Result<Self, NotSealed> {
        let waiting = async {
            let (child, setup) = Self::ask(zygote, zygote.caps_of_ready(), true).await?;
            let mut waiting = Self::born(zygote, child, setup).await?;
            match said(&waiting.setup, zygote).await? {
                Said::Waiting => {
                    waiting.meter.begin(zygote.ready.baseline.resident);
                    Ok(waiting)
                }
                _ => Err(unknown()),
            }
        };
        within(SETUP_DEADLINE, zygote, waiting).await
    }

    async fn ask(zygote: &Zygote, caps: Caps, warm: bool) -> Result<(ChildHandle, Channel), NotSealed> {
        let (setup, theirs) = Channel::pair().map_err(|error| {
            NotSealed::Refused(SandboxError::platform(
                "the machine has no room for another run",
                error,
            ))
        })?;
        let group = zygote.group(caps).map_err(NotSealed::Refused)?;
        let child = zygote
            .child(theirs.as_fd(), group, warm)
            .await
            .map_err(NotSealed::Broken)?;
        // The child gets its own; ours, which goes now, would hide its death.
        Ok((child, setup))
    }

    async fn born(zygote: &Zygote, mut child: ChildHandle, setup: Channel) -> Result<Self, NotSealed> {
        match child.next().await {
            Some(ChildEvent::Started { pid, pidfd }) => {
                in_its_group(&child, pid)?;
                let meter = Meter::new(pid, &pidfd, child.group());
                Ok(Self { child, setup, meter })
            }
            Some(ChildEvent::Refused { error }) => Err(NotSealed::Refused(SandboxError::platform(
                "no process could be made",
                error,
            ))),
            _ => Err(died(zygote)),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.child.has_ended()
    }

    /// Hands a child that waits its job, and waits for its word that it is sealed. `descriptors`: job, stdout, stderr,
    /// reply, and a session's cells.
    pub(crate) async fn begin(
        self,
        zygote: &Zygote,
        descriptors: &[BorrowedFd<'_>],
        limits: &Limits,
    ) -> Result<Sealed, NotSealed> {
        let sealed = async {
            if let Some(group) = self.child.group() {
                let capped = group.cap(zygote.caps(limits));
                capped.map_err(|error| broken("a jail's control group could not be capped", error))?;
            }
            give(&self.setup, descriptors).await?;
            self.sealed(zygote).await
        };
        // It alone may be wedged; the zygote is not to blame.
        timeout(patience(POOLED_DEADLINE), sealed)
            .await
            .unwrap_or_else(|_| Err(NotSealed::Broken(plain("a waiting jail did not answer"))))
    }

    /// The program itself never has the socket that the word comes over.
    async fn sealed(mut self, zygote: &Zygote) -> Result<Sealed, NotSealed> {
        let mut scratch = None;
        loop {
            match (said(&self.setup, zygote).await?, scratch.take()) {
                (Said::Waiting, None) => {}
                (Said::Prepared(folder), None) => {
                    // Where this process had to wait, what is there now may be the program's already.
                    self.meter.begin_or_look_again(zygote.ready.baseline.resident);
                    scratch = Some(folder);
                }
                (Said::Sealed, Some(scratch)) => {
                    return Ok(Sealed {
                        child: self.child,
                        meter: self.meter,
                        scratch,
                    });
                }
                _ => return Err(unknown()),
            }
        }
    }
}

/// A child that was not born where it belongs is not used.
fn in_its_group(child: &ChildHandle, pid: i32) -> Result<(), NotSealed> {
    let Some(group) = child.group() else {
        return Ok(());
    };
    match group.holds(pid) {
        Ok(true) => Ok(()),
        // The dead are in no group; whoever waits for it learns that.
        Ok(false) if child.has_ended() => Ok(()),
        Ok(false) => Err(NotSealed::Refused(plain(
            "a jail was born outside of its control group",
        ))),
        Err(error) => Err(broken("a jail's control group cannot be read", error)),
    }
}

async fn give(setup: &Channel, descriptors: &[BorrowedFd<'_>]) -> Result<(), NotSealed> {
    setup
        .send(wire::JOB, descriptors)
        .await
        .map_err(|error| broken("a jail does not listen", error))
}

impl NotSealed {
    pub(crate) fn error(self) -> SandboxError {
        match self {
            Self::Refused(error) | Self::Broken(error) => error,
        }
    }
}

enum Said {
    Waiting,
    Prepared(OwnedFd),
    Sealed,
}

async fn said(setup: &Channel, zygote: &Zygote) -> Result<Said, NotSealed> {
    let message = setup
        .receive()
        .await
        .map_err(|error| broken("a jail fell silent", error))?;
    let Some(message) = message else {
        return Err(died(zygote));
    };
    match (message.bytes.as_slice(), message.descriptor) {
        (wire::WAITING, None) => Ok(Said::Waiting),
        (wire::PREPARED, Some(folder)) => Ok(Said::Prepared(folder)),
        (wire::SEALED, None) => Ok(Said::Sealed),
        (bytes, _) => match Failed::decode(bytes) {
            Some((failed, what)) => {
                let failed = FailedStep::new(failed, what);
                Err(NotSealed::Refused(diagnosis::failed_run(&failed)))
            }
            None => Err(unknown()),
        },
    }
}

/// Whoever takes longer than this is wedged, unless the zygote has its hands full with others.
async fn within<T>(
    deadline: Duration,
    zygote: &Zygote,
    step: impl Future<Output = Result<T, NotSealed>>,
) -> Result<T, NotSealed> {
    let done = zygote.patiently(deadline, step).await;
    done.unwrap_or_else(|| Err(NotSealed::Broken(plain("a jail was not ready in time"))))
}

fn died(zygote: &Zygote) -> NotSealed {
    NotSealed::Broken(plain(format!(
        "the interpreter broke off: {}",
        zygote.last_words()
    )))
}

fn unknown() -> NotSealed {
    NotSealed::Broken(plain("a jail said something unknown"))
}

fn broken(what: &'static str, error: io::Error) -> NotSealed {
    NotSealed::Broken(SandboxError::platform(what, error))
}
