//! More programs than may run at once: they wait for their turn, which is no time of theirs, and not for ever.
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

use std::{sync::Arc, time::Duration};

use common::{
    Fixture, children, children_of,
    machine::{self, Host},
    runtime, service,
    session::{begin, run},
    value,
};
use meterbox_core::contract::Usage;
use meterbox_sandbox_client::{Sandbox, SandboxError, Verdict};
use rustix::process::{Resource, Rlimit, geteuid, setrlimit};
use tokio::time::sleep;

const SLEEPS: &str = "import time\ntime.sleep(2)\nreply('slept')";
const QUICK: &str = "reply('quick')";

/// One program at once, and an interpreter that is prepared for it.
async fn with_room_for_one(patience: Duration) -> Fixture {
    let fixture = Fixture::bare_with(|builder| builder.at_once(1, patience));
    fixture.sandbox.capabilities().await.unwrap();
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_no_time_of_the_program_that_waits() {
    let fixture = with_room_for_one(Duration::from_secs(60)).await;
    let late = async {
        sleep(Duration::from_millis(300)).await;
        let mut job = service(QUICK);
        job.limits.wall = Duration::from_secs(1);
        fixture.run(job).await
    };
    let (first, second) = tokio::join!(fixture.run(service(SLEEPS)), late);
    assert_eq!(value(&first), "slept");
    assert_eq!(value(&second), "quick");
    assert!(second.usage.wall_ms < 1_000, "{:?}", second.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_too_long_is_told_to_come_again() {
    let fixture = with_room_for_one(Duration::from_millis(200)).await;
    let late = async {
        sleep(Duration::from_millis(500)).await;
        let refused = fixture.sandbox.run(service(QUICK), Arc::new(())).await;
        assert!(
            matches!(refused, Err(SandboxError::Busy { retry_after: Some(_) })),
            "{refused:?}"
        );
    };
    let (first, ()) = tokio::join!(fixture.run(service(SLEEPS)), late);
    assert_eq!(value(&first), "slept");
    assert_eq!(fixture.value(QUICK).await, "quick", "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_while_waiting_runs_nothing_and_pays_nothing() {
    let fixture = with_room_for_one(Duration::from_secs(60)).await;
    let cancelled = service(QUICK);
    let cancel = cancelled.cancel.clone();
    let late = async {
        sleep(Duration::from_millis(500)).await;
        let waiting = fixture.run(cancelled);
        let hang_up = async {
            sleep(Duration::from_millis(200)).await;
            // Only the first has a process.
            assert_eq!(children_of(children()[0]).len(), 1);
            cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(waiting, hang_up);
        assert_eq!(outcome.verdict, Verdict::Cancelled);
        assert_eq!(outcome.usage, Usage::default());
        // One that is dropped leaves the queue too.
        let dropped = tokio::time::timeout(Duration::from_millis(100), fixture.run(service(QUICK)));
        dropped.await.unwrap_err();
    };
    let (first, ()) = tokio::join!(fixture.run(service(SLEEPS)), late);
    assert_eq!(value(&first), "slept");
    assert_eq!(fixture.value(QUICK).await, "quick");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_programs_of_a_crowd_let_young_ones_go_first() {
    let fixture = Fixture::bare();
    fixture.sandbox.capabilities().await.unwrap();
    // With a thread of its own, from before its turn was over.
    let busy = "import threading, time\nlatest = time.monotonic() + 3\n\
                def spin():\n    while time.monotonic() < latest: pass\n\
                thread = threading.Thread(target=spin)\nthread.start()\nspin()\nthread.join()\nreply('done')";
    let many = std::thread::available_parallelism().unwrap().get() + 2;
    let zygote = children()[0];
    // Whoever runs the tests may have lowered theirs.
    let usual = own_priority(std::process::id().cast_signed());
    let watch = async {
        sleep(Duration::from_millis(1_500)).await;
        let priorities: Vec<Vec<i64>> = children_of(zygote).into_iter().map(priorities).collect();
        assert!(priorities.len() == many, "{priorities:?}");
        let all_went_after =
            |threads: &Vec<i64>| threads.len() == 2 && threads.iter().all(|nice| *nice == 19);
        assert!(priorities.iter().all(all_went_after), "{priorities:?}");
        assert_eq!(
            own_priority(zygote),
            usual,
            "the interpreter itself goes on as before"
        );
    };
    let runs = futures_util::future::join_all((0..many).map(|_| fixture.run(service(busy))));
    let (ended, ()) = tokio::join!(runs, watch);
    assert!(ended.iter().all(|outcome| value(outcome) == "done"));
    // Alone, nobody is slowed down.
    let alone =
        "import time\nlatest = time.monotonic() + 1\nwhile time.monotonic() < latest: pass\nreply('done')";
    let watch = async {
        sleep(Duration::from_millis(600)).await;
        let priorities: Vec<Vec<i64>> = children_of(zygote).into_iter().map(priorities).collect();
        assert_eq!(priorities, [[usual]]);
    };
    let (ended, ()) = tokio::join!(fixture.run(service(alone)), watch);
    assert_eq!(value(&ended), "done");
}

/// Root's own right aside, that takes a limit which whoever runs the tests may not have been given.
fn a_plain_users_priority_comes_back() -> bool {
    let usual = u64::try_from(20 - own_priority(std::process::id().cast_signed())).ok();
    let limit = Rlimit {
        current: usual,
        maximum: usual,
    };
    setrlimit(Resource::Nice, limit).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_begins_anew_after_one_that_went_after_others() {
    let fixture = Fixture::bare();
    let usual = own_priority(std::process::id().cast_signed());
    let comes_back = geteuid().is_root() || a_plain_users_priority_comes_back();
    let later = if comes_back { usual } else { 19 };
    let mut session = begin(&fixture).await;
    // Each thread's, as soon as they are what is awaited.
    let look = |awaited: i64, seconds: u32| {
        format!(
            "import os, threading, time\nlatest = time.monotonic() + {seconds}\n\
             def look(): return [int(open(f'/proc/self/task/{{task}}/stat').read().rsplit(')')[1].split()[16]) \
             for task in os.listdir('/proc/self/task')]\n\
             while set(look()) != {{{awaited}}} and time.monotonic() < latest: pass\nreply(look())"
        )
    };
    let thread =
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()";
    run(&mut *session, thread).await;
    let busy =
        "import time\nlatest = time.monotonic() + 1.5\nwhile time.monotonic() < latest: pass\nreply('done')";
    let many = std::thread::available_parallelism().unwrap().get() + 1;
    let crowd = futures_util::future::join_all((0..many).map(|_| fixture.run(service(busy))));
    let long = look(19, 5);
    let (_, long) = tokio::join!(crowd, run(&mut *session, &long));
    assert_eq!(value(&long), serde_json::json!([19, 19]));
    let next = run(&mut *session, &look(later, 5)).await;
    assert_eq!(value(&next), serde_json::json!([later, later]));
}

#[test]
fn so_it_does_for_a_plain_user_whose_limit_allows_it() {
    if !geteuid().is_root() {
        return;
    }
    // Where that limit cannot be had, it is seen that the session goes on as it was.
    let _ = a_plain_users_priority_comes_back();
    let name = "a_cell_begins_anew_after_one_that_went_after_others";
    let tests = std::env::current_exe().unwrap();
    let ran = machine::as_nobody(&runtime(), &tests, &[name], Host::Whole, &[]);
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Of each thread of a process, as the kernel tells it: 0 is ordinary, 19 the lowest.
fn priorities(pid: i32) -> Vec<i64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .map(|thread| priority(&thread.unwrap().path().join("stat")))
        .collect()
}

fn own_priority(pid: i32) -> i64 {
    priority(format!("/proc/{pid}/stat").as_ref())
}

fn priority(stat: &std::path::Path) -> i64 {
    let stat = std::fs::read_to_string(stat).unwrap();
    let after_the_name = stat.rsplit(')').next().unwrap();
    after_the_name
        .split_ascii_whitespace()
        .nth(16)
        .unwrap()
        .parse()
        .unwrap()
}
