//! The prepared interpreter: started, spoken with, and replaced when it dies.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use meterbox_sandbox_client::{Limits, SandboxError};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{
        Pid, Resource, Rlimit, Signal, getpriority_process, pidfd_send_signal, prlimit, setpriority_pgrp,
    },
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStderr, Command},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{
    channel::Channel,
    diagnosis,
    document::sealed_memory,
    folder::Folder,
    groups::{Caps, Group, Groups},
    native::{
        self,
        wire::{Failed, News, Precedence, Request, STEPS},
    },
    patience::patience,
    seccomp,
    tier::Tier,
    turns::Crowd,
};

const BOOTSTRAP: &str = include_str!("../zygote/bootstrap.py");
/// In the order they need each other.
const MODULES: [(&str, &str); 8] = [
    ("calls", include_str!("../zygote/calls.py")),
    ("jail", include_str!("../zygote/jail.py")),
    ("root", include_str!("../zygote/root.py")),
    ("probe", include_str!("../zygote/probe.py")),
    ("selftest", include_str!("../zygote/selftest.py")),
    ("child", include_str!("../zygote/child.py")),
    ("loops", include_str!("../zygote/loops.py")),
    ("main", include_str!("../zygote/main.py")),
];
/// Imports from a cold disk may take long; nothing takes longer than this.
const BOOT_DEADLINE: Duration = Duration::from_secs(60);
const PROBE_DEADLINE: Duration = Duration::from_secs(2);
const LOG_BYTES: usize = 16 * 1024;
const LOOK: Duration = Duration::from_millis(250);
/// The lowest ordinary priority.
const LOWEST: i32 = 19;
const NO_GROUP: &str = "no control group could be made";
/// So often one waits on for a zygote that is busy with others.
const MOST_ROUNDS: usize = 6;

/// What a zygote is made from.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    /// The interpreter; not told to the zygote, who is it.
    #[serde(skip)]
    pub(crate) python: std::path::PathBuf,
    /// The module that runs programs.
    #[serde(skip)]
    pub(crate) prelude: String,
    /// Folders of the runtime.
    pub(crate) readable: Vec<String>,
    /// Matplotlib's list of fonts.
    pub(crate) font_cache: std::path::PathBuf,
    /// The folder that inputs lie in.
    pub(crate) inputs: Option<String>,
    /// Who programs run as where the supervisor is root.
    pub(crate) uid: u32,
    /// The group to that user.
    pub(crate) gid: u32,
    /// The control group to make groups in; not told to the zygote, who makes none.
    #[serde(skip)]
    pub(crate) control_group: Option<std::path::PathBuf>,
    /// Guards to leave out: always empty but in this crate's own tests.
    pub(crate) without: Vec<&'static str>,
}

/// What a started zygote says about itself.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    pub(crate) python: String,
    pub(crate) packages: BTreeMap<String, String>,
    pub(crate) baseline: Baseline,
    pub(crate) landlock: u32,
}

/// Memory that every child has from birth.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) resident: u64,
}

/// A failed step of the set-up.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FailedStep {
    pub(crate) step: String,
    pub(crate) errno: i32,
    pub(crate) message: String,
}

impl FailedStep {
    /// What a child said of itself.
    pub(crate) fn new(failed: Failed, what: &[u8]) -> Self {
        let step = STEPS.get(usize::from(failed.step)).copied().unwrap_or("child");
        let reason = io::Error::from_raw_os_error(failed.errno);
        let about = String::from_utf8_lossy(what);
        let message = if about.is_empty() {
            format!("{step}: {reason}")
        } else {
            format!("{step}, {about}: {reason}")
        };
        Self {
            step: step.to_owned(),
            errno: failed.errno,
            message,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Greeting {
    Ready(Ready),
    Failed(FailedStep),
}

/// What becomes of one child.
#[derive(Debug)]
pub(crate) enum ChildEvent {
    Started { pid: i32, pidfd: Arc<OwnedFd> },
    Refused { error: io::Error },
    Ended(Ended),
}

/// The end of a child as the kernel tells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// As `wait` gives it; `None` where nobody could ask.
    pub(crate) status: Option<i32>,
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
}

/// A running zygote. Dropping it ends it, and all its children with it.
#[derive(Debug)]
pub(crate) struct Zygote {
    pub(crate) ready: Ready,
    pub(crate) tier: Tier,
    /// Where there are no roots of their own for it and its children.
    pub(crate) folder: Option<Folder>,
    /// The folder that inputs lie in, on the machine.
    pub(crate) inputs: Option<String>,
    #[cfg(feature = "test-guards")]
    pub(crate) without: Vec<&'static str>,
    /// The programs that run in its children.
    pub(crate) crowd: Crowd,
    shared: Arc<Shared>,
    next: AtomicU64,
    /// Where its children are born, where that is in groups of their own; it has one too.
    groups: Option<Arc<Groups>>,
    _home: Option<Group>,
}

#[derive(Debug)]
struct Shared {
    channel: Channel,
    children: Mutex<HashMap<u64, mpsc::UnboundedSender<ChildEvent>>>,
    log: Arc<Mutex<Vec<u8>>>,
    /// Messages that came from it.
    heard: AtomicU64,
    /// It is stuck, and the next one has its place.
    retired: AtomicBool,
    /// Asks the task that owns the process to end it.
    stop: CancellationToken,
    gone: CancellationToken,
}

/// One child's events. Dropping it kills the child.
#[derive(Debug)]
pub(crate) struct ChildHandle {
    events: mpsc::UnboundedReceiver<ChildEvent>,
    pidfd: Option<Arc<OwnedFd>>,
    pid: Option<Pid>,
    group: Option<Arc<Group>>,
    id: u64,
    shared: Arc<Shared>,
}

impl Zygote {
    /// Starts one. Fails closed: where anything of the jail cannot be had, there is no zygote. `groups`: for the tier that
    /// has them.
    pub(crate) async fn start(
        settings: &Settings,
        tier: Tier,
        groups: Option<Arc<Groups>>,
    ) -> Result<Self, SandboxError> {
        if groups.is_some() != (tier == Tier::ControlGroup) {
            return Err(plain(NO_GROUP));
        }
        let (channel, theirs) = Channel::pair().map_err(platform("no socket for the interpreter"))?;
        let folder = if tier.has_namespaces() {
            None
        } else {
            Some(Folder::new(settings.uid, settings.gid).map_err(platform("no folder for runs"))?)
        };
        let mut process = spawn(settings, theirs, folder.as_ref())?;
        allow_usual_priority(&process);
        let home = home(groups.as_ref(), &process).map_err(platform(NO_GROUP))?;
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = process.stderr.take() {
            tokio::spawn(keep_log(stderr, Arc::clone(&log)));
        }
        let greeting = tokio::time::timeout(
            patience(BOOT_DEADLINE),
            greet(&channel, settings, tier, folder.as_ref()),
        )
        .await;
        let ready = match greeting {
            Ok(Ok(Greeting::Ready(ready))) => ready,
            Ok(Ok(Greeting::Failed(failed))) => return Err(diagnosis::unavailable(&failed)),
            Ok(Err(error)) => {
                // The last words may still be on their way.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let message = format!("the interpreter did not start: {}", last_words(&log));
                return Err(SandboxError::platform(message, error));
            }
            Err(_) => return Err(plain("the interpreter did not start within 60 seconds")),
        };
        let shared = Arc::new(Shared {
            channel,
            children: Mutex::default(),
            log,
            heard: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        tokio::spawn(listen(Arc::clone(&shared), process));
        Ok(Self {
            ready,
            tier,
            folder,
            inputs: settings.inputs.clone(),
            #[cfg(feature = "test-guards")]
            without: settings.without.clone(),
            crowd: Crowd::default(),
            shared,
            next: AtomicU64::new(1),
            groups,
            _home: home,
        })
    }

    /// What a child with these limits may take, with what it copies of the interpreter and the files it may write, which
    /// are memory too.
    pub(crate) fn caps(&self, limits: &Limits) -> Caps {
        let own = limits.memory_bytes.saturating_add(limits.scratch_bytes);
        Caps {
            memory_bytes: own.saturating_add(self.ready.baseline.resident),
            tasks: limits.threads.into(),
        }
    }

    /// What a child may take that waits for its job.
    pub(crate) fn caps_of_ready(&self) -> Caps {
        self.caps(&Limits::default())
    }

    /// A new group for a child, where children have one.
    pub(crate) fn group(&self, caps: Caps) -> Result<Option<Arc<Group>>, SandboxError> {
        let Some(groups) = &self.groups else {
            return Ok(None);
        };
        let group = groups.make("run", Some(caps)).map_err(platform(NO_GROUP))?;
        Ok(Some(Arc::new(group)))
    }

    pub(crate) fn is_alive(&self) -> bool {
        let ending = self.shared.gone.is_cancelled() || self.shared.stop.is_cancelled();
        !ending && !self.shared.retired.load(Ordering::Relaxed)
    }

    /// Whether tests leave out this guard, which is the supervisor's own.
    pub(crate) fn is_without(&self, guard: &str) -> bool {
        #[cfg(feature = "test-guards")]
        return self.without.contains(&guard);
        #[cfg(not(feature = "test-guards"))]
        return guard.is_empty();
    }

    /// Asks nothing more of it. What runs in its children goes on; it ends with the last who holds it.
    pub(crate) fn retire(&self) {
        self.shared.retired.store(true, Ordering::Relaxed);
    }

    /// Ends it at once: for one that does not answer any more.
    pub(crate) fn abandon(&self) {
        self.shared.stop.cancel();
    }

    /// Waits for what depends on it. `None` where that takes six times as long as this, and at once where it has said
    /// nothing to anybody for so long: then it is stuck and given up. On a machine full of programs a zygote is slow,
    /// and who gives it up ends all of them.
    pub(crate) async fn patiently<T>(&self, silence: Duration, step: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(step);
        for _ in 0..MOST_ROUNDS {
            let heard = self.shared.heard.load(Ordering::Relaxed);
            if let Ok(done) = tokio::time::timeout(patience(silence), &mut step).await {
                return Some(done);
            }
            if self.shared.heard.load(Ordering::Relaxed) == heard {
                self.retire();
                return None;
            }
        }
        None
    }

    /// Asks for a child that is set up over this socket. A warm one takes longer, and then its program less.
    pub(crate) async fn child(
        &self,
        setup: BorrowedFd<'_>,
        group: Option<Arc<Group>>,
        warm: bool,
    ) -> Result<ChildHandle, SandboxError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        self.shared.children().insert(id, sender);
        let handle = ChildHandle {
            events,
            pidfd: None,
            pid: None,
            group,
            id,
            shared: Arc::clone(&self.shared),
        };
        if !self.is_alive() {
            return Err(plain("the interpreter died"));
        }
        let group = handle.group.as_deref().map(Group::handle);
        let request = Request {
            id,
            warm,
            grouped: group.is_some(),
        };
        let descriptors: Vec<_> = [setup].into_iter().chain(group).collect();
        self.shared
            .channel
            .send(&request.encode(), &descriptors)
            .await
            .map_err(|error| {
                // Dead, and not yet known to be.
                self.abandon();
                SandboxError::platform("the interpreter does not listen", error)
            })?;
        Ok(handle)
    }

    pub(crate) fn last_words(&self) -> String {
        last_words(&self.shared.log)
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    fn children(&self) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::UnboundedSender<ChildEvent>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, id: u64, event: ChildEvent) {
        let ends = matches!(event, ChildEvent::Ended(_) | ChildEvent::Refused { .. });
        let mut children = self.children();
        if let Some(child) = children.get(&id) {
            // Nobody listening is a dropped run; its handle has killed the child.
            let _ = child.send(event);
        } else if let ChildEvent::Started { pidfd, .. } = event {
            kill(&pidfd);
        }
        if ends {
            children.remove(&id);
        }
    }
}

impl ChildHandle {
    /// The next event; `None` once the zygote is gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<ChildEvent> {
        let event = self.events.recv().await;
        match &event {
            Some(ChildEvent::Started { pid, pidfd }) => {
                self.pidfd = Some(Arc::clone(pidfd));
                self.pid = Pid::from_raw(*pid);
            }
            Some(ChildEvent::Ended(_)) => self.pidfd = None,
            _ => {}
        }
        event
    }

    /// Its process, for whoever waits for the end of that.
    pub(crate) fn process(&self) -> Process {
        Process(self.pidfd.clone())
    }

    /// Whether its process has ended, told or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.pidfd.as_deref().is_none_or(has_ended)
    }

    /// Its control group, where it has one.
    pub(crate) fn group(&self) -> Option<&Arc<Group>> {
        self.group.as_ref()
    }

    /// Lets other programs go before its own from now on, or with it again, where the machine gives that back. False where
    /// it could not be told yet.
    pub(crate) fn goes_after_others(&self, after_others: bool) -> bool {
        if let Some(group) = &self.group {
            group.goes_after_others(after_others);
        }
        // Numbers are given in turn, so that of a child which ends just now is not yet another's.
        let group = self.pid.filter(|_| !self.has_ended());
        let nice = if after_others {
            Ok(LOWEST)
        } else {
            getpriority_process(None)
        };
        if group.is_some() && nice.is_ok_and(|nice| setpriority_pgrp(group, nice).is_ok()) {
            return true;
        }
        // Its user is another one, as which the interpreter lives.
        let id = self.id;
        let told = Precedence { id, after_others }.encode();
        self.shared.channel.try_send(&told).is_ok()
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        if let Some(group) = &self.group {
            group.kill();
        }
    }

    /// Stops it. Nothing inside can refuse that, and nothing inside runs from when it has taken effect.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after a stop.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pidfd) = &self.pidfd {
            // Fails only where it is already dead.
            let _ = pidfd_send_signal(pidfd, signal);
        }
    }
}

/// A child's process. Nothing becomes of it when this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Process(Option<Arc<OwnedFd>>);

impl Process {
    /// Waits for its end, told or not; a look now and then is enough.
    pub(crate) async fn end(self) {
        while self.0.as_deref().is_some_and(|pidfd| !has_ended(pidfd)) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for ChildHandle {
    fn drop(&mut self) {
        self.shared.children().remove(&self.id);
        self.kill();
        // Started, but nobody has looked at the news yet.
        while let Ok(event) = self.events.try_recv() {
            if let ChildEvent::Started { pidfd, .. } = event {
                kill(&pidfd);
            }
        }
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut poll = [PollFd::new(pidfd, PollFlags::IN)];
    // An end is what makes it readable.
    !matches!(rustix::event::poll(&mut poll, Some(&Timespec::default())), Ok(0))
}

fn kill(pidfd: &OwnedFd) {
    // Fails only where it is already dead.
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
}

fn spawn(settings: &Settings, control: OwnedFd, folder: Option<&Folder>) -> Result<Child, SandboxError> {
    let home = folder.map_or("/tmp", Folder::path);
    let fonts = format!("{home}/matplotlib");
    // Its whole environment. The hash seed is fixed so that a run can be repeated exactly.
    let environment = [
        ("HOME", home),
        // Arrow's allocator would start a thread, and the zygote may have one only.
        ("JE_ARROW_MALLOC_CONF", "background_thread:false"),
        // There are no processes to be had: scikit-learn and others then do all the work in this one.
        ("JOBLIB_MULTIPROCESSING", "0"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        // Another arena would take address space, and lend a program what its limits count as the interpreter's.
        ("MALLOC_ARENA_MAX", "1"),
        ("MPLBACKEND", "Agg"),
        // In its own root or folder; it takes the font cache there.
        ("MPLCONFIGDIR", &fonts),
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONHASHSEED", "0"),
    ];
    let mut command = Command::new(&settings.python);
    if !settings.without.contains(&"environment") {
        command.env_clear();
    }
    command
        .args(["-s", "-P", "-c", BOOTSTRAP])
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SandboxError::Unavailable {
            missing: format!(
                "Python cannot be started at {}: {error}",
                settings.python.display()
            ),
            fix: "run `meterbox runtime install`".to_owned(),
        })
}

/// What its children give up of their priority they may have back, and no better one. Where this process may not allow that
/// (a plain user whose `RLIMIT_NICE` is lower), they stay behind others for as long as they live.
fn allow_usual_priority(process: &Child) {
    let pid = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let (Some(pid), Ok(nice)) = (pid, getpriority_process(None)) else {
        return;
    };
    // As that limit counts: from 1 for the lowest to 40 for the highest.
    let usual = u64::try_from(20 - nice).ok();
    let limit = Rlimit {
        current: usual,
        maximum: usual,
    };
    let _ = prlimit(Some(pid), Resource::Nice, limit);
}

/// A group for an interpreter, with it in it: so early that all of its memory will be counted there.
fn home(groups: Option<&Arc<Groups>>, process: &Child) -> io::Result<Option<Group>> {
    let (Some(groups), Some(process)) = (groups, process.id()) else {
        return Ok(None);
    };
    let home = groups.make("zygote", None)?;
    home.put(process)?;
    Ok(Some(home))
}

/// Starts a process that probes this machine and ends, and takes what it says.
pub(crate) async fn probe(
    settings: &Settings,
    groups: Option<&Arc<Groups>>,
) -> Result<Vec<u8>, SandboxError> {
    let (channel, theirs) = Channel::pair().map_err(platform("no socket for the probes"))?;
    let mut process = spawn(settings, theirs, None)?;
    let _home = home(groups, &process).map_err(platform(NO_GROUP))?;
    let said = async {
        let probe = Some(groups.map(|groups| groups.folder()));
        boot(&channel, settings, Tier::Namespaces, None, probe).await?;
        channel.receive_first().await
    };
    let said = said.await;
    let _ = process.kill().await;
    match said {
        Ok(Some(message)) => Ok(message.bytes),
        Ok(None) => Err(plain("the probes of this machine broke off")),
        Err(error) => Err(SandboxError::platform(
            "the probes of this machine broke off",
            error,
        )),
    }
}

async fn greet(
    channel: &Channel,
    settings: &Settings,
    tier: Tier,
    folder: Option<&Folder>,
) -> io::Result<Greeting> {
    boot(channel, settings, tier, folder, None).await?;
    let Some(message) = channel.receive_first().await? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    Ok(serde_json::from_slice(&message.bytes)?)
}

async fn boot(
    channel: &Channel,
    settings: &Settings,
    tier: Tier,
    folder: Option<&Folder>,
    probe: Option<Option<&Path>>,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Placed<'a> {
        #[serde(flatten)]
        settings: &'a Settings,
        tier: &'static str,
        folder: &'a str,
    }
    #[derive(Serialize)]
    struct Boot<'a> {
        modules: &'a [(&'a str, &'a str)],
        prelude: &'a str,
        settings: Placed<'a>,
        probe: bool,
        /// The group to try groups in, where there is one.
        group: Option<&'a Path>,
        /// Seconds for each probe.
        patience: f64,
        calls: BTreeMap<&'static str, u32>,
        first_filter: String,
        last_filter: String,
        guards_off: u64,
    }
    let filters = seccomp::filters(tier.has_namespaces());
    let boot = Boot {
        modules: &MODULES,
        prelude: &settings.prelude,
        settings: Placed {
            settings,
            tier: tier.name(),
            folder: folder.map_or("", Folder::path),
        },
        probe: probe.is_some(),
        group: probe.flatten(),
        patience: patience(PROBE_DEADLINE).as_secs_f64(),
        calls: seccomp::named(),
        first_filter: hex(&filters.first),
        last_filter: hex(&filters.last),
        guards_off: native::guards(&settings.without),
    };
    let boot = sealed_memory(&serde_json::to_vec(&boot)?)?;
    let library = sealed_memory(native::LIBRARY)?;
    channel.send(b"boot", &[boot.as_fd(), library.as_fd()]).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Owns the process: hands its news on, and ends it when asked to.
async fn listen(shared: Arc<Shared>, mut process: Child) {
    loop {
        let message = tokio::select! {
            () = shared.stop.cancelled() => break,
            message = shared.channel.receive() => message,
        };
        let Ok(Some(message)) = message else { break };
        shared.heard.fetch_add(1, Ordering::Relaxed);
        let Some(news) = News::decode(&message.bytes) else {
            tracing::error!("the interpreter said something unknown");
            break;
        };
        match (news, message.descriptor) {
            (News::Started { id, pid }, Some(pidfd)) => {
                let pidfd = Arc::new(pidfd);
                shared.tell(id, ChildEvent::Started { pid, pidfd });
            }
            (News::Started { .. }, None) => break,
            (
                News::Ended {
                    id,
                    status,
                    cpu_micros,
                    peak_bytes,
                },
                _,
            ) => {
                let ended = Ended {
                    status: Some(status),
                    cpu: Duration::from_micros(cpu_micros),
                    peak_bytes,
                };
                shared.tell(id, ChildEvent::Ended(ended));
            }
            (News::Refused { id, errno }, _) => {
                let error = io::Error::from_raw_os_error(errno);
                shared.tell(id, ChildEvent::Refused { error });
            }
        }
    }
    shared.gone.cancel();
    // Without their senders the runs in flight learn that it is gone.
    shared.children().clear();
    // Its children die with it: the kernel sends them their death signal.
    let _ = process.kill().await;
}

async fn keep_log(mut stderr: ChildStderr, log: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(&chunk[..read]);
        let surplus = log.len().saturating_sub(LOG_BYTES);
        log.drain(..surplus);
    }
}

fn last_words(log: &Mutex<Vec<u8>>) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&log).trim().to_owned();
    if text.is_empty() {
        "it said nothing".to_owned()
    } else {
        text
    }
}

fn platform(message: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |error| SandboxError::platform(message, error)
}

pub(crate) fn plain(message: impl Into<String>) -> SandboxError {
    SandboxError::Platform {
        message: message.into(),
        source: None,
    }
}
