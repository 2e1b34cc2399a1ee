//! The breaker in virtual time.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use meterbox_circuit_breaker::{Backoff, Breaker, CircuitState, FaultClass, Jitter, Permit, Policy};
use meterbox_core::Timestamp;
use meterbox_testkit::ManualClock;

const KEY: &str = "sandbox/local";

fn breaker(policy: Policy) -> (Breaker, ManualClock) {
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    (Breaker::new(policy, clock.clone()).unwrap(), clock)
}

fn trip(breaker: &Breaker, key: &str) {
    for _ in 0..3 {
        breaker.permit(key).unwrap().fail(FaultClass::Platform);
    }
}

fn state(breaker: &Breaker, key: &str) -> CircuitState {
    breaker.snapshot(key).unwrap().state
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn three_faults_in_a_row_open_it_and_the_refusal_says_when_to_retry() {
    let (breaker, clock) = breaker(Policy::default());
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    breaker.permit(KEY).unwrap().succeed();
    trip(&breaker, KEY);
    clock.advance(seconds(10));
    let refused = breaker.permit(KEY).unwrap_err();
    assert_eq!((refused.key(), refused.retry_after()), (KEY, seconds(20)));
    // Waiting exactly as told admits.
    clock.advance(refused.retry_after());
    breaker.permit(KEY).unwrap().succeed();
    assert_eq!(state(&breaker, KEY), CircuitState::Closed);
}

#[test]
fn the_backoff_doubles_up_to_its_cap_and_starts_anew_after_a_success() {
    let (breaker, clock) = breaker(Policy::default());
    trip(&breaker, KEY);
    for expected in [30, 60, 120, 240, 480, 480] {
        let wait = breaker.permit(KEY).unwrap_err().retry_after();
        assert_eq!(wait, seconds(expected));
        clock.advance(wait);
        breaker.permit(KEY).unwrap().fail(FaultClass::Timeout);
    }
    clock.advance(seconds(480));
    breaker.permit(KEY).unwrap().succeed();
    trip(&breaker, KEY);
    assert_eq!(breaker.permit(KEY).unwrap_err().retry_after(), seconds(30));
}

#[test]
fn an_upstream_retry_after_is_honoured_up_to_the_cap() {
    for (asked, expected) in [(5, 30), (90, 90), (100_000, 480)] {
        let (breaker, _clock) = breaker(Policy {
            consecutive_faults: 1,
            ..Policy::default()
        });
        breaker
            .permit(KEY)
            .unwrap()
            .fail_until(FaultClass::Overloaded, Some(seconds(asked)));
        assert_eq!(breaker.permit(KEY).unwrap_err().retry_after(), seconds(expected));
    }
}

#[test]
fn jitter_changes_the_wait_but_never_undercuts_what_the_other_side_asked_for() {
    let halved = Backoff {
        jitter: Jitter::new(|wait| wait / 2),
        ..Backoff::default()
    };
    let policy = Policy {
        consecutive_faults: 1,
        backoff: halved,
        ..Policy::default()
    };
    let (breaker, _clock) = breaker(policy);
    breaker.permit("a").unwrap().fail(FaultClass::Platform);
    assert_eq!(breaker.permit("a").unwrap_err().retry_after(), seconds(15));
    breaker
        .permit("b")
        .unwrap()
        .fail_until(FaultClass::Overloaded, Some(seconds(20)));
    assert_eq!(breaker.permit("b").unwrap_err().retry_after(), seconds(20));
}

#[test]
fn user_faults_and_cancelled_calls_neither_open_nor_heal_it() {
    let (breaker, _clock) = breaker(Policy::default());
    for _ in 0..100 {
        breaker.permit(KEY).unwrap().ignore();
        drop(breaker.permit(KEY).unwrap());
    }
    assert_eq!(state(&breaker, KEY), CircuitState::Closed);
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    breaker.permit(KEY).unwrap().ignore();
    drop(breaker.permit(KEY).unwrap());
    assert_eq!(breaker.snapshot(KEY).unwrap().consecutive_faults, 2);
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    let counts = breaker.snapshot(KEY).unwrap().counts;
    assert_eq!(
        (counts.ignored, counts.cancelled, counts.faults, counts.opened),
        (101, 101, 3, 1)
    );
}

/// A circuit's faults stay its own: neither another key's faults nor its success touch it.
#[test]
fn c1_circuits_are_isolated() {
    let (breaker, _clock) = breaker(Policy::default());
    breaker.permit("a").unwrap().fail(FaultClass::Platform);
    breaker.permit("a").unwrap().fail(FaultClass::Platform);
    breaker.permit("b").unwrap().fail(FaultClass::Platform);
    breaker.permit("c").unwrap().succeed();
    for key in ["a", "b", "c"] {
        assert_eq!(state(&breaker, key), CircuitState::Closed, "{key}");
    }
    breaker.permit("a").unwrap().fail(FaultClass::Platform);
    assert_eq!(
        ["a", "b", "c"].map(|key| breaker.permit(key).is_ok()),
        [false, true, true]
    );
}

/// A dependency that hangs is as bad as one that fails.
#[test]
fn c2_timeouts_trip_it() {
    let (breaker, _clock) = breaker(Policy::default());
    for _ in 0..3 {
        breaker.permit(KEY).unwrap().fail(FaultClass::Timeout);
    }
    assert_eq!(state(&breaker, KEY), CircuitState::Open);
}

/// Faults from before the outage are forgotten when it is over.
#[test]
fn c3_it_does_not_flap_after_recovery() {
    let (breaker, clock) = breaker(Policy::default());
    trip(&breaker, KEY);
    clock.advance(seconds(30));
    breaker.permit(KEY).unwrap().succeed();
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    assert_eq!(state(&breaker, KEY), CircuitState::Closed);
}

/// Every refusal names a time to come back, also while a probe is under way.
#[test]
fn c8_refusals_while_half_open_have_a_time_to_retry() {
    let (breaker, clock) = breaker(Policy::default());
    trip(&breaker, KEY);
    clock.advance(seconds(30));
    let probe = breaker.permit(KEY).unwrap();
    let refused = breaker.permit(KEY).unwrap_err();
    assert!(refused.retry_after() > Duration::ZERO);
    assert_eq!(
        breaker.snapshot(KEY).unwrap().retry_after,
        Some(refused.retry_after())
    );
    probe.succeed();
    breaker.permit(KEY).unwrap().succeed();
}

/// A call from before the outage says nothing about the time after it.
#[test]
fn c9_stale_results_are_ignored() {
    let (breaker, clock) = breaker(Policy::default());
    let from_before: [Permit; 3] = std::array::from_fn(|_| breaker.permit(KEY).unwrap());
    trip(&breaker, KEY);
    let [success, fault, dropped] = from_before;
    success.succeed();
    assert_eq!(state(&breaker, KEY), CircuitState::Open);

    clock.advance(seconds(30));
    let probe = breaker.permit(KEY).unwrap();
    fault.fail(FaultClass::Platform);
    drop(dropped);
    assert_eq!(state(&breaker, KEY), CircuitState::HalfOpen);
    assert!(breaker.permit(KEY).is_err(), "a stale drop gives back no probe");
    probe.succeed();
    let snapshot = breaker.snapshot(KEY).unwrap();
    assert_eq!((snapshot.state, snapshot.counts.stale), (CircuitState::Closed, 3));
}

/// Looking at a circuit, however often, changes nothing.
#[test]
fn c10_reading_is_pure() {
    let (breaker, clock) = breaker(Policy::default());
    assert_eq!(breaker.snapshot("never used"), None);
    assert!(breaker.is_empty());
    trip(&breaker, KEY);
    for _ in 0..1_000 {
        clock.advance(seconds(1));
        breaker.snapshot(KEY);
    }
    let before = breaker.snapshot(KEY).unwrap();
    assert_eq!(before.state, CircuitState::HalfOpen);
    assert_eq!(breaker.snapshot(KEY).unwrap(), before);
    breaker.permit(KEY).unwrap().fail(FaultClass::Platform);
    assert_eq!(
        breaker.permit(KEY).unwrap_err().retry_after(),
        seconds(60),
        "one failed probe, one doubling"
    );
}

/// Each outage needs exactly the configured probe, however many came before.
#[test]
fn c11_recovery_needs_the_same_probe_every_time() {
    let (breaker, clock) = breaker(Policy::default());
    for _ in 0..6 {
        trip(&breaker, KEY);
        clock.advance(seconds(30));
        breaker.permit(KEY).unwrap().succeed();
        assert_eq!(state(&breaker, KEY), CircuitState::Closed);
    }
}

#[test]
fn a_dropped_probe_is_given_back() {
    let (breaker, clock) = breaker(Policy {
        probes: 2,
        ..Policy::default()
    });
    trip(&breaker, KEY);
    clock.advance(seconds(30));
    for _ in 0..10 {
        let probes = [breaker.permit(KEY).unwrap(), breaker.permit(KEY).unwrap()];
        assert!(breaker.permit(KEY).is_err());
        drop(probes);
    }
    breaker.permit(KEY).unwrap().ignore();
    breaker.permit(KEY).unwrap().succeed();
    assert_eq!(state(&breaker, KEY), CircuitState::Closed);
}

#[test]
fn a_storm_on_a_half_open_circuit_gets_exactly_one_probe() {
    const CALLERS: usize = 64;
    let (breaker, clock) = breaker(Policy::default());
    trip(&breaker, KEY);
    clock.advance(seconds(30));
    let start = Arc::new(Barrier::new(CALLERS));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (breaker, start) = (breaker.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                breaker.permit(KEY)
            })
        })
        .collect();
    let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(breaker.snapshot(KEY).unwrap().counts.refused, CALLERS as u64 - 1);
    drop(answers);
    breaker.permit(KEY).unwrap().succeed();
}

#[test]
fn a_flood_of_keys_is_bounded_and_forgets_no_outage_first() {
    let (breaker, _clock) = breaker(Policy {
        max_circuits: 100,
        ..Policy::default()
    });
    trip(&breaker, "down");
    let in_flight = breaker.permit("slow").unwrap();
    for index in 0..100_000 {
        breaker.permit(&format!("key {index}")).unwrap().succeed();
        assert!(breaker.len() <= 100);
    }
    assert_eq!(state(&breaker, "down"), CircuitState::Open);
    in_flight.fail(FaultClass::Platform);
    assert_eq!(breaker.snapshot("slow").unwrap().consecutive_faults, 1);
}

#[test]
fn calls_in_flight_may_exceed_the_bound_and_nothing_panics() {
    let (breaker, _clock) = breaker(Policy {
        max_circuits: 2,
        ..Policy::default()
    });
    let permits: Vec<Permit> = (0..10)
        .map(|index| breaker.permit(&index.to_string()).unwrap())
        .collect();
    assert_eq!(breaker.len(), 10);
    permits.into_iter().for_each(Permit::succeed);
    breaker.permit("one more").unwrap().succeed();
    assert_eq!(breaker.len(), 2);
}

#[test]
fn policies_that_cannot_work_are_refused_by_name() {
    let clock = || ManualClock::at(Timestamp::UNIX_EPOCH);
    let backoff = |initial, max| Backoff {
        initial,
        max,
        ..Backoff::default()
    };
    for (policy, named) in [
        (
            Policy {
                consecutive_faults: 0,
                ..Policy::default()
            },
            "consecutive_faults",
        ),
        (
            Policy {
                probes: 0,
                ..Policy::default()
            },
            "probes",
        ),
        (
            Policy {
                max_circuits: 0,
                ..Policy::default()
            },
            "max_circuits",
        ),
        (
            Policy {
                backoff: backoff(Duration::ZERO, seconds(1)),
                ..Policy::default()
            },
            "backoff",
        ),
        (
            Policy {
                backoff: backoff(seconds(2), seconds(1)),
                ..Policy::default()
            },
            "backoff",
        ),
    ] {
        let error = Breaker::new(policy, clock()).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_clock_at_its_end_does_not_panic() {
    let (breaker, clock) = breaker(Policy::default());
    clock.advance(seconds(u64::from(u32::MAX) * 1_000));
    trip(&breaker, KEY);
    assert_eq!(breaker.permit(KEY).unwrap_err().retry_after(), seconds(30));
}
