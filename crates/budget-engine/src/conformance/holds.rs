//! Holds: all or nothing, once, and ended at the latest by time.

use std::{sync::Arc, time::Duration};

use meterbox_core::Usd;

use crate::{
    BudgetError, BudgetErrorKind, HoldId, HoldState, LedgerStore,
    ledger::{HoldAction, IntentId},
};

use super::words::*;

/// Fifty callers at once, over two scopes: the tighter one admits exactly what fits.
pub async fn holds_never_oversell(store: Store) {
    define(&store, "user/*", "10").await;
    define(&store, "org/acme", "7").await;
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { hold(&store, &["user/ana", "org/acme"], "1").await.is_ok() })
        })
        .collect();
    let mut admitted = 0_u32;
    for caller in callers {
        admitted = admitted.saturating_add(u32::from(caller.await.unwrap()));
    }
    assert_eq!(admitted, 7);
    assert_eq!(held(&store, "user/ana").await, usd("7"));
    assert_eq!(held(&store, "org/acme").await, usd("7"));
}

/// What one budget refuses takes nothing from another; the refusal says what binds and when to retry.
pub async fn a_refusal_leaves_nothing_behind(store: Store) {
    define(&store, "user/*", "10").await;
    define(&store, "org/acme", "2").await;
    hold(&store, &["org/acme"], "0.5").await.unwrap();
    let error = hold(&store, &["org/acme", "user/ana"], "3").await.unwrap_err();
    let BudgetError::Refused {
        scope: refusing,
        remaining,
        retry_after,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (refusing, remaining, retry_after),
        (scope("org/acme"), usd("1.5"), None)
    );
    assert_eq!(held(&store, "user/ana").await, Usd::ZERO);
    // Exactly what is left is admitted.
    hold(&store, &["org/acme", "user/ana"], "1.5").await.unwrap();
    let BudgetError::Refused {
        held,
        resets_at,
        retry_after,
        ..
    } = hold(&store, &["org/acme"], "0.000000001").await.unwrap_err()
    else {
        panic!("nothing is left")
    };
    assert_eq!(held, usd("2"));
    assert_eq!(resets_at, Some("2026-12-01T00:00:00Z".parse().unwrap()));
    assert!(
        retry_after.is_some_and(|wait| wait <= Duration::from_secs(60)),
        "holds end before the month"
    );
}

/// Draws move money from held to spent, beyond the hold too; settling frees the rest.
pub async fn settling_frees_what_was_not_drawn(store: Store) {
    define(&store, "user/*", "10").await;
    let id = hold(&store, &["user/ana"], "4").await.unwrap().id;
    act(&store, id, draw("1.5")).await.unwrap();
    assert_eq!(spent_and_held(&store, "user/ana").await, (usd("1.5"), usd("2.5")));
    let settlement = act(&store, id, close(HoldState::Settled))
        .await
        .unwrap()
        .settlement();
    assert_eq!(
        (settlement.drawn, settlement.freed, settlement.overdrawn),
        (usd("1.5"), usd("2.5"), Usd::ZERO)
    );
    assert_eq!(spent_and_held(&store, "user/ana").await, (usd("1.5"), Usd::ZERO));

    let id = hold(&store, &["user/ana"], "1").await.unwrap().id;
    let record = act(&store, id, draw("3")).await.unwrap();
    assert_eq!(
        (record.left(), record.settlement().overdrawn),
        (Usd::ZERO, usd("2"))
    );
    act(&store, id, close(HoldState::Settled)).await.unwrap();
    assert_eq!(spent_and_held(&store, "user/ana").await, (usd("4.5"), Usd::ZERO));
}

/// Ending a hold again changes nothing, and it cannot be extended or charged with new calls.
pub async fn a_closed_hold_stays_closed(store: Store) {
    define(&store, "user/*", "10").await;
    let id = hold(&store, &["user/ana"], "4").await.unwrap().id;
    act(&store, id, close(HoldState::Released)).await.unwrap();
    for state in [HoldState::Settled, HoldState::Dropped, HoldState::Expired] {
        assert_eq!(
            act(&store, id, close(state)).await.unwrap().state,
            HoldState::Released
        );
    }
    let until = now().saturating_add(Duration::from_secs(9));
    assert_eq!(
        kind(act(&store, id, HoldAction::Extend { until }).await),
        Some(BudgetErrorKind::Idempotency)
    );
    let intend = intend(IntentId::new(now()), "1");
    assert_eq!(
        kind(act(&store, id, intend).await),
        Some(BudgetErrorKind::Idempotency)
    );
    assert_eq!(spent_and_held(&store, "user/ana").await, (Usd::ZERO, Usd::ZERO));
}

/// Time ends a hold at what was drawn, once; what is drawn after that is booked, even as debt.
pub async fn expiry_frees_once_and_late_draws_are_booked(store: Store) {
    define(&store, "user/*", "5").await;
    let id = hold(&store, &["user/ana"], "5").await.unwrap().id;
    act(&store, id, draw("2")).await.unwrap();
    let extended = now().saturating_add(Duration::from_secs(100));
    act(&store, id, HoldAction::Extend { until: extended })
        .await
        .unwrap();
    assert_eq!(
        store
            .expire(now().saturating_add(Duration::from_secs(99)))
            .await
            .unwrap(),
        []
    );
    let ended = store.expire(extended).await.unwrap();
    assert_eq!(
        ended
            .iter()
            .map(|end| (end.hold, end.drawn, end.freed))
            .collect::<Vec<_>>(),
        [(id, usd("2"), usd("3"))]
    );
    assert_eq!(store.expire(extended).await.unwrap(), []);

    // Opening a hold ends expired ones by itself.
    let second = store.open(extended, open(&["user/ana"], "3")).await.unwrap().id;
    let much_later = extended.saturating_add(Duration::from_secs(3600));
    store.open(much_later, open(&["user/ana"], "3")).await.unwrap();
    act(&store, second, draw("1.25")).await.unwrap();
    let status = store
        .status(much_later, &scope("user/ana"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (status.spent, status.held, status.remaining),
        (usd("3.25"), usd("3"), Usd::ZERO)
    );
}

/// A retry storm with one key is one hold and one draw; another payload under the key is refused.
pub async fn retries_with_a_key_happen_once(store: Store) {
    define(&store, "user/*", "10").await;
    let keyed = |amount: &str| {
        let mut open = open(&["user/ana"], amount);
        open.request.idempotency_key = Some("ana:1".to_owned());
        open
    };
    let first = store.open(now(), keyed("2")).await.unwrap();
    for _ in 0..10 {
        assert_eq!(store.open(now(), keyed("2")).await.unwrap(), first);
    }
    assert_eq!(held(&store, "user/ana").await, usd("2"));
    assert_eq!(
        kind(store.open(now(), keyed("3")).await),
        Some(BudgetErrorKind::Idempotency)
    );

    let draw = |amount| HoldAction::Draw {
        key: Some("call 1".to_owned()),
        line: line(amount),
    };
    for _ in 0..10 {
        act(&store, first.id, draw("1")).await.unwrap();
    }
    assert_eq!(
        kind(act(&store, first.id, draw("2")).await),
        Some(BudgetErrorKind::Idempotency)
    );
    act(&store, first.id, close(HoldState::Settled)).await.unwrap();
    assert_eq!(spent_and_held(&store, "user/ana").await, (usd("1"), Usd::ZERO));
    let BudgetError::AlreadyEnded(end) = store.open(now(), keyed("2")).await.unwrap_err() else {
        panic!("the key's hold has ended")
    };
    assert_eq!((end.hold, end.drawn), (first.id, usd("1")));
}

/// A request may be content with less, down to its least.
pub async fn the_smallest_remainder_may_be_taken(store: Store) {
    define(&store, "user/*", "5").await;
    hold(&store, &["user/ana"], "4.5").await.unwrap();
    let partial = |least: &str| {
        let mut open = open(&["user/ana"], "2");
        open.request.at_least = Some(usd(least));
        open
    };
    assert_eq!(
        kind(store.open(now(), partial("0.6")).await),
        Some(BudgetErrorKind::Refused)
    );
    assert_eq!(
        store.open(now(), partial("0.4")).await.unwrap().amount,
        usd("0.5")
    );
}

/// What was never opened cannot be drawn from.
pub async fn unknown_holds_are_refused(store: Store) {
    assert_eq!(
        kind(act(&store, HoldId::new(now()), draw("1")).await),
        Some(BudgetErrorKind::UnknownHold)
    );
}

/// After its time a hold keeps its money for the grace: it may end or be extended, and no paid call begins.
pub async fn grace_keeps_money_but_begins_nothing(store: Store) {
    define(&store, "user/*", "5").await;
    let mut open = open(&["user/ana"], "5");
    open.request.grace = Duration::from_secs(30);
    let id = store.open(now(), open).await.unwrap().id;
    let in_grace = now().saturating_add(Duration::from_secs(75));
    assert_eq!(store.expire(in_grace).await.unwrap(), []);
    let begin = |at| store.act(at, id, intend(IntentId::new(now()), "1"));
    assert_eq!(kind(begin(in_grace).await), Some(BudgetErrorKind::Lapsed));
    let until = in_grace.saturating_add(Duration::from_secs(60));
    store
        .act(in_grace, id, HoldAction::Extend { until })
        .await
        .unwrap();
    begin(in_grace).await.unwrap();
    let over = until.saturating_add(Duration::from_secs(30));
    let ended = store.expire(over).await.unwrap();
    assert_eq!(ended.iter().map(|end| end.drawn).collect::<Vec<_>>(), [usd("1")]);
}
