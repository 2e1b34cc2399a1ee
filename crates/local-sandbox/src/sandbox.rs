use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use meterbox_core::{Clock, SystemClock, contract::SandboxReport};
use meterbox_sandbox_client::{Capabilities, Job, Outcome, OutputSink, Sandbox, SandboxError, Verdict};
use tokio::sync::Mutex;

use crate::{
    diagnosis::{self, Diagnosis},
    document::JobDocument,
    run,
    runtime::Runtime,
    zygote::{Settings, Zygote},
};

/// A user that no distribution gives to anybody.
const DEFAULT_ID: u32 = 61184;

/// Runs programs on this machine, each in a jail of its own.
///
/// Cheap to make; the interpreter is prepared by the first call of [`Sandbox::run`] or
/// [`Sandbox::capabilities`] and again after it died. Any number of runs may be in flight.
pub struct LocalSandbox {
    settings: Settings,
    inputs_root: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    zygote: Mutex<Option<Arc<Zygote>>>,
}

/// Makes a [`LocalSandbox`].
#[derive(Debug)]
pub struct LocalSandboxBuilder {
    runtime: Runtime,
    inputs_root: Option<PathBuf>,
    uid: u32,
    gid: u32,
    clock: Arc<dyn Clock>,
    prelude: String,
    without: Vec<&'static str>,
}

impl LocalSandbox {
    /// A sandbox whose programs run in this Python.
    pub fn builder(runtime: Runtime) -> LocalSandboxBuilder {
        LocalSandboxBuilder {
            runtime,
            inputs_root: None,
            uid: DEFAULT_ID,
            gid: DEFAULT_ID,
            clock: Arc::new(SystemClock::default()),
            prelude: meterbox_sandbox_client::prelude::SOURCE.to_owned(),
            without: Vec::new(),
        }
    }

    /// Tries everything a run needs, one thing after the other, and says what was found.
    pub async fn diagnose(&self) -> Diagnosis {
        diagnosis::diagnose(&self.settings).await
    }

    async fn zygote(&self) -> Result<Arc<Zygote>, SandboxError> {
        let mut slot = self.zygote.lock().await;
        if let Some(zygote) = slot.as_ref().filter(|zygote| zygote.is_alive()) {
            return Ok(Arc::clone(zygote));
        }
        *slot = None;
        diagnosis::require_processor()?;
        let zygote = Arc::new(Zygote::start(&self.settings).await?);
        if self.settings.without.is_empty() {
            let failed = run::trial(&zygote).await?;
            if !failed.is_empty() {
                return Err(diagnosis::unsafe_jail(&failed));
            }
        }
        *slot = Some(Arc::clone(&zygote));
        Ok(zygote)
    }

    fn report(zygote: Option<&Zygote>) -> SandboxReport {
        let landlock = match zygote.map_or(0, |zygote| zygote.ready.landlock) {
            0 => String::new(),
            abi => format!(" + landlock (version {abi})"),
        };
        let guarantees = [
            ("filesystem", format!("own root, read-only{landlock}")),
            (
                "network",
                "own empty network namespace + no sockets (seccomp)".to_owned(),
            ),
            (
                "processes",
                "no fork, no exec (seccomp) + own process namespace".to_owned(),
            ),
            ("memory", "resource limits + watched from outside".to_owned()),
            (
                "kill",
                "the process namespace dies with its only process".to_owned(),
            ),
        ];
        SandboxReport {
            provider: "local".to_owned(),
            tier: "ns".to_owned(),
            guarantees: guarantees
                .into_iter()
                .map(|(name, by)| (name.to_owned(), by))
                .collect(),
        }
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        let zygote = self.zygote().await?;
        Ok(Capabilities {
            python: zygote.ready.python.clone(),
            packages: zygote.ready.packages.clone(),
            sandbox: Self::report(Some(&zygote)),
        })
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        let document = JobDocument::new(&job, self.inputs_root.as_deref())?;
        let zygote = tokio::select! {
            zygote = self.zygote() => zygote?,
            () = job.cancel.cancelled() => return Ok(Outcome::new(Verdict::Cancelled, Self::report(None))),
        };
        let report = Self::report(Some(&zygote));
        run::run(&zygote, &job, &document, output, report, &*self.clock).await
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

    /// Leaves out guards, by the names that the sources of the zygote and of the naive supervisor look for.
    /// For tests.
    #[cfg(feature = "test-guards")]
    #[doc(hidden)]
    #[must_use]
    pub fn without(mut self, guards: &[&'static str]) -> Self {
        self.without = guards.to_vec();
        self
    }

    /// The sandbox; nothing is started yet.
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
            without: self.without,
        };
        Ok(LocalSandbox {
            settings,
            inputs_root,
            clock: self.clock,
            zygote: Mutex::default(),
        })
    }
}

impl fmt::Debug for LocalSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSandbox")
            .field("python", &self.settings.python)
            .field("inputs_root", &self.inputs_root)
            .finish_non_exhaustive()
    }
}

fn real(folder: &Path) -> Option<PathBuf> {
    folder.canonicalize().ok().filter(|folder| folder.is_dir())
}
