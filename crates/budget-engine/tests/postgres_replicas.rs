//! Two replicas on one Postgres: opposite orders, limits that change meanwhile, a server that crashes.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, EntryKind, EntryPage, HoldRequest, PostgresLedger, Window,
};
use meterbox_core::{Retryability, Scope, StorageErrorKind, SystemClock, Usd, contract::CostLine};
use meterbox_testkit::PostgresServer;

const SCOPES: [&str; 6] = [
    "org/acme", "org/beta", "team/ops", "team/dev", "user/ana", "user/bob",
];

async fn replicas(server: &PostgresServer) -> [BudgetEngine; 2] {
    let address = server.database();
    let replica = async || {
        let ledger = PostgresLedger::connect(&address).await.unwrap();
        BudgetEngine::new(ledger, SystemClock::default())
    };
    let replicas = [replica().await, replica().await];
    for scope in SCOPES {
        let limit = Usd::from_dollars(1_000);
        let budget = Budget::new(scope.parse().unwrap(), limit, Window::Lifetime);
        replicas[0].define(budget).await.unwrap();
    }
    replicas
}

/// Three of the six scopes, beginning somewhere and going one way or the other.
fn some_scopes(start: usize, backwards: bool) -> Vec<Scope> {
    let names = (0..3).map(|step| SCOPES[(start + step * 2 + usize::from(backwards)) % SCOPES.len()]);
    let mut scopes: Vec<Scope> = names.map(|name| name.parse().unwrap()).collect();
    if backwards {
        scopes.reverse();
    }
    scopes
}

fn a_little(item: &str) -> CostLine {
    CostLine {
        item: item.into(),
        quantity: 1,
        unit: "calls".into(),
        amount: "0.001".parse().unwrap(),
        estimated: false,
        price: None,
    }
}

/// Eight hundred holds over overlapping sets of scopes, both ways round, keyed, short-lived, with limits that
/// change meanwhile: everybody is served, and nobody by a retry after a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_never_deadlock() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let replicas = replicas(server).await;
    let callers: Vec<_> = (0..16_usize)
        .map(|caller| {
            let engine = replicas[caller % 2].clone();
            tokio::spawn(async move {
                for round in 0..50 {
                    let scopes = some_scopes(caller + round, caller % 2 == 0);
                    // Two callers of different replicas use each key, and one of them gets the other's hold.
                    let key = format!("{}-{round}", caller / 2);
                    let mut request = HoldRequest::new(scopes, Usd::from_dollars(1), "storm");
                    if round % 3 == 0 {
                        request.scopes = some_scopes(round, false);
                        request = request.idempotency_key(key);
                    }
                    if round % 7 == 0 {
                        request = request.ttl(Duration::from_millis(1)).grace(Duration::ZERO);
                    }
                    let hold = match engine.hold(request).await {
                        Ok(hold) => hold,
                        Err(BudgetError::AlreadyEnded(_)) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    hold.draw(a_little("storm")).await.unwrap();
                    hold.settle().await.unwrap();
                    if round % 10 == 0 {
                        let scope = SCOPES[caller % SCOPES.len()].parse().unwrap();
                        let budget = Budget::new(scope, Usd::from_dollars(900), Window::Lifetime);
                        engine.define(budget).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let report = replicas[1].verify().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(server.count_in_log("deadlock detected"), 0);
}

/// The server crashes under two busy replicas: whoever is told of it is told in type, and what was acknowledged
/// is there when it comes back, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_loses_and_doubles_nothing() {
    let Some(server) = PostgresServer::start_or_skip() else {
        return;
    };
    let replicas = replicas(&server).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8_usize)
        .map(|caller| {
            let (engine, is_over) = (replicas[caller % 2].clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let (mut acknowledged, mut errors) = (Vec::new(), Vec::new());
                let mut round = 0;
                while !is_over.load(Ordering::Relaxed) {
                    round += 1;
                    let item = format!("{caller}-{round}");
                    let request = HoldRequest::new(some_scopes(caller, false), Usd::from_dollars(1), "crash")
                        .ttl(Duration::from_secs(2))
                        .grace(Duration::ZERO);
                    let worked = async {
                        let hold = engine.hold(request).await?;
                        hold.draw(a_little(&item)).await?;
                        acknowledged.push(item);
                        hold.settle().await
                    };
                    if let Err(error) = worked.await {
                        errors.push(error);
                    }
                }
                (acknowledged, errors)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.crash();
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.restart();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    is_over.store(true, Ordering::Relaxed);

    let mut said = Vec::new();
    for caller in callers {
        let (acknowledged, errors) = caller.await.unwrap();
        said.extend(acknowledged);
        for error in errors {
            let BudgetError::Store(stored) = &error else {
                panic!("{error}")
            };
            assert_eq!(stored.kind(), StorageErrorKind::Unavailable, "{error}");
            assert_ne!(stored.retryability(), Retryability::Never, "{error}");
        }
    }
    let mut drawn: BTreeMap<String, u32> = BTreeMap::new();
    let all = EntryPage {
        after: 0,
        limit: usize::MAX,
    };
    for entry in replicas[0].entries(all).await.unwrap() {
        if let (EntryKind::Drawn, Some(line)) = (entry.body.kind, entry.body.line) {
            *drawn.entry(line.item).or_default() += 1;
        }
    }
    for item in &said {
        assert_eq!(drawn.get(item), Some(&1), "{item} was acknowledged");
    }
    assert!(drawn.values().all(|times| *times == 1), "nothing is doubled");
    tokio::time::sleep(Duration::from_secs(2)).await;
    replicas[1].expire().await.unwrap();
    let report = replicas[1].verify().await.unwrap();
    assert!(report.is_clean() && report.open_holds == 0, "{report:?}");
    println!(
        "3 crashes, {} draws acknowledged, {} kept",
        said.len(),
        drawn.len()
    );
}
