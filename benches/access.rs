//! Letting callers in: is a key needed, and does this one open anything? For one client and for fifty at once, alone and
//! beside somebody who administers.
//!
//! `cargo bench -p meterbox-benches --bench access`. Each check reads the file.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark times, prints, and stops where it cannot go on"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use meterbox_access::{Access, Actor, KeyGrant, Role};
use meterbox_benches::{Timings, load};
use meterbox_core::SystemClock;

const CHECKS: usize = 20_000;
const KEYS: usize = 1_000;

fn main() {
    let threads = tokio::runtime::Runtime::new().unwrap();
    println!("load {} at the start", load());
    threads.block_on(let_in());
    println!("load {} at the end", load());
}

async fn let_in() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let access = Access::open(folder.path().join("access.sqlite3"), SystemClock::default()).unwrap();
    let actor = Actor::new("bench", "command line");
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        let grant = KeyGrant::new("bench", Role::Analyst, ["user/ana".parse().unwrap()]);
        let created = access.create_key(&actor, grant).await.unwrap();
        let key = created.key.reveal();
        // The first use of an hour is noted.
        access.authenticate(&key).await.unwrap();
        keys.push(key);
    }
    let keys = Arc::new(keys);
    println!("\nneeds_key + authenticate, {KEYS} keys, {CHECKS} checks");
    for clients in [1, 50] {
        let timings = checked(&access, &keys, clients).await;
        println!("{clients:>3} clients   {}", figures(&timings));
    }
    let done = Arc::new(AtomicBool::new(false));
    let administering = tokio::spawn({
        let (access, done) = (access.clone(), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                let grant = KeyGrant::new("more", Role::Viewer, ["user/eve".parse().unwrap()]);
                access.create_key(&actor, grant).await.unwrap();
            }
        }
    });
    for clients in [1, 50] {
        let timings = checked(&access, &keys, clients).await;
        println!(
            "{clients:>3} clients, while keys are made   {}",
            figures(&timings)
        );
    }
    done.store(true, Ordering::Relaxed);
    administering.await.unwrap();
}

async fn checked(access: &Access, keys: &Arc<Vec<String>>, clients: usize) -> Timings {
    let each = CHECKS / clients;
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let (access, keys) = (access.clone(), Arc::clone(keys));
            tokio::spawn(async move {
                let mut timings = Vec::with_capacity(each);
                for check in 0..each {
                    let key = &keys[(client * 131 + check * 17) % keys.len()];
                    let started = Instant::now();
                    assert!(access.needs_key().await.unwrap());
                    access.authenticate(key).await.unwrap();
                    timings.push(started.elapsed());
                }
                timings
            })
        })
        .collect();
    let mut timings: Vec<Duration> = Vec::new();
    for client in clients {
        timings.extend(client.await.unwrap());
    }
    Timings::new(timings)
}

fn figures(timings: &Timings) -> String {
    let micros = |percent| timings.percentile(percent).as_micros();
    format!("p50 {:>6} µs   p99 {:>6} µs", micros(50), micros(99))
}
