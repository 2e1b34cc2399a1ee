//! The engine and its holds, in virtual time.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod common;

use std::{future::Future, sync::Arc, task::Poll, time::Duration};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, BudgetErrorKind, EntryKind, EntryPage, HoldRequest, HoldState,
    MemoryLedger, Window,
};
use meterbox_core::{Retryability, Scope, Usd, contract::CostLine};
use meterbox_testkit::ManualClock;

use common::{ana, engine, line, request, spent_and_held, usd};

/// Lets the tasks that drops have spawned run.
async fn let_tasks_run() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn last_kind(engine: &BudgetEngine) -> EntryKind {
    let entries = engine
        .entries(EntryPage {
            after: 0,
            limit: 10_000,
        })
        .await
        .unwrap();
    entries.last().unwrap().body.kind
}

#[tokio::test]
async fn a_dropped_hold_keeps_what_was_drawn_and_frees_the_rest() {
    let (engine, _clock) = engine().await;
    let hold = engine.hold(request("4")).await.unwrap();
    hold.draw(line("1.5")).await.unwrap();
    drop(hold);
    let_tasks_run().await;
    assert_eq!(spent_and_held(&engine).await, (usd("1.5"), Usd::ZERO));
    assert_eq!(last_kind(&engine).await, EntryKind::Dropped);
}

#[test]
fn a_hold_dropped_outside_any_runtime_ends_with_its_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (engine, clock) = runtime.block_on(engine());
    let hold = runtime.block_on(engine.hold(request("4"))).unwrap();
    drop(hold);
    assert_eq!(runtime.block_on(spent_and_held(&engine)).1, usd("4"));
    clock.advance(Duration::from_secs(60));
    assert_eq!(runtime.block_on(spent_and_held(&engine)).1, Usd::ZERO);
}

#[tokio::test]
async fn a_hold_request_cancelled_at_any_point_leaves_nothing_held() {
    let (engine, _clock) = engine().await;
    for polls in 0..5 {
        let mut future = Box::pin(engine.hold(request("4")));
        for _ in 0..polls {
            let done =
                std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
            if done {
                break;
            }
        }
        drop(future);
        let_tasks_run().await;
        assert_eq!(
            spent_and_held(&engine).await,
            (Usd::ZERO, Usd::ZERO),
            "after {polls} polls"
        );
    }
    assert!(engine.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn settled_and_released_holds_are_recorded_as_such() {
    let (engine, _clock) = engine().await;
    let settled = engine.hold(request("4")).await.unwrap().settle().await.unwrap();
    assert_eq!((settled.state, settled.freed), (HoldState::Settled, usd("4")));
    let released = engine.hold(request("4")).await.unwrap().release().await.unwrap();
    assert_eq!(released.state, HoldState::Released);
    assert_eq!(last_kind(&engine).await, EntryKind::Released);
}

#[tokio::test]
async fn a_late_settle_still_books_and_a_late_call_is_refused() {
    let (engine, clock) = engine().await;
    let hold = engine.hold(request("4")).await.unwrap();
    hold.draw(line("1")).await.unwrap();
    clock.advance(Duration::from_secs(61));
    assert_eq!(engine.expire().await.unwrap().len(), 1);
    assert!(matches!(
        hold.extend(Duration::from_secs(60)).await,
        Err(BudgetError::AlreadyEnded(_))
    ));
    assert!(matches!(
        hold.intend(line("1")).await,
        Err(BudgetError::AlreadyEnded(_))
    ));
    hold.draw(line("2")).await.unwrap();
    let settlement = hold.settle().await.unwrap();
    assert_eq!(
        (settlement.state, settlement.drawn),
        (HoldState::Expired, usd("3"))
    );
    assert_eq!(spent_and_held(&engine).await, (usd("3"), Usd::ZERO));
    assert!(engine.verify().await.unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_hold_kept_alive_outlives_its_ttl_and_ends_with_its_handle() {
    let (engine, clock) = engine().await;
    let mut hold = engine.hold(request("4")).await.unwrap();
    hold.keep_alive();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        clock.advance(Duration::from_secs(20));
        let_tasks_run().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.expire().await.unwrap(), []);
    assert_eq!(spent_and_held(&engine).await.1, usd("4"));
    hold.settle().await.unwrap();
    clock.advance(Duration::from_secs(600));
    assert_eq!(engine.expire().await.unwrap(), []);
}

#[tokio::test]
async fn an_intent_dropped_is_booked_and_a_cancelled_one_is_not() {
    let (engine, _clock) = engine().await;
    let hold = engine.hold(request("4")).await.unwrap();
    let resolved = hold.intend(line("1")).await.unwrap();
    assert_eq!(
        resolved.resolve([line("0.25"), line("0.25")]).await.unwrap(),
        usd("3.5")
    );
    assert_eq!(
        resolved.resolve([line("0.25")]).await.unwrap(),
        usd("3.5"),
        "resolved once"
    );
    hold.intend(line("1")).await.unwrap().cancel().await.unwrap();
    drop(hold.intend(line("1")).await.unwrap());
    let settlement = hold.settle().await.unwrap();
    assert_eq!(settlement.drawn, usd("1.5"));
    assert_eq!(
        settlement.estimated,
        [CostLine {
            estimated: true,
            ..line("1")
        }]
    );
}

#[tokio::test]
async fn a_replayed_hold_is_the_same_one_and_its_handle_does_not_end_it() {
    let (engine, _clock) = engine().await;
    let first = engine.hold(request("4").idempotency_key("ana:7")).await.unwrap();
    let again = engine.hold(request("4").idempotency_key("ana:7")).await.unwrap();
    assert_eq!(
        (again.id(), again.is_replay(), first.is_replay()),
        (first.id(), true, false)
    );
    drop(again);
    let_tasks_run().await;
    assert_eq!(spent_and_held(&engine).await.1, usd("4"));
    first.settle().await.unwrap();
    let ended = engine
        .hold(request("4").idempotency_key("ana:7"))
        .await
        .unwrap_err();
    assert_eq!(
        (ended.kind(), ended.retryability()),
        (BudgetErrorKind::Idempotency, Retryability::Never)
    );
}

#[tokio::test]
async fn a_refusal_says_what_is_left_and_when_to_come_back() {
    let (engine, clock) = engine().await;
    let hold = engine.hold(request("9")).await.unwrap();
    hold.draw(line("9")).await.unwrap();
    hold.settle().await.unwrap();
    let refused = engine.hold(request("2")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the budget of user/ana has $1 left of $10, $2 is needed; it starts afresh at 2026-12-01T00:00:00Z"
    );
    // Waiting exactly as told admits.
    clock.advance(refused.retry_after().unwrap());
    drop(engine.hold(request("2")).await.unwrap());
    let never = engine.hold(request("11")).await.unwrap_err();
    assert_eq!(
        (never.retry_after(), never.retryability()),
        (None, Retryability::Never)
    );
}

#[tokio::test]
async fn the_tightest_status_is_found_among_those_that_have_a_budget() {
    let (engine, _clock) = engine().await;
    let org: Scope = "org/acme".parse().unwrap();
    let scopes = [ana(), org.clone(), "team/none".parse().unwrap()];
    assert_eq!(engine.tightest(&scopes).await.unwrap().scope, ana());
    engine
        .define(Budget::new(org.clone(), usd("3"), Window::Lifetime))
        .await
        .unwrap();
    assert_eq!(engine.tightest(&scopes).await.unwrap().scope, org);
    assert_eq!(
        engine.tightest(&scopes[2..]).await.unwrap_err().kind(),
        BudgetErrorKind::NoBudget
    );
}

#[tokio::test]
async fn bad_requests_are_refused_by_name_with_nothing_done() {
    let (engine, _clock) = engine().await;
    let long = "x".repeat(10_240);
    let wildcard = HoldRequest {
        scopes: vec!["user/*".parse().unwrap()],
        ..request("1")
    };
    let crowd = (0..17)
        .map(|index| Scope::new("user", &index.to_string()).unwrap())
        .collect();
    for (bad, named) in [
        (request("0"), "no money"),
        (request("1").or_at_least(usd("2")), "least"),
        (request("1").or_at_least(Usd::ZERO), "no money"),
        (
            HoldRequest {
                scopes: Vec::new(),
                ..request("1")
            },
            "scopes",
        ),
        (
            HoldRequest {
                scopes: crowd,
                ..request("1")
            },
            "scopes",
        ),
        (wildcard, "user/*"),
        (
            HoldRequest {
                purpose: long.clone(),
                ..request("1")
            },
            "purpose",
        ),
        (
            HoldRequest {
                purpose: "a\u{0}b".into(),
                ..request("1")
            },
            "purpose",
        ),
        (request("1").idempotency_key(""), "idempotency key"),
        (request("1").ttl(Duration::ZERO), "lives"),
        (request("1").ttl(Duration::MAX), "lives"),
    ] {
        let error = engine.hold(bad).await.unwrap_err();
        assert_eq!(error.kind(), BudgetErrorKind::Invalid);
        assert!(
            error.to_string().contains(named) && error.to_string().len() < 200,
            "{error}"
        );
    }
    let hold = engine.hold(request("1")).await.unwrap();
    for bad in [
        CostLine {
            item: long,
            ..line("1")
        },
        CostLine {
            unit: String::new(),
            ..line("1")
        },
        CostLine {
            quantity: u64::MAX,
            ..line("1")
        },
    ] {
        assert_eq!(hold.draw(bad).await.unwrap_err().kind(), BudgetErrorKind::Invalid);
    }
    assert_eq!(
        engine
            .status(&"user/*".parse().unwrap())
            .await
            .unwrap_err()
            .kind(),
        BudgetErrorKind::Invalid
    );
    assert_eq!(spent_and_held(&engine).await, (Usd::ZERO, usd("1")));
}

#[tokio::test]
async fn sums_too_large_to_count_are_refused_with_nothing_done() {
    let (engine, _clock) = engine().await;
    let budget = Budget::new("org/big".parse().unwrap(), Usd::MAX, Window::Lifetime);
    engine.define(budget).await.unwrap();
    let big = |amount| HoldRequest::new(["org/big".parse().unwrap()], amount, "big");
    let hold = engine.hold(big(Usd::MAX)).await.unwrap();
    let max = CostLine {
        amount: Usd::MAX,
        ..line("0")
    };
    hold.draw(max.clone()).await.unwrap();
    assert_eq!(
        hold.draw(line("0.000000001")).await.unwrap_err().kind(),
        BudgetErrorKind::Invalid
    );
    assert_eq!(
        engine.hold(big(usd("0.000000001"))).await.unwrap_err().kind(),
        BudgetErrorKind::Refused
    );
    let report = engine.verify().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// A late bill is taken back and booked anew in one step, which is undone as a whole where its last sum is too large.
#[tokio::test]
async fn a_step_that_fails_at_its_last_sum_leaves_the_others_as_they_were() {
    let (engine, _clock) = engine().await;
    let scope: Scope = "org/big".parse().unwrap();
    let budget = Budget::new(scope.clone(), Usd::MAX, Window::Lifetime);
    engine.define(budget).await.unwrap();
    let most = Usd::MAX.checked_sub(usd("100")).unwrap();
    let hold = engine
        .hold(HoldRequest::new([scope.clone()], most, "big"))
        .await
        .unwrap();
    hold.draw(CostLine {
        amount: most,
        ..line("0")
    })
    .await
    .unwrap();
    let call = engine
        .hold(HoldRequest::new([scope.clone()], usd("50"), "call"))
        .await
        .unwrap();
    let intent = call.intend(line("50")).await.unwrap();
    intent.meter(vec![line("50")]).await.unwrap();
    let before = engine.status(&scope).await.unwrap();
    let error = intent.resolve(vec![line("80"), line("40")]).await.unwrap_err();
    assert_eq!(error.kind(), BudgetErrorKind::Invalid);
    assert_eq!(engine.status(&scope).await.unwrap(), before);
    assert!(engine.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_clock_that_steps_back_neither_panics_nor_frees_money_twice() {
    let (engine, clock) = engine().await;
    let hold = engine.hold(request("4")).await.unwrap();
    clock.set_wall("2025-11-23T12:00:00Z".parse().unwrap());
    hold.draw(line("1")).await.unwrap();
    hold.settle().await.unwrap();
    clock.set_wall("2026-11-23T12:00:00Z".parse().unwrap());
    assert_eq!(spent_and_held(&engine).await, (usd("1"), Usd::ZERO));
    assert!(engine.verify().await.unwrap().is_clean());
}

#[tokio::test]
async fn engines_share_a_store_behind_a_pointer() {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let store = Arc::new(MemoryLedger::new());
    let engines = [(); 2].map(|()| BudgetEngine::new(Arc::clone(&store), clock.clone()));
    engines[0]
        .define(Budget::new(ana(), usd("1"), Window::Lifetime))
        .await
        .unwrap();
    let _hold = engines[0].hold(request("1")).await.unwrap();
    assert_eq!(
        engines[1].hold(request("1")).await.unwrap_err().kind(),
        BudgetErrorKind::Refused
    );
}
