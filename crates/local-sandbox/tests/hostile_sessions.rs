//! Sessions of hostile cells. Each harms nobody but its own session, whose next call says what became of it, and leaves
//! nothing; and where a guard is there against it, the attack is shown to work with that guard off.
//!
//! `METERBOX_ROUNDS=100` mixes longer; `METERBOX_SEED` mixes as before.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::{io::Write as _, sync::Arc, time::Duration};

use common::{
    Fixture, Heard, children_of,
    dice::Dice,
    session::{begin, cell, run, why, zygote},
    session_attacks::{ATTACKS, Attack, holds, play, setup_for},
    value,
    watch::Watch,
};
use futures_util::future::join_all;
use meterbox_sandbox_client::{Cell, Reply, Sandbox, Session, SessionEnd, SessionSetup, Verdict};

/// So many at once: most wait for their time to end.
const AT_ONCE: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn every_session_is_contained() {
    let watch = Watch::new(Fixture::new()).await;
    let mut wrong = Vec::new();
    for attacks in ATTACKS.chunks(AT_ONCE) {
        let judged = join_all(attacks.iter().map(|attack| contain(&watch, attack))).await;
        wrong.extend(judged.into_iter().flatten());
        let names: Vec<&str> = attacks.iter().map(|attack| attack.name).collect();
        watch.everything_is_as_before(&names.join(", ")).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Says how it ended, where that is otherwise than expected.
async fn contain(watch: &Watch, attack: &Attack) -> Option<String> {
    let mut session = watch.fixture.sandbox.session(setup_for(attack)).await.unwrap();
    let outcomes = play(&mut *session, attack.cells).await;
    let end = session.end();
    // Every cell that ran is paid, once.
    let usage = session.close().await.unwrap();
    let sum: u64 = outcomes.iter().map(|outcome| outcome.usage.wall_ms).sum();
    assert_eq!(
        (usage.cells as usize, usage.running.wall_ms),
        (outcomes.len(), sum),
        "{}",
        attack.name
    );
    let expected = attack
        .ends
        .split(" | ")
        .any(|expected| holds(expected, &outcomes, end.as_ref()));
    (!expected).then(|| format!("{}: {end:?}, {outcomes:#?}", attack.name))
}

// === any mixture ===

/// What a session is in the middle of, as whoever runs its cells knows it.
struct Model<'a> {
    watch: &'a Watch,
    session: Box<dyn Session>,
    number: u64,
    wall_ms: u64,
    cells: u32,
}

impl Model<'_> {
    async fn begin(watch: &Watch) -> Model<'_> {
        let setup = SessionSetup::default();
        let mut session = watch.fixture.sandbox.session(setup).await.unwrap();
        let first = run(&mut *session, "import threading, time, os\nnumber = 0").await;
        Model {
            watch,
            session,
            number: 0,
            wall_ms: first.usage.wall_ms,
            cells: 1,
        }
    }

    /// Runs a cell of some kind. Says whether the session goes on.
    async fn step(&mut self, kind: usize) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let number = self.number + 1;
        let code = match kind {
            0..=3 => "number += 1\nreply(number)".to_owned(),
            4 => "number += 1\n1 / 0".to_owned(),
            5 => format!("number += 1\nprint('x' * {number}, end='')\nreply(number)"),
            6 => format!("number += 1\nopen('f{number}', 'w').write(str(number))\nreply(number)"),
            7 => "number += 1\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nreply(number)".to_owned(),
            8 => "os._exit(7)".to_owned(),
            _ => "while True: pass".to_owned(),
        };
        let mut cell = Cell {
            artifacts_into: Some(folder.path().to_owned()),
            ..cell(&code)
        };
        match kind {
            9 => cell.limits.wall = Duration::from_millis(60),
            10 => {
                let cancel = cell.cancel.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    cancel.cancel();
                });
            }
            11 => {
                let hung_up = self.session.run(cell, Arc::new(()));
                tokio::time::timeout(Duration::from_millis(30), hung_up)
                    .await
                    .unwrap_err();
                assert_eq!(why(&mut *self.session).await, SessionEnd::Dropped);
                return false;
            }
            _ => {}
        }
        let outcome = self.session.run(cell, Arc::new(())).await.unwrap();
        self.cells += 1;
        self.wall_ms += outcome.usage.wall_ms;
        if kind >= 8 {
            assert_eq!(why(&mut *self.session).await, SessionEnd::Cell(outcome.verdict));
            return false;
        }
        self.number = number;
        let printed = if kind == 5 { number } else { 0 };
        assert_eq!(outcome.usage.output_bytes, printed, "{outcome:?}");
        assert_eq!(outcome.artifacts.len(), usize::from(kind == 6), "{outcome:?}");
        match &outcome.reply {
            Some(Reply::Error(error)) => assert_eq!((kind, &*error.kind), (4, "ZeroDivisionError")),
            _ => assert_eq!(value(&outcome), number),
        }
        true
    }

    async fn end(mut self) {
        let usage = self.session.close().await.unwrap();
        // A cell that was dropped is counted, and nobody knows what it used.
        assert!((self.cells..=self.cells + 1).contains(&usage.cells), "{usage:?}");
        assert_eq!(usage.running.wall_ms, self.wall_ms);
        self.watch.ordinary_run("a session").await;
    }
}

/// Sessions side by side, each with cells at random, hostile ones among them.
#[tokio::test(flavor = "multi_thread")]
async fn any_mixture_of_cells_leaves_everything_as_it_was() {
    let rounds = std::env::var("METERBOX_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let mut dice = Dice::new();
    let fixture = Fixture::with(|builder| builder.ready(2));
    let watch = Watch::with_ready(fixture, 2).await;
    for round in 0..rounds {
        let scripts: Vec<Vec<usize>> = (0..3)
            .map(|_| (0..dice.below(10)).map(|_| dice.below(12)).collect())
            .collect();
        let attack = &ATTACKS[dice.below(ATTACKS.len())];
        let why = format!(
            "METERBOX_SEED={}, round {round}: {scripts:?} beside {}",
            dice.seed, attack.name
        );
        writeln!(std::io::stderr(), "{why}").unwrap();
        let honest = join_all(scripts.iter().map(|script| {
            let watch = &watch;
            async move {
                let mut model = Model::begin(watch).await;
                for kind in script {
                    if !model.step(*kind).await {
                        break;
                    }
                }
                model.end().await;
            }
        }));
        let hostile = async {
            let mut session = watch.fixture.sandbox.session(setup_for(attack)).await.unwrap();
            play(&mut *session, attack.cells).await;
        };
        tokio::join!(honest, hostile);
        watch.everything_is_as_before(&why).await;
    }
}

// === what would work without its guard ===

const COMPUTES: &str = "import threading, time\ncount = 0\ndef work():\n    global count\n    while True: count += 1\n\
                        threading.Thread(target=work, daemon=True).start()\n\
                        def talk():\n    while True:\n        time.sleep(0.02)\n        print('between')\n\
                        threading.Thread(target=talk, daemon=True).start()\nreply(count)";

const WAITS: &str = "start = time.process_time()\nwhile time.process_time() < start + 0.25: time.sleep(0.02)";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_session_runs_between_its_cells() {
    for guarded in [true, false] {
        let fixture = without(guarded, &["freeze"]);
        let mut session = begin(&fixture).await;
        let heard = Arc::new(Heard::default());
        session
            .run(cell(COMPUTES), Arc::<Heard>::clone(&heard))
            .await
            .unwrap();
        let pid = children_of(zygote().await)[0];
        let before = (cpu_of(pid), heard.text());
        tokio::time::sleep(Duration::from_millis(600)).await;
        let used = cpu_of(pid).saturating_sub(before.0);
        assert_eq!(heard.text(), before.1, "nobody listens between cells");
        if !guarded {
            assert!(used >= Duration::from_millis(20), "it computed: {used:?}");
            continue;
        }
        assert_eq!(used, Duration::ZERO);
        // From where it goes on it is the next cell's: its time and its output.
        let heard = Arc::new(Heard::default());
        let outcome = session
            .run(cell(WAITS), Arc::<Heard>::clone(&heard))
            .await
            .unwrap();
        assert!(outcome.usage.cpu_ms >= 150, "{:?}", outcome.usage);
        assert!(
            outcome.stdout.contains("between") && heard.text() == outcome.stdout,
            "{outcome:?}"
        );
        let usage = session.close().await.unwrap();
        assert!(usage.idle.wall_ms >= 600 && usage.idle.cpu_ms < 300, "{usage:?}");
    }
}

/// Writes a reply when its cell has ended.
const REPLIES_LATE: &str = "import os, threading, time\ndef late():\n    time.sleep(0.1)\n    \
                            os.write(3, bytes(16) + (18).to_bytes(8, 'little') + b'{\"value\":\"forged\"}')\n\
                            threading.Thread(target=late, daemon=True).start()\nreply('fine')";

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_there_before_its_cell_is_none() {
    for (guards, believed) in [
        (&[][..], false),
        (&["freeze"], false),
        (&["freeze", "cell-name"], true),
    ] {
        let fixture = without(guards.is_empty(), guards);
        let mut session = begin(&fixture).await;
        run(&mut *session, REPLIES_LATE).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let outcome = run(&mut *session, "import time\ntime.sleep(0.3)\nreply('honest')").await;
        if believed {
            assert_eq!(value(&outcome), "forged", "this attack is none");
        } else {
            assert!(
                matches!(outcome.verdict, Verdict::BrokenReply { .. }),
                "{outcome:?}"
            );
            assert!(outcome.reply.is_none());
        }
    }
}

/// Files all of one letter, each written at once, over and over.
const REWRITES: &str = "import os, threading, time\nfile = os.open('file', os.O_RDWR | os.O_CREAT)\n\
                        letters = [bytes([letter]) * (256 << 10) for letter in b'abcdefgh']\nos.pwrite(file, letters[0], 0)\n\
                        def rewrite():\n    while True:\n        for letter in letters: os.pwrite(file, letter, 0)\n\
                        def replace():\n    while True:\n        os.symlink('/etc/hostname', 'new')\n        \
                        os.rename('new', 'link')\n        os.unlink('link')\n        open('link', 'w').write('mine')\n\
                        for work in (rewrite, replace): threading.Thread(target=work, daemon=True).start()\n\
                        time.sleep(0.05)\nreply(1)";

#[tokio::test(flavor = "multi_thread")]
async fn no_file_changes_while_it_is_collected() {
    for guarded in [true, false] {
        let fixture = without(guarded, &["freeze"]);
        let mut session = begin(&fixture).await;
        let mut torn = 0;
        for round in 0..6 {
            let folder = tempfile::tempdir().unwrap();
            let cell = Cell {
                artifacts_into: Some(folder.path().to_owned()),
                ..cell(if round == 0 { REWRITES } else { "time.sleep(0.01)" })
            };
            let outcome = session.run(cell, Arc::new(())).await.unwrap();
            for artifact in &outcome.artifacts {
                let content = std::fs::read(&artifact.path).unwrap();
                match artifact.name.as_str() {
                    "file" => torn += usize::from(content.iter().any(|letter| *letter != content[0])),
                    "link" => assert!(content == b"mine" || content.is_empty()),
                    other => panic!("{other}"),
                }
            }
        }
        if guarded {
            assert_eq!(torn, 0, "files changed under the reader");
            assert_eq!(session.end(), None);
        } else {
            assert!(torn > 0, "this attack is none");
        }
    }
}

/// Reading what it wrote makes the kernel send it the signal that wakes it. The filter is against that; and where it is
/// missing, that it went on is noticed.
const WAKES: &str = "import fcntl, os, threading\nfile = os.open('file', os.O_RDWR | os.O_CREAT)\n\
                     os.pwrite(file, b'x' * 100, 0)\nfolder = os.open('.', os.O_RDONLY)\n\
                     fcntl.fcntl(folder, fcntl.F_SETSIG, 18)\n\
                     fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_ATTRIB | fcntl.DN_MULTISHOT)\n\
                     def spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()\nreply(1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_woken_is_noticed() {
    let fixture = without(false, &["seccomp"]);
    let mut session = begin(&fixture).await;
    let folder = tempfile::tempdir().unwrap();
    let cell = Cell {
        artifacts_into: Some(folder.path().to_owned()),
        ..cell(WAKES)
    };
    let outcome = session.run(cell, Arc::new(())).await.unwrap();
    assert!(
        matches!(outcome.verdict, Verdict::BrokenReply { .. }),
        "{outcome:?}"
    );
    assert!(outcome.artifacts.is_empty() && std::fs::read_dir(folder.path()).unwrap().count() == 0);
    assert_eq!(why(&mut *session).await, SessionEnd::Restless);
    // One that takes back every stop is ended, before it has computed for long.
    let mut session = begin(&fixture).await;
    let resists = "import os, threading\ndef resist():\n    me = os.getpid()\n    while True: os.kill(me, 18)\n\
                   for _ in range(3): threading.Thread(target=resist, daemon=True).start()\nreply(1)";
    let outcome = run(&mut *session, resists).await;
    assert_eq!(value(&outcome), 1);
    match session.end() {
        None => {}
        Some(end) => assert_eq!((end, outcome.usage.wall_ms < 3_000), (SessionEnd::Restless, true)),
    }
    // And where that happens between two cells.
    session.close().await.unwrap();
    let mut session = begin(&fixture).await;
    run(&mut *session, "reply(1)").await;
    let pid = children_of(zygote().await)[0];
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(why(&mut *session).await, SessionEnd::Restless);
}

fn without(guarded: bool, guards: &[&'static str]) -> Fixture {
    Fixture::with(|builder| if guarded { builder } else { builder.without(guards) })
}

/// All of its threads, as the kernel counts.
fn cpu_of(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut words = stat.rsplit(')').next().unwrap().split_whitespace().skip(11);
    let ticks: u64 =
        words.next().unwrap().parse::<u64>().unwrap() + words.next().unwrap().parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
