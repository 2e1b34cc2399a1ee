//! Which budgets apply, and what changes them.

use std::{sync::Arc, time::Duration};

use meterbox_core::{Scope, Usd};

use crate::{
    Budget, BudgetError, BudgetErrorKind, BudgetState, EntryPage, HoldState, LedgerStore, Unbudgeted, Window,
    ledger::{HoldAction, IntentId, OpenHold},
};

use super::words::*;

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
    assert!(store.hold(id).await.unwrap().unwrap().basis.claims.is_empty());
    assert_eq!(store.verify().await.unwrap().open_holds, 1);
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

/// A setting makes a budget where there is none; what was edited since counts, part by part, until the setting says
/// something else.
pub async fn an_edit_stays_until_the_setting_changes(store: Store) {
    let month = || Window::month("UTC").unwrap();
    let of_limit = |limit: &str| Budget::new(scope("user/*"), usd(limit), month());
    let only = async || {
        let mut budgets = store.budgets().await.unwrap();
        assert_eq!(budgets.len(), 1);
        budgets.remove(0)
    };
    let set = of_limit("10").with_degraded_allowance(usd("1"));
    assert!(store.provision(now(), set.clone()).await.unwrap());
    assert!(!store.provision(now(), set.clone()).await.unwrap());
    assert_eq!(
        (only().await, store.provisions().await.unwrap()),
        (set.clone(), vec![set.clone()])
    );
    hold(&store, &["user/ana"], "4").await.unwrap();

    // Edited, it stays so through starts with the same setting, and it is known what the setting said.
    let edited = Budget {
        limit: usd("20"),
        ..set.clone()
    };
    store.define(now(), edited.clone()).await.unwrap();
    assert!(!store.provision(now(), set.clone()).await.unwrap());
    assert_eq!(
        (only().await, store.provisions().await.unwrap()),
        (edited.clone(), vec![set.clone()])
    );
    hold(&store, &["user/ana"], "10").await.unwrap();

    // Another part of the setting changes that part alone.
    let mut other = set.clone();
    other.soft_caps.warn_percent = 50;
    assert!(store.provision(now(), other.clone()).await.unwrap());
    let merged = Budget {
        soft_caps: other.soft_caps,
        ..edited
    };
    assert_eq!(only().await, merged);

    // The limit of the setting, once changed, counts again, and keeps what was spent and held.
    let lower = Budget {
        limit: usd("0.5"),
        degraded_allowance: usd("0.5"),
        ..other.clone()
    };
    assert!(store.provision(now(), lower.clone()).await.unwrap());
    assert_eq!(
        (only().await, store.provisions().await.unwrap()),
        (lower.clone(), vec![lower.clone()])
    );
    assert_eq!(held(&store, "user/ana").await, usd("14"));

    // What is kept for degraded requests follows a limit that was edited down.
    store
        .define(
            now(),
            Budget {
                limit: usd("0.25"),
                degraded_allowance: usd("0.25"),
                ..lower.clone()
            },
        )
        .await
        .unwrap();
    assert!(
        store
            .provision(
                now(),
                Budget {
                    degraded_allowance: usd("0.4"),
                    ..lower.clone()
                }
            )
            .await
            .unwrap()
    );
    assert_eq!(only().await.degraded_allowance, usd("0.25"));

    let daily = Budget::new(scope("user/*"), usd("6"), Window::day("UTC").unwrap());
    assert_eq!(
        kind(store.provision(now(), daily).await),
        Some(BudgetErrorKind::Invalid)
    );
    // A budget that no setting began is taken over by one as it is said, and one that was removed is made anew.
    define(&store, "org/acme", "3").await;
    assert_eq!(store.provisions().await.unwrap().len(), 1);
    let acme = Budget::new(scope("org/acme"), usd("7"), month());
    assert!(store.provision(now(), acme.clone()).await.unwrap());
    assert!(store.budgets().await.unwrap().contains(&acme));
    assert!(store.remove(now(), &acme.scope).await.unwrap());
    assert!(store.provision(now(), acme.clone()).await.unwrap());
    assert!(store.budgets().await.unwrap().contains(&acme));
}

/// Of two edits that were made of the same budget one counts; the other is refused with what there is, and changes
/// nothing until it is made of that.
pub async fn an_edit_undoes_no_other(store: Store) {
    let month = || Window::month("UTC").unwrap();
    let refused = |edited: Result<(), BudgetError>| match edited {
        Err(BudgetError::Changed { scope, found }) => (scope.to_string(), found.map(|found| *found)),
        other => panic!("{other:?}"),
    };
    let begun = Budget::new(scope("user/ana"), usd("10"), month());
    store.provision(now(), begun.clone()).await.unwrap();
    hold(&store, &["user/ana"], "4").await.unwrap();

    let raised = Budget {
        limit: usd("20"),
        ..begun.clone()
    };
    let carrying = |budget: &Budget| budget.clone().carrying_over(usd("3"));
    let edit = async |before: Option<&Budget>, after: &Budget| {
        store.edit(now(), before.cloned(), after.clone()).await
    };
    edit(Some(&begun), &raised).await.unwrap();
    let entries = async || {
        let page = EntryPage { after: 0, limit: 100 };
        store.entries(page).await.unwrap()
    };
    let written = entries().await;
    for before in [Some(&begun), Some(&carrying(&raised)), None] {
        let (whose, found) = refused(edit(before, &carrying(&begun)).await);
        assert_eq!((whose.as_str(), found.as_ref()), ("user/ana", Some(&raised)));
    }
    assert_eq!(store.budgets().await.unwrap(), std::slice::from_ref(&raised));
    assert_eq!(entries().await, written);

    edit(Some(&raised), &carrying(&raised)).await.unwrap();
    assert_eq!(store.budgets().await.unwrap(), [carrying(&raised)]);
    assert_eq!(held(&store, "user/ana").await, usd("4"));
    assert_eq!(store.provisions().await.unwrap(), std::slice::from_ref(&begun));
    // It counts, and what the setting says is still what it said.
    hold(&store, &["user/ana"], "15").await.unwrap();
    assert!(!store.provision(now(), begun.clone()).await.unwrap());

    let daily = Budget {
        window: Window::day("UTC").unwrap(),
        ..raised.clone()
    };
    assert_eq!(
        kind(edit(Some(&carrying(&raised)), &daily).await),
        Some(BudgetErrorKind::Invalid)
    );
    // What was removed is not made anew by who has not heard of it, and what is not there is not removed.
    assert!(store.remove(now(), &begun.scope).await.unwrap());
    let (_, found) = refused(edit(Some(&carrying(&raised)), &raised).await);
    assert_eq!(found, None);
    assert!(store.budgets().await.unwrap().is_empty());
    edit(None, &begun).await.unwrap();
    assert_eq!(store.budgets().await.unwrap(), std::slice::from_ref(&begun));

    // A wildcard's budget is no budget of one of its scopes.
    let everybody = Budget::new(scope("user/*"), usd("1"), month());
    edit(None, &everybody).await.unwrap();
    let of_bob = Budget {
        scope: scope("user/bob"),
        ..everybody.clone()
    };
    let (_, found) = refused(edit(Some(&everybody), &of_bob).await);
    assert_eq!(found, None);
    let (_, found) = refused(edit(None, &everybody).await);
    assert_eq!(found, Some(everybody));
}

/// Twenty at once raise a limit by a dollar, each with what was found where somebody was faster: none is lost.
pub async fn edits_at_once_are_made_one_after_the_other(store: Store) {
    define(&store, "user/*", "1").await;
    let read = store.budgets().await.unwrap().remove(0);
    let editors: Vec<_> = (0..20)
        .map(|_| {
            let (store, mut before) = (Arc::clone(&store), read.clone());
            tokio::spawn(async move {
                loop {
                    let after = Budget {
                        limit: before.limit.saturating_add(usd("1")),
                        ..before.clone()
                    };
                    match store.edit(now(), Some(before), after).await {
                        Err(BudgetError::Changed { found, .. }) => before = *found.unwrap(),
                        edited => return edited,
                    }
                }
            })
        })
        .collect();
    for editor in editors {
        editor.await.unwrap().unwrap();
    }
    assert_eq!(store.budgets().await.unwrap()[0].limit, usd("21"));
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
        assert_eq!(*kept.basis.scopes, *std::slice::from_ref(user));
        act(&store, record.id, draw("0.25")).await.unwrap();
    }
    for user in users {
        let status = store.status(now(), &user).await.unwrap().unwrap();
        assert_eq!((status.spent, status.held), (usd("0.25"), usd("0.5")), "{user}");
    }
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
