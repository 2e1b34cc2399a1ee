//! What happens to the supervisor and its machine while programs run: ends, cancels, full machines, odd clocks, jails
//! that only look like one.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Alone, Fixture, Heard, children, children_of, is_alive, service, value};
use futures_util::future::join_all;
use meterbox_core::{Clock, Timestamp};
use meterbox_sandbox_client::{Job, Limits, OutputSink, Sandbox, SandboxError, SandboxErrorKind, Verdict};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

const ROLE: &str = "METERBOX_TEST_ROLE";
/// How long the kernel and a busy machine may take to end what has to end.
const PATIENCE: Duration = Duration::from_secs(5);
const ENDLESS: &str = "print('at work', flush=True)\nwhile True: pass";

// === its own end ===

/// Not a test of its own: the supervisor that the next tests end.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_at_work() {
    if !plays("supervisor") {
        return;
    }
    let fixture = Fixture::bare_with(|builder| builder.ready(2));
    let heard = Arc::new(Heard::default());
    let tell = async {
        while heard.text().is_empty() || fixture.sandbox.ready().await.unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let zygotes = children();
        let pids = zygotes
            .iter()
            .chain(&children_of(zygotes[0]))
            .copied()
            .collect::<Vec<_>>();
        let line = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
        writeln!(std::io::stdout(), "AT WORK {line}").unwrap();
    };
    let sink: Arc<dyn OutputSink> = Arc::<Heard>::clone(&heard);
    let (_, ()) = tokio::join!(fixture.sandbox.run(service(ENDLESS), sink), tell);
}

#[test]
fn a_supervisor_that_is_ended_leaves_nothing() {
    let _alone = Alone::new();
    for how in [Signal::KILL, Signal::TERM] {
        let mut supervisor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_supervisor_at_work", "--nocapture"])
            .env(ROLE, "supervisor")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(supervisor.stdout.take().unwrap());
        let line = output
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("AT WORK ")?.1.to_owned()))
            .expect("a supervisor at work");
        let pids: Vec<i32> = line.split(' ').map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(
            pids.len(),
            4,
            "its zygote, two ready children and a program: {line}"
        );
        assert!(pids.iter().all(|pid| is_alive(*pid)), "{line}");
        kill_process(Pid::from_child(&supervisor), how).unwrap();
        supervisor.wait().unwrap();
        all_end(&pids);
    }
}

// === cancelling ===

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_twice_is_cancelled_once_and_paid() {
    let fixture = Fixture::bare();
    fixture.sandbox.capabilities().await.unwrap();
    let zygote = children()[0];
    let heard = Arc::new(Heard::default());
    let job = service(ENDLESS);
    let cancel = job.cancel.clone();
    let twice = async {
        while heard.text().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Long enough to be measured.
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
        cancel.cancel();
        Instant::now()
    };
    let sink: Arc<dyn OutputSink> = Arc::<Heard>::clone(&heard);
    let (outcome, cancelled) = tokio::join!(fixture.sandbox.run(job, sink), twice);
    assert!(cancelled.elapsed() < PATIENCE, "{:?}", cancelled.elapsed());
    let outcome = outcome.unwrap();
    assert_eq!(outcome.verdict, Verdict::Cancelled);
    assert!(
        outcome.usage.wall_ms >= 200 && outcome.usage.cpu_ms > 0,
        "{:?}",
        outcome.usage
    );
    cancel.cancel();
    assert!(
        children_of(zygote).is_empty(),
        "it is dead when its outcome is there"
    );
    assert_eq!(fixture.value("reply(1)").await, 1);
}

// === the end of its interpreter ===

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_killed_at_any_moment_loses_runs_but_lies_about_none() {
    let fixture = Fixture::bare_with(|builder| builder.ready(1));
    for moment in [0, 8, 30] {
        fixture.sandbox.capabilities().await.unwrap();
        let zygote = children()[0];
        let kill = async {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            kill_process(Pid::from_raw(zygote).unwrap(), Signal::KILL).unwrap();
        };
        let run = |number: u32| {
            let code = format!("import time; time.sleep(0.02); reply({number})");
            let fixture = &fixture;
            async move { (number, fixture.sandbox.run(service(&code), Arc::new(())).await) }
        };
        let (done, ()) = tokio::join!(join_all((0..8).map(run)), kill);
        for (number, done) in done {
            match done {
                Ok(outcome) => assert_eq!(value(&outcome), number),
                Err(SandboxError::Lost { .. } | SandboxError::Platform { .. }) => {}
                Err(error) => panic!("killed after {moment} ms: {error}"),
            }
        }
        assert_eq!(fixture.value("reply(1)").await, 1);
    }
}

// === a full machine ===

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_a_run_is_refused_and_the_next_one_works() {
    let fixture = Fixture::bare();
    fixture.sandbox.capabilities().await.unwrap();
    let before = lowered(Resource::Nofile, 12);
    let refused = fixture.sandbox.run(service("reply(1)"), Arc::new(())).await;
    setrlimit(Resource::Nofile, before).unwrap();
    refused_before_it_began(refused);
    assert_eq!(fixture.value("reply(1)").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_processes_a_run_is_refused_and_the_next_one_works() {
    // A limit on the processes of a user is none to root, and to a plain user it is one on the tests' own threads.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let fixture = Fixture::bare();
    let before = lowered(Resource::Nproc, 0);
    let refused = fixture.sandbox.run(service("reply(1)"), Arc::new(())).await;
    setrlimit(Resource::Nproc, before).unwrap();
    refused_before_it_began(refused);
    assert_eq!(fixture.value("reply(1)").await, 1);
}

/// Not a test of its own: collects files where there is no room for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_with_a_full_disk() {
    if !plays("full disk") {
        return;
    }
    let fixture = Fixture::bare();
    let folder = std::env::var_os("METERBOX_TEST_FULL").unwrap();
    let job = Job {
        artifacts_into: Some(folder.into()),
        ..service("open('large', 'wb').write(bytes(1 << 20)); reply(1)")
    };
    let lost = fixture.sandbox.run(job, Arc::new(())).await.unwrap_err();
    // Its program ran, so somebody has to pay for it.
    assert!(
        matches!(&lost, SandboxError::Lost { usage: Some(_), .. }),
        "{lost:?}"
    );
    assert_eq!(fixture.value("reply(1)").await, 1);
}

#[test]
fn a_full_disk_loses_a_runs_files_and_says_what_it_used() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let _alone = Alone::new();
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k tmpfs \"$METERBOX_TEST_FULL\" && \
                  exec \"$0\" --exact a_supervisor_with_a_full_disk";
    let ran = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "full disk")
        .env("METERBOX_TEST_FULL", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

// === time ===

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_at_its_deadline_has_one_verdict() {
    let fixture = Fixture::bare();
    fixture.sandbox.capabilities().await.unwrap();
    let run = |more: u32| {
        let code = format!(
            "import time; time.sleep({}); reply('done')",
            0.25 + f64::from(more) / 1000.0
        );
        let fixture = &fixture;
        let limits = Limits {
            wall: Duration::from_millis(250),
            ..Limits::default()
        };
        async move {
            fixture
                .run(Job {
                    limits,
                    ..service(&code)
                })
                .await
        }
    };
    for group in 0..4_u32 {
        for outcome in join_all((0..4).map(|one| run((group * 4 + one).saturating_sub(12)))).await {
            let usage = outcome.usage;
            match outcome.verdict {
                Verdict::Exited { code: 0 } => assert_eq!(value(&outcome), "done"),
                Verdict::WallLimit => assert!(usage.wall_ms >= 250, "{usage:?}"),
                other => panic!("{other:?}"),
            }
            assert!(usage.wall_ms < 250 + 5_000, "{usage:?}");
        }
    }
}

/// Jumps by hours, ahead and back, whenever it is asked.
#[derive(Debug, Default)]
struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        meterbox_core::SystemClock::default().now()
    }

    fn monotonic(&self) -> Duration {
        let asked = self.0.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs(if asked.is_multiple_of(2) { 36_000 } else { 60 })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ends_no_run_early_or_late() {
    let fixture = Fixture::bare_with(|builder| builder.clock(Arc::new(Jumping::default())));
    assert_eq!(fixture.value("import time; time.sleep(0.3); reply(1)").await, 1);
    let limits = Limits {
        wall: Duration::from_millis(300),
        ..Limits::default()
    };
    let started = Instant::now();
    let outcome = fixture
        .run(Job {
            limits,
            ..service("while True: pass")
        })
        .await;
    assert_eq!(outcome.verdict, Verdict::WallLimit);
    assert!(started.elapsed() >= Duration::from_millis(300));
    // The processor's time is the kernel's, whatever the clock says.
    assert!(
        outcome.usage.cpu_ms > 0 && outcome.usage.cpu_ms < 60_000,
        "{:?}",
        outcome.usage
    );
}

// === a jail that only looks like one ===

/// Each of these steps reports that all went well and does nothing: only trying shows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_lies_is_noticed_before_a_program_runs() {
    for guards in [
        &["seccomp"][..],
        &["capabilities"],
        &["hidden-inputs", "landlock"],
    ] {
        let fixture = Fixture::with(|builder| builder.without(guards));
        let diagnosis = fixture.sandbox.diagnose().await;
        let jail = diagnosis
            .checks
            .iter()
            .find(|check| check.check == "a jail")
            .unwrap();
        assert!(!jail.ok && jail.fix.is_some(), "{guards:?}: {jail:?}");
    }
}

// === helpers ===

fn plays(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|plays| plays == role)
}

fn all_end(pids: &[i32]) {
    let latest = Instant::now() + PATIENCE;
    while let Some(pid) = pids.iter().find(|pid| is_alive(**pid)) {
        assert!(Instant::now() < latest, "{pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn refused_before_it_began(run: Result<meterbox_sandbox_client::Outcome, SandboxError>) {
    let error = run.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            SandboxErrorKind::Platform | SandboxErrorKind::Unavailable
        ),
        "{error:?}"
    );
}

/// Lowers a limit of this process, and says what it was.
fn lowered(resource: Resource, to: u64) -> Rlimit {
    let before = getrlimit(resource);
    let lowered = Rlimit {
        current: Some(to),
        ..before
    };
    setrlimit(resource, lowered).unwrap();
    before
}
