//! The properties every [`LedgerStore`] must have.
//!
//! [`ledger_conformance!`](crate::ledger_conformance) makes one test of each for a store:
//!
//! ```ignore
//! meterbox_budget_engine::ledger_conformance!(memory, || async { MemoryLedger::new() });
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "properties are tests: they panic where one fails"
)]

use std::{sync::Arc, time::Duration};

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use crate::{
    Budget, BudgetError, BudgetErrorKind, BudgetState, EntryKind, EntryPage, HoldFilter, HoldId, HoldPage,
    HoldRequest, HoldState, LedgerStore, TopUp, TopUpId, Unbudgeted, Window,
    ledger::{HoldAction, HoldStatus, IntentId, OpenHold},
};

/// Makes a module `$name` of one test per property, each with a fresh store from `$new_store`, a closure
/// that returns a future of a store; with `maybe` before it, of an `Option`, and `None` skips. Needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! ledger_conformance {
    ($name:ident, maybe $new_store:expr) => {
        $crate::ledger_conformance!(@module $name maybe $new_store);
    };
    ($name:ident, $new_store:expr) => {
        $crate::ledger_conformance!(@module $name always $new_store);
    };
    (@module $name:ident $there:ident $new_store:expr) => {
        mod $name {
            use super::*;

            $crate::ledger_conformance!(@each $there $new_store;
                holds_never_oversell
                a_refusal_leaves_nothing_behind
                a_wildcard_counts_each_scope_apart
                without_a_budget_nothing_is_held
                settling_frees_what_was_not_drawn
                a_closed_hold_stays_closed
                expiry_frees_once_and_late_draws_are_booked
                unknown_use_is_booked_at_its_worst_case
                retries_with_a_key_happen_once
                limits_change_live_and_keep_what_was_spent
                a_new_period_starts_afresh
                the_smallest_remainder_may_be_taken
                unknown_holds_are_refused
                hostile_names_stay_apart
                entries_come_in_order_page_by_page
                a_rolling_window_forgets_piece_by_piece
                what_is_left_is_carried_over_once
                a_top_up_serves_once_and_until_it_ends
                grace_keeps_money_but_begins_nothing
                the_switch_stops_all_spending
                metered_use_is_part_of_the_worst_case
                a_degraded_request_may_have_what_is_kept_for_it
                holds_are_found_page_by_page
                a_clock_put_back_forgets_nothing
                spending_counts_when_it_was_done
            );
        }
    };
    (@store always $new_store:expr) => {
        ($new_store)().await
    };
    (@store maybe $new_store:expr) => {
        match ($new_store)().await {
            Some(store) => store,
            None => return,
        }
    };
    (@each $there:ident $new_store:expr; $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let store = std::sync::Arc::new($crate::ledger_conformance!(@store $there $new_store));
                let shared: std::sync::Arc<dyn $crate::LedgerStore> = std::sync::Arc::clone(&store) as _;
                $crate::conformance::$property(shared).await;
                let report = $crate::LedgerStore::verify(&store).await.unwrap();
                assert!(report.is_clean(), "{report:?}");
            }
        )*
    };
}

type Store = Arc<dyn LedgerStore>;

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

/// `user/*` gives each user the whole limit, other kinds nothing; a user's own budget replaces it.
pub async fn a_wildcard_counts_each_scope_apart(store: Store) {
    define(&store, "user/*", "1").await;
    define(&store, "user/bob", "5").await;
    hold(&store, &["user/ana"], "1").await.unwrap();
    hold(&store, &["user/eve"], "1").await.unwrap();
    hold(&store, &["user/bob"], "5").await.unwrap();
    assert_eq!(
        kind(hold(&store, &["user/ana"], "1").await),
        Some(BudgetErrorKind::Refused)
    );
    assert_eq!(
        kind(hold(&store, &["org/ana"], "1").await),
        Some(BudgetErrorKind::NoBudget)
    );
    assert_eq!(store.status(now(), &scope("org/ana")).await.unwrap(), None);
}

/// No budget, no money; unless the engine was told otherwise, and then it is on record.
pub async fn without_a_budget_nothing_is_held(store: Store) {
    assert_eq!(
        kind(hold(&store, &["user/ana"], "1").await),
        Some(BudgetErrorKind::NoBudget)
    );
    let open = OpenHold {
        unbudgeted: Unbudgeted::Allow,
        ..open(&["user/ana"], "1")
    };
    let id = store.open(now(), open).await.unwrap().id;
    assert!(store.hold(id).await.unwrap().unwrap().claims.is_empty());
    assert_eq!(store.verify().await.unwrap().open_holds, 1);
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

/// Limits rise and fall under spending that stays; another window takes a removal; removal fails closed.
pub async fn limits_change_live_and_keep_what_was_spent(store: Store) {
    define(&store, "user/*", "5").await;
    let id = hold(&store, &["user/ana"], "4").await.unwrap().id;
    act(&store, id, draw("4")).await.unwrap();
    define(&store, "user/*", "3").await;
    let status = store.status(now(), &scope("user/ana")).await.unwrap().unwrap();
    assert_eq!((status.spent, status.remaining), (usd("4"), Usd::ZERO));
    assert_eq!(
        kind(hold(&store, &["user/ana"], "1").await),
        Some(BudgetErrorKind::Refused)
    );
    define(&store, "user/*", "6").await;
    hold(&store, &["user/ana"], "2").await.unwrap();

    let daily = Budget::new(scope("user/*"), usd("6"), Window::day("UTC").unwrap());
    assert_eq!(
        kind(store.define(now(), daily).await),
        Some(BudgetErrorKind::Invalid)
    );
    assert_eq!(store.budgets().await.unwrap().len(), 1);
    assert!(store.remove(now(), &scope("user/*")).await.unwrap());
    assert!(!store.remove(now(), &scope("user/*")).await.unwrap());
    assert_eq!(
        kind(hold(&store, &["user/ana"], "1").await),
        Some(BudgetErrorKind::NoBudget)
    );
    define(&store, "user/*", "6").await;
    assert_eq!(
        kind(hold(&store, &["user/ana"], "1").await),
        Some(BudgetErrorKind::Refused)
    );
}

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

/// Separators, spaces, wildcards and quotes in names make no two scopes one.
pub async fn hostile_names_stay_apart(store: Store) {
    define(&store, "user/*", "1").await;
    let names = [
        "a b",
        "a",
        "b",
        "a/b",
        "a%2Fb",
        "**",
        "'; DROP TABLE holds; --",
        "日本",
        "lifetime",
        "2026-11 UTC",
    ];
    let users: Vec<Scope> = names
        .iter()
        .map(|name| Scope::new("user", name).unwrap())
        .collect();
    for user in &users {
        let mut open = open(&[], "0.75");
        open.request.scopes = vec![user.clone()];
        let record = store.open(now(), open).await.unwrap();
        let kept = store.hold(record.id).await.unwrap().unwrap();
        assert_eq!(*kept.scopes, [user.clone()]);
        act(&store, record.id, draw("0.25")).await.unwrap();
    }
    for user in users {
        let status = store.status(now(), &user).await.unwrap().unwrap();
        assert_eq!((status.spent, status.held), (usd("0.25"), usd("0.5")), "{user}");
    }
}

/// The ledger reads the same page by page as at once.
pub async fn entries_come_in_order_page_by_page(store: Store) {
    define(&store, "user/*", "9").await;
    let id = hold(&store, &["user/ana"], "4").await.unwrap().id;
    for _ in 0..5 {
        act(&store, id, draw("0.5")).await.unwrap();
    }
    act(&store, id, close(HoldState::Settled)).await.unwrap();
    let all = store.entries(EntryPage { after: 0, limit: 100 }).await.unwrap();
    let kinds: Vec<EntryKind> = all.iter().map(|entry| entry.body.kind).collect();
    let [first, second, draws @ .., last] = kinds.as_slice() else {
        panic!("{kinds:?}")
    };
    assert_eq!(
        [*first, *second, *last],
        [EntryKind::LimitSet, EntryKind::Held, EntryKind::Settled]
    );
    assert!(draws.len() == 5 && draws.iter().all(|kind| *kind == EntryKind::Drawn));
    let mut pages = Vec::new();
    loop {
        let after = pages.last().map_or(0, |entry: &crate::Entry| entry.seq);
        let page = store.entries(EntryPage { after, limit: 3 }).await.unwrap();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, all);
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

/// While all is stopped nothing begins, in any scope; what was used is booked, and its owner is told.
pub async fn the_switch_stops_all_spending(store: Store) {
    define(&store, "user/*", "5").await;
    let id = hold(&store, &["user/ana"], "2").await.unwrap().id;
    assert!(store.stop(now(), Some("a leak".to_owned())).await.unwrap());
    assert!(!store.stop(now(), Some("again".to_owned())).await.unwrap());
    assert_eq!(store.stopped().await.unwrap().unwrap().reason, "a leak");
    let until = now().saturating_add(Duration::from_secs(600));
    for refused in [
        kind(hold(&store, &["user/bob"], "1").await),
        kind(act(&store, id, intend(IntentId::new(now()), "1")).await),
        kind(act(&store, id, HoldAction::Extend { until }).await),
    ] {
        assert_eq!(refused, Some(BudgetErrorKind::Stopped));
    }
    assert!(act(&store, id, draw("0.5")).await.unwrap().stopped);
    let status = store.status(now(), &scope("user/ana")).await.unwrap().unwrap();
    assert_eq!((status.spent, status.state), (usd("0.5"), BudgetState::Stopped));
    act(&store, id, close(HoldState::Settled)).await.unwrap();
    assert!(store.stop(now(), None).await.unwrap());
    assert_eq!(store.stopped().await.unwrap(), None);
    hold(&store, &["user/bob"], "1").await.unwrap();
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

/// A part of the limit is only for degraded requests.
pub async fn a_degraded_request_may_have_what_is_kept_for_it(store: Store) {
    let month = Window::month("UTC").unwrap();
    let budget = Budget::new(scope("user/*"), usd("5"), month).with_degraded_allowance(usd("1"));
    store.define(now(), budget).await.unwrap();
    assert_eq!(
        kind(hold(&store, &["user/ana"], "4.5").await),
        Some(BudgetErrorKind::Refused)
    );
    hold(&store, &["user/ana"], "4").await.unwrap();
    let status = store.status(now(), &scope("user/ana")).await.unwrap().unwrap();
    assert_eq!(
        (status.remaining, status.degraded_allowance),
        (usd("1"), usd("1"))
    );
    assert_eq!(
        kind(hold(&store, &["user/ana"], "0.1").await),
        Some(BudgetErrorKind::Refused)
    );
    let mut degraded = open(&["user/ana"], "1");
    degraded.request.degraded = true;
    store.open(now(), degraded).await.unwrap();
}

/// Holds come in the order they were opened, all of them or those that are asked for.
pub async fn holds_are_found_page_by_page(store: Store) {
    define(&store, "user/*", "100").await;
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(hold(&store, &["user/ana"], "1").await.unwrap().id);
    }
    act(&store, opened[1], close(HoldState::Released)).await.unwrap();
    act(&store, opened[2], intend(IntentId::new(now()), "1"))
        .await
        .unwrap();
    act(&store, opened[2], close(HoldState::Settled)).await.unwrap();
    let page = |only, after, limit| {
        let store = Arc::clone(&store);
        async move {
            let page = HoldPage { after, limit, only };
            let holds = store.holds(page).await.unwrap();
            holds.iter().map(|hold| hold.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(HoldFilter::All, None, 100).await, opened);
    assert_eq!(page(HoldFilter::All, Some(opened[1]), 2).await, opened[2..4]);
    assert_eq!(
        page(HoldFilter::Open, None, 100).await,
        [opened[0], opened[3], opened[4]]
    );
    assert_eq!(page(HoldFilter::Estimated, None, 100).await, [opened[2]]);
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

// === words for the properties ===

fn after_minutes(minutes: u64) -> Timestamp {
    now().saturating_add(Duration::from_secs(minutes.saturating_mul(60)))
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn line(amount: &str) -> CostLine {
    CostLine {
        item: "output".to_owned(),
        quantity: 7,
        unit: "tokens".to_owned(),
        amount: usd(amount),
        estimated: false,
    }
}

fn draw(amount: &str) -> HoldAction {
    HoldAction::Draw {
        key: None,
        line: line(amount),
    }
}

fn intend(intent: IntentId, worst_case: &str) -> HoldAction {
    HoldAction::Intend {
        intent,
        line: line(worst_case),
        reference: None,
    }
}

fn close(state: HoldState) -> HoldAction {
    HoldAction::Close { state }
}

fn open(scopes: &[&str], amount: &str) -> OpenHold {
    let scopes = scopes.iter().map(|text| scope(text));
    let request = HoldRequest::new(scopes, usd(amount), "a property")
        .ttl(Duration::from_secs(60))
        .grace(Duration::ZERO);
    OpenHold {
        id: HoldId::new(now()),
        request,
        unbudgeted: Unbudgeted::Refuse,
    }
}

async fn define(store: &Store, of: &str, limit: &str) {
    let month = Window::month("UTC").unwrap();
    store
        .define(now(), Budget::new(scope(of), usd(limit), month))
        .await
        .unwrap();
}

async fn hold(store: &Store, scopes: &[&str], amount: &str) -> Result<HoldStatus, BudgetError> {
    store.open(now(), open(scopes, amount)).await
}

async fn act(store: &Store, id: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
    store.act(now(), id, action).await
}

async fn spent_and_held(store: &Store, of: &str) -> (Usd, Usd) {
    let status = store.status(now(), &scope(of)).await.unwrap().unwrap();
    (status.spent, status.held)
}

async fn held(store: &Store, of: &str) -> Usd {
    spent_and_held(store, of).await.1
}

fn kind<T>(result: Result<T, BudgetError>) -> Option<BudgetErrorKind> {
    result.err().map(|error| error.kind())
}
