//! The tier with control groups. Where this machine delegates none, a test says so and passes, unless
//! `METERBOX_REQUIRE_GROUPS=1`; `vm/` has a machine that does.
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
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    Fixture, Heard, MB,
    groups::{below, delegated, group_of, runs},
    patience, service,
    session::{run, why},
    value,
};
use meterbox_local_sandbox::{LocalSandboxBuilder, Tier};
use meterbox_sandbox_client::{
    Job, Limits, Sandbox, SandboxError, SandboxErrorKind, SessionEnd, SessionSetup, Verdict,
};

#[allow(clippy::print_stderr, reason = "what is left out is said")]
/// Its groups are below the one that was delegated. `None` where none is.
async fn grouped(change: impl FnOnce(LocalSandboxBuilder) -> LocalSandboxBuilder) -> Option<Fixture> {
    let fixture = Fixture::with(|builder| change(builder.min_tier(Tier::ControlGroup)));
    match fixture.sandbox.capabilities().await {
        Ok(_) => Some(fixture),
        Err(SandboxError::Unavailable { missing, .. }) => {
            assert!(std::env::var_os("METERBOX_REQUIRE_GROUPS").is_none(), "{missing}");
            eprintln!("left out: {missing}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A quick one: what is tested here needs no libraries.
async fn bare(without: &[&'static str]) -> Option<Fixture> {
    grouped(|builder| builder.without(&[&["preload"], without].concat())).await
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let latest = Instant::now() + patience(Duration::from_secs(5));
    while !holds() {
        assert!(Instant::now() < latest, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn with_memory(megabytes: u64, code: &str) -> Job {
    let mut job = service(code);
    job.limits.memory_bytes = megabytes * MB;
    job.limits.scratch_bytes = MB;
    job.limits.threads = 16;
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_strongest_and_says_what_it_promises() {
    if grouped(|builder| builder).await.is_none() {
        return;
    }
    // Also where less would do.
    let fixture = Fixture::new();
    let diagnosis = fixture.sandbox.diagnose().await;
    assert!(diagnosis.is_ok(), "{diagnosis:#?}");
    let outcome = fixture.run(service("reply(1)")).await;
    assert_eq!(value(&outcome), 1);
    assert_eq!(outcome.sandbox.tier, "ns+cg");
    let memory = &outcome.sandbox.guarantees["memory"];
    assert!(memory.contains("control group"), "{memory}");
    assert_eq!(runs(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_a_capped_group_of_its_own() {
    let Some(fixture) = bare(&[]).await else { return };
    let heard = Arc::new(Heard::default());
    let job = with_memory(64, "import time\nprint('up', flush=True)\ntime.sleep(600)");
    let cancel = job.cancel.clone();
    let run = fixture.sandbox.run(job, Arc::<Heard>::clone(&heard));
    let look = async {
        while heard.text().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen = runs();
        let read = |name: &str| fs::read_to_string(seen[0].join(name)).unwrap().trim().to_owned();
        let lives = read("cgroup.procs");
        let there = (group_of(&lives), read("pids.max"), read("memory.oom.group"));
        let most: u64 = read("memory.max").parse().unwrap();
        cancel.cancel();
        (seen, there, most)
    };
    let (outcome, (seen, there, most)) = tokio::join!(run, look);
    assert_eq!(outcome.unwrap().verdict, Verdict::Cancelled);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(there, (seen[0].clone(), "16".to_owned(), "1".to_owned()));
    // Its limit, its files, and what it may copy of the interpreter.
    assert!((65 * MB..300 * MB).contains(&most), "{most}");
    assert!(!seen[0].exists());
}

/// With the limits of the process and the watch left out there is nothing else.
const ALONE: [&str; 2] = ["rlimits", "watch"];
const BOMB: &str = "held = bytearray(700 << 20)\nreply(len(held))";
const MANY_THREADS: &str = "import threading, time\nmade = 0\ntry:\n    for made in range(60):\n        \
                            threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n\
                            except RuntimeError:\n    pass\nreply(made)";

#[tokio::test(flavor = "multi_thread")]
async fn the_group_alone_holds_memory_and_threads() {
    let Some(fixture) = bare(&ALONE).await else { return };
    let outcome = fixture.run(with_memory(64, BOMB)).await;
    assert_eq!(outcome.verdict, Verdict::MemoryLimit, "{outcome:#?}");
    let peak = outcome.usage.peak_memory_bytes / MB;
    assert!((60..300).contains(&peak), "{peak}");
    let made = value(&fixture.run(with_memory(64, MANY_THREADS)).await);
    assert_eq!(made, 15, "16 with the first");
    assert_eq!(runs(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_group_memory_and_threads_are_not_held() {
    if bare(&[]).await.is_none() {
        return;
    }
    let without = [&["preload"], &ALONE[..]].concat();
    let fixture = Fixture::with(|builder| builder.only_tier(Tier::Namespaces).without(&without));
    assert_eq!(value(&fixture.run(with_memory(64, BOMB)).await), 700 * MB);
    assert_eq!(value(&fixture.run(with_memory(64, MANY_THREADS)).await), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_is_what_the_group_counted() {
    let Some(fixture) = bare(&[]).await else { return };
    let code = "import threading, time\nheld = bytearray(b'x') * (48 << 20)\n\
                def work():\n    while time.process_time() < 1.0: pass\n\
                threads = [threading.Thread(target=work) for _ in range(3)]\n\
                for thread in threads: thread.start()\nfor thread in threads: thread.join()\n\
                reply(time.process_time())";
    let outcome = fixture.run(with_memory(128, code)).await;
    let own = value(&outcome).as_f64().unwrap() * 1000.0;
    #[expect(clippy::cast_precision_loss, reason = "some seconds")]
    let cpu = outcome.usage.cpu_ms as f64;
    // It began to count before it was told what to run.
    assert!((800.0..own + 500.0).contains(&cpu), "{cpu} of {own}");
    let peak = outcome.usage.peak_memory_bytes / MB;
    assert!((48..80).contains(&peak), "{peak}");
}

/// Twenty megabytes that no process has, and its group does.
const FILLS_PIPES: &str = "import fcntl, os\nways = [os.pipe() for _ in range(20)]\nfor _, end in ways:\n    \
                           fcntl.fcntl(end, 1031, 1 << 20)\n    os.write(end, bytes(1 << 20))";
const EMPTIES_PIPES: &str =
    "for way, end in ways:\n    os.read(way, 1 << 20)\n    os.close(way)\n    os.close(end)";

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_of_a_session_is_held_and_counted_by_its_group() {
    let Some(fixture) = bare(&ALONE).await else { return };
    let setup = SessionSetup {
        limits: with_memory(128, "").limits,
        ..SessionSetup::default()
    };
    let mut session = fixture.sandbox.session(setup).await.unwrap();
    let mut peaks = Vec::new();
    for code in [
        "held = bytearray(b'x') * (32 << 20)",
        FILLS_PIPES,
        EMPTIES_PIPES,
        "pass",
    ] {
        peaks.push(run(&mut *session, code).await.usage.peak_memory_bytes / MB);
    }
    let expected = [32..50, 52..70, 52..70, 32..50];
    let holds = |(peak, expected): (&u64, &std::ops::Range<u64>)| expected.contains(peak);
    assert!(peaks.iter().zip(&expected).all(holds), "{peaks:?}");
    let outcome = run(&mut *session, BOMB).await;
    assert_eq!(outcome.verdict, Verdict::MemoryLimit, "{outcome:#?}");
    assert_eq!(why(&mut *session).await, SessionEnd::Cell(Verdict::MemoryLimit));
    until("the session's group is left", || runs().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_children_have_groups_that_are_capped_for_their_job() {
    let Some(fixture) = grouped(|builder| builder.ready(2).without(&["preload", "rlimits", "watch"])).await
    else {
        return;
    };
    let filled = async || {
        while fixture.sandbox.ready().await.unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    for _ in 0..3 {
        filled().await;
        let before = runs();
        assert_eq!(before.len(), 2, "{before:?}");
        let outcome = fixture.run(with_memory(64, BOMB)).await;
        assert_eq!(outcome.verdict, Verdict::MemoryLimit, "{outcome:#?}");
        assert!(
            before.iter().any(|group| !group.exists()),
            "none of them was used"
        );
    }
    filled().await;
    let larger = with_memory(1024, BOMB);
    assert_eq!(value(&fixture.run(larger).await), 700 * MB);
}

/// What a ready child drew before its program came is in its group, and neither paid for nor taken from the program's limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_no_use_of_its_program() {
    let Some(fixture) = grouped(|builder| builder.ready(2)).await else {
        return;
    };
    for megabytes in [0, 50] {
        let latest = Instant::now() + patience(Duration::from_secs(20));
        while !fixture.sandbox.has_rehearsed().await.unwrap() {
            assert!(Instant::now() < latest, "none rehearses");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let code = format!("held = bytearray(b'x') * ({megabytes} << 20)\nreply(len(held))");
        let outcome = fixture.run(with_memory(64, &code)).await;
        assert_eq!(value(&outcome), megabytes * MB, "{outcome:?}");
        let cpu = Duration::from_millis(outcome.usage.cpu_ms);
        let peak = outcome.usage.peak_memory_bytes / MB;
        // A chart takes more than what is allowed beside the program's own.
        assert!(cpu < patience(Duration::from_millis(60)), "{cpu:?}");
        assert!(
            (megabytes..megabytes + 8).contains(&peak),
            "{peak} of {megabytes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_groups() {
    let Some(fixture) = bare(&[]).await else { return };
    for wait in [0, 5, 20, 60, 200] {
        let run = fixture.run(service("while True: pass"));
        let dropped = tokio::time::timeout(patience(Duration::from_millis(wait)), run).await;
        assert!(dropped.is_err());
    }
    until("groups of dropped runs are left", || runs().is_empty()).await;
    for _ in 0..10 {
        fixture
            .run(service("open('kept.txt', 'w').write('x' * 100000)\nreply(1)"))
            .await;
    }
    let place = delegated();
    // The kernel keeps a removed group as long as memory is counted to it.
    let dying = || {
        let stat = fs::read_to_string(place.join("cgroup.stat")).unwrap();
        let line = stat
            .lines()
            .find_map(|line| line.strip_prefix("nr_dying_descendants "));
        line.unwrap().parse::<u64>().unwrap()
    };
    until("the kernel keeps many dead groups", || dying() < 8).await;
    let Fixture {
        sandbox,
        inputs: _inputs,
        alone: _alone,
    } = fixture;
    drop(sandbox);
    until("the supervisor's groups are left", || {
        below(&place, "meterbox-runs-").is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_group_can_be_made_a_run_is_refused() {
    let Some(fixture) = bare(&[]).await else { return };
    let [ours] = &below(&delegated(), "meterbox-runs-")[..] else {
        panic!("one supervisor")
    };
    let most = ours.join("cgroup.max.descendants");
    // That of the interpreter is there.
    fs::write(&most, "1").unwrap();
    let refused = fixture
        .sandbox
        .run(service("reply(1)"), Arc::new(()))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), SandboxErrorKind::Platform);
    assert!(refused.to_string().contains("control group"), "{refused}");
    fs::write(&most, "max").unwrap();
    let outcome = fixture.run(service("reply(1)")).await;
    assert_eq!((value(&outcome), &*outcome.sandbox.tier), (1.into(), "ns+cg"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_supervisor_left_is_swept() {
    if bare(&[]).await.is_none() {
        return;
    }
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "left_behind", "--nocapture"])
        .env("METERBOX_TEST_LEFT_BEHIND", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    let up = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("a program runs"));
    assert!(up, "{:?}", other.wait());
    let place = delegated();
    let theirs = below(&place, &format!("meterbox-runs-{}-", other.id()));
    assert_eq!(theirs.len(), 1, "{theirs:?}");
    // As long as it lives, nobody takes it for dead.
    let fixture = bare(&[]).await.unwrap();
    assert!(theirs[0].exists());
    drop(fixture);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(theirs[0].exists());
    let fixture = bare(&[]).await.unwrap();
    assert!(!theirs[0].exists(), "{:?}", below(&theirs[0], ""));
    assert_eq!(fixture.value("reply(1)").await, 1);
}

/// The supervisor that is killed in the test above.
#[tokio::test(flavor = "multi_thread")]
async fn left_behind() {
    if std::env::var_os("METERBOX_TEST_LEFT_BEHIND").is_none() {
        return;
    }
    let fixture = bare(&[]).await.unwrap();
    let heard = Arc::new(Heard::default());
    let mut job = service("import time\nprint('up', flush=True)\ntime.sleep(3600)");
    job.limits.wall = Duration::from_secs(3600);
    let run = fixture.sandbox.run(job, Arc::<Heard>::clone(&heard));
    let say = async {
        while heard.text().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("a program runs");
    };
    let _ = tokio::join!(run, say);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_can_be_named() {
    if bare(&[]).await.is_none() {
        return;
    }
    let named = delegated();
    let fixture = grouped(|builder| builder.control_group(&named).without(&["preload"]))
        .await
        .unwrap();
    assert_eq!(fixture.run(service("reply(1)")).await.sandbox.tier, "ns+cg");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_group_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for named in [folder.path().join("nowhere"), folder.path().to_owned()] {
        let fixture = Fixture::with(|builder| {
            builder
                .min_tier(Tier::ControlGroup)
                .control_group(&named)
                .without(&["preload"])
        });
        let refused = fixture.sandbox.run(service("reply(1)"), Arc::new(())).await;
        let Err(SandboxError::Unavailable { missing, fix }) = refused else {
            panic!("{refused:?}")
        };
        assert!(missing.contains(named.to_str().unwrap()), "{missing}");
        assert!(
            fix.contains("Delegate=yes") && fix.contains("METERBOX_CONTROL_GROUP"),
            "{fix}"
        );
        // And where less will do, it does.
        drop(fixture);
        let fixture = Fixture::with(|builder| builder.control_group(&named).without(&["preload"]));
        let outcome = fixture
            .run(Job {
                limits: Limits::default(),
                ..service("reply(1)")
            })
            .await;
        assert_eq!(outcome.sandbox.tier, "ns");
    }
}
