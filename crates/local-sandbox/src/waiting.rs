//! A child between its birth and the job it is for.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use meterbox_sandbox_client::SandboxError;
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    channel::Channel,
    diagnosis,
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
    pid: i32,
    pidfd: Arc<OwnedFd>,
    pooled: bool,
}

/// A child that is sealed and runs its program.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) child: ChildHandle,
    pub(crate) pid: i32,
    pub(crate) pidfd: Arc<OwnedFd>,
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
    /// A child that begins with its set-up; it may be given its job before that is done.
    pub(crate) async fn on_demand(zygote: &Zygote) -> Result<Self, NotSealed> {
        Self::born(zygote, false).await
    }

    /// A child that waits for its job, set up as far as goes without it.
    pub(crate) async fn ready(zygote: &Zygote) -> Result<Self, NotSealed> {
        let mut waiting = Self::born(zygote, true).await?;
        let said = within(SETUP_DEADLINE, zygote, said(&waiting.setup, zygote)).await?;
        if !matches!(said, Said::Waiting) {
            return Err(unknown());
        }
        waiting.pooled = true;
        Ok(waiting)
    }

    async fn born(zygote: &Zygote, warm: bool) -> Result<Self, NotSealed> {
        let (setup, theirs) = Channel::pair().map_err(|error| {
            NotSealed::Refused(SandboxError::platform(
                "the machine has no room for another run",
                error,
            ))
        })?;
        let mut child = zygote
            .child(theirs.as_fd(), warm)
            .await
            .map_err(NotSealed::Broken)?;
        // The child gets its own; ours would hide its death.
        drop(theirs);
        let started = async { Ok(child.next().await) };
        match within(SETUP_DEADLINE, zygote, started).await? {
            Some(ChildEvent::Started { pid, pidfd }) => Ok(Self {
                child,
                setup,
                pid,
                pidfd,
                pooled: false,
            }),
            Some(ChildEvent::Refused { message }) => Err(NotSealed::Refused(plain(format!(
                "no process could be made: {message}"
            )))),
            _ => Err(died(zygote)),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.child.has_ended()
    }

    /// Hands it its job and waits for its word that it is sealed. `descriptors`: job, stdout, stderr, reply. The
    /// program itself never has the socket that the word comes over.
    pub(crate) async fn begin(
        self,
        zygote: &Zygote,
        descriptors: [BorrowedFd<'_>; 4],
    ) -> Result<Sealed, NotSealed> {
        let Self {
            child,
            setup,
            pid,
            pidfd,
            pooled,
        } = self;
        let sealed = async {
            setup
                .send(b"job", &descriptors)
                .await
                .map_err(|error| broken("a jail does not listen", error))?;
            let mut scratch = None;
            loop {
                match (said(&setup, zygote).await?, scratch.take()) {
                    (Said::Waiting, None) => {}
                    (Said::Prepared(folder), None) => scratch = Some(folder),
                    (Said::Sealed, Some(folder)) => return Ok(folder),
                    _ => return Err(unknown()),
                }
            }
        };
        let scratch = if pooled {
            // It alone may be wedged; the zygote is not to blame.
            timeout(POOLED_DEADLINE, sealed)
                .await
                .unwrap_or_else(|_| Err(NotSealed::Broken(plain("a waiting jail did not answer"))))?
        } else {
            within(SETUP_DEADLINE, zygote, sealed).await?
        };
        Ok(Sealed {
            child,
            pid,
            pidfd,
            scratch,
        })
    }
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
    #[derive(Deserialize)]
    struct Failed {
        failed: FailedStep,
    }
    let message = setup
        .receive()
        .await
        .map_err(|error| broken("a jail fell silent", error))?;
    let Some(message) = message else {
        return Err(died(zygote));
    };
    match (message.bytes.as_slice(), message.descriptor) {
        (b"waiting", None) => Ok(Said::Waiting),
        (b"prepared", Some(folder)) => Ok(Said::Prepared(folder)),
        (b"sealed", None) => Ok(Said::Sealed),
        (bytes, _) => match serde_json::from_slice(bytes) {
            Ok(Failed { failed }) => Err(NotSealed::Refused(diagnosis::failed_run(&failed))),
            Err(_) => Err(unknown()),
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
