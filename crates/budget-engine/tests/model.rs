//! Random operations, compared step by step with a model too simple to be wrong.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeMap, time::Duration};

use meterbox_budget_engine::{
    Budget, BudgetError, HoldId, HoldRequest, HoldState, LedgerStore, MemoryLedger, PostgresLedger,
    SqliteLedger, Unbudgeted, Window,
    ledger::{HoldAction, OpenHold},
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_testkit::PostgresServer;
use proptest::{prelude::*, test_runner::TestRunner};

const SCOPES: [&str; 4] = ["user/ana", "user/bob", "org/acme", "team/ops"];
const TTL_SECONDS: i64 = 100;

#[derive(Debug, Clone)]
enum Operation {
    Limit {
        scope: usize,
        limit: u64,
    },
    Hold {
        scopes: Vec<usize>,
        amount: u64,
        at_least: Option<u64>,
    },
    Draw {
        hold: usize,
        amount: u64,
    },
    Extend {
        hold: usize,
        seconds: i64,
    },
    Close {
        hold: usize,
        state: HoldState,
    },
    Wait {
        seconds: i64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let closing = prop_oneof![
        Just(HoldState::Settled),
        Just(HoldState::Released),
        Just(HoldState::Dropped)
    ];
    prop_oneof![
        1 => (0..SCOPES.len(), 0..2_000_u64).prop_map(|(scope, limit)| Operation::Limit { scope, limit }),
        6 => (proptest::collection::vec(0..SCOPES.len(), 1..4), 1..600_u64, proptest::option::of(1..600_u64))
            .prop_map(|(scopes, amount, least)| {
                Operation::Hold { scopes, amount, at_least: least.map(|least| least.min(amount)) }
            }),
        6 => (0..64_usize, 0..400_u64).prop_map(|(hold, amount)| Operation::Draw { hold, amount }),
        1 => (0..64_usize, 1..200_i64).prop_map(|(hold, seconds)| Operation::Extend { hold, seconds }),
        5 => (0..64_usize, closing).prop_map(|(hold, state)| Operation::Close { hold, state }),
        2 => (0..60_i64).prop_map(|seconds| Operation::Wait { seconds }),
    ]
}

/// The model: plain numbers, and everything added up anew each time.
#[derive(Default)]
struct Model {
    now: i64,
    limits: BTreeMap<usize, u64>,
    holds: Vec<ModelHold>,
}

struct ModelHold {
    id: HoldId,
    claims: Vec<usize>,
    amount: u64,
    drawn: u64,
    open: bool,
    expires: i64,
}

impl Model {
    /// The own limit, or the wildcard's for users.
    fn limit(&self, scope: usize) -> Option<u64> {
        let wildcard = SCOPES.iter().position(|name| *name == "user/bob").unwrap();
        let own = if scope == wildcard {
            None
        } else {
            self.limits.get(&scope)
        };
        let shared = || {
            self.limits
                .get(&wildcard)
                .filter(|_| SCOPES[scope].starts_with("user/"))
        };
        own.or_else(shared).copied()
    }

    fn spent(&self, scope: usize) -> u64 {
        self.holds
            .iter()
            .filter(|hold| hold.claims.contains(&scope))
            .map(|hold| hold.drawn)
            .sum()
    }

    fn held(&self, scope: usize) -> u64 {
        let open = self
            .holds
            .iter()
            .filter(|hold| hold.open && hold.claims.contains(&scope));
        open.map(|hold| hold.amount.saturating_sub(hold.drawn)).sum()
    }

    fn remaining(&self, scope: usize) -> Option<u64> {
        Some(
            self.limit(scope)?
                .saturating_sub(self.spent(scope))
                .saturating_sub(self.held(scope)),
        )
    }

    fn expire(&mut self) {
        let now = self.now;
        self.holds
            .iter_mut()
            .filter(|hold| hold.expires <= now)
            .for_each(|hold| hold.open = false);
    }
}

fn usd(nanos: u64) -> Usd {
    Usd::from_nanos(nanos).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000).unwrap()
}

/// `user/bob`'s limit is defined on the wildcard.
fn budget_scope(scope: usize) -> Scope {
    let name = if SCOPES[scope] == "user/bob" {
        "user/*"
    } else {
        SCOPES[scope]
    };
    name.parse().unwrap()
}

async fn step(store: &dyn LedgerStore, model: &mut Model, operation: Operation) {
    match operation {
        Operation::Limit { scope, limit } => {
            let budget = Budget::new(budget_scope(scope), usd(limit), Window::Lifetime);
            store.define(at(model.now), budget).await.unwrap();
            model.limits.insert(scope, limit);
        }
        Operation::Hold {
            scopes,
            amount,
            at_least,
        } => hold(store, model, scopes, amount, at_least).await,
        Operation::Draw { hold, amount } => {
            let Some(hold) = model.holds.get_mut(hold) else {
                return;
            };
            let line = CostLine {
                item: "thing".into(),
                quantity: amount,
                unit: "things".into(),
                amount: usd(amount),
                estimated: false,
                price: None,
            };
            let record = store
                .act(at(model.now), hold.id, HoldAction::Draw { key: None, line })
                .await
                .unwrap();
            hold.drawn += amount;
            assert_eq!(record.drawn, usd(hold.drawn));
        }
        Operation::Extend { hold, seconds } => {
            let Some(hold) = model.holds.get_mut(hold) else {
                return;
            };
            let until = model.now + seconds;
            let extended = store
                .act(at(model.now), hold.id, HoldAction::Extend { until: at(until) })
                .await;
            assert_eq!(extended.is_ok(), hold.open);
            if hold.open {
                hold.expires = hold.expires.max(until);
            }
        }
        Operation::Close { hold, state } => {
            let Some(hold) = model.holds.get_mut(hold) else {
                return;
            };
            store
                .act(at(model.now), hold.id, HoldAction::Close { state })
                .await
                .unwrap();
            hold.open = false;
        }
        Operation::Wait { seconds } => {
            model.now += seconds;
            store.expire(at(model.now)).await.unwrap();
            model.expire();
        }
    }
}

async fn hold(
    store: &dyn LedgerStore,
    model: &mut Model,
    mut scopes: Vec<usize>,
    amount: u64,
    at_least: Option<u64>,
) {
    scopes.sort_unstable();
    scopes.dedup();
    let mut named: Vec<Scope> = scopes
        .iter()
        .map(|scope| SCOPES[*scope].parse().unwrap())
        .collect();
    named.sort();
    let mut request = HoldRequest::new(named, usd(amount), "model")
        .ttl(Duration::from_secs(TTL_SECONDS as u64))
        .grace(Duration::ZERO);
    request.at_least = at_least.map(usd);
    let id: HoldId = uuid_from(model.holds.len());
    let opened = store
        .open(
            at(model.now),
            OpenHold {
                id,
                request,
                unbudgeted: Unbudgeted::Refuse,
            },
        )
        .await;

    // The ledger expires before it opens.
    model.expire();
    let claims: Vec<usize> = scopes
        .into_iter()
        .filter(|scope| model.limit(*scope).is_some())
        .collect();
    let left = claims.iter().filter_map(|scope| model.remaining(*scope)).min();
    match (left, opened) {
        (None, Err(BudgetError::NoBudget { .. })) => {}
        (Some(left), Err(BudgetError::Refused { remaining, .. })) => {
            assert!(left < at_least.unwrap_or(amount));
            assert_eq!(remaining, usd(left));
        }
        (Some(left), Ok(record)) => {
            assert!(left >= at_least.unwrap_or(amount));
            assert_eq!(record.amount, usd(amount.min(left)));
            let amount = amount.min(left);
            let expires = model.now + TTL_SECONDS;
            model.holds.push(ModelHold {
                id,
                claims,
                amount,
                drawn: 0,
                open: true,
                expires,
            });
        }
        (left, opened) => panic!("the model has {left:?} left, the ledger says {opened:?}"),
    }
}

fn uuid_from(index: usize) -> HoldId {
    format!("00000000-0000-7000-8000-{index:012x}").parse().unwrap()
}

async fn compare(store: &dyn LedgerStore, model: &Model) {
    for (scope, name) in SCOPES.iter().enumerate() {
        let status = store.status(at(model.now), &name.parse().unwrap()).await.unwrap();
        let Some(limit) = model.limit(scope) else {
            assert_eq!(status, None);
            continue;
        };
        let status = status.unwrap();
        let expected = (
            limit,
            model.spent(scope),
            model.held(scope),
            model.remaining(scope).unwrap(),
        );
        assert_eq!(
            (status.limit, status.spent, status.held, status.remaining),
            (usd(expected.0), usd(expected.1), usd(expected.2), usd(expected.3)),
            "{name}"
        );
    }
}

/// Runs `cases` sequences of up to `length` operations, at `least` so many in all.
fn check<S: LedgerStore>(cases: u32, length: usize, least: usize, new_store: impl AsyncFn() -> S) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let operations = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(
            &proptest::collection::vec(operation(), length / 2..length),
            |sequence| {
                operations.set(operations.get() + sequence.len());
                runtime.block_on(async {
                    let store = new_store().await;
                    let mut model = Model::default();
                    for operation in sequence {
                        step(&store, &mut model, operation).await;
                        compare(&store, &model).await;
                    }
                    let report = store.verify().await.unwrap();
                    assert!(report.is_clean(), "{report:?}");
                });
                Ok(())
            },
        )
        .unwrap();
    assert!(operations.get() >= least, "{} operations", operations.get());
}

#[test]
fn the_memory_ledger_agrees_with_the_model() {
    check(250, 300, 37_500, async || MemoryLedger::new());
}

#[test]
fn the_sqlite_ledger_agrees_with_the_model() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let files = std::cell::Cell::new(0);
    check(12, 200, 1_200, async || {
        files.set(files.get() + 1);
        SqliteLedger::open(folder.path().join(format!("{}.sqlite3", files.get()))).unwrap()
    });
}

#[test]
fn the_postgres_ledger_agrees_with_the_model() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    check(4, 120, 240, async || {
        PostgresLedger::connect(&server.database()).await.unwrap()
    });
}
