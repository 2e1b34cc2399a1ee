//! A child between its birth and the job it is for.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use meterbox_sandbox_client::{Limits, SandboxError};
use tokio::time::{error::Elapsed, timeout};

use crate::{
    channel::{Channel, Message, Quiet},
    diagnosis,
    groups::Caps,
    meter::Meter,
    native::wire::{self, Failed},
    patience::patience,
    streams::ProgramEnds,
    zygote::{ChildEvent, ChildHandle, FailedStep, Zygote, plain},
};

/// A healthy set-up takes milliseconds.
const SETUP_DEADLINE: Duration = Duration::from_secs(5);
/// What is left of it for a child from the pool takes less than one.
const POOLED_DEADLINE: Duration = Duration::from_secs(1);
/// So long one waits for a program's first word before one asks whether it has begun.
pub(crate) const FIRST_WORD: Duration = Duration::from_millis(2);

/// A child on its way.
struct Born {
    child: ChildHandle,
    setup: Channel,
    meter: Meter,
}

/// A child that waits for its job and has run nothing yet. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Waiting {
    child: ChildHandle,
    /// Nobody is woken by what it says: that would be one more wake-up on the way to the program's first word, and on kernels
    /// before 6.12 whoever is woken on the same processor has to wait for the program.
    setup: Quiet,
    so_far: SoFar,
}

/// What is known of a child that is being sealed.
#[derive(Debug)]
struct SoFar {
    /// What it has before its program: as long as it waits, or else from the moment on at which it is prepared.
    meter: Meter,
    /// Its working folder.
    scratch: Option<OwnedFd>,
}

/// A child that is sealed and runs its program.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) child: ChildHandle,
    pub(crate) meter: Meter,
    /// Its working folder.
    pub(crate) scratch: OwnedFd,
}

/// What a child is handed with its job. It has its own then: ours would keep the pipes open after its death.
#[derive(Debug)]
pub(crate) struct Given<'run> {
    job: OwnedFd,
    ends: ProgramEnds,
    cells: Option<BorrowedFd<'run>>,
}

impl<'run> Given<'run> {
    /// `cells`: a session's.
    pub(crate) fn new(job: OwnedFd, ends: ProgramEnds, cells: Option<BorrowedFd<'run>>) -> Self {
        Self { job, ends, cells }
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let Self { job, ends, cells } = self;
        let always = [job, &ends.stdout, &ends.stderr, &ends.reply].map(AsFd::as_fd);
        always.into_iter().chain(*cells).collect()
    }
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
        given: Given<'_>,
        limits: &Limits,
    ) -> Result<Sealed, NotSealed> {
        let sealed = async {
            let (child, setup) = ask(zygote, zygote.caps(limits), false).await?;
            let told = setup.send(wire::JOB, &given.descriptors()).await;
            told.map_err(does_not_listen)?;
            drop(given);
            let Born { child, setup, meter } = born(zygote, child, setup).await?;
            let so_far = SoFar { meter, scratch: None };
            so_far.until_sealed(zygote, child, &setup).await
        };
        within(SETUP_DEADLINE, zygote, sealed).await
    }

    /// A child that waits for its job, set up as far as goes without it.
    pub(crate) async fn ready(zygote: &Zygote) -> Result<Self, NotSealed> {
        let waiting = async {
            let (child, setup) = ask(zygote, zygote.caps_of_ready(), true).await?;
            let Born {
                child,
                setup,
                mut meter,
            } = born(zygote, child, setup).await?;
            let Said::Waiting(scratch) = said(&setup, zygote).await? else {
                return Err(unknown());
            };
            // A message loses its descriptor where there is no room for one more.
            if scratch.is_none() && zygote.folder.is_none() {
                return Err(NotSealed::Broken(plain(
                    "a waiting jail did not say where it works",
                )));
            }
            meter.begin(zygote.ready.baseline.resident);
            let setup = setup.quiet().map_err(not_heard)?;
            Ok(Self {
                child,
                setup,
                so_far: SoFar { meter, scratch },
            })
        };
        within(SETUP_DEADLINE, zygote, waiting).await
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.child.has_ended()
    }

    /// Has it do what many programs do: memory that it copies then is its own when its program comes. It waits again after
    /// that, and nothing of it is the program's to pay. Dropped before that, it is killed.
    pub(crate) async fn rehearsed(self, zygote: &Zygote) -> Result<Self, NotSealed> {
        let Self {
            child,
            setup,
            mut so_far,
        } = self;
        let rehearsed = async {
            let setup = setup.listen().map_err(not_heard)?;
            setup.send(wire::REHEARSE, &[]).await.map_err(does_not_listen)?;
            let Said::Waiting(_) = said(&setup, zygote).await? else {
                return Err(unknown());
            };
            so_far.meter.begin_after_rehearsal(zygote.ready.baseline.resident);
            let setup = setup.quiet().map_err(not_heard)?;
            Ok(Self { child, setup, so_far })
        };
        timeout(patience(SETUP_DEADLINE), rehearsed)
            .await
            .unwrap_or_else(did_not_answer)
    }

    /// Hands a child that waits its job, and hears its word that it is sealed: with the program's `first_word`, or soon where
    /// that does not come.
    pub(crate) async fn begin(
        self,
        zygote: &Zygote,
        given: Given<'_>,
        limits: &Limits,
        first_word: impl Future<Output = ()>,
    ) -> Result<Sealed, NotSealed> {
        let Self {
            child,
            setup,
            mut so_far,
        } = self;
        let sealed = async {
            if let Some(group) = child.group() {
                let capped = group.cap(zygote.caps(limits));
                capped.map_err(|error| broken("a jail's control group could not be capped", error))?;
            }
            setup
                .send(wire::JOB, &given.descriptors())
                .map_err(does_not_listen)?;
            drop(given);
            so_far.meter.look_again();
            let _ = timeout(FIRST_WORD, first_word).await;
            // It says that it is sealed before it says anything else.
            loop {
                let said = match setup.look() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    looked => understood(looked, zygote)?,
                };
                if so_far.is_sealed_by(said, zygote)? {
                    return so_far.sealed(child);
                }
            }
            let setup = setup.listen().map_err(not_heard)?;
            so_far.until_sealed(zygote, child, &setup).await
        };
        timeout(patience(POOLED_DEADLINE), sealed)
            .await
            .unwrap_or_else(did_not_answer)
    }
}

impl SoFar {
    async fn until_sealed(
        mut self,
        zygote: &Zygote,
        child: ChildHandle,
        setup: &Channel,
    ) -> Result<Sealed, NotSealed> {
        while !self.is_sealed_by(said(setup, zygote).await?, zygote)? {}
        self.sealed(child)
    }

    /// The program itself never has the socket that these words come over.
    fn is_sealed_by(&mut self, said: Said, zygote: &Zygote) -> Result<bool, NotSealed> {
        match (said, &self.scratch) {
            (Said::Waiting(None), None) => Ok(false),
            (Said::Prepared(scratch), None) => {
                // Where this process had to wait, what is there now may be the program's already.
                self.meter.begin_or_look_again(zygote.ready.baseline.resident);
                self.scratch = Some(scratch);
                Ok(false)
            }
            (Said::Sealed, Some(_)) => Ok(true),
            _ => Err(unknown()),
        }
    }

    fn sealed(self, child: ChildHandle) -> Result<Sealed, NotSealed> {
        Ok(Sealed {
            child,
            meter: self.meter,
            scratch: self.scratch.ok_or_else(unknown)?,
        })
    }
}

async fn ask(zygote: &Zygote, caps: Caps, warm: bool) -> Result<(ChildHandle, Channel), NotSealed> {
    let (setup, theirs) = Channel::pair().map_err(NotSealed::no_room)?;
    let group = zygote.group(caps).map_err(NotSealed::Refused)?;
    let child = zygote
        .child(theirs.as_fd(), group, warm)
        .await
        .map_err(NotSealed::Broken)?;
    // The child gets its own; ours, which goes now, would hide its death.
    Ok((child, setup))
}

async fn born(zygote: &Zygote, mut child: ChildHandle, setup: Channel) -> Result<Born, NotSealed> {
    match child.next().await {
        Some(ChildEvent::Started { pid, pidfd }) => {
            in_its_group(&child, pid)?;
            let meter = Meter::new(pid, &pidfd, child.group());
            Ok(Born { child, setup, meter })
        }
        Some(ChildEvent::Refused { error }) => Err(NotSealed::Refused(SandboxError::platform(
            "no process could be made",
            error,
        ))),
        _ => Err(died(zygote)),
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

impl NotSealed {
    pub(crate) fn no_room(error: io::Error) -> Self {
        Self::Refused(SandboxError::platform(
            "the machine has no room for another run",
            error,
        ))
    }

    pub(crate) fn error(self) -> SandboxError {
        match self {
            Self::Refused(error) | Self::Broken(error) => error,
        }
    }
}

enum Said {
    /// With the working folder, where that is known without a job and stays what it is.
    Waiting(Option<OwnedFd>),
    Prepared(OwnedFd),
    Sealed,
}

async fn said(setup: &Channel, zygote: &Zygote) -> Result<Said, NotSealed> {
    understood(setup.receive().await, zygote)
}

fn understood(message: io::Result<Option<Message>>, zygote: &Zygote) -> Result<Said, NotSealed> {
    let message = message.map_err(|error| broken("a jail fell silent", error))?;
    let Some(message) = message else {
        return Err(died(zygote));
    };
    match (message.bytes.as_slice(), message.descriptor) {
        (wire::WAITING, scratch) => Ok(Said::Waiting(scratch)),
        (wire::PREPARED, Some(scratch)) => Ok(Said::Prepared(scratch)),
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

/// One that waits may be wedged alone; the zygote is not to blame.
fn did_not_answer<T>(_: Elapsed) -> Result<T, NotSealed> {
    Err(NotSealed::Broken(plain("a waiting jail did not answer")))
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

fn does_not_listen(error: io::Error) -> NotSealed {
    broken("a jail does not listen", error)
}

fn not_heard(error: io::Error) -> NotSealed {
    broken("a jail cannot be listened to", error)
}

fn broken(what: &'static str, error: io::Error) -> NotSealed {
    NotSealed::Broken(SandboxError::platform(what, error))
}
