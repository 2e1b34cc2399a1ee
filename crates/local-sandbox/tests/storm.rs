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
    time::{Duration, Instant},
};

use common::{Fixture, MB, dice::Dice, program::Hostile, watch::Watch};
use futures_util::future::join_all;
use meterbox_sandbox_client::Limits;

const READY: usize = 2;

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

/// Bombs of all kinds, and ordinary runs between them. How long those take is for a machine of one's own to say: here
/// they only have to be right. (`--nocapture` shows it.)
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_bombs_at_once_stop_no_ordinary_run() {
    const BOMBS: usize = 100;
    const ORDINARY: usize = 20;
    let programs: Vec<Hostile> = Hostile::all()
        .into_iter()
        .filter(|program| *program.name < *"046")
        .collect();
    let fixture = Fixture::with(|builder| builder.ready(READY));
    let watch = Watch::with_ready(fixture, READY).await;
    let quiet = ordinary_runs(&watch, ORDINARY).await;
    let bombs = join_all(
        programs
            .iter()
            .cycle()
            .take(BOMBS)
            .map(|program| bomb(&watch, program)),
    );
    let (ended, beside) = tokio::join!(bombs, ordinary_runs(&watch, ORDINARY));
    let wrong: Vec<String> = ended.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    watch.everything_is_as_before("a hundred bombs").await;
    writeln!(
        std::io::stderr(),
        "ordinary runs: p95 {quiet:?} alone, {beside:?} beside {BOMBS} bombs"
    )
    .unwrap();
}

/// With little of everything, so that a hundred fit into a small machine. Its verdict is another one then.
async fn bomb(watch: &Watch, program: &Hostile) -> Option<String> {
    let limits = program.limits(true);
    let limits = Limits {
        wall: limits.wall.min(Duration::from_secs(2)),
        memory_bytes: limits.memory_bytes.min(32 * MB),
        scratch_bytes: limits.scratch_bytes.min(8 * MB),
        ..limits
    };
    let seen = watch.run(program, &limits).await;
    seen.err().map(|error| format!("{}: {error}", program.name))
}

/// One after another: the time that nineteen of twenty stay below.
async fn ordinary_runs(watch: &Watch, count: usize) -> Duration {
    let mut took = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        watch.ordinary_run("bombs").await;
        took.push(started.elapsed());
    }
    took.sort();
    took[count * 95 / 100 - 1]
}
