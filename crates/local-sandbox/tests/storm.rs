//! Hostile programs in any mixture: at random with ordinary runs and with callers that hang up, and a hundred at once.
//!
//! `METERBOX_ROUNDS=100` mixes longer; `METERBOX_SEED` mixes as before.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use common::{Fixture, MB, dice::Dice, program::Hostile, watch::Watch};
use futures_util::future::join_all;
use meterbox_sandbox_client::Limits;

const READY: usize = 2;
/// One bomb comes so long after another; each lasts longer than all take to come.
const APART: Duration = Duration::from_millis(25);
/// What an ordinary run takes at least on a machine that does other work now and then.
const LEAST: Duration = Duration::from_millis(100);

/// What one of a round does.
#[derive(Debug)]
enum Part<'a> {
    Ordinary,
    Hostile(&'a Hostile),
    /// Its caller hangs up after so long.
    HungUp(&'a Hostile, Duration),
}

#[tokio::test(flavor = "multi_thread")]
async fn any_mixture_leaves_everything_as_it_was() {
    let rounds = std::env::var("METERBOX_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let programs = Hostile::all();
    let mut dice = Dice::new();
    let fixture = Fixture::with(|builder| builder.ready(READY));
    let watch = Watch::with_ready(fixture, READY).await;
    for round in 0..rounds {
        let parts: Vec<Part<'_>> = (0..=dice.below(7))
            .map(|_| {
                let program = &programs[dice.below(programs.len())];
                match dice.below(4) {
                    0 => Part::Ordinary,
                    1 => Part::HungUp(program, Duration::from_millis(dice.below(400) as u64)),
                    _ => Part::Hostile(program),
                }
            })
            .collect();
        let why = format!("METERBOX_SEED={}, round {round}: {}", dice.seed, shown(&parts));
        let wrong: Vec<String> = join_all(parts.iter().map(|part| play(&watch, part)))
            .await
            .into_iter()
            .flatten()
            .collect();
        assert!(wrong.is_empty(), "{why}\n{}", wrong.join("\n"));
        watch.everything_is_as_before(&why).await;
    }
}

async fn play(watch: &Watch, part: &Part<'_>) -> Option<String> {
    match part {
        Part::Ordinary => {
            watch.ordinary_run("others").await;
            None
        }
        Part::Hostile(program) => watch.contain_one(program, true).await.err(),
        Part::HungUp(program, after) => {
            // Whatever it was, it is gone then.
            let _ = tokio::time::timeout(*after, watch.run(program, &program.limits(true))).await;
            None
        }
    }
}

fn shown(parts: &[Part<'_>]) -> String {
    let shown = parts.iter().map(|part| match part {
        Part::Ordinary => "ordinary".to_owned(),
        Part::Hostile(program) => program.name.clone(),
        Part::HungUp(program, after) => format!("{} for {after:?}", program.name),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Bombs of all kinds, and ordinary runs between them for as long as there is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_bombs_at_once_stop_no_ordinary_run() {
    const BOMBS: u32 = 100;
    const QUIET: usize = 40;
    let programs: Vec<Hostile> = Hostile::all()
        .into_iter()
        .filter(|program| *program.name < *"046")
        .collect();
    let fixture = Fixture::with(|builder| builder.ready(READY).at_once(200, Duration::from_secs(30)));
    let watch = Watch::with_ready(fixture, READY).await;
    let quiet = ordinary_runs(&watch, |count| count < QUIET).await;
    let over = AtomicBool::new(false);
    let bombs = async {
        let bombs = programs
            .iter()
            .cycle()
            .zip(0..BOMBS)
            .map(async |(program, place)| {
                tokio::time::sleep(APART * place).await;
                bomb(&watch, program).await
            });
        let ended = join_all(bombs).await;
        over.store(true, Ordering::Relaxed);
        ended
    };
    let begun = Instant::now();
    let beside = async {
        // While they come, each start waits for those before it. What counts is what is left once all are there.
        ordinary_runs(&watch, |_| begun.elapsed() < APART * BOMBS).await;
        ordinary_runs(&watch, |count| count < 3 || !over.load(Ordering::Relaxed)).await
    };
    let (ended, beside) = tokio::join!(bombs, beside);
    let wrong: Vec<String> = ended.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    watch.everything_is_as_before("a hundred bombs").await;
    let said = format!(
        "ordinary runs: p95 {:?} of {} alone, {:?} of {} beside {BOMBS} bombs",
        p95(&quiet),
        quiet.len(),
        p95(&beside),
        beside.len()
    );
    writeln!(std::io::stderr(), "{said}").unwrap();
    // Five times is meant. A machine that others keep busy needs a margin; without the
    // order of turns it is thirty times.
    assert!(p95(&beside) <= 10 * p95(&quiet).max(LEAST), "{said}");
}

/// With little of everything, so that a hundred fit into a small machine. Its verdict is another one then.
async fn bomb(watch: &Watch, program: &Hostile) -> Option<String> {
    let limits = program.limits(true);
    let limits = Limits {
        wall: Duration::from_secs(5),
        memory_bytes: limits.memory_bytes.min(32 * MB),
        scratch_bytes: limits.scratch_bytes.min(8 * MB),
        ..limits
    };
    let seen = watch.run(program, &limits).await;
    seen.err().map(|error| format!("{}: {error}", program.name))
}

/// One after another: how long each took, from the shortest.
async fn ordinary_runs(watch: &Watch, go_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut took = Vec::new();
    while go_on(took.len()) {
        let started = Instant::now();
        watch.ordinary_run("bombs").await;
        took.push(started.elapsed());
    }
    took.sort();
    took
}

/// What nineteen of twenty stay below.
fn p95(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() * 95).div_ceil(100) - 1]
}
