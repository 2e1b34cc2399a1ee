//! A sandbox with canaries around it, and the promises that hold after every run whatever it was.

use std::{
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use meterbox_sandbox_client::{Job, Limits, Sandbox, SandboxError, Verdict};

use super::{
    Fixture, MB, children, children_of, groups, input, patience,
    program::{Found, Hostile, Seen},
    service, value,
};

const SECRET: &str = "canary-7f3a91";
/// A verdict is there this long after its limit, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// A sandbox with canaries around it.
pub(crate) struct Watch {
    pub(crate) fixture: Fixture,
    orders: PathBuf,
    canary: PathBuf,
    canary_marks: (u32, i64, i64, u32),
    tcp: TcpListener,
    local: UnixListener,
    abstract_name: String,
    zygote: i32,
    before: Footprint,
    resident: u64,
    /// How many children wait for a program when nothing runs.
    ready: usize,
}

/// What of this process and its zygote may not grow.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    descriptors: usize,
    zygote_descriptors: usize,
    mounts: usize,
    namespaces: usize,
    groups: usize,
}

impl Watch {
    pub(crate) async fn new(fixture: Fixture) -> Self {
        Self::with_ready(fixture, 0).await
    }

    /// Of a sandbox that keeps so many children ready.
    pub(crate) async fn with_ready(fixture: Fixture, ready: usize) -> Self {
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
            canary_marks: marks(&canary),
            canary,
            tcp,
            local,
            abstract_name,
            zygote: 0,
            before: Footprint::default(),
            resident: 0,
            ready,
        };
        watch.settle().await;
        watch
    }

    /// Starts the zygote and remembers how things are.
    pub(crate) async fn settle(&mut self) {
        self.ordinary_run("settling").await;
        self.zygote = *children().last().expect("a zygote");
        self.settled().await;
        self.before = self.footprint();
        self.resident = resident();
    }

    /// Waits until those that wait are as many as they were.
    async fn settled(&self) {
        let latest = Instant::now() + patience(Duration::from_secs(20));
        while self.fixture.sandbox.ready().await.unwrap() < self.ready {
            assert!(Instant::now() < latest, "the pool stays empty");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn footprint(&self) -> Footprint {
        let count = |folder: String| std::fs::read_dir(folder).map_or(0, Iterator::count);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        Footprint {
            descriptors: count("/proc/self/fd".to_owned()),
            // Unreadable to a plain user, because the zygote's memory is closed to its own user too.
            zygote_descriptors: count(format!("/proc/{}/fd", self.zygote)),
            mounts: mounts.lines().count(),
            namespaces: namespaces_of_its_children(self.zygote),
            groups: groups::runs().len(),
        }
    }

    /// Runs these, so many at once, and judges each; then everything has to be as it was. Says which ended otherwise than
    /// expected.
    pub(crate) async fn contain(
        &mut self,
        programs: &[&Hostile],
        guarded: bool,
        at_once: usize,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let (alone, together): (Vec<&Hostile>, Vec<&Hostile>) = programs
            .iter()
            .copied()
            .partition(|program| program.loses_its_run(guarded));
        let judged = stream::iter(together.iter().map(|program| self.contain_one(program, guarded)));
        let judged: Vec<_> = judged.buffer_unordered(at_once).collect().await;
        wrong.extend(judged.into_iter().filter_map(Result::err));
        let names: Vec<&str> = together.iter().map(|program| &*program.name).collect();
        self.everything_is_as_before(&names.join(", ")).await;
        for program in alone {
            let seen = self.run(program, &program.limits(guarded)).await;
            if !matches!(seen, Err(SandboxError::Lost { .. })) {
                wrong.push(format!("{}: not lost but {seen:#?}", program.name));
            }
            self.settle().await;
        }
        wrong
    }

    /// Runs one and judges it.
    pub(crate) async fn contain_one(&self, program: &Hostile, guarded: bool) -> Result<(), String> {
        let seen = self.run(program, &program.limits(guarded)).await;
        let seen = seen.map_err(|error| format!("{}: {error}", program.name))?;
        Self::judge(program, &seen, guarded)
    }

    pub(crate) async fn run(&self, program: &Hostile, limits: &Limits) -> Result<Seen, SandboxError> {
        let artifacts = tempfile::tempdir().unwrap();
        let parameters = serde_json::json!({
            "port": self.tcp.local_addr().unwrap().port(),
            "abstract": self.abstract_name,
            "canary": self.canary,
        });
        let job = Job {
            inputs: vec![input(&self.orders, "orders.csv")],
            tables: tables(),
            limits: limits.clone(),
            artifacts_into: Some(artifacts.path().to_owned()),
            ..Job::new(program.program(parameters))
        };
        let started = Instant::now();
        let outcome = self.fixture.sandbox.run(job, Arc::new(())).await?;
        Ok(Seen {
            outcome,
            elapsed: started.elapsed(),
            limits: limits.clone(),
            files: found(artifacts.path()),
        })
    }

    fn judge(program: &Hostile, seen: &Seen, guarded: bool) -> Result<(), String> {
        let Hostile { name, .. } = program;
        program.judge(seen, guarded)?;
        in_time(name, seen.elapsed, &seen.limits);
        let said = format!("{:?}", seen.outcome);
        assert!(
            !said.contains(SECRET) && !said.contains("CONNECTED"),
            "{name}: {said}"
        );
        Ok(())
    }

    pub(crate) async fn everything_is_as_before(&self, after: &str) {
        // Nothing of the run is left, and nothing of ours has grown; a ready child's making takes descriptors until
        // the zygote is back from it, and a leak stays.
        self.settled().await;
        let latest = Instant::now() + patience(PATIENCE);
        let is_as_before = || self.footprint() == self.before && children_of(self.zygote).len() == self.ready;
        while !is_as_before() && Instant::now() < latest {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(
            children_of(self.zygote).len(),
            self.ready,
            "after {after} processes are left"
        );
        assert_eq!(self.footprint(), self.before, "after {after}");
        assert_eq!(children(), [self.zygote], "after {after}");
        let grown = resident().saturating_sub(self.resident);
        assert!(
            grown < 32 * MB,
            "after {after}: the supervisor grew by {grown} bytes"
        );
        // The next run is as if nothing had been.
        self.ordinary_run(after).await;
        // Nothing of the machine was touched or read.
        assert_eq!(
            std::fs::read_to_string(&self.canary).unwrap(),
            SECRET,
            "after {after}"
        );
        assert_eq!(marks(&self.canary), self.canary_marks, "after {after}");
        assert!(
            self.tcp.accept().is_err() && self.local.accept().is_err(),
            "after {after} connected"
        );
    }

    /// Waits until earlier interpreters are gone, and takes the last one for the one to watch.
    pub(crate) async fn only_one_interpreter(&mut self) {
        let latest = Instant::now() + patience(PATIENCE);
        while children().len() > 1 && Instant::now() < latest {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.zygote = *children().last().expect("a zygote");
    }

    pub(crate) async fn ordinary_run(&self, after: &str) {
        let code = "import csv\nreply(int(list(csv.DictReader(open(tables.path('orders'))))[0]['b']))";
        let outcome = self
            .fixture
            .run(Job {
                inputs: vec![input(&self.orders, "orders.csv")],
                tables: tables(),
                ..service(code)
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

fn tables() -> std::collections::BTreeMap<String, String> {
    [("orders".to_owned(), "orders.csv".to_owned())].into()
}

/// The verdict is there in time.
fn in_time(name: &str, elapsed: Duration, limits: &Limits) {
    let latest = limits.wall + patience(PATIENCE);
    assert!(elapsed < latest, "{name} took {elapsed:?} of {latest:?}");
}

fn found(folder: &Path) -> Vec<Found> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let content = std::fs::read(entry.path()).unwrap();
            Found {
                name: entry.file_name().to_string_lossy().into_owned(),
                mode: entry.metadata().unwrap().permissions().mode() & 0o7777,
                stolen: content
                    .windows(SECRET.len())
                    .any(|part| part == SECRET.as_bytes()),
            }
        })
        .collect()
}

/// How many namespaces there are below it that are neither its own nor a waiting child's.
fn namespaces_of_its_children(zygote: i32) -> usize {
    let of = |pid: i32| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/ns")).ok()?;
        let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        Some(links.collect::<Vec<_>>())
    };
    let mut all: Vec<_> = children_of(zygote).into_iter().filter_map(of).flatten().collect();
    all.sort();
    all.dedup();
    all.len()
}

/// Memory of a process, in bytes.
pub(crate) fn resident_of(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

fn resident() -> u64 {
    resident_of(std::process::id())
}

/// Rights and date of a file, and the rights of its folder.
fn marks(file: &Path) -> (u32, i64, i64, u32) {
    let (about, folder) = (
        file.metadata().unwrap(),
        file.parent().unwrap().metadata().unwrap(),
    );
    (about.mode(), about.mtime(), about.mtime_nsec(), folder.mode())
}
