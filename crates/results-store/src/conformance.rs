//! The properties every [`ResultsStore`] must have.
//!
//! [`results_conformance!`](crate::results_conformance) makes one test of each for a store.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "properties are tests: they panic where one fails"
)]

use std::{sync::Arc, time::Duration};

use meterbox_core::{
    AnalysisId, Scope, Timestamp, Usd,
    contract::{AnalysisResult, CostLine, Failure, FailureKind, Status},
};

use crate::{PageRequest, ResultsErrorKind, ResultsStore};

/// Makes a module `$name` of one test per property, each with a fresh store from `$new_store`, a closure
/// that returns a future of a store; with `maybe` before it, of an `Option`, and `None` skips. Needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! results_conformance {
    ($name:ident, maybe $new_store:expr) => {
        $crate::results_conformance!(@module $name maybe $new_store);
    };
    ($name:ident, $new_store:expr) => {
        $crate::results_conformance!(@module $name always $new_store);
    };
    (@module $name:ident $there:ident $new_store:expr) => {
        mod $name {
            use super::*;

            $crate::results_conformance!(@each $there $new_store;
                a_saved_result_is_found_as_it_was
                a_later_save_takes_the_place_of_an_earlier_one
                principals_never_see_each_other
                pages_are_newest_first_and_complete
                deleting_forgets_once
                saving_at_once_loses_nothing
                what_has_ended_stays_ended
                retention_forgets_the_oldest_and_no_others
                a_store_that_works_says_so
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
                let store = $crate::results_conformance!(@store $there $new_store);
                let store: std::sync::Arc<dyn $crate::ResultsStore> = std::sync::Arc::new(store);
                $crate::conformance::$property(store).await;
            }
        )*
    };
}

type Store = Arc<dyn ResultsStore>;

/// Every field comes back, whatever its text.
pub async fn a_saved_result_is_found_as_it_was(store: Store) {
    let mut result = result("ana", 0);
    result.question = Some("größter Umsatz? '; DROP TABLE results; -- \u{0} \u{1F4B0}".to_owned());
    result.cost = "0.000000001".parse().unwrap();
    result.cost_lines = vec![CostLine {
        item: "output".to_owned(),
        quantity: u64::MAX,
        unit: "tokens".to_owned(),
        amount: Usd::from_dollars(3),
        estimated: true,
        price: None,
    }];
    result.output = "x".repeat(100_000);
    result.failure = Some(Failure::new(FailureKind::LimitWall, "too slow", "ask for less"));
    store.save(&result).await.unwrap();
    assert_eq!(
        store.find(&result.principal, result.id).await.unwrap(),
        Some(result.clone())
    );
    let another = AnalysisId::new(result.created_at);
    assert_eq!(store.find(&result.principal, another).await.unwrap(), None);
}

/// Running, then done: one result.
pub async fn a_later_save_takes_the_place_of_an_earlier_one(store: Store) {
    let mut result = result("ana", 0);
    store.save(&result).await.unwrap();
    result.status = Status::Ok;
    result.finished_at = Some(result.created_at.saturating_add(Duration::from_secs(2)));
    store.save(&result).await.unwrap();
    store.save(&result).await.unwrap();
    let page = store
        .page(&result.principal, PageRequest::default())
        .await
        .unwrap();
    assert_eq!((page.results, page.next), (vec![result], None));
}

/// Another's result cannot be found, paged, deleted or replaced.
pub async fn principals_never_see_each_other(store: Store) {
    let anas = result("ana", 0);
    store.save(&anas).await.unwrap();
    let eve = principal("eve");
    let mut forged = anas.clone();
    forged.principal = eve.clone();
    let error = store.save(&forged).await.unwrap_err();
    assert_eq!(error.kind(), ResultsErrorKind::IdTaken);
    for other in [
        eve,
        principal("*"),
        principal("ana "),
        principal("an"),
        Scope::new("org", "ana").unwrap(),
    ] {
        assert_eq!(store.find(&other, anas.id).await.unwrap(), None, "{other}");
        assert_eq!(
            store.page(&other, PageRequest::default()).await.unwrap().results,
            [],
            "{other}"
        );
        assert!(!store.delete(&other, anas.id).await.unwrap(), "{other}");
    }
    assert_eq!(store.find(&anas.principal, anas.id).await.unwrap(), Some(anas));
}

/// Following `next` visits each result once, whatever the size of the page.
pub async fn pages_are_newest_first_and_complete(store: Store) {
    let mut expected = Vec::new();
    for second in 0..10 {
        let result = result("ana", second);
        store.save(&result).await.unwrap();
        store.save(&self::result("eve", second)).await.unwrap();
        expected.insert(0, result.id);
    }
    for limit in [0, 1, 3, 5, 10, 11, usize::MAX] {
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = store
                .page(&principal("ana"), PageRequest { before, limit })
                .await
                .unwrap();
            assert!(!page.results.is_empty() && page.results.len() <= limit.max(1));
            seen.extend(page.results.iter().map(|result| result.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{limit}");
    }
}

/// Deleted is gone, the others stay.
pub async fn deleting_forgets_once(store: Store) {
    let (first, second) = (result("ana", 0), result("ana", 1));
    store.save(&first).await.unwrap();
    store.save(&second).await.unwrap();
    assert!(store.delete(&first.principal, first.id).await.unwrap());
    assert!(!store.delete(&first.principal, first.id).await.unwrap());
    assert_eq!(store.find(&first.principal, first.id).await.unwrap(), None);
    assert_eq!(
        store.find(&second.principal, second.id).await.unwrap(),
        Some(second)
    );
}

/// Fifty writers at once leave fifty results.
pub async fn saving_at_once_loses_nothing(store: Store) {
    let writers: Vec<_> = (0..50)
        .map(|second| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.save(&result("ana", second)).await.unwrap() })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let page = store
        .page(&principal("ana"), PageRequest::newest(100))
        .await
        .unwrap();
    assert_eq!(
        (page.results.len(), page.unreadable.len(), page.next),
        (50, 0, None)
    );
}

/// A late duplicate of a result that was still running changes nothing; a later end does.
pub async fn what_has_ended_stays_ended(store: Store) {
    let running = result("ana", 0);
    let mut ended = running.clone();
    ended.status = Status::Failed;
    ended.output = "so far".to_owned();
    let mut corrected = ended.clone();
    corrected.status = Status::Ok;
    let mut queued = running.clone();
    queued.status = Status::Queued;
    for (saved, expected) in [
        (&queued, &queued),
        (&running, &running),
        (&ended, &ended),
        (&running, &ended),
        (&queued, &ended),
        (&corrected, &corrected),
        (&running, &corrected),
    ] {
        store.save(saved).await.unwrap();
        let found = store.find(&saved.principal, saved.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected));
    }
}

/// Whosever they are, in steps of any size; a result of the very moment stays.
pub async fn retention_forgets_the_oldest_and_no_others(store: Store) {
    for second in 0..6 {
        store.save(&result("ana", second)).await.unwrap();
        store.save(&result("eve", second)).await.unwrap();
    }
    let limit = result("ana", 4).created_at;
    assert_eq!(store.expire(limit, 0).await.unwrap(), 0);
    assert_eq!(store.expire(limit, 3).await.unwrap(), 3);
    let left = |page: crate::Page| -> Vec<Timestamp> {
        page.results.iter().map(|result| result.created_at).collect()
    };
    let all = PageRequest::newest(100);
    let (anas, eves) = (principal("ana"), principal("eve"));
    let oldest = left(store.page(&anas, all).await.unwrap())
        .into_iter()
        .chain(left(store.page(&eves, all).await.unwrap()))
        .min();
    assert_eq!(oldest, Some(result("ana", 1).created_at));
    assert_eq!(store.expire(limit, 100).await.unwrap(), 5);
    assert_eq!(store.expire(limit, 100).await.unwrap(), 0);
    for principal in [anas, eves] {
        let expected = [result("ana", 5).created_at, limit];
        assert_eq!(left(store.page(&principal, all).await.unwrap()), expected);
    }
}

/// And changes nothing while it does.
pub async fn a_store_that_works_says_so(store: Store) {
    store.check().await.unwrap();
    let result = result("ana", 0);
    store.save(&result).await.unwrap();
    store.check().await.unwrap();
    assert_eq!(
        store.find(&result.principal, result.id).await.unwrap(),
        Some(result)
    );
}

fn principal(name: &str) -> Scope {
    Scope::new("user", name).unwrap()
}

fn result(of: &str, second: u64) -> AnalysisResult {
    let start: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let created_at = start.saturating_add(Duration::from_secs(second));
    AnalysisResult::begun(AnalysisId::new(created_at), principal(of), created_at)
}
