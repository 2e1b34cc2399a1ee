use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::contract::{SandboxReport, Usage};
use serde::{Deserialize, Serialize};
use tokio::{sync::OnceCell, time::sleep_until};

use super::{
    Command, E2bClient, E2bError, E2bErrorKind, FileKind, NewSandbox, Process, ProcessEnd, ProcessEvent,
    SandboxDetail, deadline::deadline_after, lease::Lease,
};
use crate::{
    Artifact, ArtifactNames, Capabilities, Job, Limits, Outcome, OutputSink, OutputStream, Program,
    RejectedArtifact, Sandbox, SandboxError, Verdict, parse_reply, prelude, printable,
};

const RUNNER: &str = include_str!("../../prelude/e2b_runner.py");
const HOME: &str = "/home/user/.meterbox";
const WORK: &str = "/home/user/work";
const DATA: &str = "/data";
const USER: &str = "user";
const ROOT: &str = "root";
/// From the creation to the program's first line, uploads included.
const SET_UP: Duration = Duration::from_secs(120);
/// From the program's end to the machine's, downloads included.
const WIND_UP: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// What marks every machine that this crate makes.
const MADE_BY: (&str, &str) = ("made-by", "meterbox");
const MOST_REJECTED: usize = 100;

/// Runs each job in a machine of its own in the E2B cloud.
///
/// The job's files leave this computer. Verdicts come from the daemon of the machine, outside the program; memory is
/// bounded by the machine and, inside, by an address limit that a program meets as `MemoryError`. What is billed is
/// the machine, all of its processors and memory, from its creation to its end: [`Usage`] says so, and
/// [`worst_usage`](Self::worst_usage) is the most it can be. The threads, scratch and inode limits of a job are the
/// machine's own.
///
/// Dropping a run ends its machine in the background. Where this process dies, the machine ends with the server-side
/// time-out, some minutes after the job's own limit; [`reap`](Self::reap) ends it sooner.
#[derive(Debug)]
pub struct E2bSandbox {
    client: E2bClient,
    template: String,
    metadata: BTreeMap<String, String>,
    capabilities: OnceCell<Probed>,
}

/// What a machine of the template has.
#[derive(Debug)]
struct Probed {
    capabilities: Capabilities,
    detail: SandboxDetail,
}

#[derive(Serialize)]
struct JobDocument<'a> {
    mode: &'static str,
    code: &'a str,
    parameters: Option<&'a serde_json::Value>,
    tables: &'a BTreeMap<String, String>,
    as_of: Option<String>,
    seed: u64,
    reply_bytes: u64,
    data_dir: &'static str,
    limits: LimitsDocument,
}

#[derive(Serialize)]
struct LimitsDocument {
    cpu_seconds: u64,
    memory_bytes: u64,
    open_files: u32,
    file_bytes: u64,
}

/// Why a program was ended, or how it ended itself.
enum End {
    ByItself(ProcessEnd),
    Cut(Verdict),
}

/// What was printed so far.
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    room: u64,
    sink: Arc<dyn OutputSink>,
}

impl E2bSandbox {
    /// Runs jobs in machines of this template, such as `code-interpreter-v1`.
    pub fn new(client: E2bClient, template: impl Into<String>) -> Self {
        let metadata = BTreeMap::from([(MADE_BY.0.to_owned(), MADE_BY.1.to_owned())]);
        Self {
            client,
            template: template.into(),
            metadata,
            capabilities: OnceCell::new(),
        }
    }

    /// Marks each machine with this as well, such as the tenant or the installation. Jobs add `job`.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// The longest a machine for these limits can live: its server-side time-out.
    pub fn longest_life(limits: &Limits) -> Duration {
        SET_UP.saturating_add(limits.wall).saturating_add(WIND_UP)
    }

    /// The most a run under these limits can be billed: a machine for all of its server-side time-out.
    ///
    /// # Errors
    /// Where no machine can be made to ask for its size.
    pub async fn worst_usage(&self, limits: &Limits) -> Result<Usage, SandboxError> {
        let probed = self.probed().await?;
        Ok(usage(
            &probed.detail,
            Self::longest_life(limits),
            limits.output_bytes,
        ))
    }

    /// Ends machines with this one's metadata that a process left behind: those that have run longer than any job
    /// under these limits may. Says how many.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn reap(&self, now: meterbox_core::Timestamp, limits: &Limits) -> Result<u32, E2bError> {
        let longest = Self::longest_life(limits);
        let mut ended = 0;
        for left in self.client.list(&self.metadata).await? {
            if now.duration_since(left.started_at) >= longest && self.client.kill(&left.id).await? {
                ended += 1;
            }
        }
        Ok(ended)
    }

    async fn probed(&self) -> Result<&Probed, SandboxError> {
        self.capabilities.get_or_try_init(|| self.probe()).await
    }

    /// Makes a machine to see what it has.
    async fn probe(&self) -> Result<Probed, SandboxError> {
        #[derive(Deserialize)]
        struct Found {
            python: String,
            packages: BTreeMap<String, String>,
        }
        const SCRIPT: &str = "import importlib.metadata as m, json, platform\n\
            print(json.dumps({'python': platform.python_version(), \
            'packages': {d.metadata['Name'].lower(): d.version for d in m.distributions() if d.metadata['Name']}}))";
        let lease = Lease::open(&self.client, &self.new_machine(SET_UP, "probe")).await?;
        let asked = async {
            self.client.wait_until_ready(lease.access()).await?;
            let detail = self.client.get(&lease.access().id).await?;
            let mut process = self
                .client
                .start(lease.access(), &Command::new("python3", ["-c", SCRIPT]))
                .await?;
            let mut said = Vec::new();
            while let Some(event) = process.next().await? {
                if let ProcessEvent::Stdout(bytes) = event {
                    said.extend(bytes);
                }
            }
            let found: Found = serde_json::from_slice(&said).map_err(|error| E2bError::BadReply {
                what: "asking for Python's packages",
                reason: error.to_string(),
            })?;
            Ok::<_, E2bError>((found, detail))
        };
        let asked = asked.await;
        lease.end().await;
        let (found, detail) = asked?;
        Ok(Probed {
            capabilities: Capabilities {
                python: found.python,
                packages: found.packages,
                sandbox: self.report(),
            },
            detail,
        })
    }

    fn new_machine(&self, life: Duration, job: &str) -> NewSandbox {
        let mut metadata = self.metadata.clone();
        metadata.insert("job".to_owned(), job.to_owned());
        NewSandbox {
            timeout: life,
            metadata,
            idempotency_key: Some(idempotency_key()),
            ..NewSandbox::new(self.template.clone())
        }
    }

    fn report(&self) -> SandboxReport {
        let guarantees = [
            ("filesystem", "a machine of its own"),
            ("network", "no internet access, by the provider"),
            ("processes", "a machine of its own"),
            ("memory", "the machine's, and RLIMIT_DATA"),
            ("time", "killed with its machine"),
        ];
        SandboxReport {
            provider: "e2b".to_owned(),
            tier: "cloud".to_owned(),
            guarantees: guarantees
                .map(|(name, by)| (name.to_owned(), by.to_owned()))
                .into(),
        }
    }

    /// Everything up to the program's first line.
    async fn set_up(&self, lease: &Lease, job: &Job) -> Result<Process, E2bError> {
        let (client, access) = (&self.client, lease.access());
        client.wait_until_ready(access).await?;
        let document = serde_json::to_vec(&JobDocument::new(job))
            .map_err(|error| E2bError::Invalid(format!("the job is no JSON: {error}")))?;
        let files = [
            ("prelude.py", prelude::SOURCE.as_bytes().to_vec()),
            ("runner.py", RUNNER.as_bytes().to_vec()),
            ("job.json", document),
        ];
        for (name, bytes) in files {
            client
                .write_file(access, &format!("{HOME}/{name}"), USER, bytes)
                .await?;
        }
        client
            .write_file(access, &format!("{WORK}/.keep"), USER, Vec::new())
            .await?;
        for input in &job.inputs {
            // Root's, so that the program can only read it.
            let to = format!("{DATA}/{}", input.path);
            client
                .upload_file(access, &to, ROOT, &input.source, SET_UP)
                .await?;
        }
        let mut command = Command::new("python3", ["-u".to_owned(), format!("{HOME}/runner.py")]);
        command.folder = Some(WORK.to_owned());
        command.user = Some(USER.to_owned());
        command.limit = job.limits.wall.saturating_add(WIND_UP);
        command.env.insert("MPLBACKEND".to_owned(), "Agg".to_owned());
        client.start(access, &command).await
    }

    /// Collects what a dead program left: regular files at the top of its folder, within the caps.
    async fn collect(
        &self,
        lease: &Lease,
        into: &Path,
        limits: &Limits,
        outcome: &mut Outcome,
    ) -> Result<(), E2bError> {
        let mut entries = self.client.list_folder(lease.access(), WORK, USER).await?;
        entries.retain(|entry| entry.name != ".keep");
        entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        let mut names = ArtifactNames::default();
        let mut room = limits.artifacts_total_bytes;
        for entry in entries {
            let most = limits.artifact_bytes.min(room);
            let refused = if outcome.artifacts.len() >= limits.artifacts as usize {
                Some(format!("more than {} files", limits.artifacts))
            } else if entry.kind != FileKind::File || entry.link_target.is_some() {
                Some("not a regular file".to_owned())
            } else if entry.size > most {
                Some(format!("{} bytes, more than {most}", entry.size))
            } else {
                None
            };
            let reason = match refused {
                Some(reason) => reason,
                None => {
                    let name = names.safe(entry.name.as_bytes());
                    let path = into.join(&name);
                    let from = format!("{WORK}/{}", entry.name);
                    match self
                        .client
                        .download_file(lease.access(), &from, USER, &path, most)
                        .await
                    {
                        Ok(bytes) => {
                            room = room.saturating_sub(bytes);
                            outcome.artifacts.push(Artifact { name, path, bytes });
                            continue;
                        }
                        Err(error @ E2bError::LocalFile { .. }) => return Err(error),
                        Err(error) => error.to_string(),
                    }
                }
            };
            if outcome.rejected.len() < MOST_REJECTED {
                let name = printable(entry.name.as_bytes());
                outcome.rejected.push(RejectedArtifact { name, reason });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Sandbox for E2bSandbox {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        Ok(self.probed().await?.capabilities.clone())
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        check(&job)?;
        let mut outcome = Outcome::new(Verdict::Cancelled, self.report());
        outcome.seed = job.seed;
        if job.cancel.is_cancelled() {
            return Ok(outcome);
        }
        let detail = &self.probed().await?.detail;
        let new = self.new_machine(Self::longest_life(&job.limits), &job.seed.to_string());
        let lease = Lease::open(&self.client, &new).await.map_err(not_created)?;
        let bill = |time: Duration, output_bytes| usage(detail, time, output_bytes);

        let set_up = tokio::select! {
            set_up = tokio::time::timeout(SET_UP, self.set_up(&lease, &job)) => set_up,
            () = job.cancel.cancelled() => {
                outcome.usage = bill(lease.end().await, 0);
                return Ok(outcome);
            }
        };
        let set_up = set_up.unwrap_or(Err(E2bError::DeadlinePassed { what: "the set-up" }));
        let mut process = match set_up {
            Ok(process) => process,
            // The program may not have begun, and the machine has cost.
            Err(error) => return Err(lost(error, bill(lease.end().await, 0))),
        };
        let mut printed = Printed::new(&job.limits, Arc::clone(&output));
        let ended = until_ended(&mut process, &job, &mut printed, |printed| {
            output.used(bill(lease.age(), printed));
        });
        let ended = match ended.await {
            Ok(ended) => ended,
            Err(error) => {
                // What the program did to its machine, or the machine to itself, cannot be told apart.
                return Err(lost(error, bill(lease.end().await, printed.bytes(&job.limits))));
            }
        };
        let wind_up = self.wind_up(&lease, &job, ended, &mut outcome);
        let wound_up = tokio::time::timeout(WIND_UP, wind_up).await;
        outcome.usage = bill(lease.end().await, printed.bytes(&job.limits));
        (outcome.stdout, outcome.stderr) = printed.texts();
        match wound_up {
            Ok(Ok(())) => Ok(outcome),
            Ok(Err(error)) => Err(lost(error, outcome.usage)),
            Err(_) => Err(lost(
                E2bError::DeadlinePassed {
                    what: "collecting what the program left",
                },
                outcome.usage,
            )),
        }
    }
}

impl E2bSandbox {
    /// Everything after the program's last line. A program that was cut off is not asked for anything.
    async fn wind_up(
        &self,
        lease: &Lease,
        job: &Job,
        ended: End,
        outcome: &mut Outcome,
    ) -> Result<(), E2bError> {
        let end = match ended {
            End::ByItself(end) => end,
            End::Cut(verdict) => {
                outcome.verdict = verdict;
                return Ok(());
            }
        };
        outcome.verdict = verdict(&end);
        let limit = job.limits.reply_bytes;
        let reply = self
            .client
            .read_file(lease.access(), &format!("{HOME}/reply.json"), USER, limit)
            .await;
        match reply {
            Ok(bytes) => match parse_reply(&bytes) {
                Ok(reply) => outcome.reply = reply,
                Err(reason) if matches!(outcome.verdict, Verdict::Exited { .. }) => {
                    outcome.verdict = Verdict::BrokenReply { reason };
                }
                Err(_) => {}
            },
            Err(error) if error.kind() == E2bErrorKind::TooLarge => outcome.verdict = Verdict::OutputLimit,
            Err(error) if matches!(error.kind(), E2bErrorKind::NotFound | E2bErrorKind::Rejected) => {}
            Err(error) => return Err(error),
        }
        if let Some(into) = &job.artifacts_into {
            self.collect(lease, into, &job.limits, outcome).await?;
        }
        Ok(())
    }
}

async fn until_ended(
    process: &mut Process,
    job: &Job,
    printed: &mut Printed,
    tell: impl Fn(u64) + Send,
) -> Result<End, E2bError> {
    let wall = sleep_until(deadline_after(job.limits.wall));
    tokio::pin!(wall);
    let mut so_far = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            biased;
            () = job.cancel.cancelled() => return Ok(End::Cut(Verdict::Cancelled)),
            () = &mut wall => return Ok(End::Cut(Verdict::WallLimit)),
            _ = so_far.tick() => tell(printed.bytes(&job.limits)),
            event = process.next() => match event? {
                Some(ProcessEvent::Stdout(bytes)) => {
                    if !printed.take(OutputStream::Stdout, &bytes) {
                        return Ok(End::Cut(Verdict::OutputLimit));
                    }
                }
                Some(ProcessEvent::Stderr(bytes)) => {
                    if !printed.take(OutputStream::Stderr, &bytes) {
                        return Ok(End::Cut(Verdict::OutputLimit));
                    }
                }
                Some(ProcessEvent::Ended(end)) => return Ok(End::ByItself(end)),
                Some(ProcessEvent::Started { .. }) => {}
                None => return Err(E2bError::Cut { what: "the program" }),
            },
        }
    }
}

/// From the daemon's words for how a process ended, which are Go's.
fn verdict(end: &ProcessEnd) -> Verdict {
    if end.exited {
        return Verdict::Exited { code: end.exit_code };
    }
    let signal = match end
        .status
        .trim_start_matches("signal: ")
        .split(" (")
        .next()
        .unwrap_or_default()
    {
        // The limit's own signal, which the program may not survive.
        "CPU time limit exceeded" => return Verdict::CpuLimit,
        "illegal instruction" => 4,
        "aborted" => 6,
        "bus error" => 7,
        "floating point exception" => 8,
        "segmentation fault" => 11,
        "broken pipe" => 13,
        "terminated" => 15,
        "file size limit exceeded" => 25,
        _ => 9,
    };
    Verdict::Signalled { signal }
}

/// A machine is billed as it is, used or not.
fn usage(machine: &SandboxDetail, time: Duration, output_bytes: u64) -> Usage {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Usage {
        wall_ms: millis,
        cpu_ms: millis.saturating_mul(u64::from(machine.cpu_count)),
        peak_memory_bytes: machine.memory_mib.saturating_mul(MIB),
        output_bytes,
    }
}

fn lost(error: E2bError, usage: Usage) -> SandboxError {
    SandboxError::Lost {
        message: error.to_string(),
        usage: Some(usage),
        source: Some(Box::new(error)),
    }
}

/// Where the reply was lost there may be a machine that costs until its time-out.
fn not_created(error: E2bError) -> SandboxError {
    match error.kind() {
        E2bErrorKind::Broken | E2bErrorKind::DeadlinePassed | E2bErrorKind::BadReply => SandboxError::Lost {
            message: error.to_string(),
            usage: None,
            source: Some(Box::new(error)),
        },
        _ => error.into(),
    }
}

fn check(job: &Job) -> Result<(), SandboxError> {
    for input in &job.inputs {
        let bad = |reason: String| Err(SandboxError::BadJob { reason });
        let shown = input.source.display();
        let plain = Path::new(&input.path)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if input.path.is_empty() || !plain || input.path.contains('\0') {
            return bad(format!(
                "{:?} is no path under {DATA}; it has to be relative, without `..`",
                input.path
            ));
        }
        // Opened, so that it is known to be readable before anything costs.
        match std::fs::File::open(&input.source).and_then(|file| file.metadata()) {
            Ok(about) if about.is_file() => {}
            Ok(_) => return bad(format!("the input {shown} is not a regular file")),
            Err(error) => return bad(format!("the input {shown} cannot be found: {error}")),
        }
    }
    match job.artifacts_into.as_deref().filter(|folder| !folder.is_dir()) {
        Some(folder) => Err(SandboxError::BadJob {
            reason: format!("the folder for its files, {}, does not exist", folder.display()),
        }),
        None => Ok(()),
    }
}

/// Random, so that no two creates are one.
fn idempotency_key() -> String {
    use std::hash::{BuildHasher, RandomState};
    let [high, low] = [0_u8, 1].map(|half| RandomState::new().hash_one(half));
    format!("meterbox-{high:016x}{low:016x}")
}

impl<'a> JobDocument<'a> {
    fn new(job: &'a Job) -> Self {
        let (mode, code, parameters) = match &job.program {
            Program::Analysis { code } => ("analysis", code, None),
            Program::Service { code, parameters } => ("service", code, Some(parameters)),
        };
        let cpu = job.limits.cpu;
        Self {
            mode,
            code,
            parameters,
            tables: &job.tables,
            as_of: job.as_of.map(|date| date.to_string()),
            seed: job.seed,
            reply_bytes: job.limits.reply_bytes,
            data_dir: DATA,
            limits: LimitsDocument {
                cpu_seconds: (cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0)).max(1),
                memory_bytes: job.limits.memory_bytes,
                open_files: job.limits.open_files,
                file_bytes: job.limits.file_bytes,
            },
        }
    }
}

impl Printed {
    fn new(limits: &Limits, sink: Arc<dyn OutputSink>) -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            room: limits.output_bytes,
            sink,
        }
    }

    /// False where it is more than allowed; up to there it is kept.
    fn take(&mut self, stream: OutputStream, bytes: &[u8]) -> bool {
        let fitting = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        let kept = bytes.get(..fitting).unwrap_or_default();
        self.room = self.room.saturating_sub(bytes.len() as u64);
        match stream {
            OutputStream::Stdout => self.stdout.extend_from_slice(kept),
            OutputStream::Stderr => self.stderr.extend_from_slice(kept),
        }
        self.sink.printed(stream, &String::from_utf8_lossy(kept));
        fitting == bytes.len()
    }

    fn bytes(&self, limits: &Limits) -> u64 {
        limits.output_bytes.saturating_sub(self.room)
    }

    fn texts(self) -> (String, String) {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(self.stdout), text(self.stderr))
    }
}
