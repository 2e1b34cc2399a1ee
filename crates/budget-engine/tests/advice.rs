//! Which way to do a request, by what its budgets have left.

mod common;

use meterbox_budget_engine::{
    Advice, Budget, BudgetEngine, BudgetError, HoldRequest, Offer, Rung, SoftCaps, Window,
};
use meterbox_core::{Scope, Usd};

use common::{ana, month, spend, ten_dollars, usd};

fn offer(name: &str, cost: &str, worst_case: &str) -> Offer {
    Offer {
        name: name.to_owned(),
        cost: usd(cost),
        worst_case: usd(worst_case),
    }
}

async fn advise(engine: &BudgetEngine, offers: &[Offer]) -> Result<Advice, BudgetError> {
    engine.advise(&[ana()], offers).await
}

/// What is chosen, from how much was spent of ten dollars; rungs at 6, 7 and 8.
#[tokio::test]
async fn the_way_to_do_a_request_follows_the_ladder() {
    let offers = [
        offer("large", "0.5", "1"),
        // Dearer at this mix, though its output costs less.
        offer("long-winded", "0.6", "0.9"),
        // Cheaper as a rule, dearer at its worst.
        offer("gambler", "0.1", "1.1"),
        offer("small", "0.2", "0.4"),
        offer("tiny", "0.05", "0.1"),
    ];
    let worst_cases_fit_the_cap = |spent: &str, name: &str, features_off: bool, squeezed: bool| {
        (spent.to_owned(), name.to_owned(), features_off, squeezed)
    };
    for (spent, name, features_off, squeezed) in [
        worst_cases_fit_the_cap("0.000000001", "large", false, false),
        // Up to the cap, and exactly to it, the dear one goes on.
        worst_cases_fit_the_cap("5", "large", false, false),
        worst_cases_fit_the_cap("5.000000001", "small", false, false),
        // Checked again with the cheaper one: it is past the next cap or not.
        worst_cases_fit_the_cap("6.6", "small", false, false),
        worst_cases_fit_the_cap("6.7", "small", true, false),
        worst_cases_fit_the_cap("7.7", "small", true, true),
        worst_cases_fit_the_cap("9.6", "small", true, true),
        // No longer covered by the limit: the next cheaper one.
        worst_cases_fit_the_cap("9.61", "tiny", true, true),
    ] {
        let (engine, _clock, _watcher) = ten_dollars(month()).await;
        spend(&engine, &spent).await;
        let advice = advise(&engine, &offers).await.unwrap();
        assert_eq!(
            (&advice.name, advice.features_off, !advice.squeezed.is_empty()),
            (&name, features_off, squeezed),
            "{spent}: {advice:?}"
        );
        assert_eq!(advice.swapped, advice.offer != 0);
        let asks_for_cheaper = advice.because.contains(&(ana(), Rung::CheaperModel));
        assert_eq!(asks_for_cheaper, advice.swapped, "{advice:?}");
        // What was advised is what a hold gets.
        let worst_case = offers[advice.offer].worst_case;
        let hold = engine
            .hold(HoldRequest::new([ana()], worst_case, "advised"))
            .await;
        assert_eq!(hold.unwrap().amount(), worst_case);
    }
    let (engine, _clock, _watcher) = ten_dollars(month()).await;
    spend(&engine, "9.95").await;
    let error = advise(&engine, &offers).await.unwrap_err();
    assert!(
        matches!(&error, BudgetError::Refused { requested, .. } if *requested == usd("0.1")),
        "{error}"
    );
}

/// Holds under way count: a hundred at once do not slip past a cap.
#[tokio::test]
async fn what_is_held_counts_against_the_caps() {
    let (engine, _clock, _watcher) = ten_dollars(month()).await;
    let offers = [offer("large", "0.5", "1"), offer("small", "0.2", "0.4")];
    let mut holds = Vec::new();
    let mut names = Vec::new();
    for _ in 0..9 {
        let advice = advise(&engine, &offers).await.unwrap();
        let worst_case = offers[advice.offer].worst_case;
        holds.push(
            engine
                .hold(HoldRequest::new([ana()], worst_case, "held"))
                .await
                .unwrap(),
        );
        names.push(advice.name);
    }
    assert_eq!(
        names.iter().filter(|name| *name == "large").count(),
        6,
        "{names:?}"
    );
}

/// The strictest of several budgets decides; without any, or when stopped, there is no advice.
#[tokio::test]
async fn the_strictest_budget_decides() {
    let (engine, _clock, _watcher) = ten_dollars(month()).await;
    let org: Scope = "org/acme".parse().unwrap();
    let mut budget = Budget::new(org.clone(), usd("1.5"), Window::Lifetime);
    budget.soft_caps = SoftCaps::new(50, 60);
    engine.define(budget).await.unwrap();
    let offers = [offer("large", "0.5", "1"), offer("small", "0.2", "0.4")];
    let both = [ana(), org.clone()];
    let advice = engine.advise(&both, &offers).await.unwrap();
    assert_eq!(
        (advice.name.as_str(), &advice.because),
        ("small", &vec![(org, Rung::CheaperModel)])
    );

    let nobody: Scope = "team/none".parse().unwrap();
    assert!(matches!(
        engine.advise(&[nobody], &offers).await,
        Err(BudgetError::NoBudget { .. })
    ));
    assert!(matches!(advise(&engine, &[]).await, Err(BudgetError::Invalid(_))));
    engine.stop_all("a test").await.unwrap();
    assert!(matches!(
        advise(&engine, &offers).await,
        Err(BudgetError::Stopped(_))
    ));
}

/// Without a cheaper way a soft cap stays soft.
#[tokio::test]
async fn without_a_cheaper_way_the_request_goes_on() {
    let (engine, _clock, _watcher) = ten_dollars(month()).await;
    spend(&engine, "7").await;
    let advice = advise(&engine, &[offer("only", "0.5", "1")]).await.unwrap();
    assert_eq!((advice.swapped, advice.features_off), (false, true));
    assert_eq!(advice.squeezed, []);
    let squeezed = advise(&engine, &[offer("only", "0.5", "1.5")]).await.unwrap();
    assert_eq!(squeezed.squeezed, [(ana(), 2)]);
    let free = advise(&engine, &[offer("free", "0", "0")]).await.unwrap();
    assert_eq!(free.name, "free");
    let _: Usd = engine.status(&ana()).await.unwrap().spent;
}
