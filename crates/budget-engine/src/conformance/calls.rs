//! Paid calls: their worst case, what they use while they go on, and when it counts.

use std::time::Duration;

use meterbox_core::Usd;

use crate::{
    BudgetErrorKind, HoldState, LedgerStore,
    ledger::{HoldAction, IntentId},
};

use super::words::*;

/// A paid call's worst case is reserved, booked if its use stays unknown, and corrected if it is learnt late.
pub async fn unknown_use_is_booked_at_its_worst_case(store: Store) {
    define(&store, "user/*", "10").await;
    let id = hold(&store, &["user/ana"], "3").await.unwrap().id;
    let [known, unknown, late] = [IntentId::new(now()), IntentId::new(now()), IntentId::new(now())];
    for intent in [known, unknown, late] {
        act(&store, id, intend(intent, "1")).await.unwrap();
    }
    let too_much = intend(IntentId::new(now()), "0.000000001");
    assert_eq!(
        kind(act(&store, id, too_much).await),
        Some(BudgetErrorKind::HoldTooSmall)
    );
    let resolve = |intent, amount| HoldAction::Resolve {
        intent,
        lines: vec![line(amount)],
    };
    act(&store, id, resolve(known, "0.25")).await.unwrap();
    act(&store, id, resolve(known, "0.25")).await.unwrap();
    let settlement = act(&store, id, close(HoldState::Settled))
        .await
        .unwrap()
        .settlement();
    assert_eq!((settlement.drawn, settlement.estimated.len()), (usd("2.25"), 2));
    assert!(settlement.estimated.iter().all(|line| line.estimated));
    act(&store, id, resolve(late, "0.5")).await.unwrap();
    act(
        &store,
        id,
        HoldAction::Resolve {
            intent: unknown,
            lines: Vec::new(),
        },
    )
    .await
    .unwrap();
    assert_eq!(spent_and_held(&store, "user/ana").await, (usd("0.75"), Usd::ZERO));
}

/// What a call uses while it goes on is booked at once and counts against its worst case, once.
pub async fn metered_use_is_part_of_the_worst_case(store: Store) {
    define(&store, "user/*", "10").await;
    let meter = |intent, amount: &str| HoldAction::Meter {
        intent,
        lines: vec![line(amount)],
    };
    for (resolved_with, spent) in [(Some("0.75"), "0.75"), (Some("1.5"), "2.25"), (None, "4.25")] {
        let id = hold(&store, &["user/ana"], "3").await.unwrap().id;
        let intent = IntentId::new(now());
        act(&store, id, intend(intent, "2")).await.unwrap();
        let before = spent_and_held(&store, "user/ana").await.0;
        act(&store, id, meter(intent, "0.5")).await.unwrap();
        let status = act(&store, id, meter(intent, "0.5")).await.unwrap();
        assert_eq!((status.drawn, status.available), (usd("1"), usd("1")));
        assert_eq!(
            spent_and_held(&store, "user/ana").await,
            (before.saturating_add(usd("1")), usd("2"))
        );
        if let Some(amount) = resolved_with {
            let lines = vec![line(amount)];
            let status = act(&store, id, HoldAction::Resolve { intent, lines })
                .await
                .unwrap();
            assert_eq!(status.drawn, usd(amount));
        }
        let settled = act(&store, id, close(HoldState::Settled))
            .await
            .unwrap()
            .settlement();
        assert_eq!(settled.estimated.len(), usize::from(resolved_with.is_none()));
        assert_eq!(spent_and_held(&store, "user/ana").await, (usd(spent), Usd::ZERO));
        // Late news of a call that is booked already changes nothing.
        act(&store, id, meter(intent, "9")).await.unwrap();
        assert_eq!(spent_and_held(&store, "user/ana").await.0, usd(spent));
    }
}

/// Spending of a stretch of time is found again, per scope, to the microsecond; what was booked late, or corrected,
/// counts at the time of the call.
pub async fn spending_counts_when_it_was_done(store: Store) {
    define(&store, "user/*", "10").await;
    define(&store, "org/acme", "10").await;
    let long = |scopes| {
        let mut open = open(scopes, "4");
        open.request.ttl = Duration::from_secs(3_600);
        open
    };
    let shared = store
        .open(now(), long(&["user/ana", "org/acme"]))
        .await
        .unwrap()
        .id;
    let own = store.open(now(), long(&["user/ana"])).await.unwrap().id;
    let call = IntentId::new(now());
    store
        .act(after_minutes(10), shared, intend(call, "2"))
        .await
        .unwrap();
    store.act(after_minutes(20), own, draw("0.5")).await.unwrap();
    store
        .act(after_minutes(30), shared, close(HoldState::Settled))
        .await
        .unwrap();
    let spending = async |of: &str, from, to| {
        let (from, to) = (after_minutes(from), after_minutes(to));
        store.spending(&scope(of), from, to).await.unwrap()
    };
    for (of, from, to, expected) in [
        ("user/ana", 0, 60, "2.5"),
        ("org/acme", 0, 60, "2"),
        ("user/bob", 0, 60, "0"),
        ("user/ana", 10, 20, "2"),
        ("user/ana", 20, 21, "0.5"),
        ("user/ana", 0, 10, "0"),
        ("user/ana", 21, 60, "0"),
        ("user/ana", 60, 0, "0"),
    ] {
        assert_eq!(
            spending(of, from, to).await,
            usd(expected).nanos(),
            "{of} {from} {to}"
        );
    }
    let lines = vec![line("0.25")];
    let resolve = HoldAction::Resolve { intent: call, lines };
    store.act(after_minutes(50), shared, resolve).await.unwrap();
    assert_eq!(spending("org/acme", 10, 11).await, usd("0.25").nanos());
    assert_eq!(spending("org/acme", 11, 60).await, 0);
    store
        .act(after_minutes(51), own, close(HoldState::Settled))
        .await
        .unwrap();
}
