//! What an embedded sandbox does for honest programs, and what it does when things around it die.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::{
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Fixture, Heard, children, children_of, input, runtime, service, value};
use meterbox_local_sandbox::runtime::Runtime;
use meterbox_sandbox_client::{
    Job, Limits, Program, Sandbox, SandboxError, SandboxErrorKind, Verdict, conformance,
};

const OWN_PID: &str = "import os\nreply(os.getpid())";

#[tokio::test(flavor = "multi_thread")]
async fn does_what_every_sandbox_does() {
    let fixture = Fixture::new();
    conformance::all(&fixture.sandbox).await;
    let boxed: Box<dyn Sandbox> = Box::new(fixture.sandbox);
    conformance::all(&boxed).await;
    let shared: Arc<dyn Sandbox> = Arc::from(boxed);
    conformance::all(&shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_prints_and_answers() {
    let fixture = Fixture::new();
    let code = "print('hi'); result=1".to_owned();
    let outcome = fixture.run(Job::new(Program::Analysis { code })).await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
    assert_eq!(outcome.stdout, "hi\n");
    assert!(outcome.reply.is_some());
    assert_eq!(outcome.sandbox.tier, "ns");
    assert!(
        outcome.usage.cpu_ms < 5_000 && outcome.usage.output_bytes == 3,
        "{:?}",
        outcome.usage
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_share_the_zygote_and_nothing_else() {
    let fixture = Fixture::new();
    fixture.sandbox.capabilities().await.unwrap();
    let [zygote] = children()[..] else {
        panic!("one zygote: {:?}", children())
    };
    let code = "import time, numpy\nnumpy.leftover = getattr(numpy, 'leftover', 0) + 1\n\
                open('/tmp/left', 'x').close(); open('/scratch/left', 'x').close()\n\
                print('up', flush=True); time.sleep(1); reply(numpy.leftover)";
    let watch = async {
        loop {
            let pids = children_of(zygote);
            if pids.len() == 2 {
                return pids;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (first, second, pids) = tokio::join!(fixture.run(service(code)), fixture.run(service(code)), watch);
    assert_ne!(pids[0], pids[1]);
    assert_eq!((value(&first), value(&second)), (1.into(), 1.into()));
    assert_eq!(fixture.value(code).await, 1);
    assert_eq!(children(), [zygote]);
    assert!(children_of(zygote).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_numbers() {
    let fixture = Fixture::new();
    let code = "import random, numpy\nfresh = numpy.random.default_rng\n\
                reply([random.random(), numpy.random.rand(), fresh().random(), fresh().random(), \
                list({'a', 'b', 'c'})])";
    let run = async |seed| {
        value(
            &fixture
                .run(Job {
                    seed,
                    ..service(code)
                })
                .await,
        )
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    run(u64::MAX).await;
    // A run without a seed of its own can be repeated too.
    let once = fixture.run(service(code)).await;
    assert_eq!(value(&once), run(once.seed).await);
    assert_ne!(once.seed, fixture.run(service(code)).await.seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_are_read_and_files_collected() {
    let fixture = Fixture::new();
    let source = fixture.input("orders.csv", "a,b\n1,2\n");
    fixture.input("secret.csv", "not for this job");
    let into = tempfile::tempdir().unwrap();
    let code = "import os, pandas\n\
                frame = pandas.read_csv('/data/2026/orders.csv')\n\
                frame.to_csv('out.csv')\n\
                open('again.csv', 'w').write('x')\n\
                seen = sorted(os.path.join(at, name) for at, _, names in os.walk('/data') for name in names)\n\
                reply([seen, os.getcwd(), int(frame.b[0])])";
    let outcome = fixture
        .run(Job {
            inputs: vec![input(&source, "2026/orders.csv")],
            artifacts_into: Some(into.path().to_owned()),
            ..service(code)
        })
        .await;
    assert_eq!(
        value(&outcome),
        serde_json::json!([["/data/2026/orders.csv"], "/scratch", 2])
    );
    let names: Vec<&str> = outcome
        .artifacts
        .iter()
        .map(|artifact| artifact.name.as_str())
        .collect();
    assert_eq!(names, ["again.csv", "out.csv"]);
    assert_eq!(
        std::fs::read_to_string(into.path().join("again.csv")).unwrap(),
        "x"
    );
    assert!(outcome.rejected.is_empty());
}

/// Small jobs come through a pipe, large ones as a file in memory, and what is for the set-up may be long in either.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_any_size_arrives_whole() {
    for ready in [0, 1] {
        let fixture = Fixture::bare_with(|builder| builder.ready(ready));
        let source = fixture.input("orders.csv", "1");
        for inputs in [0, 5, 60, 900] {
            for letters in [1, 5_000, 300_000] {
                let path = |number: usize| format!("{number}-{}.csv", "x".repeat(90));
                let code = format!(
                    "import os\nreply([len('{}'), len(os.listdir('/data')), \
                     sum(int(open('/data/' + name).read()) for name in os.listdir('/data'))])",
                    "a".repeat(letters)
                );
                let job = Job {
                    inputs: (0..inputs).map(|number| input(&source, &path(number))).collect(),
                    ..service(&code)
                };
                let arrived = value(&fixture.run(job).await);
                assert_eq!(
                    arrived,
                    serde_json::json!([letters, inputs, inputs]),
                    "{ready} ready"
                );
            }
        }
        // A zero, and two for each input, are among them.
        for texts in 4_094..4_099 {
            let rest = texts - 1 - 20 * ("orders.csv".len() + 2);
            let path = |number: usize| {
                let length = if number == 0 { rest - 19 * 200 } else { 200 };
                format!("{number:0length$}")
            };
            let job = Job {
                inputs: (0..20).map(|number| input(&source, &path(number))).collect(),
                ..service("import os\nreply(len(os.listdir('/data')))")
            };
            assert_eq!(value(&fixture.run(job).await), 20, "{texts}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_closes_its_folder_is_charged_like_any_other() {
    let fixture = Fixture::bare();
    let folder = tempfile::tempdir().unwrap();
    let mut job = service("import os\nopen('kept.txt', 'w').write('x')\nos.chmod('.', 0)\nreply(1)");
    job.artifacts_into = Some(folder.path().to_owned());
    let outcome = fixture.run(job).await;
    assert_eq!(outcome.artifacts[0].name, "kept.txt");
    assert!(outcome.usage.wall_ms > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_input_is_named_with_the_fix() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let fixture = Fixture::bare();
    let source = fixture.input("closed.csv", "a");
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o600)).unwrap();
    let job = Job {
        inputs: vec![input(&source, "closed.csv")],
        ..service("")
    };
    let error = fixture.sandbox.run(job, Arc::new(())).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::BadJob);
    assert!(
        error.to_string().contains("closed.csv") && error.to_string().contains("0644"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_heard_while_the_program_runs() {
    let fixture = Fixture::bare();
    let heard = Arc::new(Heard::default());
    let job = service("import time\nprint('first')\ntime.sleep(60)");
    let cancel = job.cancel.clone();
    let run = fixture.sandbox.run(job, Arc::<Heard>::clone(&heard));
    let listen = async {
        while heard.text() != "first\n" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
        Instant::now()
    };
    let (outcome, cancelled) = tokio::join!(run, listen);
    assert!(
        cancelled.elapsed() < Duration::from_secs(1),
        "{:?}",
        cancelled.elapsed()
    );
    assert_eq!(outcome.unwrap().verdict, Verdict::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_so_far_is_told_while_it_runs() {
    let fixture = Fixture::new();
    let heard = Arc::new(Heard::default());
    let code = "import time\nheld = bytearray(64 << 20)\nprint('x', flush=True)\n\
                begin = time.monotonic()\nwhile time.monotonic() - begin < 1.5: pass\nreply(1)";
    let outcome = fixture
        .sandbox
        .run(service(code), Arc::<Heard>::clone(&heard))
        .await
        .unwrap();
    let told = heard.used();
    assert!((3..=20).contains(&told.len()), "{told:?}");
    for (earlier, later) in told.iter().zip(&told[1..]) {
        assert!(
            later.wall_ms > earlier.wall_ms && later.cpu_ms >= earlier.cpu_ms,
            "{told:?}"
        );
    }
    let (last, end) = (told[told.len() - 1], outcome.usage);
    assert!(last.cpu_ms > 30 && last.output_bytes == 2, "{told:?}");
    assert!(
        last.wall_ms <= end.wall_ms && last.cpu_ms <= end.cpu_ms + 20,
        "{last:?} {end:?}"
    );
    for usage in [last, end] {
        let megabytes = usage.peak_memory_bytes >> 20;
        // The kernel may take pages of files from it meanwhile.
        assert!((48..120).contains(&megabytes), "{usage:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peak_of_memory_is_the_programs_own() {
    let fixture = Fixture::new();
    let peak = async |code: &str| fixture.run(service(code)).await.usage.peak_memory_bytes;
    let (small, larger) = (
        peak("reply(1)").await,
        peak("held = b'x' * (32 << 20)\nreply(1)").await,
    );
    // Of a few pages the kernel may not have counted one yet.
    assert!(small < 32 << 20, "{small}");
    // It counts in large pages, some of which were there before.
    assert!((24 << 20..64 << 20).contains(&larger), "{small} {larger}");
}

/// Where it has looked for fonts itself, the interpreter has had another thread, for which the C library keeps memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_reserved_for_other_threads_is_no_programs() {
    let nowhere = Runtime {
        font_cache: "/nowhere".into(),
        ..runtime()
    };
    let fixture = Fixture::of(nowhere, |builder| builder);
    let code = "import numpy\ntaken = []\ntry:\n    while len(taken) < 20: taken.append(numpy.ones(20 << 17))\n\
                except MemoryError: pass\nheld = len(taken)\ndel taken\nreply(held)";
    let mut job = service(code);
    job.limits.memory_bytes = 128 << 20;
    let outcome = fixture.run(job).await;
    assert_eq!(value(&outcome), 6, "of 20 MB each: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_before_the_start_runs_nothing() {
    let fixture = Fixture::bare();
    let job = service("print('ran')");
    job.cancel.cancel();
    let outcome = fixture.run(job).await;
    assert_eq!(
        (outcome.verdict, outcome.stdout.as_str()),
        (Verdict::Cancelled, "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_is_dead_soon() {
    let fixture = Fixture::bare();
    fixture.sandbox.capabilities().await.unwrap();
    let [zygote] = children()[..] else {
        panic!("one zygote")
    };
    // Some are dropped during the set-up, some in the program.
    for wait in [0, 1, 2, 3, 5, 8, 20, 100] {
        let run = fixture.run(service("while True: pass"));
        let dropped = tokio::time::timeout(Duration::from_millis(wait), run).await;
        assert!(dropped.is_err());
    }
    let dropped = Instant::now();
    while !children_of(zygote).is_empty() {
        assert!(
            dropped.elapsed() < Duration::from_millis(500),
            "{:?}",
            children_of(zygote)
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fixture.value(OWN_PID).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_do_not_mix() {
    let fixture = Fixture::bare();
    let one = async |number: u64| {
        let mut job = service("print(parameters); reply(parameters)");
        job.program = Program::Service {
            code: "print(parameters); reply(parameters)".to_owned(),
            parameters: number.into(),
        };
        let outcome = fixture.run(job).await;
        assert_eq!(value(&outcome), number);
        assert_eq!(outcome.stdout, format!("{number}\n"));
    };
    tokio::join!(one(1), one(2), one(3), one(4), one(5), one(6), one(7), one(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_zygote_is_replaced() {
    let fixture = Fixture::bare();
    assert_eq!(fixture.value(OWN_PID).await, 1);
    let [zygote] = children()[..] else {
        panic!("one zygote")
    };
    let heard = Arc::new(Heard::default());
    let kill = async {
        // Before its program runs, a child's end costs nothing and is no lost run.
        while heard.text().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let children = children_of(zygote);
        let pid = rustix::process::Pid::from_raw(zygote).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        children
    };
    let run = fixture.sandbox.run(
        service("print('running')\nwhile True: pass"),
        Arc::<Heard>::clone(&heard),
    );
    let (in_flight, orphans) = tokio::join!(run, kill);
    assert!(
        matches!(in_flight, Err(SandboxError::Lost { .. })),
        "{in_flight:?}"
    );
    assert_eq!(fixture.value(OWN_PID).await, 1);
    let dead_by = Instant::now() + Duration::from_secs(2);
    for orphan in orphans {
        while common::is_alive(orphan) {
            assert!(Instant::now() < dead_by, "{orphan} lives on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(children().len(), 1);
    assert_ne!(children(), [zygote]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zygote_that_does_not_answer_is_given_up() {
    let fixture = Fixture::bare();
    fixture.sandbox.capabilities().await.unwrap();
    let [zygote] = children()[..] else {
        panic!("one zygote")
    };
    let pid = rustix::process::Pid::from_raw(zygote).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    // Whoever cancels does not wait for it.
    let job = service("reply(1)");
    let cancel = job.cancel.clone();
    let cancelled = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
        Instant::now()
    };
    let (outcome, cancelled) = tokio::join!(fixture.run(job), cancelled);
    assert_eq!(outcome.verdict, Verdict::Cancelled);
    assert!(
        cancelled.elapsed() < Duration::from_secs(1),
        "{:?}",
        cancelled.elapsed()
    );
    // Whoever waits gets an answer, from a new one.
    assert_eq!(fixture.value(OWN_PID).await, 1);
    assert_ne!(children(), [zygote]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_dropped_sandbox() {
    let Fixture {
        sandbox,
        inputs: _inputs,
        alone: _alone,
    } = Fixture::bare();
    sandbox.capabilities().await.unwrap();
    drop(sandbox);
    let dropped = Instant::now();
    while !children().is_empty() {
        assert!(dropped.elapsed() < Duration::from_secs(2), "{:?}", children());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_libraries_work() {
    let fixture = Fixture::new();
    let code = "
import io, threading, sqlite3, json, pickle, zoneinfo, datetime, decimal, concurrent.futures as futures
import numpy as np, pandas as pd, duckdb, pyarrow as pa, pyarrow.parquet as pq, matplotlib.pyplot as plt
frame = pd.DataFrame({'k': np.arange(1000) % 7, 'v': np.arange(1000.0)})
table = frame.groupby('k').v.agg(['sum', 'mean', 'median']).reset_index()
pq.write_table(pa.Table.from_pandas(table), 't.parquet')
back = duckdb.sql(\"select sum(\\\"sum\\\") from 't.parquet'\").fetchall()[0][0]
figure, axes = plt.subplots(); axes.bar(table.k, table['sum']); figure.savefig('c.png'); figure.savefig('c.svg')
frame.to_excel('x.xlsx'); assert len(pd.read_excel('x.xlsx')) == 1000
frame.to_json('x.json'); assert len(pd.read_json('x.json')) == 1000
pickle.dump(frame, open('x.pickle', 'wb'))
base = sqlite3.connect('x.db'); frame.to_sql('t', base); assert base.execute('select count(*) from t').fetchone() == (1000,)
u, s, v = np.linalg.svd(np.random.rand(50, 50))
with futures.ThreadPoolExecutor(4) as pool: squares = list(pool.map(lambda x: x * x, range(10)))
zone = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset().seconds
reply([float(back), sum(squares), zone])
";
    let outcome = fixture.run(service(code)).await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
    assert_eq!(value(&outcome), serde_json::json!([499500.0, 285, 7200]));
    assert!(outcome.stderr.is_empty(), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_diagnosed() {
    let fixture = Fixture::new();
    let diagnosis = fixture.sandbox.diagnose().await;
    assert!(diagnosis.is_ok(), "{diagnosis:#?}");
    assert!(diagnosis.checks.iter().any(|check| check.check == "a jail"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jail_that_does_not_hold_is_refused() {
    // The trial is what notices: with a guard left out, something it tries works.
    for guard in ["seccomp", "capabilities"] {
        let fixture = Fixture::with(|builder| builder.without(&[guard]));
        let diagnosis = fixture.sandbox.diagnose().await;
        let jail = diagnosis
            .checks
            .iter()
            .find(|check| check.check == "a jail")
            .unwrap();
        assert!(!jail.ok && jail.fix.is_some(), "{guard}: {jail:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_below_what_an_interpreter_needs_are_refused() {
    let fixture = Fixture::bare();
    let job = Job {
        limits: Limits {
            threads: 0,
            ..Limits::default()
        },
        ..service("")
    };
    let error = fixture.sandbox.run(job, Arc::new(())).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::BadJob);
}
