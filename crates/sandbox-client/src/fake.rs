use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use meterbox_core::contract::{SandboxReport, Usage};
use serde_json::value::RawValue;

use crate::{
    Capabilities, Job, Limits, Outcome, OutputSink, OutputStream, ProgramError, Reply, Sandbox, SandboxError,
    Sent, Session, SessionSetup, Verdict, fake_session::FakeSession,
};

/// A sandbox that runs nothing: it does what it was told to do next, and remembers what it was asked.
///
/// ```
/// # use meterbox_sandbox_client::{FakeRun, FakeSandbox};
/// let sandbox = FakeSandbox::new();
/// sandbox.next(FakeRun::replies(r#"{"answer": null}"#));
/// sandbox.next(FakeRun::fails("the platform is gone"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct FakeSandbox {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<FakeRun>,
    jobs: Vec<Job>,
    killed: usize,
    under_way: Vec<Arc<dyn OutputSink>>,
    handler: Option<Handler>,
    worst_usage: Option<WorstUsage>,
}

type Handler = Arc<dyn Fn(&Job) -> FakeRun + Send + Sync>;
type WorstUsage = Arc<dyn Fn(&Limits) -> Usage + Send + Sync>;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("script", &self.script)
            .field("jobs", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

/// What a [`FakeSandbox`] does with a job.
#[derive(Debug, Clone)]
pub struct FakeRun {
    end: End,
    prints: String,
    meanwhile: Vec<Usage>,
    sends: Vec<Sent>,
    usage: Usage,
    artifacts: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum End {
    Replies(Box<RawValue>),
    Raises(ProgramError),
    Verdict(Verdict),
    Fails(String),
    Lost { usage_known: bool },
    Hangs,
}

impl FakeRun {
    /// The program replies with this JSON.
    ///
    /// # Panics
    /// Where it is no JSON: the test is wrong.
    pub fn replies(json: &str) -> Self {
        let value = RawValue::from_string(json.to_owned()).expect("a fake reply is JSON");
        Self::ends(End::Replies(value))
    }

    /// The program raises this error.
    pub fn raises(kind: &str, message: &str) -> Self {
        let (kind, message) = (kind.to_owned(), message.to_owned());
        Self::ends(End::Raises(ProgramError {
            kind,
            message,
            traceback: String::new(),
            line: Some(1),
        }))
    }

    /// The run ends so, without a reply.
    pub fn verdict(verdict: Verdict) -> Self {
        Self::ends(End::Verdict(verdict))
    }

    /// The sandbox itself fails.
    pub fn fails(message: &str) -> Self {
        Self::ends(End::Fails(message.to_owned()))
    }

    /// The run is lost after its program began; what it used is known or not.
    pub fn lost(usage_known: bool) -> Self {
        Self::ends(End::Lost { usage_known })
    }

    /// Nothing ever comes back, until somebody cancels.
    pub fn hangs() -> Self {
        Self::ends(End::Hangs)
    }

    fn ends(end: End) -> Self {
        let usage = Usage {
            wall_ms: 10,
            cpu_ms: 8,
            peak_memory_bytes: 1 << 20,
            output_bytes: 0,
        };
        Self {
            end,
            prints: String::new(),
            meanwhile: Vec::new(),
            sends: Vec::new(),
            usage,
            artifacts: Vec::new(),
        }
    }

    /// Where a raised error points to.
    #[must_use]
    pub fn at_line(mut self, line: u32) -> Self {
        if let End::Raises(error) = &mut self.end {
            error.line = Some(line);
        }
        self
    }

    /// It prints this first.
    #[must_use]
    pub fn printing(mut self, text: &str) -> Self {
        text.clone_into(&mut self.prints);
        self
    }

    /// While it runs, it is known to have used this much.
    #[must_use]
    pub fn using_meanwhile(mut self, usage: Usage) -> Self {
        self.meanwhile.push(usage);
        self
    }

    /// It is sent this, in another machine.
    #[must_use]
    pub fn sent(mut self, sent: Sent) -> Self {
        self.sends.push(sent);
        self
    }

    /// It used this much.
    #[must_use]
    pub fn using(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// It leaves this file.
    #[must_use]
    pub fn leaving(mut self, name: &str, bytes: &[u8]) -> Self {
        self.artifacts.push((name.to_owned(), bytes.to_owned()));
        self
    }
}

impl FakeSandbox {
    /// A sandbox without a script: it fails every job until told otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what to do with the next job nothing is planned for.
    pub fn next(&self, run: FakeRun) {
        self.lock().script.push_back(run);
    }

    /// What to do with jobs the script does not cover.
    pub fn otherwise(&self, handler: impl Fn(&Job) -> FakeRun + Send + Sync + 'static) {
        self.lock().handler = Some(Arc::new(handler));
    }

    /// Bills like another back end: at most this much for a run under given limits, instead of
    /// [`Limits::worst_usage`].
    pub fn bills_at_most(&self, worst_usage: impl Fn(&Limits) -> Usage + Send + Sync + 'static) {
        self.lock().worst_usage = Some(Arc::new(worst_usage));
    }

    /// The jobs it was given, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        self.lock().jobs.clone()
    }

    /// Tells whoever follows a run that is under way that it has used this much.
    pub fn used_by_all(&self, usage: Usage) {
        for sink in &self.lock().under_way {
            sink.used(usage);
        }
    }

    /// How many runs were dropped before they ended.
    pub fn killed(&self) -> usize {
        self.lock().killed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, job: &Job) -> FakeRun {
        let handler = {
            let mut state = self.lock();
            state.jobs.push(job.clone());
            if let Some(run) = state.script.pop_front() {
                return run;
            }
            state.handler.clone()
        };
        handler.map_or_else(
            || FakeRun::fails("the fake has no script for this job"),
            |handler| handler(job),
        )
    }

    pub(crate) fn report() -> SandboxReport {
        SandboxReport {
            provider: "fake".to_owned(),
            tier: "none".to_owned(),
            guarantees: Default::default(),
        }
    }
}

#[async_trait]
impl Sandbox for FakeSandbox {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        Ok(Capabilities {
            python: "0.0.0".to_owned(),
            packages: Default::default(),
            sandbox: Self::report(),
            sessions: true,
        })
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        let missing = job.inputs.iter().find(|input| !input.source.exists());
        if let Some(input) = missing {
            let reason = format!("the input {} does not exist", input.source.display());
            return Err(SandboxError::BadJob { reason });
        }
        self.play(job, output).await
    }

    /// Its cells are jobs like any other to the script and to whoever looks at the jobs.
    async fn session(&self, setup: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        setup.check()?;
        Ok(Box::new(FakeSession::new(self.clone(), setup)))
    }

    fn worst_usage(&self, limits: &Limits) -> Usage {
        let ordered = self.lock().worst_usage.clone();
        ordered.map_or_else(|| limits.worst_usage(), |worst_usage| worst_usage(limits))
    }
}

impl FakeSandbox {
    pub(crate) async fn play(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        let run = self.take(&job);
        let mut alive = CountsAsKilled(Some(Arc::clone(&self.state)));
        if !run.prints.is_empty() {
            output.printed(OutputStream::Stdout, &run.prints);
        }
        for usage in &run.meanwhile {
            output.used(*usage);
        }
        for sent in &run.sends {
            output.sent(sent.clone());
        }
        self.lock().under_way.push(Arc::clone(&output));
        let ended = self.end(run, &job).await;
        self.lock().under_way.retain(|sink| !Arc::ptr_eq(sink, &output));
        alive.0 = None;
        ended
    }

    async fn end(&self, run: FakeRun, job: &Job) -> Result<Outcome, SandboxError> {
        let verdict = match &run.end {
            End::Fails(message) => {
                return Err(SandboxError::Platform {
                    message: message.clone(),
                    source: None,
                });
            }
            End::Lost { usage_known } => {
                return Err(SandboxError::Lost {
                    message: "the machine went down".to_owned(),
                    usage: usage_known.then_some(run.usage),
                    source: None,
                });
            }
            End::Hangs => {
                job.cancel.cancelled().await;
                Verdict::Cancelled
            }
            End::Verdict(verdict) => verdict.clone(),
            End::Replies(_) => Verdict::Exited { code: 0 },
            End::Raises(_) => Verdict::Exited { code: 1 },
        };
        let reply = match run.end {
            End::Replies(value) => Some(Reply::Value(value)),
            End::Raises(error) => Some(Reply::Error(error)),
            _ => None,
        };
        let mut outcome = Outcome {
            reply,
            usage: run.usage,
            seed: job.seed,
            stdout: run.prints,
            ..Outcome::new(verdict, Self::report())
        };
        for (name, bytes) in run.artifacts {
            let Some(folder) = &job.artifacts_into else {
                continue;
            };
            let path = folder.join(&name);
            std::fs::write(&path, &bytes)
                .map_err(|error| SandboxError::platform("the fake could not write an artifact", error))?;
            outcome.artifacts.push(crate::Artifact {
                name,
                path,
                bytes: bytes.len() as u64,
            });
        }
        Ok(outcome)
    }
}

/// Notices a run whose future was dropped midway.
struct CountsAsKilled(Option<Arc<Mutex<State>>>);

impl Drop for CountsAsKilled {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.lock().unwrap_or_else(PoisonError::into_inner).killed += 1;
        }
    }
}
