//! Time: periods, rolling windows, what is carried over and topped up.

use std::{sync::Arc, time::Duration};

use meterbox_core::{Timestamp, Usd};

use crate::{Budget, BudgetErrorKind, HoldState, LedgerStore, TopUp, TopUpId, Window, ledger::HoldAction};

use super::words::*;

/// A new month begins with nothing spent, and work begun before it counts where it began.
pub async fn a_new_period_starts_afresh(store: Store) {
    define(&store, "user/*", "5").await;
    let id = hold(&store, &["user/ana"], "5").await.unwrap().id;
    let december: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let until = december.saturating_add(Duration::from_secs(60));
    act(&store, id, HoldAction::Extend { until }).await.unwrap();
    store.open(december, open(&["user/ana"], "5")).await.unwrap();
    store.act(december, id, draw("5")).await.unwrap();
    assert_eq!(spent_and_held(&store, "user/ana").await, (usd("5"), Usd::ZERO));
    let status = store.status(december, &scope("user/ana")).await.unwrap().unwrap();
    assert_eq!((status.spent, status.held), (Usd::ZERO, usd("5")));
}

/// In no stretch of the window's length is more than the limit admitted, and what leaves it says when.
pub async fn a_rolling_window_forgets_piece_by_piece(store: Store) {
    let hour = Window::rolling(Duration::from_secs(3_600)).unwrap();
    store
        .define(now(), Budget::new(scope("user/*"), usd("10"), hour))
        .await
        .unwrap();
    for (minute, amount) in [(0, "6"), (30, "3")] {
        let at = after_minutes(minute);
        let id = store.open(at, open(&["user/ana"], amount)).await.unwrap().id;
        store.act(at, id, draw(amount)).await.unwrap();
        store.act(at, id, close(HoldState::Settled)).await.unwrap();
    }
    let refused = store
        .open(after_minutes(59), open(&["user/ana"], "5"))
        .await
        .unwrap_err();
    // The first piece is a minute long and leaves an hour after its end.
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(120)));
    assert_eq!(
        kind(store.open(after_minutes(60), open(&["user/ana"], "5")).await),
        Some(BudgetErrorKind::Refused)
    );
    let id = store
        .open(after_minutes(61), open(&["user/ana"], "7"))
        .await
        .unwrap()
        .id;
    // A hold counts as long as it is open, however old it is.
    let until = after_minutes(200);
    store
        .act(after_minutes(61), id, HoldAction::Extend { until })
        .await
        .unwrap();
    let status = store
        .status(after_minutes(190), &scope("user/ana"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((status.spent, status.held), (Usd::ZERO, usd("7")));
    // Spending counts when it happens.
    store.act(after_minutes(190), id, draw("7")).await.unwrap();
    store
        .act(after_minutes(190), id, close(HoldState::Settled))
        .await
        .unwrap();
    let status = store
        .status(after_minutes(240), &scope("user/ana"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((status.spent, status.remaining), (usd("7"), usd("3")));
}

/// A month's rest is added to the next month, up to the cap, and no further.
pub async fn what_is_left_is_carried_over_once(store: Store) {
    let budget =
        Budget::new(scope("user/ana"), usd("10"), Window::month("UTC").unwrap()).carrying_over(usd("4"));
    store.define(now(), budget).await.unwrap();
    let status = |at: &str| {
        let at: Timestamp = at.parse().unwrap();
        let store = Arc::clone(&store);
        async move { store.status(at, &scope("user/ana")).await.unwrap().unwrap() }
    };
    assert_eq!(
        status("2026-11-30T00:00:00Z").await.limit,
        usd("10"),
        "there was no month before"
    );
    let id = hold(&store, &["user/ana"], "7").await.unwrap().id;
    act(&store, id, draw("7")).await.unwrap();
    act(&store, id, close(HoldState::Settled)).await.unwrap();
    let december = status("2026-12-05T00:00:00Z").await;
    assert_eq!((december.limit, december.extra), (usd("13"), usd("3")));
    let at: Timestamp = "2026-12-05T00:00:00Z".parse().unwrap();
    assert_eq!(
        kind(store.open(at, open(&["user/ana"], "13.1")).await),
        Some(BudgetErrorKind::Refused)
    );
    let id = store.open(at, open(&["user/ana"], "13")).await.unwrap().id;
    store.act(at, id, draw("1")).await.unwrap();
    store.act(at, id, close(HoldState::Settled)).await.unwrap();
    assert_eq!(
        status("2027-01-05T00:00:00Z").await.limit,
        usd("14"),
        "no more than the cap"
    );
    assert_eq!(
        status("2027-03-05T00:00:00Z").await.limit,
        usd("14"),
        "nothing was spent in the month before"
    );
}

/// A top-up is used once, after the period's own limit, and what is left of it ends with it.
pub async fn a_top_up_serves_once_and_until_it_ends(store: Store) {
    define(&store, "user/*", "10").await;
    let top_up = TopUp {
        id: TopUpId::new(now()),
        scope: scope("user/ana"),
        amount: usd("5"),
        granted_at: now(),
        expires_at: Some("2027-01-15T00:00:00Z".parse().unwrap()),
        note: "a busy month".to_owned(),
    };
    assert!(store.top_up(now(), top_up.clone()).await.unwrap());
    assert!(
        !store.top_up(now(), top_up.clone()).await.unwrap(),
        "granted twice is granted once"
    );
    // It has no budget of its own to be removed, and what was granted stays.
    assert!(!store.remove(now(), &scope("user/ana")).await.unwrap());
    assert_eq!(store.top_ups(&scope("user/ana")).await.unwrap(), [top_up]);
    let id = hold(&store, &["user/ana"], "12").await.unwrap().id;
    act(&store, id, draw("12")).await.unwrap();
    act(&store, id, close(HoldState::Settled)).await.unwrap();
    for (at, limit) in [
        ("2026-11-30T00:00:00Z", "15"),
        ("2026-12-30T00:00:00Z", "13"),
        ("2027-01-14T00:00:00Z", "13"),
        ("2027-01-15T00:00:00Z", "10"),
    ] {
        let status = store
            .status(at.parse().unwrap(), &scope("user/ana"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(status.limit, usd(limit), "{at}");
    }
    let at: Timestamp = "2026-12-30T00:00:00Z".parse().unwrap();
    assert_eq!(
        kind(store.open(at, open(&["user/ana"], "13.01")).await),
        Some(BudgetErrorKind::Refused)
    );
    store.open(at, open(&["user/ana"], "13")).await.unwrap();
    assert_eq!(
        kind(
            store
                .top_up(
                    now(),
                    TopUp {
                        id: TopUpId::new(now()),
                        scope: scope("org/none"),
                        amount: usd("1"),
                        granted_at: now(),
                        expires_at: None,
                        note: "nobody".to_owned()
                    }
                )
                .await
        ),
        Some(BudgetErrorKind::NoBudget)
    );
}

/// A clock that goes back a year finds last year's spending, and coming back finds this year's.
pub async fn a_clock_put_back_forgets_nothing(store: Store) {
    define(&store, "user/*", "5").await;
    let last_year: Timestamp = "2025-11-23T12:00:00Z".parse().unwrap();
    let spend = |at, amount: &'static str| {
        let store = Arc::clone(&store);
        async move {
            let id = store.open(at, open(&["user/ana"], amount)).await?.id;
            store.act(at, id, draw(amount)).await?;
            store.act(at, id, close(HoldState::Settled)).await
        }
    };
    spend(last_year, "4").await.unwrap();
    spend(now(), "3").await.unwrap();
    assert_eq!(kind(spend(last_year, "2").await), Some(BudgetErrorKind::Refused));
    spend(last_year, "1").await.unwrap();
    assert_eq!(kind(spend(now(), "3").await), Some(BudgetErrorKind::Refused));
    spend(now(), "2").await.unwrap();
}

/// A limit that was edited to nothing is the limit of its period, where only top-ups are spent from.
pub async fn a_limit_of_nothing_is_the_limit_of_its_period(store: Store) {
    let spend = async |amount: &str| {
        let id = hold(&store, &["user/ana"], amount).await.unwrap().id;
        act(&store, id, draw(amount)).await.unwrap();
        act(&store, id, close(HoldState::Settled)).await.unwrap();
    };
    define(&store, "user/*", "10").await;
    spend("8").await;
    define(&store, "user/*", "0").await;
    let top_up = TopUp {
        id: TopUpId::new(now()),
        scope: scope("user/ana"),
        amount: usd("12"),
        granted_at: now(),
        expires_at: None,
        note: "the rest".to_owned(),
    };
    assert!(store.top_up(now(), top_up).await.unwrap());
    spend("4").await;
    let december: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let status = store.status(december, &scope("user/ana")).await.unwrap().unwrap();
    assert_eq!(status.limit, Usd::ZERO, "all of it was used");
}
