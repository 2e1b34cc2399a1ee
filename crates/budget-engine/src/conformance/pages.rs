//! Reading.

use std::sync::Arc;

use crate::{EntryKind, EntryPage, HoldFilter, HoldPage, HoldState, LedgerStore, ledger::IntentId};

use super::words::*;

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
