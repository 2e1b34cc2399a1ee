//! Hostile programs, each a small file under `hostile/` whose header says what becomes of it (`common/program.rs`
//! says how).
//!
//! Each runs twice: as it will be run, and with the one guard off that is there against it, to see that the
//! attack is real. A guard of the jail is left out; in the place of one of the supervisor's own (`one-reply`,
//! `verdict`, `collect`) a naive supervisor judges the same bytes and the same folder. After each few, which run
//! side by side, nothing may be left of them and nothing of the machine may have been touched. Every program bounds
//! itself, so that it harms nobody even with its guard off.
//!
//! `METERBOX_HOSTILE=055` runs only those with this in their name.
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

use std::collections::BTreeMap;

use common::{
    Fixture,
    program::{Hostile, Off},
    watch::Watch,
};

/// So many run side by side: enough that those that wait for their time to end do not wait one by one.
const AT_ONCE: usize = 4;
/// After so many nothing may be left.
const TOGETHER: usize = 6 * AT_ONCE;
const READY: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_program_is_contained() {
    let mut watch = Watch::new(Fixture::new()).await;
    none(contain_all(&mut watch, &Hostile::all(), true, TOGETHER).await);
}

/// In children that were ready before the program was known.
#[tokio::test(flavor = "multi_thread")]
async fn every_program_is_contained_in_a_ready_child() {
    let fixture = Fixture::with(|builder| builder.ready(READY));
    let mut watch = Watch::with_ready(fixture, READY).await;
    // No more than there are children, so that each is sure to get one.
    none(contain_all(&mut watch, &Hostile::all(), true, READY).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_works_without_its_guard() {
    let mut by_guards: BTreeMap<Vec<&'static str>, Vec<Hostile>> = BTreeMap::new();
    for program in Hostile::all() {
        match &program.off {
            Off::Guards(guards) => by_guards.entry(guards.clone()).or_default().push(program),
            Off::Limits(_) => by_guards.entry(Vec::new()).or_default().push(program),
            Off::Nothing => {}
        }
    }
    let mut wrong = Vec::new();
    for (mut guards, programs) in by_guards {
        if !guards.is_empty() {
            // Nothing to do with a guard, but it saves a second for each set of them.
            guards.push("preload");
        }
        let mut watch = Watch::new(Fixture::with(|builder| builder.without(&guards))).await;
        wrong.extend(contain_all(&mut watch, &programs, false, TOGETHER).await);
    }
    none(wrong);
}

async fn contain_all(watch: &mut Watch, programs: &[Hostile], guarded: bool, together: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    for programs in programs.chunks(together) {
        let programs: Vec<&Hostile> = programs.iter().collect();
        wrong.extend(watch.contain(&programs, guarded, AT_ONCE).await);
    }
    wrong
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
