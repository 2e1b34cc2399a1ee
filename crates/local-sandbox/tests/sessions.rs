//! Sessions of honest cells: what lives on, and what is counted.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    Fixture, Heard, MB, input,
    session::{begin, cell, run, setup},
    value,
};
use meterbox_core::{Clock, SystemClock, Timestamp};
use meterbox_sandbox_client::{
    Cell, Limits, Program, Reply, Sandbox, SessionSetup, SessionUsage, Verdict, conformance::sessions,
    prelude,
};

#[tokio::test(flavor = "multi_thread")]
async fn does_what_every_session_does() {
    let fixture = Fixture::with(|builder| builder.ready(1));
    sessions::all(&fixture.sandbox).await;
    let boxed: Box<dyn Sandbox> = Box::new(fixture.sandbox);
    sessions::all(&boxed).await;
    let shared: Arc<dyn Sandbox> = Arc::from(boxed);
    sessions::all(&shared).await;
}

// === what lives on ===

#[tokio::test(flavor = "multi_thread")]
async fn names_imports_and_files_live_on() {
    let fixture = Fixture::with(|builder| builder.ready(1));
    let source = fixture.input("orders.csv", "a,b\n1,2\n3,4\n");
    let mut session = fixture
        .sandbox
        .session(SessionSetup {
            inputs: vec![input(&source, "orders.csv")],
            tables: [("orders".to_owned(), "orders.csv".to_owned())].into(),
            as_of: Some("2026-11-26".parse().unwrap()),
            ..SessionSetup::default()
        })
        .await
        .unwrap();
    let first = run(
        &mut *session,
        "import collections\nclass Kept:\n    total = int(tables['orders'].b.sum())\n\
         open('kept.txt', 'w').write('kept')\nfrom random import random\nfirst = random()\nreply(Kept.total)",
    )
    .await;
    assert_eq!(value(&first), 6);
    let second = run(
        &mut *session,
        "tables['orders']['c'] = 5\nreply([Kept.total + 1, collections.Counter('aa')['a'], open('kept.txt').read(), \
         str(as_of), open(data_dir + '/orders.csv').readline(), first == random()])",
    )
    .await;
    assert_eq!(
        value(&second),
        serde_json::json!([7, 2, "kept", "2026-11-26", "a,b\n", false])
    );
    let third = run(&mut *session, "reply(list(tables['orders'].columns))").await;
    assert_eq!(value(&third), serde_json::json!(["a", "b", "c"]));
    assert_eq!(third.seed, first.seed);
}

/// A follow-up question: its program reads the last answer, and never passes it off as its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_builds_on_the_last_one() {
    let fixture = Fixture::new();
    let mut session = begin(&fixture).await;
    let mut ask = async |code: &str| {
        let code = code.to_owned();
        let cell = Cell::new(Program::Analysis { code });
        session.run(cell, Arc::new(())).await.unwrap()
    };
    let error = |outcome: &meterbox_sandbox_client::Outcome| match &outcome.reply {
        Some(Reply::Error(error)) => error.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(error(&ask("result").await).kind, "NameError");
    ask(
        "result = pd.DataFrame({'k': ['a', 'b'], 'v': [1, 2]})\nchart = {'kind': 'bar', 'x': 'k', 'y': 'v'}\n\
         def fails(): raise KeyError('deep')",
    )
    .await;
    let silent = ask("kept = result.v.sum()").await;
    assert_eq!(error(&silent).kind, "NoResult");
    assert_eq!(silent.verdict, Verdict::Exited { code: 1 });
    let second = ask("result = result[result.v > 1].assign(total=kept)").await;
    let Some(Reply::Value(reply)) = &second.reply else {
        panic!("{second:?}")
    };
    let document = prelude::read_answer(reply).unwrap();
    assert!(document.charts.is_empty(), "a chart is of its own answer");
    assert!(reply.get().contains(r#""rows":[["b",2,3]]"#), "{}", reply.get());
    let raised = error(&ask("\n\nfails()").await);
    assert_eq!((raised.line, raised.message.as_str()), (Some(3), "deep"));
    assert_eq!(
        raised.traceback,
        "line 3, in <module>\nline 3 of cell 2, in fails\n"
    );
    assert_eq!(error(&ask("x = 1\nx = = 2").await).line, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_be_repeated() {
    let fixture = Fixture::with(|builder| builder.ready(1));
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let mut session = fixture
            .sandbox
            .session(SessionSetup { seed: 7, ..setup() })
            .await
            .unwrap();
        let code = "import random, numpy\nreply([random.random(), numpy.random.rand(), numpy.random.default_rng().random()])";
        let cells = [run(&mut *session, code).await, run(&mut *session, code).await];
        assert_ne!(value(&cells[0]), value(&cells[1]));
        drawn.push(cells.map(|outcome| value(&outcome)));
    }
    assert_eq!(drawn[0], drawn[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cell_prints_is_heard_with_it() {
    let fixture = Fixture::bare();
    let mut session = begin(&fixture).await;
    // What is left in a buffer belongs to the cell too, whatever became of the stream.
    for (code, said) in [
        ("print('one')", "one\n"),
        ("import sys; sys.stderr.write('two')", "two"),
        ("sys.stdout.close()", ""),
        ("print('three', end='')", "three"),
        ("import io; sys.stdout = io.StringIO(); print('lost')", ""),
        ("print(input())", ""),
        ("print('ü' * 100_000, end='')", &"ü".repeat(100_000)),
    ] {
        let heard = Arc::new(Heard::default());
        let outcome = session
            .run(cell(code), Arc::<Heard>::clone(&heard))
            .await
            .unwrap();
        assert_eq!(heard.text(), said, "{code}: {outcome:?}");
        assert_eq!(outcome.stdout + &outcome.stderr, said, "{code}");
        assert_eq!(outcome.usage.output_bytes, said.len() as u64, "{code}");
    }
    // Larger than any pipe, both ways.
    let long = format!("text = '{}'\nreply(text)", "x".repeat(900_000));
    assert_eq!(
        value(&run(&mut *session, &long).await).as_str().unwrap().len(),
        900_000
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_collected_when_they_are_new() {
    let fixture = Fixture::bare();
    let folder = tempfile::tempdir().unwrap();
    let mut session = begin(&fixture).await;
    let mut collected = async |code: &str, limits: Limits| {
        let cell = Cell {
            artifacts_into: Some(folder.path().to_owned()),
            limits,
            ..cell(code)
        };
        let outcome = session.run(cell, Arc::new(())).await.unwrap();
        let mut kept: Vec<(String, String)> = Vec::new();
        for artifact in outcome.artifacts {
            kept.push((artifact.name, std::fs::read_to_string(artifact.path).unwrap()));
        }
        (kept, outcome.rejected.len())
    };
    let file = |name: &str, content: &str| (name.to_owned(), content.to_owned());
    let limits = Limits::default;
    let both = "open('a', 'w').write('1'); open('b', 'w').write('2'); import os; os.mkdir('c')";
    assert_eq!(
        collected(both, limits()).await,
        (vec![file("a", "1"), file("b", "2")], 1)
    );
    assert_eq!(
        collected("1", limits()).await,
        (vec![], 0),
        "all of it was told of"
    );
    // As long as before, written at once, and with the old file's date.
    let again = "about = os.stat('a'); open('a', 'w').write('3'); os.utime('a', ns=(about.st_atime_ns, about.st_mtime_ns))";
    assert_eq!(collected(again, limits()).await, (vec![file("a-2", "3")], 0));
    // Where there is room for one, what was collected before takes none of it.
    let one = Limits {
        artifacts: 1,
        ..limits()
    };
    let more = "open('d', 'w').write('4'); open('e', 'w').write('5')";
    assert_eq!(collected(more, one).await, (vec![file("d", "4")], 1));
    assert_eq!(
        collected("os.remove('a'); 1", limits()).await,
        (vec![file("e", "5")], 0)
    );
    assert_eq!(
        collected("open('a', 'w').write('3')", limits()).await,
        (vec![file("a-3", "3")], 0)
    );
}

// === what is counted ===

/// Also where an earlier cell has kept one of the same figure.
#[tokio::test(flavor = "multi_thread")]
async fn a_cell_has_the_picture_that_it_shows() {
    let fixture = Fixture::with(|builder| builder.ready(1));
    let mut session = begin(&fixture).await;
    let analysis = |code: &str| Program::Analysis {
        code: code.to_owned(),
    };
    let draw = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\nfigure.savefig('mine.png')\nresult = 1";
    for (code, name) in [(draw, "mine.png"), ("result, chart = 2, figure", "figure-1.png")] {
        let folder = tempfile::tempdir().unwrap();
        let cell = Cell {
            artifacts_into: Some(folder.path().to_owned()),
            ..Cell::new(analysis(code))
        };
        let outcome = session.run(cell, Arc::new(())).await.unwrap();
        let names: Vec<_> = outcome.artifacts.iter().map(|kept| &*kept.name).collect();
        assert_eq!(names, [name], "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cell_is_charged_for_itself() {
    let fixture = Fixture::bare();
    let mut session = begin(&fixture).await;
    let spin = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass";
    let busy = run(&mut *session, spin).await.usage;
    assert!((300..5_000).contains(&busy.cpu_ms), "{busy:?}");
    let quick = run(&mut *session, "pass").await.usage;
    assert!(quick.cpu_ms < 200, "{quick:?}");
    let slow = run(&mut *session, "time.sleep(0.3)").await.usage;
    assert!(slow.wall_ms >= 300 && slow.cpu_ms < 200, "{slow:?}");
    let large = run(&mut *session, "kept = bytearray(100 << 20)").await.usage;
    assert!(large.peak_memory_bytes >= 95 * MB, "{large:?}");
    // What it keeps is in use while the next one runs; what it gave back is not.
    let keeps = run(&mut *session, "pass").await.usage;
    assert!(keeps.peak_memory_bytes >= 95 * MB, "{keeps:?}");
    run(&mut *session, "del kept").await;
    let after = run(&mut *session, "pass").await.usage;
    assert!(after.peak_memory_bytes < 60 * MB, "{after:?}");

    tokio::time::sleep(Duration::from_millis(300)).await;
    let usage = session.close().await.unwrap();
    assert_eq!(usage.cells, 7);
    assert!(usage.idle.wall_ms >= 300 && usage.idle.cpu_ms < 300, "{usage:?}");
    assert!(
        usage.idle.peak_memory_bytes >= 95 * MB,
        "it waited with that: {usage:?}"
    );
    assert!(
        usage.running.peak_memory_bytes >= 95 * MB && usage.running.cpu_ms >= busy.cpu_ms,
        "{usage:?}"
    );
}

/// Each reading of it is a second later than the last one.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        SystemClock::default().now()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_of_a_session_is_nobodys() {
    let clock = Counting::default();
    let fixture = Fixture::bare_with(|builder| builder.clock(Arc::new(clock.clone())));
    let folder = tempfile::tempdir().unwrap();
    let mut session = begin(&fixture).await;
    let wall = |usage: SessionUsage| (usage.running.wall_ms + usage.idle.wall_ms) / 1_000;
    let (before, begun) = (wall(session.usage()), clock.0.load(Ordering::Relaxed));
    for number in 0..3 {
        let cell = Cell {
            artifacts_into: Some(folder.path().to_owned()),
            ..cell(&format!("open('{number}', 'w').write('collected')"))
        };
        let outcome = session.run(cell, Arc::new(())).await.unwrap();
        assert_eq!(outcome.artifacts.len(), 1);
    }
    let (after, ended) = (wall(session.usage()), clock.0.load(Ordering::Relaxed));
    assert_eq!(after - before, ended - begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cell_uses_is_told_while_it_runs() {
    let fixture = Fixture::bare();
    let mut session = begin(&fixture).await;
    run(
        &mut *session,
        "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass",
    )
    .await;
    let heard = Arc::new(Heard::default());
    let outcome = session
        .run(cell("time.sleep(0.9)"), Arc::<Heard>::clone(&heard))
        .await
        .unwrap();
    let told = heard.used();
    assert!(told.len() >= 2, "{told:?}");
    assert!(told.is_sorted_by_key(|usage| usage.wall_ms), "{told:?}");
    // Nothing of the cell before.
    assert!(told.iter().all(|usage| usage.cpu_ms < 300), "{told:?}");
    assert!(told.last().unwrap().wall_ms <= outcome.usage.wall_ms);
}
