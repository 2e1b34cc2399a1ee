//! Many runs in a row: nothing grows.
//!
//! `METERBOX_SOAK=1` makes it 10,000 quick runs, 1,000 that run out of time and 5,000 sessions; otherwise it is a fiftieth of
//! the runs and 200 sessions.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{io::Write as _, time::Duration};

use common::{
    Fixture, MB, children, service,
    session::{begin, run},
    value,
    watch::{Watch, resident_of},
};
use futures_util::future::join_all;
use meterbox_sandbox_client::{Job, Limits, Verdict};

const AT_ONCE: usize = 4;
const READY: usize = 4;
/// What the supervisor may grow by, in either direction of a busy allocator.
const MOST_GROWTH: u64 = 5 * MB;

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_leave_nothing_behind() {
    let long = std::env::var_os("METERBOX_SOAK").is_some();
    let (quick, slow) = if long { (10_000, 1_000) } else { (200, 20) };
    // Fresh interpreters now and then, as in real use; the memory of one of them is looked at below.
    let fixture = Fixture::with(|builder| builder.ready(READY).renew_after(1_000, Duration::from_secs(3600)));
    let mut watch = Watch::with_ready(fixture, READY).await;
    // Buffers and threads that are made once.
    run_quick(&watch, 100).await;
    watch.settle().await;
    let before = resident_of(std::process::id());

    run_quick(&watch, quick).await;
    let after_quick = resident_of(std::process::id());
    run_slow(&watch, slow).await;
    let after_slow = resident_of(std::process::id());
    // Whichever interpreter is the current one by now: it is the only one.
    watch.only_one_interpreter().await;
    watch.everything_is_as_before("many runs").await;
    for (what, after) in [("quick", after_quick), ("slow", after_slow)] {
        let grown = after.saturating_sub(before);
        assert!(grown <= MOST_GROWTH, "{what} runs: {before} bytes became {after}");
    }
    let zygote = resident_of(u32::try_from(children()[0]).unwrap());
    writeln!(
        std::io::stderr(),
        "{quick} quick runs and {slow} time-outs: supervisor {before} -> {after_quick} -> {after_slow} bytes, zygote {zygote}"
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_leave_nothing_behind() {
    let sessions = if std::env::var_os("METERBOX_SOAK").is_some() {
        5_000
    } else {
        200
    };
    let fixture = Fixture::with(|builder| builder.ready(READY).renew_after(1_000, Duration::from_secs(3600)));
    let mut watch = Watch::with_ready(fixture, READY).await;
    talk(&watch, 40).await;
    watch.settle().await;
    let before = resident_of(std::process::id());
    talk(&watch, sessions).await;
    let after = resident_of(std::process::id());
    watch.only_one_interpreter().await;
    watch.everything_is_as_before("many sessions").await;
    let grown = after.saturating_sub(before);
    assert!(grown <= MOST_GROWTH, "{before} bytes became {after}");
    writeln!(
        std::io::stderr(),
        "{sessions} sessions: supervisor {before} -> {after} bytes"
    )
    .unwrap();
}

/// Each of them has two cells; it is closed, or dropped, or a cell ends it.
async fn talk(watch: &Watch, count: usize) {
    for group in 0..count / AT_ONCE {
        let sessions = (0..AT_ONCE).map(|one| async move {
            let mut session = begin(&watch.fixture).await;
            run(
                &mut *session,
                &format!("kept = {group}\nopen('kept', 'w').write('x' * 5000)"),
            )
            .await;
            match one {
                0 => run(&mut *session, "import os; os._exit(0)").await,
                _ => run(&mut *session, "print(kept); reply(kept)").await,
            };
            if one < 2 {
                session.close().await.unwrap();
            }
        });
        join_all(sessions).await;
    }
}

async fn run_quick(watch: &Watch, count: usize) {
    for group in 0..count / AT_ONCE {
        let runs = (0..AT_ONCE).map(|one| async move {
            let number = group * AT_ONCE + one;
            let outcome = watch
                .fixture
                .run(service(&format!("print({number}); reply({number})")))
                .await;
            assert_eq!(value(&outcome), number);
        });
        join_all(runs).await;
    }
}

async fn run_slow(watch: &Watch, count: usize) {
    for _ in 0..count / AT_ONCE {
        let runs = (0..AT_ONCE).map(|_| async {
            let limits = Limits {
                wall: Duration::from_millis(60),
                ..Limits::default()
            };
            let job = Job {
                limits,
                ..service("while True: pass")
            };
            assert_eq!(watch.fixture.run(job).await.verdict, Verdict::WallLimit);
        });
        join_all(runs).await;
    }
}
