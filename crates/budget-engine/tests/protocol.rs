//! Every order of events of two holds with their paid calls, tried by a model checker over the real rules: owners that
//! work, crash, are late or hear late news, calls that cost nothing, less than their worst case, or all of it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    hash::{Hash, Hasher},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use meterbox_budget_engine::{
    Budget, HoldId, HoldRequest, HoldState, Unbudgeted, Window,
    ledger::{Books, HoldAction, IntentId, IntentState, OpenHold},
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use stateright::{Checker, Model, Property};

const OWNERS: usize = 2;
const LIMIT: u64 = 5;
const HELD: u64 = 3;
const WORST: u64 = 2;
const TTL: Duration = Duration::from_secs(10);

struct Protocol;

/// The ledger, and what is true outside it.
#[derive(Debug)]
struct World {
    /// Locked only because the checker's threads share a world.
    books: Mutex<Books>,
    late: bool,
    owners: [Owner; OWNERS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Owner {
    asked: bool,
    intended: bool,
    /// What the provider really bills, once the call is made.
    billed: Option<u64>,
    metered: u64,
    told: bool,
    crashed: bool,
    closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Event {
    Asks(usize),
    Intends(usize),
    /// The provider is called, and will bill this.
    Calls(usize, u64),
    Meters(usize),
    /// The use becomes known: to the owner, or from the provider's bill when the owner is gone.
    Learns(usize),
    Closes(usize),
    Crashes(usize),
    /// More time than a hold has.
    TimePasses,
}

impl Model for Protocol {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        let mut books = Books::default();
        books
            .define(now(false), Budget::new(ana(), usd(LIMIT), Window::Lifetime))
            .unwrap();
        books.take_changes();
        vec![World {
            books: Mutex::new(books),
            late: false,
            owners: Default::default(),
        }]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        if !world.late {
            events.push(Event::TimePasses);
        }
        for (index, owner) in world.owners.iter().enumerate() {
            let works = !owner.crashed && !owner.closed;
            if works && !owner.asked {
                events.push(Event::Asks(index));
            }
            if !owner.asked {
                continue;
            }
            let called = owner.billed.is_some();
            if works {
                events.push(Event::Crashes(index));
                events.push(Event::Closes(index));
            }
            if works && !owner.intended {
                events.push(Event::Intends(index));
            }
            if works && owner.intended && !called {
                events.extend((0..=WORST).map(|cost| Event::Calls(index, cost)));
            }
            if works && called && !owner.told && owner.metered < owner.billed.unwrap_or(0) {
                events.push(Event::Meters(index));
            }
            if called && !owner.told {
                events.push(Event::Learns(index));
            }
        }
    }

    fn next_state(&self, before: &World, event: Event) -> Option<World> {
        let mut world = before.clone();
        let at = now(world.late);
        match event {
            Event::TimePasses => {
                world.late = true;
                world.books().expire(now(true)).unwrap();
            }
            Event::Crashes(index) => world.owners[index].crashed = true,
            Event::Asks(index) => {
                let opened = world.books().open(at, &open(index)).is_ok();
                world.owners[index].asked = opened;
                if !world.owners[index].asked {
                    world.owners[index].closed = true;
                }
            }
            Event::Intends(index) => {
                let intend = HoldAction::Intend {
                    intent: intent(index),
                    line: line(WORST),
                    reference: None,
                };
                let intended = world.books().act(at, hold(index), intend);
                match intended {
                    Ok(_) => world.owners[index].intended = true,
                    // Too late: the call is not made.
                    Err(_) => world.owners[index].closed = true,
                }
            }
            Event::Calls(index, cost) => world.owners[index].billed = Some(cost),
            Event::Meters(index) => {
                world.owners[index].metered += 1;
                act(
                    &world,
                    at,
                    index,
                    HoldAction::Meter {
                        intent: intent(index),
                        lines: vec![line(1)],
                    },
                );
            }
            Event::Learns(index) => {
                let lines = world.owners[index].billed.into_iter().map(line).collect();
                world.owners[index].told = true;
                let resolve = HoldAction::Resolve {
                    intent: intent(index),
                    lines,
                };
                act(&world, at, index, resolve.clone());
                // Told twice is told once.
                act(&world, at, index, resolve);
            }
            Event::Closes(index) => {
                world.owners[index].closed = true;
                act(
                    &world,
                    at,
                    index,
                    HoldAction::Close {
                        state: HoldState::Settled,
                    },
                );
            }
        }
        world.books().take_changes();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("spent and held are within the limit", |_, world: &World| {
                let status = world.books().status(now(world.late), &ana()).unwrap();
                status.spent.saturating_add(status.held) <= status.limit
            }),
            Property::always(
                "whatever may be billed is booked or set aside for it",
                |_, world: &World| {
                    each(world)
                        .all(|(owner, booked, outstanding)| booked + outstanding >= owner.billed.unwrap_or(0))
                },
            ),
            Property::always("what is known is booked exactly once", |_, world: &World| {
                each(world).all(|(owner, booked, outstanding)| {
                    !owner.told || (Some(booked), outstanding) == (owner.billed, 0)
                })
            }),
            Property::always(
                "a call never made costs nothing but its worst case",
                |_, world: &World| {
                    each(world)
                        .all(|(owner, booked, _)| owner.billed.is_some() || booked == 0 || booked == WORST)
                },
            ),
            Property::always("no hold outlives its time", |_, world: &World| {
                !world.late || each_hold_ended_or_newer(world)
            }),
            Property::always("the balance is the sum of the holds", |_, world: &World| {
                let books = world.books();
                let status = books.status(now(world.late), &ana()).unwrap();
                let mut sums = (Usd::ZERO, Usd::ZERO);
                for hold in books.holds() {
                    sums = (
                        sums.0.saturating_add(hold.drawn),
                        sums.1.saturating_add(hold.left()),
                    );
                }
                (status.spent, status.held) == sums
            }),
            Property::sometimes("a crash books a worst case", |_, world: &World| {
                world.owners[0].crashed
                    && each(world).any(|(owner, booked, _)| owner.billed == Some(0) && booked == WORST)
            }),
            Property::sometimes("late news corrects it", |_, world: &World| {
                world.late
                    && world.owners[0].crashed
                    && world.owners[0].told
                    && world.owners[0].billed == Some(1)
            }),
            Property::sometimes("the second owner is refused", |_, world: &World| {
                world.owners[1].closed && !world.owners[1].asked
            }),
        ]
    }
}

/// Owners that have a hold, what is booked for their call, and what its worst case may still add.
fn each(world: &World) -> impl Iterator<Item = (Owner, u64, u64)> {
    let books = world.books();
    let owners = world.owners.iter().enumerate().filter_map(|(index, owner)| {
        let record = books.hold(hold(index))?;
        let open = record
            .intents
            .iter()
            .filter(|intent| intent.state == IntentState::Open);
        let outstanding: u64 = open.map(|intent| dollars(intent.outstanding())).sum();
        Some((*owner, dollars(record.drawn), outstanding))
    });
    owners.collect::<Vec<_>>().into_iter()
}

/// Whoever asked before the time passed has no open hold any more.
fn each_hold_ended_or_newer(world: &World) -> bool {
    let books = world.books();
    let mut holds = books.holds();
    holds.all(|hold| hold.state != HoldState::Open || hold.ends_at() > now(true))
}

fn act(world: &World, at: Timestamp, index: usize, action: HoldAction) {
    world.books().act(at, hold(index), action).unwrap();
}

fn now(late: bool) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(if late { TTL * 2 } else { Duration::ZERO })
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

fn hold(index: usize) -> HoldId {
    format!("00000000-0000-7000-8000-{index:012x}").parse().unwrap()
}

fn intent(index: usize) -> IntentId {
    format!("00000000-0000-7000-9000-{index:012x}").parse().unwrap()
}

fn open(index: usize) -> OpenHold {
    let request = HoldRequest::new([ana()], usd(HELD), "protocol")
        .ttl(TTL)
        .grace(Duration::ZERO);
    OpenHold {
        id: hold(index),
        // The second takes what is left, if that is enough for a call.
        request: if index == 0 {
            request
        } else {
            request.or_at_least(usd(HELD))
        },
        unbudgeted: Unbudgeted::Refuse,
    }
}

fn usd(dollars: u64) -> Usd {
    Usd::from_dollars(u32::try_from(dollars).unwrap())
}

fn dollars(amount: Usd) -> u64 {
    amount.nanos().unsigned_abs() / 1_000_000_000
}

fn line(dollars: u64) -> CostLine {
    CostLine {
        item: "call".into(),
        quantity: dollars,
        unit: "calls".into(),
        amount: usd(dollars),
        estimated: false,
        price: None,
    }
}

impl Clone for World {
    fn clone(&self) -> Self {
        Self {
            books: Mutex::new(self.books().clone()),
            late: self.late,
            owners: self.owners,
        }
    }
}

impl World {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// What tells two worlds apart.
    fn key(&self) -> (bool, [Owner; OWNERS], Vec<String>) {
        let books = self.books();
        let holds = (0..OWNERS).map(|index| format!("{:?}", books.hold(hold(index))));
        (self.late, self.owners, holds.collect())
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[test]
fn no_order_of_events_loses_money_or_counts_it_twice() {
    let checker = Protocol.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    assert!(
        states > 5_000,
        "only {states} states: the model has lost its events"
    );
    println!("{states} states");
}
