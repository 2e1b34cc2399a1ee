//! A recorded ledger under the same and under other policies.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, BudgetErrorKind, Call, Hold, HoldRequest, MemoryLedger, Outcome,
    ReplayReport, TimeRange, UsageRecord,
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_testkit::ManualClock;
use proptest::{prelude::*, test_runner::TestRunner};

const SCOPES: [&str; 4] = ["user/ana", "user/bob", "org/acme", "team/ops"];

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn nanos(nanos: u64) -> Usd {
    Usd::from_nanos(nanos).unwrap()
}

fn line(amount: Usd) -> CostLine {
    CostLine {
        item: "output".into(),
        quantity: 1,
        unit: "tokens".into(),
        amount,
        estimated: false,
        price: None,
    }
}

fn budget(of: &str, limit: &str, window: &str) -> Budget {
    Budget::new(scope(of), usd(limit), window.parse().unwrap())
}

/// Ana asks for 2, 3 and 4 dollars, and spends half of each.
async fn recorded() -> BudgetEngine {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    engine.define(budget("user/*", "10", "month UTC")).await.unwrap();
    engine
        .define(budget("org/acme", "100", "rolling 1h"))
        .await
        .unwrap();
    for (asked, used) in [("2", "1"), ("3", "1.5"), ("4", "2")] {
        let request = HoldRequest::new([scope("user/ana"), scope("org/acme")], usd(asked), "work");
        let hold = engine.hold(request.or_at_least(usd("0.5"))).await.unwrap();
        hold.draw(line(usd(used))).await.unwrap();
        hold.settle().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    engine
}

async fn replay(engine: &BudgetEngine, policy: &[Budget]) -> ReplayReport {
    let all = TimeRange::default();
    engine.replay(policy.iter().cloned(), all).await.unwrap()
}

#[tokio::test]
async fn the_same_policy_changes_nothing() {
    let engine = recorded().await;
    let report = replay(&engine, &engine.budgets().await.unwrap()).await;
    assert_eq!(
        (report.holds, report.unchanged, report.differences.len()),
        (3, 3, 0)
    );
    assert!(
        report
            .scopes
            .iter()
            .all(|totals| totals.recorded == totals.replayed),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_tighter_policy_shrinks_and_refuses_in_the_order_of_the_ledger() {
    let engine = recorded().await;
    let policy = [
        budget("user/*", "2.25", "month UTC"),
        budget("org/acme", "100", "lifetime"),
    ];
    let report = replay(&engine, &policy).await;
    // 2 held, 1 spent; 1.25 of 3 held, all spent; nothing is left.
    let outcomes: Vec<_> = report
        .differences
        .iter()
        .map(|hold| (hold.outcome, hold.replayed.held, hold.replayed.spent))
        .collect();
    assert_eq!(
        outcomes,
        [
            (Outcome::Shrunk, usd("1.25"), usd("1.25")),
            (Outcome::Refused, Usd::ZERO, Usd::ZERO)
        ]
    );
    assert_eq!((report.unchanged, report.shrunk, report.refused), (1, 1, 1));
    assert!(
        report.differences[1]
            .reason
            .as_deref()
            .unwrap()
            .contains("user/ana"),
        "{report:?}"
    );
    let ana = report
        .scopes
        .iter()
        .find(|totals| totals.scope == scope("user/ana"))
        .unwrap();
    assert_eq!(
        (ana.recorded.spent, ana.replayed.spent),
        (usd("4.5"), usd("2.25"))
    );
    assert_eq!((ana.holds, ana.shrunk, ana.refused), (3, 1, 1));

    let none = replay(&engine, &[]).await;
    assert_eq!(none.refused, 3, "no budget defined means refused");
}

#[tokio::test]
async fn a_policy_of_a_range_counts_what_was_before_it_and_leaves_out_what_is_after() {
    let engine = recorded().await;
    let minute = |minute: i64| {
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        Some(Timestamp::from_micros(noon.as_micros() + minute * 60_000_000).unwrap())
    };
    // Of 2.25 the first hold, which nobody asks again, has spent 1; the second asks for 3 and would do with 0.5.
    let policy = [budget("user/*", "2.25", "month UTC")];
    let range = TimeRange {
        since: minute(1),
        until: minute(2),
    };
    let report = engine.replay(policy, range).await.unwrap();
    let [hold] = &report.differences[..] else {
        panic!("{report:?}")
    };
    assert_eq!((report.holds, hold.outcome), (1, Outcome::Shrunk));
    assert_eq!(
        (hold.recorded.held, hold.recorded.spent, hold.replayed.held),
        (usd("3"), usd("1.5"), usd("1.25"))
    );

    // Far less than was spent before the range: nothing of that is undone, and nothing is left.
    let none_left = [budget("user/*", "0.1", "month UTC")];
    let report = engine.replay(none_left, range).await.unwrap();
    assert_eq!((report.holds, report.refused), (1, 1));

    let later = TimeRange {
        since: minute(60),
        until: None,
    };
    let report = engine.replay([], later).await.unwrap();
    assert_eq!((report.holds, report.differences.len()), (0, 0));
}

#[tokio::test]
async fn the_fingerprint_is_of_ledger_and_policy_alone() {
    let engine = recorded().await;
    let mut policy = vec![
        budget("user/*", "3", "month UTC"),
        budget("org/acme", "5", "rolling 1h"),
        budget("team/ops", "1", "lifetime"),
    ];
    let first = replay(&engine, &policy).await;
    policy.rotate_left(1);
    assert_eq!(replay(&engine, &policy).await, first);
    policy.reverse();
    assert_eq!(replay(&engine, &policy).await.sha256, first.sha256);
    assert_eq!(first.sha256.len(), 64);
    policy[0].limit = usd("0.9");
    assert_ne!(replay(&engine, &policy).await.sha256, first.sha256);

    policy.push(policy[0].clone());
    let twice = engine.replay(policy, TimeRange::default()).await.unwrap_err();
    assert_eq!(twice.kind(), BudgetErrorKind::Invalid);
}

#[derive(Debug, Clone)]
enum Step {
    Hold {
        scopes: Vec<usize>,
        amount: u64,
        at_least: Option<u64>,
        degraded: bool,
    },
    Draw {
        hold: usize,
        amount: u64,
    },
    Call {
        hold: usize,
        worst: u64,
        metered: u64,
        used: Option<u64>,
    },
    Bill {
        call: usize,
        amount: u64,
    },
    End {
        hold: usize,
        how: u8,
    },
    TopUp {
        scope: usize,
        amount: u64,
        seconds: Option<u64>,
    },
    Wait {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let hold = 0..8_usize;
    prop_oneof![
        6 => (proptest::collection::vec(0..SCOPES.len(), 1..4), 1..600_u64, proptest::option::of(1..600_u64), any::<bool>())
            .prop_map(|(scopes, amount, least, degraded)| {
                Step::Hold { scopes, amount, at_least: least.map(|least| least.min(amount)), degraded }
            }),
        4 => (hold.clone(), 0..400_u64).prop_map(|(hold, amount)| Step::Draw { hold, amount }),
        4 => (hold.clone(), 1..300_u64, 0..200_u64, proptest::option::of(0..500_u64))
            .prop_map(|(hold, worst, metered, used)| Step::Call { hold, worst, metered, used }),
        2 => (0..16_usize, 0..400_u64).prop_map(|(call, amount)| Step::Bill { call, amount }),
        4 => (hold, 0..3_u8).prop_map(|(hold, how)| Step::End { hold, how }),
        1 => (0..SCOPES.len(), 1..500_u64, proptest::option::of(1..9_000_u64))
            .prop_map(|(scope, amount, seconds)| Step::TopUp { scope, amount, seconds }),
        3 => (0..4_000_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// Does the steps for real; what is refused is refused.
async fn live(engine: &BudgetEngine, clock: &ManualClock, steps: Vec<Step>) {
    let mut holds: Vec<Hold> = Vec::new();
    let mut lost: Vec<Call> = Vec::new();
    for step in steps {
        match step {
            Step::Hold {
                scopes,
                amount,
                at_least,
                degraded,
            } => {
                let scopes = scopes.into_iter().map(|index| scope(SCOPES[index]));
                let mut request =
                    HoldRequest::new(scopes, nanos(amount), "a step").ttl(Duration::from_secs(3_000));
                request.at_least = at_least.map(nanos);
                request.degraded = degraded;
                holds.extend(engine.hold(request).await);
            }
            Step::Draw { hold, amount } => {
                if let Some(hold) = holds.get(hold) {
                    hold.draw(line(nanos(amount))).await.unwrap();
                }
            }
            Step::Call {
                hold,
                worst,
                metered,
                used,
            } => {
                let Some(hold) = holds.get(hold) else { continue };
                let Ok(call) = hold.intend(line(nanos(worst))).await else {
                    continue;
                };
                clock.advance(Duration::from_secs(metered));
                call.meter([line(nanos(metered))]).await.unwrap();
                if let Some(used) = used {
                    call.resolve([line(nanos(used))]).await.unwrap();
                } else {
                    lost.push(Call::Intent(call.id()));
                }
            }
            Step::Bill { call, amount } => {
                let lines = vec![line(nanos(amount))];
                let record = lost.get(call).map(|call| UsageRecord {
                    call: call.clone(),
                    lines,
                });
                engine.reconcile(record, false).await.unwrap();
            }
            Step::End { hold, how } => {
                if hold >= holds.len() {
                    continue;
                }
                let hold = holds.swap_remove(hold);
                match how {
                    0 => drop(hold.settle().await.unwrap()),
                    1 => drop(hold.release().await.unwrap()),
                    // Ends by its time.
                    _ => std::mem::forget(hold),
                }
            }
            Step::TopUp {
                scope: index,
                amount,
                seconds,
            } => {
                let end = seconds.map(|seconds| {
                    meterbox_core::Clock::now(clock).saturating_add(Duration::from_secs(seconds))
                });
                match engine
                    .top_up(&scope(SCOPES[index]), nanos(amount), end, "more")
                    .await
                {
                    Ok(_) | Err(BudgetError::NoBudget { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Wait { seconds } => clock.advance(Duration::from_secs(seconds)),
        }
    }
    holds.into_iter().for_each(std::mem::forget);
}

fn policy() -> Vec<Budget> {
    vec![
        Budget::new(scope("user/*"), nanos(1_000), "hour UTC".parse().unwrap()).carrying_over(nanos(300)),
        Budget::new(scope("org/acme"), nanos(1_500), "rolling 1h".parse().unwrap()),
        Budget::new(
            scope("team/ops"),
            nanos(4_000),
            "day Europe/Berlin".parse().unwrap(),
        )
        .with_degraded_allowance(nanos(500)),
    ]
}

/// Whatever happened: under its own policy nothing differs, and under half of it no budget is oversold.
#[test]
fn random_ledgers_replay_to_themselves() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let cut = std::cell::Cell::new(0);
    let run = |steps: Vec<Step>| {
        runtime.block_on(async {
            let clock = ManualClock::at("2026-10-25T00:00:00Z".parse().unwrap());
            let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
            for budget in policy() {
                engine.define(budget).await.unwrap();
            }
            live(&engine, &clock, steps).await;
            assert!(engine.verify().await.unwrap().is_clean());
            let same = replay(&engine, &policy()).await;
            assert_eq!(same.differences, [], "{same:?}");
            assert_eq!(same.unchanged, same.holds);
            let tighter: Vec<Budget> = policy()
                .into_iter()
                .map(|budget| Budget {
                    limit: nanos(budget.limit.nanos().unsigned_abs() / 2),
                    ..budget
                })
                .collect();
            let tight = replay(&engine, &tighter).await;
            cut.set(cut.get() + tight.shrunk + tight.refused);
            assert_eq!(tight.holds, same.holds);
            for hold in &tight.differences {
                let held = hold.replayed.held;
                assert!(
                    hold.outcome != Outcome::Shrunk || hold.replayed.spent <= held,
                    "{hold:?}"
                );
            }
        });
        Ok(())
    };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 40..120), run)
        .unwrap();
    assert!(cut.get() > 500, "a tighter policy cut only {} holds", cut.get());
}
