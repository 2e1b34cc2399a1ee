//! The policy ladder: each transition, each event once, and which way to do a request.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod common;

use std::{path::Path, time::Duration};

use meterbox_budget_engine::{
    Advice, Budget, BudgetEngine, BudgetError, BudgetState, EventPage, Happening, HoldRequest, MemoryLedger,
    Offer, Rung, SoftCaps, SqliteLedger, Watcher, Window,
};
use meterbox_core::{Scope, Timestamp, Usd};
use meterbox_testkit::ManualClock;

use common::{ana, line, usd};

const ALL: EventPage = EventPage {
    after: 0,
    limit: 1_000,
};

/// Ten dollars in this window, with the rungs at 50, 60, 70, 80 and 100 %.
async fn ten_dollars(window: Window) -> (BudgetEngine, ManualClock, Watcher) {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    limit(&engine, "10", window).await;
    let watcher = engine.watcher().unwrap();
    (engine, clock, watcher)
}

fn month() -> Window {
    Window::month("UTC").unwrap()
}

async fn limit(engine: &BudgetEngine, amount: &str, window: Window) {
    let mut budget = Budget::new(ana(), usd(amount), window);
    budget.soft_caps = SoftCaps {
        warn_percent: 50,
        degrade_percent: 60,
        features_off_percent: 70,
        squeeze_percent: 80,
        squeeze_to: 2,
    };
    engine.define(budget).await.unwrap();
}

async fn spend(engine: &BudgetEngine, amount: &str) {
    let request = HoldRequest::new([ana()], usd(amount), "a test");
    let hold = engine.hold(request).await.unwrap();
    hold.draw(line(amount)).await.unwrap();
    hold.settle().await.unwrap();
}

async fn state(engine: &BudgetEngine) -> BudgetState {
    engine.status(&ana()).await.unwrap().state
}

/// The rungs told of after so many events.
async fn told(engine: &BudgetEngine, after: usize) -> Vec<Rung> {
    let events = engine.events(ALL).await.unwrap();
    let rungs = events.into_iter().filter_map(|event| match event.what {
        Happening::CapReached { rung, .. } => Some(rung),
        _ => None,
    });
    rungs.skip(after).collect()
}

#[derive(Debug)]
enum Step {
    Spend(&'static str),
    Limit(&'static str),
    TopUp(&'static str),
    Wait(&'static str),
    Stop,
    Resume,
}

/// Each way from one state to another, and what is told on it.
#[tokio::test]
async fn every_transition_and_what_is_told_on_it() {
    use BudgetState::{Active, Degraded, Stopped, Warned};
    use Step::{Limit, Resume, Spend, Stop, TopUp, Wait};
    let (engine, clock, mut watcher) = ten_dollars(month()).await;
    let mut heard = 0;
    for (step, then, news) in [
        (Spend("4.999999999"), Active, vec![]),
        // Up, a rung at a time.
        (Spend("0.000000001"), Warned, vec![Rung::Warn]),
        (Spend("0.5"), Warned, vec![]),
        (Spend("0.5"), Degraded, vec![Rung::CheaperModel]),
        (Spend("1"), Degraded, vec![Rung::FeaturesOff]),
        (Spend("1"), Degraded, vec![Rung::Squeeze]),
        (Spend("2"), Stopped, vec![Rung::Stop]),
        // Down, because there is more; and up again, to new heights.
        (TopUp("10"), Warned, vec![Rung::Warn]),
        (Limit("20"), Active, vec![]),
        (Spend("5"), Warned, vec![Rung::Warn]),
        (Limit("30"), Active, vec![]),
        (Limit("25"), Active, vec![]),
        (Spend("9"), Degraded, vec![Rung::Warn, Rung::CheaperModel]),
        // A lower limit is reached at once; what was told of at a higher one is no news.
        (
            Limit("14"),
            Stopped,
            vec![Rung::FeaturesOff, Rung::Squeeze, Rung::Stop],
        ),
        (Limit("13"), Stopped, vec![]),
        // The switch is a stop of its own.
        (Limit("200"), Active, vec![]),
        (Stop, Stopped, vec![]),
        (Resume, Active, vec![]),
        // A new month begins with nothing told; what is left of the top-up is still there.
        (Wait("2026-12-01T00:00:00Z"), Active, vec![]),
        (Limit("10"), Active, vec![]),
        (Spend("10"), Warned, vec![Rung::Warn]),
        (Spend("2"), Degraded, vec![Rung::CheaperModel]),
    ] {
        match &step {
            Spend(amount) => spend(&engine, amount).await,
            Limit(amount) => limit(&engine, amount, month()).await,
            TopUp(amount) => drop(engine.top_up(&ana(), usd(amount), None, "more").await.unwrap()),
            Wait(until) => clock.set_wall(until.parse().unwrap()),
            Stop => assert!(engine.stop_all("a test").await.unwrap()),
            Resume => assert!(engine.resume().await.unwrap()),
        }
        watcher.look_at([ana()]).await.unwrap();
        let told = told(&engine, heard).await;
        heard += told.len();
        assert_eq!((state(&engine).await, &told), (then, &news), "{step:?}");
    }
}

#[tokio::test]
async fn many_rungs_reached_at_once_are_told_of_one_by_one() {
    let (engine, _clock, mut watcher) = ten_dollars(month()).await;
    spend(&engine, "10").await;
    watcher.look_at([ana()]).await.unwrap();
    let all = [
        Rung::Warn,
        Rung::CheaperModel,
        Rung::FeaturesOff,
        Rung::Squeeze,
        Rung::Stop,
    ];
    assert_eq!(told(&engine, 0).await, all);
}

/// A budget with less left than the least request costs is as good as spent. That is told once, and again only where
/// the limit rose so far that there was something to spend in between.
#[tokio::test]
async fn a_remainder_that_pays_for_nothing_is_a_stop() {
    let (engine, _clock, watcher) = ten_dollars(month()).await;
    let mut watcher = watcher.least_request(usd("0.5"));
    let mut heard = 0;
    for (step, news) in [
        // Exactly the least is left: one more request can be paid.
        (
            Step::Spend("9.5"),
            vec![Rung::Warn, Rung::CheaperModel, Rung::FeaturesOff, Rung::Squeeze],
        ),
        (Step::Spend("0.2"), vec![Rung::Stop]),
        (Step::Spend("0.2"), vec![]),
        // Too little for a request changes nothing; with more there is something to spend, and an end to it again.
        (Step::Limit("10.1"), vec![]),
        (Step::Limit("11"), vec![]),
        (Step::Spend("0.7"), vec![Rung::Stop]),
        (Step::Spend("0.4"), vec![]),
    ] {
        match &step {
            Step::Spend(amount) => spend(&engine, amount).await,
            Step::Limit(amount) => limit(&engine, amount, month()).await,
            other => panic!("{other:?}"),
        }
        watcher.look_at([ana()]).await.unwrap();
        let told = told(&engine, heard).await;
        heard += told.len();
        assert_eq!(told, news, "{step:?}");
    }
}

/// What is set aside is not spent yet, and may become free.
#[tokio::test]
async fn what_is_set_aside_stops_nothing() {
    let (engine, _clock, watcher) = ten_dollars(month()).await;
    let mut watcher = watcher.least_request(usd("0.5"));
    let hold = engine
        .hold(HoldRequest::new([ana()], usd("10"), "all of it"))
        .await
        .unwrap();
    watcher.look_at([ana()]).await.unwrap();
    assert_eq!(told(&engine, 0).await, []);
    hold.settle().await.unwrap();
}

/// A limit that follows late bills by a little does not make old thresholds new.
#[tokio::test]
async fn a_limit_that_moves_a_little_is_no_news() {
    let (engine, _clock, mut watcher) = ten_dollars(month()).await;
    spend(&engine, "5.3").await;
    for amount in ["10.000001", "10.1", "10.000002", "10.2"] {
        limit(&engine, amount, month()).await;
        watcher.look_at([ana()]).await.unwrap();
    }
    assert_eq!(told(&engine, 0).await, [Rung::Warn]);
}

/// In a rolling window a rung is told of once in its length.
#[tokio::test]
async fn a_rolling_window_tells_once_in_its_length() {
    let window = Window::rolling(Duration::from_secs(3_600)).unwrap();
    let (engine, clock, mut watcher) = ten_dollars(window).await;
    for (minutes, amount, news) in [
        (0, "5", 1),
        (10, "0.1", 0),
        (30, "0.1", 0),
        (62, "5", 1),
        (5, "0.1", 0),
    ] {
        clock.advance(Duration::from_secs(minutes * 60));
        let before = told(&engine, 0).await.len();
        spend(&engine, amount).await;
        watcher.look_at([ana()]).await.unwrap();
        assert_eq!(
            told(&engine, before).await,
            vec![Rung::Warn; news],
            "after {minutes} minutes"
        );
    }
}

/// Two processes on one ledger, and a third one after a crash before anything was told: each event once.
#[tokio::test]
async fn a_crossing_is_told_once_over_processes_and_restarts() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("ledger.sqlite3");
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let open = |file: &Path| BudgetEngine::new(SqliteLedger::open(file).unwrap(), clock.clone());
    let crashed = open(&file);
    limit(&crashed, "10", month()).await;
    spend(&crashed, "5").await;
    drop(crashed);

    clock.advance(Duration::from_secs(3_600));
    let (one, two) = (open(&file), open(&file));
    let (mut first, mut second) = (one.watcher().unwrap(), two.watcher().unwrap());
    let (swept, also_swept) = tokio::join!(first.sweep(), second.sweep());
    swept.unwrap();
    also_swept.unwrap();
    assert_eq!(
        told(&one, 0).await,
        [Rung::Warn],
        "what the crashed process did not tell"
    );

    spend(&one, "0.5").await;
    spend(&two, "0.5").await;
    let (looked, also_looked) = tokio::join!(first.look_at([ana()]), second.look_at([ana()]));
    looked.unwrap();
    also_looked.unwrap();
    let after_restart = open(&file);
    after_restart.watcher().unwrap().sweep().await.unwrap();
    assert_eq!(told(&after_restart, 0).await, [Rung::Warn, Rung::CheaperModel]);
}

/// Holds tell the watcher by themselves, also where they are dropped with a call under way.
#[tokio::test(start_paused = true)]
async fn the_watcher_hears_of_spending_without_being_asked() {
    let (engine, _clock, watcher) = ten_dollars(month()).await;
    assert!(engine.watcher().is_none(), "one is enough");
    let watching = tokio::spawn(watcher.run());
    spend(&engine, "5").await;
    settled(&engine, 1).await;
    let hold = engine
        .hold(HoldRequest::new([ana()], usd("2"), "dropped"))
        .await
        .unwrap();
    let intent = hold.intend(line("2")).await.unwrap();
    drop(intent);
    drop(hold);
    settled(&engine, 3).await;
    assert_eq!(
        told(&engine, 0).await,
        [Rung::Warn, Rung::CheaperModel, Rung::FeaturesOff]
    );
    watching.abort();
}

/// Lets other tasks run until there are so many events; time is virtual.
async fn settled(engine: &BudgetEngine, events: usize) {
    for _ in 0..1_000 {
        if engine.events(ALL).await.unwrap().len() >= events {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("no event came");
}

/// However much is spent while the watcher sleeps, spending does not wait; the sweep finds it.
#[tokio::test]
async fn a_watcher_that_sleeps_holds_up_nobody_and_misses_nothing() {
    let (engine, clock, mut watcher) = ten_dollars(month()).await;
    for _ in 0..2_000 {
        spend(&engine, "0.0025").await;
    }
    assert!(watcher.has_missed());
    clock.advance(Duration::from_secs(1));
    watcher.sweep().await.unwrap();
    assert!(!watcher.has_missed());
    assert_eq!(told(&engine, 0).await, [Rung::Warn]);
    assert_eq!(engine.events_behind(0).await.unwrap(), 1);
}

#[tokio::test]
async fn a_spike_is_told_of_once_an_hour() {
    let (engine, clock, mut watcher) = ten_dollars(month()).await;
    for _ in 0..24 {
        spend(&engine, "0.01").await;
        clock.advance(Duration::from_secs(3_600));
    }
    watcher.sweep().await.unwrap();
    assert_eq!(engine.events(ALL).await.unwrap(), []);
    spend(&engine, "1").await;
    for _ in 0..5 {
        clock.advance(Duration::from_secs(60));
        watcher.sweep().await.unwrap();
    }
    let events = engine.events(ALL).await.unwrap();
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(
        matches!(&event.what, Happening::Spike { scope, recent, .. } if *scope == ana() && *recent == usd("1")),
        "{event:?}"
    );
}

#[tokio::test]
async fn the_switch_is_told_of_in_both_directions() {
    let (engine, clock, mut watcher) = ten_dollars(month()).await;
    engine.stop_all("bill too high").await.unwrap();
    engine.stop_all("again").await.unwrap();
    watcher.sweep().await.unwrap();
    clock.advance(Duration::from_secs(1));
    engine.resume().await.unwrap();
    watcher.sweep().await.unwrap();
    let since: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let whats: Vec<Happening> = engine
        .events(ALL)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.what)
        .collect();
    let stopped = Happening::Stopped {
        since,
        reason: "bill too high".into(),
    };
    assert_eq!(whats, [stopped, Happening::Resumed]);
}

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
