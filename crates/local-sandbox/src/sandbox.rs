use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use meterbox_core::{
    Clock, SystemClock,
    contract::{SandboxReport, Usage},
};
use meterbox_sandbox_client::{
    Capabilities, Job, Limits, Outcome, OutputSink, Sandbox, SandboxError, Session, SessionSetup, Verdict,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    check::Diagnosis,
    document::JobDocument,
    generation::{Choice, Generation, Generations, Upkeep},
    run,
    runtime::{self, Runtime},
    session::{self, LocalSession},
    tier::Tier,
    turns::{Admission, Door, processors},
    waiting::NotSealed,
    zygote::{Settings, Zygote},
};

/// A user that no distribution gives to anybody.
const DEFAULT_ID: u32 = 61184;
const DEFAULT_READY: usize = 4;
const SHORT_RUN: Duration = Duration::from_millis(50);

/// Runs programs on this machine, each in a jail of its own.
///
/// Cheap to make; the interpreter is prepared by the first call of [`Sandbox::run`] or
/// [`Sandbox::capabilities`] and again after it died. Any number of runs may be asked for; so many
/// [at once](LocalSandboxBuilder::at_once) are let in, and the others wait. Dropping it ends its sessions.
pub struct LocalSandbox {
    generations: Arc<Generations>,
    door: Door,
    inputs_root: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    closing: CancellationToken,
    _sessions: DropGuard,
    /// As long as it is open, nobody takes the runtime away.
    _in_use: Option<File>,
}

/// Makes a [`LocalSandbox`].
#[derive(Debug)]
pub struct LocalSandboxBuilder {
    runtime: Runtime,
    inputs_root: Option<PathBuf>,
    uid: u32,
    gid: u32,
    control_group: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    prelude: String,
    without: Vec<&'static str>,
    upkeep: Upkeep,
    admission: Admission,
    choice: Choice,
}

impl LocalSandbox {
    /// A sandbox whose programs run in this Python.
    pub fn builder(runtime: Runtime) -> LocalSandboxBuilder {
        LocalSandboxBuilder {
            runtime,
            inputs_root: None,
            uid: DEFAULT_ID,
            gid: DEFAULT_ID,
            control_group: None,
            clock: Arc::new(SystemClock::default()),
            prelude: meterbox_sandbox_client::prelude::SOURCE.to_owned(),
            without: Vec::new(),
            upkeep: Upkeep {
                ready: DEFAULT_READY.min(processors().saturating_mul(2)),
                most_runs: 1_000,
                longest: Duration::from_secs(30 * 60),
            },
            admission: Admission::default(),
            choice: Choice {
                least: Tier::Namespaces,
                only: None,
            },
        }
    }

    /// Tries everything a run needs, one thing after the other, and says what was found.
    pub async fn diagnose(&self) -> Diagnosis {
        self.generations.diagnose().await
    }

    /// How many children are ready for the next run.
    #[cfg(feature = "test-guards")]
    #[doc(hidden)]
    pub async fn ready(&self) -> Result<usize, SandboxError> {
        Ok(self.generations.current().await?.pool.ready())
    }

    /// Whether one of them has rehearsed.
    #[cfg(feature = "test-guards")]
    #[doc(hidden)]
    pub async fn has_rehearsed(&self) -> Result<bool, SandboxError> {
        Ok(self.generations.current().await?.pool.has_rehearsed())
    }

    async fn run_once(
        &self,
        job: &Job,
        document: &JobDocument<'_>,
        output: Arc<dyn OutputSink>,
    ) -> Result<Outcome, NotSealed> {
        let generation = tokio::select! {
            generation = self.generations.current() => generation.map_err(NotSealed::Refused)?,
            () = job.cancel.cancelled() => return Ok(Outcome::new(Verdict::Cancelled, self.report(None))),
        };
        self.generations.count(&generation);
        let Generation { zygote, pool, .. } = &*generation;
        let refill = Refill(&generation);
        let report = self.report(Some(zygote));
        let run = run::run(zygote, pool, job, document, output, report, &*self.clock);
        tokio::pin!(run);
        tokio::select! {
            biased;
            outcome = &mut run => return outcome,
            () = tokio::time::sleep(SHORT_RUN) => drop(refill),
        }
        run.await
    }

    async fn session_once(&self, setup: &SessionSetup) -> Result<LocalSession, NotSealed> {
        let generation = self.generations.current().await.map_err(NotSealed::Refused)?;
        self.generations.count(&generation);
        let _refill = Refill(&generation);
        let host = session::Host {
            zygote: &generation.zygote,
            pool: &generation.pool,
            report: self.report(Some(&generation.zygote)),
            clock: &self.clock,
            inputs_root: self.inputs_root.as_deref(),
            closing: &self.closing,
        };
        session::begin(&host, setup).await
    }

    fn report(&self, zygote: Option<&Zygote>) -> SandboxReport {
        match zygote {
            Some(zygote) => zygote.tier.report(zygote.ready.landlock),
            // What it would be at least: nothing ran.
            None => self.generations.least().report(0),
        }
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        let generation = self.generations.current().await?;
        let zygote = &generation.zygote;
        Ok(Capabilities {
            python: zygote.ready.python.clone(),
            packages: zygote.ready.packages.clone(),
            sandbox: self.report(Some(zygote)),
            sessions: true,
        })
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        let document = JobDocument::new(&job, self.inputs_root.as_deref())?;
        let _place = tokio::select! {
            biased;
            () = job.cancel.cancelled() => return Ok(Outcome::new(Verdict::Cancelled, self.report(None))),
            place = self.door.enter() => place?,
        };
        match self.run_once(&job, &document, Arc::clone(&output)).await {
            // Nothing of the program has run, so nobody can tell; the dead interpreter is replaced on the way.
            Err(NotSealed::Broken(error)) => {
                tracing::warn!(%error, "a run begins again");
                self.run_once(&job, &document, output).await
            }
            done => done,
        }
        .map_err(NotSealed::error)
    }

    async fn session(&self, setup: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        // Nobody waits for a session that cannot be.
        JobDocument::session(&setup, String::new(), self.inputs_root.as_deref())?;
        let place = self.door.enter().await?;
        let session = match self.session_once(&setup).await {
            // No cell has run.
            Err(NotSealed::Broken(error)) => {
                tracing::warn!(%error, "a session begins again");
                self.session_once(&setup).await
            }
            done => done,
        };
        let mut session = session.map_err(NotSealed::error)?;
        session.keep(place);
        Ok(Box::new(session))
    }

    fn worst_usage(&self, limits: &Limits) -> Usage {
        limits.worst_usage()
    }
}

impl LocalSandboxBuilder {
    /// The folder that every job's inputs lie in, at any depth; without one, jobs have no inputs. A program
    /// sees only the inputs of its own job.
    #[must_use]
    pub fn inputs_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.inputs_root = Some(folder.into());
        self
    }

    /// Who programs run as where the supervisor is root: ids that nobody else on the machine has.
    #[must_use]
    pub fn run_as(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Measures wall-clock time by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many single-use children are kept ready, so that a run finds one: 0 for none, otherwise twice the
    /// processors but 4 at most, unless set. Each takes some megabytes. Of two or more one draws a chart of its own while nothing
    /// runs, so that a program's is quicker afterwards, and takes some twenty megabytes.
    #[must_use]
    pub fn ready(mut self, children: usize) -> Self {
        self.upkeep.ready = children;
        self
    }

    /// How long one prepared interpreter is used before a fresh one takes its place: for so many runs (1000 unless
    /// set) or so long (30 minutes unless set), whichever comes first.
    #[must_use]
    pub fn renew_after(mut self, runs: u64, time: Duration) -> Self {
        (self.upkeep.most_runs, self.upkeep.longest) = (runs, time);
        self
    }

    /// How many programs run at once at most, sessions among them, also while they rest: 1 to 448. Unless set, 64 for each
    /// processor, and fewer where this process may not have eight open files for each (`ulimit -n`). Others wait for their
    /// turn, first come, first served; waiting is no time of theirs and costs nothing. Whoever has waited for as long as
    /// `patience` (30 seconds unless set) is refused with [`SandboxError::Busy`].
    ///
    /// Where more run than the machine has processors, those that have run for 50 milliseconds go after younger ones,
    /// so that short programs stay quick beside long ones. Where all are long, fewer at once end more of them in time.
    #[must_use]
    pub fn at_once(mut self, programs: usize, patience: Duration) -> Self {
        self.admission = Admission::new(programs, patience);
        self
    }

    /// The weakest jail that is good enough: [`Tier::Namespaces`] unless set. The strongest that this machine gives is
    /// used; where that is weaker, every call is [`SandboxError::Unavailable`] and names what is missing and the fix.
    /// Every outcome's report says which it was and what it promises.
    ///
    /// Below `Namespaces` a program's data is not at `/data`: `tables` and `data_dir` know where it is, and the error of one
    /// that looked there says so.
    #[must_use]
    pub fn min_tier(mut self, tier: Tier) -> Self {
        self.choice.least = tier;
        self
    }

    /// The folder of a control group of version 2 to make groups in, for the tier [`Tier::ControlGroup`]. It has to hand
    /// memory and pids down and to have no process in it but, where it is this one's group, this one, which then moves to
    /// a group below. Where this is a plain user, the group is theirs and this process lives in it or below.
    ///
    /// Without one, the group of this process is used where systemd has delegated it (`Delegate=yes`), or where it belongs
    /// to this plain user, and no other process lives in it. Others are never moved.
    #[must_use]
    pub fn control_group(mut self, folder: impl Into<PathBuf>) -> Self {
        self.control_group = Some(folder.into());
        self
    }

    /// Uses this tier whatever the machine could give. For tests.
    #[cfg(feature = "test-guards")]
    #[doc(hidden)]
    #[must_use]
    pub fn only_tier(mut self, tier: Tier) -> Self {
        self.choice = Choice {
            least: tier,
            only: Some(tier),
        };
        self
    }

    /// Leaves out guards, by the names that the sources of the zygote and of the naive supervisor look for.
    /// For tests.
    #[cfg(feature = "test-guards")]
    #[doc(hidden)]
    #[must_use]
    pub fn without(mut self, guards: &[&'static str]) -> Self {
        self.without = guards.to_vec();
        self
    }

    /// The sandbox; nothing is started yet. Blocks while somebody removes this runtime.
    ///
    /// # Errors
    /// [`SandboxError::BadJob`] where the user is root or a folder does not exist, and
    /// [`SandboxError::Unavailable`] where there is no Python at the place given.
    pub fn build(self) -> Result<LocalSandbox, SandboxError> {
        if self.uid == 0 || self.gid == 0 {
            let reason = "programs may not run as root; choose another user".to_owned();
            return Err(SandboxError::BadJob { reason });
        }
        let inputs_root = match &self.inputs_root {
            None => None,
            Some(folder) => Some(real(folder).ok_or_else(|| SandboxError::BadJob {
                reason: format!("the inputs root {} does not exist", folder.display()),
            })?),
        };
        let no_python = |path: &Path| SandboxError::Unavailable {
            missing: format!("there is no Python runtime at {}", path.display()),
            fix: "run `meterbox runtime install`".to_owned(),
        };
        let Runtime {
            python,
            base_prefix,
            venv,
            font_cache,
            ..
        } = self.runtime;
        // Before it is looked at: whoever removes it is done then.
        let in_use = runtime::in_use(&venv);
        let libraries = base_prefix.join("lib");
        for path in [&venv, &libraries] {
            real(path).ok_or_else(|| no_python(path))?;
        }
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| no_python(path));
        let settings = Settings {
            python,
            prelude: self.prelude,
            // What does not exist of these is left out.
            readable: vec![
                text(&venv)?,
                text(&libraries)?,
                text(&base_prefix.join("lib64"))?,
                text(&font_cache)?,
            ],
            font_cache,
            inputs: inputs_root.as_deref().map(text).transpose()?,
            uid: self.uid,
            gid: self.gid,
            control_group: self.control_group,
            without: self.without,
        };
        let closing = CancellationToken::new();
        Ok(LocalSandbox {
            _sessions: closing.clone().drop_guard(),
            closing,
            generations: Generations::new(settings, self.upkeep, self.choice, Arc::clone(&self.clock)),
            door: Door::new(self.admission),
            inputs_root,
            clock: self.clock,
            _in_use: in_use,
        })
    }
}

impl fmt::Debug for LocalSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSandbox")
            .field("python", &self.generations.settings().python)
            .field("inputs_root", &self.inputs_root)
            .finish_non_exhaustive()
    }
}

/// Makes ready children again for those that a run took, when that is done or dropped or turns out to be long: a
/// short one needs the processor itself.
struct Refill<'a>(&'a Generation);

impl Drop for Refill<'_> {
    fn drop(&mut self) {
        self.0.pool.refill(&self.0.zygote);
    }
}

fn real(folder: &Path) -> Option<PathBuf> {
    folder.canonicalize().ok().filter(|folder| folder.is_dir())
}
