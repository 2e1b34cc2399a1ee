//! What holds of the events of every store.

use std::time::Duration;

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use super::words::{Store, line, now, usd};
use crate::{
    Budget, EntryPage, EventPage, Happening, HoldId, HoldRequest, Rung, SoftCaps, Unbudgeted, Window,
    ledger::{HoldAction, IntentId, OpenHold},
};

fn at(second: u64) -> Timestamp {
    now().saturating_add(Duration::from_secs(second))
}

fn cap(scope: &str, spent: Usd) -> Happening {
    Happening::CapReached {
        scope: scope.parse().unwrap(),
        period: "2026-11".into(),
        rung: Rung::Warn,
        percent: 80,
        limit: Usd::from_dollars(10),
        spent,
    }
}

/// Whoever comes second with a number adds nothing, at whatever time and with whatever words.
pub async fn an_event_of_a_number_is_raised_once(store: Store) {
    let mut tasks = Vec::new();
    for second in 0..20 {
        let store = Store::clone(&store);
        tasks.push(tokio::spawn(async move {
            store
                .raise(at(second), 1, cap("user/ana", usd("8")))
                .await
                .unwrap()
        }));
    }
    let mut raised = Vec::new();
    for task in tasks {
        raised.push(task.await.unwrap());
    }
    assert_eq!(raised.iter().filter(|raised| **raised).count(), 1);
    assert!(store.raise(at(30), 2, cap("user/ana", usd("9"))).await.unwrap());
    assert!(
        store.raise(at(30), 1, cap("user/bob", usd("9"))).await.unwrap(),
        "another subject"
    );
    let latest = store
        .latest(&cap("user/ana", Usd::ZERO).subject())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((latest.number, latest.what), (2, cap("user/ana", usd("9"))));
    assert_eq!(store.latest("cap user/eve warn 2026-11").await.unwrap(), None);
}

/// Events of every kind come back as they were raised, in the order they were.
pub async fn events_are_read_page_by_page(store: Store) {
    let scope: Scope = "org/a%2Fb".parse().unwrap();
    let all = [
        cap("org/a%2Fb", usd("8.000000001")),
        Happening::Spike {
            scope,
            recent: usd("123456789.123456789"),
            expected: Usd::ZERO,
        },
        Happening::Stopped {
            since: at(5),
            reason: "\"quoted\" ünïcode".into(),
        },
        Happening::Resumed,
    ];
    assert_eq!(store.newest_event().await.unwrap(), 0);
    for (number, what) in (1..).zip(&all) {
        assert!(store.raise(at(6), number, what.clone()).await.unwrap());
    }
    let (mut after, mut read) = (0, Vec::new());
    loop {
        let page = store.events(EventPage { after, limit: 3 }).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.is_sorted_by_key(|event| event.seq) && page[0].seq > after);
        after = last.seq;
        read.extend(page);
    }
    assert_eq!(store.newest_event().await.unwrap(), after);
    let whats: Vec<Happening> = read.iter().map(|event| event.what.clone()).collect();
    assert_eq!(whats, all);
    assert!(read.iter().all(|event| event.at == at(6)));
    let mut ids: Vec<String> = read.iter().map(|event| event.id.to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

/// One process at a time passes events on; after it another goes on where it was.
pub async fn a_readers_turn_is_one_owners_at_a_time(store: Store) {
    let raise = async |number| {
        store
            .raise(at(0), number, cap("user/ana", usd("8")))
            .await
            .unwrap()
    };
    raise(1).await;
    let begin = store
        .take_turn(at(0), "webhook", "one", at(10))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        begin,
        store.newest_event().await.unwrap(),
        "what was before is not passed on"
    );
    assert_eq!(
        store.take_turn(at(9), "webhook", "two", at(20)).await.unwrap(),
        None
    );
    assert!(
        store
            .take_turn(at(9), "another", "two", at(20))
            .await
            .unwrap()
            .is_some()
    );

    raise(2).await;
    let newest = store.newest_event().await.unwrap();
    assert!(store.advance("webhook", "one", newest).await.unwrap());
    assert!(!store.advance("webhook", "two", u64::MAX).await.unwrap());
    assert!(
        store.advance("webhook", "one", begin).await.unwrap(),
        "never back"
    );

    assert_eq!(
        store.take_turn(at(10), "webhook", "two", at(20)).await.unwrap(),
        Some(newest)
    );
    assert!(
        !store.advance("webhook", "one", newest).await.unwrap(),
        "the turn is lost"
    );
    assert_eq!(
        store.take_turn(at(11), "webhook", "one", at(21)).await.unwrap(),
        None
    );
    assert_eq!(
        store.take_turn(at(12), "webhook", "two", at(30)).await.unwrap(),
        Some(newest)
    );
}

/// A clock that was a year ahead keeps nobody out for a year.
pub async fn a_turn_of_a_clock_that_was_put_back_is_over(store: Store) {
    let at = |seconds: u64| now().saturating_add(Duration::from_secs(seconds));
    let year = 365 * 24 * 60 * 60;
    let turn = async |from: u64, owner: &str, until: u64| {
        let turn = store.take_turn(at(from), "webhook", owner, at(until)).await;
        turn.unwrap().is_some()
    };
    assert!(turn(year, "one", year + 10).await);
    assert!(!turn(year + 1, "two", year + 11).await);
    // Clocks of different machines differ a little.
    assert!(!turn(year - 600, "two", year - 590).await);
    assert!(turn(0, "two", 10).await);
    assert!(!turn(0, "one", 10).await);
}

/// The price of a line is kept with it, and so are all soft caps of a budget.
pub async fn prices_and_soft_caps_are_kept(store: Store) {
    let now = now();
    let scope: Scope = "user/ana".parse().unwrap();
    let mut budget = Budget::new(scope.clone(), usd("10"), Window::Lifetime);
    budget.soft_caps = SoftCaps {
        warn_percent: 10,
        degrade_percent: 20,
        features_off_percent: 30,
        squeeze_percent: 40,
        squeeze_to: 50_000,
    };
    store.define(now, budget.clone()).await.unwrap();
    assert_eq!(store.budgets().await.unwrap(), [budget.clone()]);
    let status = store.status(now, &scope).await.unwrap().unwrap();
    assert_eq!(status.soft_caps, budget.soft_caps);

    let priced = |rate: &str| CostLine {
        price: Some(format!("{rate}@0123456789abcdef").parse().unwrap()),
        ..line("1")
    };
    let open = OpenHold {
        id: HoldId::new(now),
        request: HoldRequest::new([scope], usd("5"), "priced").ttl(Duration::from_secs(60)),
        unbudgeted: Unbudgeted::Refuse,
    };
    let hold = store.open(now, open).await.unwrap().id;
    let intent = IntentId::new(now);
    let key = Some("once".to_owned());
    let draw = || HoldAction::Draw {
        key: key.clone(),
        line: priced("openai/gpt:output"),
    };
    for action in [
        HoldAction::Intend {
            intent,
            line: priced("openai/gpt:worst_case"),
            reference: None,
        },
        draw(),
        draw(),
    ] {
        store.act(now, hold, action).await.unwrap();
    }
    let record = store.hold(hold).await.unwrap().unwrap();
    assert_eq!(
        record.intents[0].line.price,
        priced("openai/gpt:worst_case").price
    );
    let entries = store.entries(EntryPage::default()).await.unwrap();
    let lines: Vec<CostLine> = entries
        .into_iter()
        .filter_map(|entry| entry.body.line)
        .map(|line| *line)
        .collect();
    assert_eq!(
        lines,
        [priced("openai/gpt:worst_case"), priced("openai/gpt:output")]
    );
}
