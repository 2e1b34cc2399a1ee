//! Hostile programs, each a small file under `hostile/` whose header says what becomes of it:
//!
//! ```text
//! # What it does.
//! # expect: wall | cpu | memory | output | broken-reply | signal N | silent CODE | reply TEXT | denied | dropped |
//! #         worked | lost | believed TEXT | stolen     (these four are what an attack is after)
//! # limits: wall=0.5 memory=128        (seconds; MB; KB for output and reply)
//! # off: guard NAME,… | limits … | none, WHY  (where the program hurts nobody but itself)
//! # off-expect: …                      (where it is not that the program replies "worked")
//! ```
//!
//! Each runs twice: as it will be run, and with the one guard off that is there against it, to see that the
//! attack is real. A guard of the jail is left out; in the place of one of the supervisor's own (`one-reply`,
//! `verdict`, `collect`) a naive supervisor judges the same bytes and the same folder. After each, nothing may
//! be left of it and nothing of the machine may have been touched. Every program bounds itself, so that it
//! harms nobody even with its guard off.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]
#![expect(
    clippy::future_not_send,
    reason = "a test holds its turn, which stays on its thread"
)]

mod common;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    os::{linux::net::SocketAddrExt, unix::net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Fixture, children, children_of, input, value};
use meterbox_sandbox_client::{Job, Limits, Outcome, Program, Reply, Sandbox, SandboxError, Verdict};

const MB: u64 = 1 << 20;
const SECRET: &str = "canary-7f3a91";
/// A verdict is there this long after its limit, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);
const READY: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_program_is_contained() {
    let programs = Hostile::all();
    assert!(programs.len() >= 40, "only {} programs", programs.len());
    let mut watch = Watch::new(Fixture::new()).await;
    for program in &programs {
        let outcome = watch.run(program, &program.limits).await;
        watch.check(program, outcome, &program.expect).await;
    }
}

/// In children that were ready before the program was known.
#[tokio::test(flavor = "multi_thread")]
async fn every_program_is_contained_in_a_ready_child() {
    let mut watch = Watch::new(Fixture::with(|builder| builder.ready(READY))).await;
    watch.ready = READY;
    watch.settle().await;
    for program in &Hostile::all() {
        watch.settled().await;
        let outcome = watch.run(program, &program.limits).await;
        watch.check(program, outcome, &program.expect).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_works_without_its_guard() {
    let mut by_guards: BTreeMap<Vec<&'static str>, Vec<(Hostile, String)>> = BTreeMap::new();
    for program in Hostile::all() {
        let off = program.off.clone();
        match off.split_once(' ') {
            Some(("guard", names)) => {
                let guards = names
                    .split(',')
                    .map(|name| &*String::leak(name.to_owned()))
                    .collect();
                let limits = program.limits.clone();
                by_guards.entry(guards).or_default().push((program, limits));
            }
            Some(("limits", limits)) => {
                let limits = format!("{} {limits}", program.limits);
                by_guards.entry(Vec::new()).or_default().push((program, limits));
            }
            _ => assert!(off.starts_with("none, "), "{}: {off}", program.name),
        }
    }
    for (mut guards, programs) in by_guards {
        // Nothing to do with a guard, but it saves seconds for each set of them.
        guards.push("preload");
        let mut watch = Watch::new(Fixture::with(|builder| builder.without(&guards))).await;
        for (program, limits) in programs {
            let outcome = watch.run(&program, &limits).await;
            watch.check(&program, outcome, &program.off_expect).await;
        }
    }
}

/// One program and what its header says.
#[derive(Debug)]
struct Hostile {
    name: String,
    code: String,
    expect: String,
    limits: String,
    off: String,
    off_expect: String,
}

impl Hostile {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let code = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let header = |key: &str| {
            let prefix = format!("# {key}: ");
            code.lines()
                .find_map(|line| line.strip_prefix(&prefix))
                .map(str::to_owned)
        };
        let required = |key| header(key).unwrap_or_else(|| panic!("{name} has no `{key}`"));
        Self {
            expect: required("expect"),
            limits: header("limits").unwrap_or_default(),
            off: required("off"),
            off_expect: header("off-expect").unwrap_or_else(|| "worked".to_owned()),
            name,
            code,
        }
    }
}

fn limits(text: &str) -> Limits {
    let mut limits = Limits {
        wall: Duration::from_secs(20),
        memory_bytes: 256 * MB,
        ..Limits::default()
    };
    for setting in text.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap();
        let seconds = || Duration::from_secs_f64(value.parse().unwrap());
        let whole = || value.parse::<u32>().unwrap();
        match name {
            "wall" => limits.wall = seconds(),
            "cpu" => limits.cpu = seconds(),
            "memory" => limits.memory_bytes = u64::from(whole()) * MB,
            "threads" => limits.threads = whole(),
            "files" => limits.open_files = whole(),
            "file" => limits.file_bytes = u64::from(whole()) * MB,
            "scratch" => limits.scratch_bytes = u64::from(whole()) * MB,
            "inodes" => limits.scratch_inodes = whole(),
            "output" => limits.output_bytes = u64::from(whole()) * 1024,
            "reply" => limits.reply_bytes = u64::from(whole()) * 1024,
            other => panic!("unknown limit {other}"),
        }
    }
    limits
}

/// A sandbox with canaries around it.
struct Watch {
    fixture: Fixture,
    orders: PathBuf,
    canary: PathBuf,
    tcp: TcpListener,
    local: UnixListener,
    abstract_name: String,
    zygote: i32,
    before: Footprint,
    resident: u64,
    limits: Limits,
    /// How many children wait for a program when nothing runs.
    ready: usize,
    elapsed: Duration,
    /// Whether the canary's content came out as a file of the program's.
    stolen: bool,
}

/// What of this process and its zygote may not grow.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    descriptors: usize,
    zygote_descriptors: usize,
    mounts: usize,
}

impl Watch {
    async fn new(fixture: Fixture) -> Self {
        let orders = fixture.input("orders.csv", "a,b\n1,2\n");
        let canary = fixture.input("canary.csv", SECRET);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let abstract_name = format!("meterbox-canary-{}-{:p}", std::process::id(), &raw const tcp);
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let local = UnixListener::bind_addr(&address).unwrap();
        local.set_nonblocking(true).unwrap();
        let mut watch = Self {
            fixture,
            orders,
            canary,
            tcp,
            local,
            abstract_name,
            zygote: 0,
            before: Footprint {
                descriptors: 0,
                zygote_descriptors: 0,
                mounts: 0,
            },
            resident: 0,
            limits: Limits::default(),
            ready: 0,
            elapsed: Duration::ZERO,
            stolen: false,
        };
        watch.settle().await;
        watch
    }

    /// Starts the zygote and remembers how things are.
    async fn settle(&mut self) {
        self.ordinary_run("settling").await;
        self.zygote = *children().last().expect("a zygote");
        self.settled().await;
        self.before = self.footprint();
        self.resident = resident();
    }

    /// Waits until those that wait are as many as they were.
    async fn settled(&self) {
        let latest = Instant::now() + Duration::from_secs(10);
        while self.fixture.sandbox.ready().await.unwrap() < self.ready {
            assert!(Instant::now() < latest, "the pool stays empty");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn footprint(&self) -> Footprint {
        let count = |folder: String| std::fs::read_dir(folder).map_or(0, Iterator::count);
        Footprint {
            descriptors: count("/proc/self/fd".to_owned()),
            // Unreadable to a plain user, because the zygote's memory is closed to its own user too.
            zygote_descriptors: count(format!("/proc/{}/fd", self.zygote)),
            mounts: std::fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .lines()
                .count(),
        }
    }

    async fn run(&mut self, program: &Hostile, limits_text: &str) -> Result<Outcome, SandboxError> {
        self.limits = limits(limits_text);
        let artifacts = tempfile::tempdir().unwrap();
        let job = Job {
            inputs: vec![input(&self.orders, "orders.csv")],
            limits: self.limits.clone(),
            artifacts_into: Some(artifacts.path().to_owned()),
            ..Job::new(Program::Service {
                code: program.code.clone(),
                parameters: serde_json::json!({
                    "port": self.tcp.local_addr().unwrap().port(),
                    "abstract": self.abstract_name,
                    "canary": self.canary,
                }),
            })
        };
        let started = Instant::now();
        let outcome = self.fixture.sandbox.run(job, Arc::new(())).await;
        self.elapsed = started.elapsed();
        self.stolen = std::fs::read_dir(artifacts.path()).unwrap().any(|entry| {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            content
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes())
        });
        outcome
    }

    async fn check(&mut self, program: &Hostile, outcome: Result<Outcome, SandboxError>, expect: &str) {
        let name = &program.name;
        if expect == "lost" {
            assert!(
                matches!(outcome, Err(SandboxError::Lost { .. })),
                "{name}: {outcome:#?}"
            );
            self.settle().await;
            return;
        }
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        expected(name, &outcome, expect);
        assert_eq!(self.stolen, expect == "stolen", "{name}");

        // The verdict is there in time.
        let latest = self.limits.wall + PATIENCE;
        assert!(
            self.elapsed < latest,
            "{name} took {:?} of {latest:?}",
            self.elapsed
        );
        // Nothing of the run is left, and nothing of ours has grown; a ready child's making takes descriptors
        // until the zygote is back from it, and a leak stays.
        self.settled().await;
        let latest = Instant::now() + PATIENCE;
        while self.ready > 0 && self.footprint() != self.before && Instant::now() < latest {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(
            children_of(self.zygote).len(),
            self.ready,
            "{name} left processes"
        );
        assert_eq!(children(), [self.zygote], "{name}");
        assert_eq!(self.footprint(), self.before, "{name}");
        let grown = resident().saturating_sub(self.resident);
        assert!(grown < 32 * MB, "{name}: the supervisor grew by {grown} bytes");
        // The next run is as if nothing had been.
        self.ordinary_run(name).await;
        // Nothing of the machine was touched or read.
        assert_eq!(std::fs::read_to_string(&self.canary).unwrap(), SECRET, "{name}");
        assert!(
            self.tcp.accept().is_err() && self.local.accept().is_err(),
            "{name} connected"
        );
        let said = format!("{outcome:?}");
        assert!(
            !said.contains(SECRET) && !said.contains("CONNECTED"),
            "{name}: {said}"
        );
    }

    async fn ordinary_run(&self, after: &str) {
        let code = "import csv\nreply(int(list(csv.DictReader(open('/data/orders.csv')))[0]['b']))";
        let outcome = self
            .fixture
            .run(Job {
                inputs: vec![input(&self.orders, "orders.csv")],
                ..common::service(code)
            })
            .await;
        assert_eq!(
            outcome.verdict,
            Verdict::Exited { code: 0 },
            "after {after}: {outcome:#?}"
        );
        assert_eq!(value(&outcome), 2, "after {after}");
    }
}

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

fn expected(name: &str, outcome: &Outcome, expect: &str) {
    let reply = match &outcome.reply {
        Some(Reply::Value(value)) => serde_json::from_str::<serde_json::Value>(value.get()).unwrap(),
        _ => serde_json::Value::Null,
    };
    let (word, rest) = expect.split_once(' ').unwrap_or((expect, ""));
    let verdict = &outcome.verdict;
    let exited = |code| *verdict == Verdict::Exited { code };
    let holds = match word {
        "wall" => *verdict == Verdict::WallLimit,
        "cpu" => *verdict == Verdict::CpuLimit,
        "memory" => *verdict == Verdict::MemoryLimit,
        "output" => *verdict == Verdict::OutputLimit,
        "broken-reply" => matches!(verdict, Verdict::BrokenReply { .. }) && outcome.reply.is_none(),
        "signal" => {
            *verdict
                == (Verdict::Signalled {
                    signal: rest.parse().unwrap(),
                })
        }
        "silent" => exited(rest.parse().unwrap()) && outcome.reply.is_none(),
        "reply" => exited(0) && reply == rest,
        "denied" | "worked" => exited(0) && reply == word,
        "believed" => exited(0) && reply.as_str().is_some_and(|reply| reply.contains(rest)),
        // That it is the canary, only the collected files can show.
        "stolen" => exited(0),
        "dropped" => exited(0) && outcome.artifacts.is_empty() && outcome.rejected.len() == 8,
        other => panic!("{name}: unknown expectation {other}"),
    };
    assert!(holds, "{name}: expected {expect}, got {outcome:#?}");
}
