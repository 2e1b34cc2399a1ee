//! What ends a session and what does not, and sessions side by side.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    Alone, Fixture, Heard, MB, children, children_of, input, is_alive, patience, service,
    session::{self, begin, cell, run, setup, why, zygote},
    value,
};
use meterbox_sandbox_client::{
    Cell, Limits, Reply, Sandbox, SandboxError, SessionEnd, SessionSetup, SessionTotal, SessionTotals,
    Verdict,
};
use rustix::process::{Pid, Signal, kill_process};

const ROLE: &str = "METERBOX_TEST_ROLE";
/// How long the kernel and a busy machine may take to end what has to end.
const PATIENCE: Duration = Duration::from_secs(8);

/// Each ends its cell by this verdict, and the session says so from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_ends_the_cell_and_the_session() {
    let fixture = Fixture::new();
    let second = Duration::from_secs(1);
    let limits = Limits::default;
    for (code, limits, verdict) in [
        (
            "while True: pass",
            Limits {
                wall: second / 2,
                ..limits()
            },
            Verdict::WallLimit,
        ),
        (
            "import time\ntime.sleep(9)",
            Limits {
                wall: second / 2,
                ..limits()
            },
            Verdict::WallLimit,
        ),
        (
            "while True: pass",
            Limits {
                cpu: second / 2,
                ..limits()
            },
            Verdict::CpuLimit,
        ),
        (
            "import time\nkept = [bytearray(1 << 20) for _ in range(64)]\ntime.sleep(9)",
            Limits {
                memory_bytes: 32 * MB,
                ..limits()
            },
            Verdict::MemoryLimit,
        ),
        (
            "while True: print('x' * 1000)",
            Limits {
                output_bytes: 10_000,
                ..limits()
            },
            Verdict::OutputLimit,
        ),
        (
            "reply('x' * 1000)",
            Limits {
                reply_bytes: 100,
                ..limits()
            },
            Verdict::OutputLimit,
        ),
        (
            "import os\nos.kill(os.getpid(), 11)\nimport ctypes\nctypes.string_at(0)",
            limits(),
            Verdict::Signalled { signal: 11 },
        ),
        ("import os\nos._exit(0)", limits(), Verdict::Exited { code: 0 }),
    ] {
        let mut session = begin(&fixture).await;
        run(&mut *session, "kept = 'something'").await;
        let cell = Cell { limits, ..cell(code) };
        let outcome = session.run(cell, Arc::new(())).await.unwrap();
        assert_eq!(outcome.verdict, verdict, "{code}: {outcome:?}");
        assert_eq!(why(&mut *session).await, SessionEnd::Cell(verdict), "{code}");
        let usage = session.usage();
        assert_eq!(
            (usage.cells, usage.running.output_bytes),
            (2, outcome.usage.output_bytes)
        );
        assert!(
            usage.running.wall_ms >= outcome.usage.wall_ms,
            "it was paid: {usage:?}"
        );
        assert!(
            children_of(zygote().await).is_empty(),
            "{code}: its process is left"
        );
    }
}

/// An error inside is an answer like any other.
/// Whether its process ends then or goes on.
#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_for_a_moment_ends_the_cell_and_the_session() {
    let fixture = Fixture::new();
    let moment = include_str!("hostile/020_memory_already_mapped.py");
    for code in [moment, &moment.replace("os._exit(0)", "")] {
        let limits = Limits {
            memory_bytes: 64 * MB,
            ..Limits::default()
        };
        let little = SessionSetup { limits, ..setup() };
        let mut session = fixture.sandbox.session(little).await.unwrap();
        let outcome = session.run(cell(code), Arc::new(())).await.unwrap();
        assert_eq!(outcome.verdict, Verdict::MemoryLimit, "{code}: {outcome:?}");
        let end = SessionEnd::Cell(Verdict::MemoryLimit);
        assert_eq!(why(&mut *session).await, end, "{code}");
    }
}

/// Pages of a file are not a cell's own, however quickly they come and go.
#[tokio::test(flavor = "multi_thread")]
async fn a_cell_may_map_a_larger_file_than_it_may_have_memory() {
    let fixture = Fixture::bare();
    let path = fixture.inputs.path().join("large");
    std::fs::write(&path, vec![1; 160 << 20]).unwrap();
    let mut session = fixture
        .sandbox
        .session(SessionSetup {
            inputs: vec![input(&path, "large")],
            ..setup()
        })
        .await
        .unwrap();
    let code = "import mmap\nfile = open('/data/large', 'rb')\n\
                flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE\n\
                mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ).close()\nreply(1)";
    let mapping = Cell {
        limits: Limits {
            memory_bytes: 64 * MB,
            ..Limits::default()
        },
        ..cell(code)
    };
    let outcome = session.run(mapping, Arc::new(())).await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:?}");
    assert_eq!(value(&run(&mut *session, "reply(2)").await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_end_nothing() {
    let fixture = Fixture::bare();
    let mut session = begin(&fixture).await;
    for code in [
        "1 / 0",
        "exit(3)",
        "raise KeyboardInterrupt",
        "def",
        "kept = bytearray(1 << 40)",
        "open('large', 'wb').write(bytes(1 << 30))",
        "import subprocess; subprocess.run(['true'])",
        "def deep(n): return deep(n + 1)\ndeep(0)",
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
    ] {
        let outcome = run(&mut *session, code).await;
        assert!(
            matches!(outcome.reply, Some(Reply::Error(_))),
            "{code}: {outcome:?}"
        );
        assert_eq!(outcome.verdict, Verdict::Exited { code: 1 }, "{code}");
    }
    let silent = run(&mut *session, "pass").await;
    assert!(silent.reply.is_none() && silent.verdict == Verdict::Exited { code: 0 });
    assert_eq!(value(&run(&mut *session, "reply(1)").await), 1);
}

/// Of each total the last cell has what is left, and then the session says which one is spent.
#[tokio::test(flavor = "multi_thread")]
async fn totals_hold_over_all_cells() {
    let fixture = Fixture::bare();
    let totals = SessionTotals::default;
    let spin = "import time\nend = time.process_time() + 0.45\nwhile time.process_time() < end: pass";
    let seconds = Duration::from_secs_f64;
    for (totals, code, last, total) in [
        (
            SessionTotals {
                wall: seconds(1.0),
                ..totals()
            },
            "import time\ntime.sleep(0.4)",
            Verdict::WallLimit,
            SessionTotal::Wall,
        ),
        (
            SessionTotals {
                cpu: seconds(1.0),
                ..totals()
            },
            spin,
            Verdict::CpuLimit,
            SessionTotal::Cpu,
        ),
        (
            SessionTotals {
                output_bytes: 1_000,
                ..totals()
            },
            "print('x' * 399)",
            Verdict::OutputLimit,
            SessionTotal::Output,
        ),
    ] {
        let setup = SessionSetup { totals, ..setup() };
        let mut session = fixture.sandbox.session(setup).await.unwrap();
        let mut verdicts = Vec::new();
        while session.end().is_none() {
            verdicts.push(run(&mut *session, code).await.verdict);
        }
        // On a busy machine the second cell may already have taken all.
        assert!((2..=4).contains(&verdicts.len()), "{total}: {verdicts:?}");
        let ended = why(&mut *session).await;
        let last_seen = verdicts.pop().unwrap();
        assert!(
            ended == SessionEnd::Cell(last.clone()) && last_seen == last || ended == SessionEnd::Spent(total),
            "{total}: {last_seen:?}, {ended:?}"
        );
        assert!(
            verdicts
                .iter()
                .all(|verdict| *verdict == Verdict::Exited { code: 0 })
        );
    }
    // Exactly used up: it ends then, and not when somebody asks for more.
    let exact = SessionSetup {
        totals: SessionTotals {
            output_bytes: 10,
            ..totals()
        },
        ..setup()
    };
    let mut session = fixture.sandbox.session(exact).await.unwrap();
    run(&mut *session, "print('x' * 9)").await;
    assert_eq!(session.end(), Some(SessionEnd::Spent(SessionTotal::Output)));
    assert!(children_of(zygote().await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_to_ask_for_it_to_end() {
    let fixture = Fixture::bare();
    let short = Duration::from_millis(300);
    for (totals, expected) in [
        (
            SessionTotals {
                idle: short,
                ..SessionTotals::default()
            },
            SessionEnd::Idle,
        ),
        (
            SessionTotals {
                life: short,
                ..SessionTotals::default()
            },
            SessionEnd::Spent(SessionTotal::Life),
        ),
    ] {
        let setup = SessionSetup { totals, ..setup() };
        let mut session = fixture.sandbox.session(setup).await.unwrap();
        gone(zygote().await).await;
        assert_eq!(why(&mut *session).await, expected);
    }
    // A life ends in the middle of a cell too; on a busy machine a short one may be over before.
    for life in [short, short * 4, short * 16, short * 64] {
        let totals = SessionTotals {
            life,
            ..SessionTotals::default()
        };
        let setup = SessionSetup { totals, ..setup() };
        let mut session = fixture.sandbox.session(setup).await.unwrap();
        match session
            .run(cell("import time\ntime.sleep(60)"), Arc::new(()))
            .await
        {
            Ok(outcome) => return assert_eq!(outcome.verdict, Verdict::WallLimit),
            Err(error) => assert!(error.to_string().contains("the time it may live"), "{error}"),
        }
    }
    panic!("no cell ever began");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_dropped_is_gone_soon() {
    let fixture = Fixture::bare();
    let mut session = begin(&fixture).await;
    let zygote = zygote().await;
    assert_eq!(children_of(zygote).len(), 1);
    // In the middle of a cell.
    let endless = session.run(cell("while True: pass"), Arc::new(()));
    tokio::time::timeout(Duration::from_millis(200), endless)
        .await
        .unwrap_err();
    let dropped = Instant::now();
    gone(zygote).await;
    assert!(dropped.elapsed() < PATIENCE);
    assert_eq!(why(&mut *session).await, SessionEnd::Dropped);
    // At rest.
    let session = begin(&fixture).await;
    drop(session);
    gone(zygote).await;
    // Before it began.
    drop(fixture.sandbox.session(setup()));
    for micros in [100, 500, 1_000, 2_000, 5_000, 10_000] {
        let _ = tokio::time::timeout(Duration::from_micros(micros), fixture.sandbox.session(setup())).await;
        gone(zygote).await;
    }
    assert_eq!(fixture.value("reply(1)").await, 1);
}

/// Memory takes its time to be given back, so one that is killed lives on for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_closed_is_gone_also_where_a_cell_was_dropped() {
    let fixture = Fixture::bare();
    for _ in 0..3 {
        let mut session = begin(&fixture).await;
        run(&mut *session, "kept = bytearray(b'x') * (400 << 20)").await;
        let [process] = children_of(zygote().await)[..] else {
            panic!("one process")
        };
        let endless = session.run(cell("while True: pass"), Arc::new(()));
        tokio::time::timeout(Duration::from_millis(100), endless)
            .await
            .unwrap_err();
        session.close().await.unwrap();
        assert!(!is_alive(process));
    }
}

/// Shutting the sandbox down ends its sessions, at rest and in the middle of a cell.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_outlive_its_sandbox() {
    let fixture = Fixture::bare_with(|builder| builder.ready(1));
    let (mut resting, mut busy) = (begin(&fixture).await, begin(&fixture).await);
    let heard = Arc::new(Heard::default());
    let sink = Arc::<Heard>::clone(&heard);
    let working = tokio::spawn(async move {
        (
            busy.run(cell("print('on', flush=True)\nwhile True: pass"), sink)
                .await,
            busy,
        )
    });
    while heard.text().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let Fixture {
        sandbox,
        inputs,
        alone,
    } = fixture;
    drop(sandbox);
    let (outcome, mut busy) = working.await.unwrap();
    assert_eq!(outcome.unwrap().verdict, Verdict::Cancelled);
    assert_eq!(why(&mut *busy).await, SessionEnd::Shutdown);
    let latest = Instant::now() + PATIENCE;
    while !children().is_empty() {
        assert!(Instant::now() < latest, "{:?} live on", children());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(why(&mut *resting).await, SessionEnd::Shutdown);
    drop((inputs, alone));
}

/// A fresh interpreter takes its place for others; the session keeps its own, and it ends with the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_renewal_of_its_interpreter() {
    let fixture = Fixture::bare_with(|builder| builder.ready(1).renew_after(3, Duration::from_secs(3600)));
    let mut session = begin(&fixture).await;
    run(&mut *session, "kept = 41").await;
    let old = zygote().await;
    let latest = Instant::now() + patience(Duration::from_secs(60));
    // Its ready child goes; the session's own stays.
    while children().len() < 2 || children_of(old).len() != 1 {
        assert!(Instant::now() < latest, "never renewed");
        fixture.value("reply(1)").await;
    }
    assert_eq!(value(&run(&mut *session, "reply(kept + 1)").await), 42);
    session.close().await.unwrap();
    while is_alive(old) {
        assert!(Instant::now() < latest, "the old interpreter lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fixture.value("reply(1)").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_dies_takes_its_sessions_along() {
    let fixture = Fixture::bare();
    // At rest.
    let mut session = begin(&fixture).await;
    let zygote = zygote().await;
    let own = children_of(zygote);
    kill_process(Pid::from_raw(zygote).unwrap(), Signal::KILL).unwrap();
    let latest = Instant::now() + PATIENCE;
    while own.iter().any(|pid| is_alive(*pid)) {
        assert!(
            Instant::now() < latest,
            "a stopped process outlives its interpreter"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(why(&mut *session).await, SessionEnd::Lost);
    // In the middle of a cell, which is paid as far as it was seen.
    let mut session = begin(&fixture).await;
    let zygote = session::zygote().await;
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        kill_process(Pid::from_raw(zygote).unwrap(), Signal::KILL).unwrap();
    };
    let (lost, ()) = tokio::join!(session.run(cell("while True: pass"), Arc::new(())), kill);
    let Err(SandboxError::Lost {
        usage: Some(usage), ..
    }) = lost
    else {
        panic!("{lost:?}")
    };
    assert!(usage.wall_ms >= 200, "{usage:?}");
    assert_eq!(
        (why(&mut *session).await, session.usage().running.wall_ms),
        (SessionEnd::Lost, usage.wall_ms)
    );
    assert_eq!(value(&run(&mut *begin(&fixture).await, "reply(1)").await), 1);
}

/// Not a test of its own: the supervisor that the next test ends, with a session at rest and one at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_of_sessions() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let fixture = Fixture::bare();
    let (mut resting, mut busy) = (begin(&fixture).await, begin(&fixture).await);
    let leaves =
        "import threading\nthreading.Thread(target=lambda: [1 for _ in iter(int, 1)], daemon=True).start()";
    run(&mut *resting, leaves).await;
    let zygote = zygote().await;
    let pids = [vec![zygote], children_of(zygote)].concat();
    let line: Vec<String> = pids.iter().map(i32::to_string).collect();
    writeln!(std::io::stdout(), "AT WORK {}", line.join(" ")).unwrap();
    run(&mut *busy, "while True: pass").await;
}

#[test]
fn a_supervisor_that_is_ended_leaves_no_session() {
    let _alone = Alone::new();
    for how in [Signal::KILL, Signal::TERM] {
        let mut supervisor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_supervisor_of_sessions", "--nocapture"])
            .env(ROLE, "supervisor")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = BufReader::new(supervisor.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("AT WORK ")?.1.to_owned()))
            .expect("a supervisor at work");
        let pids: Vec<i32> = line.split(' ').map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids.len(), 3, "its zygote and two sessions: {line}");
        kill_process(Pid::from_child(&supervisor), how).unwrap();
        supervisor.wait().unwrap();
        let latest = Instant::now() + PATIENCE;
        while let Some(pid) = pids.iter().find(|pid| is_alive(**pid)) {
            assert!(Instant::now() < latest, "{pid} lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_side_by_side_know_nothing_of_each_other() {
    let fixture = Fixture::bare_with(|builder| builder.ready(2));
    let talk = async |number: u32| {
        let mut session = begin(&fixture).await;
        run(
            &mut *session,
            &format!("mine = {number}; open('mine', 'w').write('{number}')"),
        )
        .await;
        for round in 0..5 {
            let code = "mine += 1; reply([mine, open('mine').read(), __import__('os').listdir('.')])";
            let outcome = run(&mut *session, code).await;
            let expected = serde_json::json!([number + round + 1, number.to_string(), ["mine"]]);
            assert_eq!(value(&outcome), expected);
        }
        session.close().await.unwrap()
    };
    let usages = futures_util::future::join_all((0..6).map(|one| talk(one * 100))).await;
    assert!(usages.iter().all(|usage| usage.cells == 6));
    assert!(children_of(zygote().await).len() <= 2, "only what waits ready");
}

/// A session is one of the programs that are let in, also at rest; its place is free again when it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_a_place_among_programs() {
    let fixture = Fixture::bare_with(|builder| builder.at_once(1, Duration::from_millis(100)));
    for ending in ["close", "drop", "exit"] {
        let mut session = begin(&fixture).await;
        run(&mut *session, "kept = 1").await;
        let refused = fixture.sandbox.session(setup()).await.unwrap_err();
        assert!(
            matches!(refused, SandboxError::Busy { retry_after: Some(_) }),
            "{refused}"
        );
        let refused = fixture.sandbox.run(service("reply(1)"), Arc::new(())).await;
        assert!(matches!(refused, Err(SandboxError::Busy { .. })), "{refused:?}");
        match ending {
            "close" => drop(session.close().await.unwrap()),
            "exit" => drop(run(&mut *session, "import os; os._exit(0)").await),
            _ => drop(session),
        }
        assert_eq!(fixture.value("reply(1)").await, 1, "{ending}");
    }
}

/// It is told at once what is wrong, also where others wait for their turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_does_not_wait() {
    let fixture = Fixture::bare_with(|builder| builder.at_once(1, Duration::from_millis(100)));
    let _only = begin(&fixture).await;
    let mut wrong = setup();
    wrong.limits.memory_bytes = 1;
    let refused = fixture.sandbox.session(wrong).await.unwrap_err();
    assert!(matches!(refused, SandboxError::BadJob { .. }), "{refused}");
}

/// Waits until a zygote has no child.
async fn gone(zygote: i32) {
    let latest = Instant::now() + PATIENCE;
    while !children_of(zygote).is_empty() {
        assert!(Instant::now() < latest, "{:?} live on", children_of(zygote));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
