//! A ledger at other prices.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod common;

use meterbox_budget_engine::{BudgetEngine, HoldRequest, TimeRange};
use meterbox_core::{Timestamp, UnitPrice, Usd, contract::CostLine};

use common::{ana, engine, line, usd};

/// A line of the old book: $2 a million tokens.
fn tokens(count: u64) -> CostLine {
    CostLine {
        item: "output".into(),
        quantity: count,
        unit: "tokens".into(),
        amount: UnitPrice::per_million(usd("2")).times(count).unwrap(),
        estimated: false,
        price: Some("openai/gpt:output@old".parse().unwrap()),
    }
}

fn worst_case(amount: &str) -> CostLine {
    CostLine {
        amount: usd(amount),
        price: Some("openai/gpt:worst_case@old".parse().unwrap()),
        ..line("1")
    }
}

/// The new book: $3 a million tokens, from December on $1.
fn new_price(rate: &str, at: Timestamp, quantity: u64) -> Option<Usd> {
    let december: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let price = if at < december { "3" } else { "1" };
    (rate == "openai/gpt:output").then(|| UnitPrice::per_million(usd(price)).times(quantity))?
}

async fn hold(engine: &BudgetEngine) -> meterbox_budget_engine::Hold {
    engine
        .hold(HoldRequest::new([ana()], usd("4"), "a test"))
        .await
        .unwrap()
}

#[tokio::test]
async fn each_line_is_priced_anew_and_what_cannot_be_stays() {
    let (engine, _clock) = engine().await;
    let first = hold(&engine).await;
    first.draw(tokens(1_000_001)).await.unwrap();
    first.draw(line("0.5")).await.unwrap();
    first.settle().await.unwrap();
    // Metered, then known: only what is known counts.
    let second = hold(&engine).await;
    let call = second.intend(worst_case("1")).await.unwrap();
    call.meter([tokens(7), tokens(11)]).await.unwrap();
    call.resolve([tokens(100_000)]).await.unwrap();
    second.settle().await.unwrap();

    let report = engine.rerate(TimeRange::default(), new_price).await.unwrap();
    assert_eq!((report.rerated, report.left), (2, 1));
    assert_eq!(
        (report.recorded, report.would_be),
        (usd("2.200002"), usd("3.300003"))
    );
    assert_eq!(report.left_recorded, usd("0.5"));
    let [rate] = report.rates.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(
        (rate.rate.as_str(), rate.quantity),
        ("openai/gpt:output", 1_100_001)
    );
    assert_eq!(rate.books, ["old"]);
    let [scope] = report.scopes.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(scope.recorded, engine.status(&ana()).await.unwrap().spent);
    assert_eq!(scope.would_be, usd("3.800003"));
    let listed: Vec<_> = report.differences.iter().map(|line| line.quantity).collect();
    assert_eq!(
        listed,
        [1_000_001, 100_000],
        "what was metered is in the last one"
    );

    let same = engine
        .rerate(TimeRange::default(), |_, _, quantity| {
            UnitPrice::per_million(usd("2")).times(quantity)
        })
        .await
        .unwrap();
    assert_eq!((same.recorded, same.differences), (same.would_be, vec![]));
}

/// A worst case that stands is left as it is; once it is corrected, what was used is priced, at the time it was used.
#[tokio::test]
async fn a_correction_counts_when_the_call_was_made() {
    let (engine, clock) = engine().await;
    let lost = hold(&engine).await;
    drop(lost.intend_known_as("req-1", worst_case("1")).await.unwrap());
    lost.settle().await.unwrap();
    let report = engine.rerate(TimeRange::default(), new_price).await.unwrap();
    assert_eq!(
        (report.rerated, report.left, report.left_recorded),
        (0, 1, usd("1"))
    );

    clock.set_wall("2026-12-24T00:00:00Z".parse().unwrap());
    let bill = meterbox_budget_engine::UsageRecord {
        call: meterbox_budget_engine::Call::Reference("req-1".into()),
        lines: vec![tokens(200_000)],
    };
    engine.reconcile([bill], false).await.unwrap();
    hold(&engine).await.draw(tokens(10)).await.unwrap();
    let november = TimeRange {
        until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
        ..TimeRange::default()
    };
    let report = engine.rerate(november, new_price).await.unwrap();
    assert_eq!((report.rerated, report.left), (1, 0));
    assert_eq!((report.recorded, report.would_be), (usd("0.4"), usd("0.6")));
    let all = engine.rerate(TimeRange::default(), new_price).await.unwrap();
    assert_eq!((all.recorded, all.would_be), (usd("0.40002"), usd("0.60001")));
}
