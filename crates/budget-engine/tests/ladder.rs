//! The policy ladder: each transition, and each event once.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod common;

use std::{path::Path, time::Duration};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetState, EventPage, Happening, HoldRequest, Rung, SqliteLedger, Window,
};
use meterbox_core::{Scope, Timestamp};
use meterbox_testkit::ManualClock;

use common::{ana, limit, line, month, spend, ten_dollars, usd};

const ALL: EventPage = EventPage {
    after: 0,
    limit: 1_000,
};

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

/// What is remembered of the last event is found to be old when another process has raised the next one.
#[tokio::test]
async fn a_crossing_is_told_though_another_process_told_of_the_one_before() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let open = || {
        let ledger = SqliteLedger::open(folder.path().join("ledger.sqlite3")).unwrap();
        BudgetEngine::new(ledger, clock.clone())
    };
    let (one, two) = (open(), open());
    let mut watchers = [one.watcher().unwrap(), two.watcher().unwrap()];
    for (amount, who) in [("10", 0), ("20", 1), ("40", 0)] {
        limit(&one, amount, month()).await;
        let spent = one.status(&ana()).await.unwrap().remaining;
        spend(&one, &(spent.nanos() / 2_000_000_000).to_string()).await;
        watchers[who].look_at([ana()]).await.unwrap();
    }
    let warned = told(&one, 0).await.into_iter().filter(|rung| *rung == Rung::Warn);
    assert_eq!(warned.count(), 3);
}

/// Whoever opened a hold may have died; what becomes of it is told by those that are left, however long it was open.
#[tokio::test]
async fn what_an_old_hold_of_a_dead_process_comes_to_is_told() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let open = || {
        let ledger = SqliteLedger::open(folder.path().join("ledger.sqlite3")).unwrap();
        BudgetEngine::new(ledger, clock.clone())
    };
    let (dead, alive) = (open(), open());
    limit(&dead, "10", month()).await;
    let request = HoldRequest::new([ana()], usd("10"), "long").ttl(Duration::from_secs(3_600));
    let hold = dead.hold(request).await.unwrap();
    let intent = hold.intend(line("10")).await.unwrap();
    let mut watcher = alive.watcher().unwrap();
    for _ in 0..5 {
        watcher.sweep().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(told(&alive, 0).await, []);
    intent.meter([line("6")]).await.unwrap();
    watcher.sweep().await.unwrap();
    assert_eq!(told(&alive, 0).await, [Rung::Warn, Rung::CheaperModel]);
    drop(intent);
    std::mem::forget(hold);
    clock.advance(Duration::from_secs(2 * 3_600));
    watcher.sweep().await.unwrap();
    assert_eq!(
        told(&alive, 2).await,
        [Rung::FeaturesOff, Rung::Squeeze, Rung::Stop]
    );
}

/// Also to a watcher that comes when the hold has been open for longer than one looks back.
#[tokio::test]
async fn what_an_old_hold_comes_to_is_told_by_a_watcher_that_comes_late() {
    let (engine, clock, mut watcher) = ten_dollars(month()).await;
    let day = Duration::from_secs(24 * 3_600);
    let request = HoldRequest::new([ana()], usd("10"), "long").ttl(day);
    let hold = engine.hold(request).await.unwrap();
    let intent = hold.intend(line("10")).await.unwrap();
    clock.advance(day / 2);
    hold.extend(day).await.unwrap();
    clock.advance(day * 3 / 4);
    watcher.sweep().await.unwrap();
    assert_eq!(told(&engine, 0).await, []);
    intent.meter([line("5")]).await.unwrap();
    watcher.sweep().await.unwrap();
    assert_eq!(told(&engine, 0).await, [Rung::Warn]);
}

/// Also where ten thousand others were open before it.
#[tokio::test]
async fn what_one_of_very_many_holds_comes_to_is_told() {
    let (engine, clock, mut watcher) = ten_dollars(month()).await;
    let bob: Scope = "user/bob".parse().unwrap();
    let one_dollar = Budget::new(bob.clone(), usd("1"), month());
    engine.define(one_dollar).await.unwrap();
    let hour = Duration::from_secs(3_600);
    let mut others = Vec::new();
    for _ in 0..10_000 {
        let request = HoldRequest::new([bob.clone()], usd("0.0001"), "one of many");
        others.push(engine.hold(request.ttl(hour)).await.unwrap());
    }
    clock.advance(Duration::from_secs(1));
    let request = HoldRequest::new([ana()], usd("10"), "long").ttl(hour);
    let hold = engine.hold(request).await.unwrap();
    let intent = hold.intend(line("10")).await.unwrap();
    for _ in 0..4 {
        watcher.sweep().await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    intent.meter([line("5")]).await.unwrap();
    watcher.sweep().await.unwrap();
    assert_eq!(told(&engine, 0).await, [Rung::Warn]);
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
