//! Random steps on two ledgers: one that keeps all it knows, and one that reads what each step needs. Both answer the
//! same and end the same, whatever windows, edits, top-ups, keys, stops and clocks do, whoever of those who have the
//! other one open does a step, and whichever of its steps cannot be written.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use meterbox_budget_engine::{
    Budget, BudgetError, EntryPage, EventPage, Happening, HoldId, HoldPage, HoldRequest, HoldState,
    LedgerStore, MemoryLedger, PostgresLedger, SqliteLedger, TopUp, TopUpId, Unbudgeted, Window,
    ledger::{HoldAction, IntentId, OpenHold},
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_testkit::PostgresServer;
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use rusqlite::Connection;

const SCOPES: [&str; 4] = ["user/ana", "user/bob", "org/acme", "user/*"];
const KEYS: [Option<&str>; 4] = [None, None, Some("one"), Some("two")];
const OWNERS: [&str; 2] = ["one", "another"];

/// The other ledger cannot write these, in the midst of a step that has written other things before.
const UNWRITABLE: &str = "(NEW.kind = 'drawn' AND NEW.amount = 8000000000)
    OR (NEW.kind = 'intended' AND NEW.amount = 7000000000)
    OR (NEW.kind = 'held' AND NEW.amount = 11000000000)
    OR (NEW.kind = 'topped_up' AND NEW.amount = 13000000000)
    OR (NEW.kind = 'limit_set' AND NEW.amount = 17000000000)
    OR (NEW.kind = 'stopped' AND NEW.note = 'unwritable')";

#[derive(Debug, Clone)]
enum Step {
    Define {
        scope: usize,
        window: usize,
        limit: u64,
        carried: u64,
        is_setting: bool,
    },
    /// Of what was seen when somebody last looked, which may be no longer so.
    Edit {
        scope: usize,
        looks: bool,
        limit: Option<u64>,
        carried: Option<u64>,
    },
    Remove(usize),
    TopUp {
        scope: usize,
        amount: u64,
        minutes: Option<u64>,
    },
    Stop(Option<&'static str>),
    Open {
        scopes: Vec<usize>,
        amount: u64,
        at_least: Option<u64>,
        key: usize,
    },
    Act(usize, Act),
    /// Minutes; clocks are put back too.
    Wait(i64),
    Expire,
    /// Whoever raises or reads events writes as well, and beside what steps remember.
    Raise(u64),
    Turn(usize),
    Advance(usize, usize),
    /// At once, so that they may share a commit.
    Together(Vec<Step>),
    /// A process ends and another begins.
    Reopen,
    /// Connections end, where there are any.
    Disconnect,
}

/// A step, and whose of those who have the other ledger open.
type Turn = (usize, Step);

#[derive(Debug, Clone)]
enum Act {
    Draw(u64, usize),
    Intend(u64),
    Meter(usize, u64),
    Resolve(usize, u64),
    Extend(u64),
    Close(HoldState),
}

fn step() -> impl Strategy<Value = Step> {
    // Each opens one hold at most: its name is that of the last.
    let others = prop_oneof![
        6 => (0..6_usize, act()).prop_map(|(hold, act)| Step::Act(hold, act)),
        2 => edit(false),
        1 => Just(Step::Turn(0)),
        1 => Just(Step::Stop(Some("unwritable"))),
    ];
    let company = (opening(), proptest::collection::vec(others, 1..5), 0..5_usize);
    let together = company.prop_map(|(open, mut steps, place)| {
        steps.insert(place.min(steps.len()), open);
        Step::Together(steps)
    });
    prop_oneof![12 => one_step(), 1 => together]
}

fn one_step() -> impl Strategy<Value = Step> {
    let of_some = 0..SCOPES.len();
    let concrete = 0..3_usize;
    let limit = prop_oneof![1 => Just(0), 4 => 1..40_u64];
    // Most budgets are of one window, so that periods of one follow each other.
    let window = prop_oneof![4 => Just(0), 1 => 1..4_usize];
    let minutes = prop_oneof![4 => 0..5_i64, 3 => 5..90_i64, 1 => 90..3_000_i64, 1 => -90..0_i64];
    prop_oneof![
        4 => (of_some.clone(), window, limit, 0..20_u64, any::<bool>()).prop_map(
            |(scope, window, limit, carried, is_setting)| Step::Define { scope, window, limit, carried, is_setting }
        ),
        4 => any::<bool>().prop_flat_map(edit),
        2 => of_some.prop_map(Step::Remove),
        2 => (concrete.clone(), 1..20_u64, proptest::option::of(1..300_u64))
            .prop_map(|(scope, amount, minutes)| Step::TopUp { scope, amount, minutes }),
        1 => prop_oneof![1 => Just(Some("enough")), 1 => Just(Some("unwritable")), 3 => Just(None)].prop_map(Step::Stop),
        12 => opening(),
        20 => (0..12_usize, act()).prop_map(|(hold, act)| Step::Act(hold, act)),
        6 => minutes.prop_map(Step::Wait),
        1 => Just(Step::Expire),
        2 => (1..6_u64).prop_map(Step::Raise),
        4 => (0..OWNERS.len()).prop_map(Step::Turn),
        2 => (0..OWNERS.len(), 0..6_usize).prop_map(|(owner, event)| Step::Advance(owner, event)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Disconnect),
    ]
}

/// What goes on where budgets stay as they are: small holds come and go, and what is remembered is used.
fn calm_step() -> impl Strategy<Value = Step> {
    let concrete = || 0..3_usize;
    let open = (
        proptest::collection::btree_set(concrete(), 1..3),
        1..5_u64,
        proptest::option::of(Just(1)),
    );
    prop_oneof![
        60 => open.prop_map(|(scopes, amount, at_least)| Step::Open {
            scopes: scopes.into_iter().collect(),
            amount,
            at_least,
            key: 0,
        }),
        40 => (0..3_usize, act()).prop_map(|(hold, act)| Step::Act(hold, act)),
        20 => (0..6_usize).prop_map(|hold| Step::Act(hold, Act::Close(HoldState::Released))),
        3 => (0..3_i64).prop_map(Step::Wait),
        3 => (concrete(), 1..30_u64).prop_map(|(scope, limit)| budget_of(scope, limit)),
        4 => any::<bool>().prop_flat_map(edit),
        1 => (concrete(), 1..5_u64, Just(None)).prop_map(|(scope, amount, minutes)| Step::TopUp { scope, amount, minutes }),
        4 => prop_oneof![1 => Just(Some("enough")), 2 => Just(None)].prop_map(Step::Stop),
        2 => Just(Step::Turn(0)),
    ]
}

fn edit(looks: bool) -> impl Strategy<Value = Step> {
    let limit = proptest::option::of(prop_oneof![1 => Just(0), 4 => 1..40_u64]);
    let carried = proptest::option::of(0..20_u64);
    (0..SCOPES.len(), limit, carried).prop_map(move |(scope, limit, carried)| Step::Edit {
        scope,
        looks,
        limit,
        carried,
    })
}

fn budget_of(scope: usize, limit: u64) -> Step {
    Step::Define {
        scope,
        window: 3,
        limit,
        carried: 0,
        is_setting: false,
    }
}

/// One does a few steps in a row most often: only then is anything remembered.
fn turns(step: impl Strategy<Value = Step>, length: usize) -> impl Strategy<Value = Vec<Turn>> {
    let turn = (prop_oneof![2 => Just(false), 1 => Just(true)], 0..60_usize, step);
    proptest::collection::vec(turn, length / 2..length).prop_map(|turns| {
        let mut who = 0;
        let in_turn = turns.into_iter().map(|(changes, next, step)| {
            who = if changes { next } else { who };
            (who, step)
        });
        in_turn.collect()
    })
}

fn opening() -> impl Strategy<Value = Step> {
    let concrete = 0..3_usize;
    (
        proptest::collection::btree_set(concrete, 1..3),
        1..12_u64,
        proptest::option::of(1..6_u64),
        0..KEYS.len(),
    )
        .prop_map(|(scopes, amount, at_least, key)| Step::Open {
            scopes: scopes.into_iter().collect(),
            amount,
            at_least: at_least.map(|least| least.min(amount)),
            key,
        })
}

fn act() -> impl Strategy<Value = Act> {
    let states = prop_oneof![
        Just(HoldState::Settled),
        Just(HoldState::Released),
        Just(HoldState::Dropped)
    ];
    prop_oneof![
        3 => (0..9_u64, 0..KEYS.len()).prop_map(|(amount, key)| Act::Draw(amount, key)),
        2 => (0..8_u64).prop_map(Act::Intend),
        1 => (0..3_usize, 0..6_u64).prop_map(|(intent, amount)| Act::Meter(intent, amount)),
        2 => (0..3_usize, 0..9_u64).prop_map(|(intent, amount)| Act::Resolve(intent, amount)),
        1 => (1..90_u64).prop_map(Act::Extend),
        3 => states.prop_map(Act::Close),
    ]
}

/// What both ledgers are asked, and what they are called by.
struct World {
    now: Timestamp,
    holds: Vec<HoldId>,
    intents: Vec<IntentId>,
    /// What there was of each of [`SCOPES`] when somebody looked who was about to edit it.
    seen: [Option<Budget>; SCOPES.len()],
}

impl World {
    fn new() -> Self {
        Self {
            now: "2026-11-26T22:40:00Z".parse().unwrap(),
            holds: Vec::new(),
            intents: Vec::new(),
            seen: Default::default(),
        }
    }

    fn after(&self, minutes: u64) -> Timestamp {
        self.now.saturating_add(Duration::from_secs(minutes * 60))
    }

    /// A name that both have for it.
    fn name<T: std::str::FromStr>(number: usize) -> Option<T> {
        format!("00000000-0000-7000-8000-{number:012x}").parse().ok()
    }

    /// Has both do the step, but for one that the other could not write: that is as if nobody had asked for it.
    async fn step(
        &mut self,
        memory: &MemoryLedger,
        others: &[impl LedgerStore],
        who: usize,
        step: &Step,
        keeps_order: bool,
    ) {
        if let Step::Wait(minutes) = step {
            let moved = self.now.as_micros() + minutes * 60_000_000;
            self.now = Timestamp::from_micros(moved).unwrap();
        }
        if let Step::Edit {
            scope, looks: true, ..
        } = step
        {
            let budgets = memory.budgets().await.unwrap();
            self.seen[*scope] = budgets.into_iter().find(|budget| budget.scope == of(*scope));
        }
        let steps = match step {
            Step::Together(steps) => steps.as_slice(),
            step => std::slice::from_ref(step),
        };
        if steps.iter().any(|step| matches!(step, Step::Open { .. })) {
            self.holds.push(Self::name(self.holds.len()).unwrap());
        }
        if steps
            .iter()
            .any(|step| matches!(step, Step::Act(_, Act::Intend(_))))
        {
            self.intents.push(Self::name(self.intents.len()).unwrap());
        }
        let top_up = TopUpId::new(self.now);
        let there = self
            .asked_together(&others[who], steps, top_up, keeps_order)
            .await;
        for (step, there) in steps.iter().zip(there) {
            if !there.starts_with("Err(Store(") {
                assert_eq!(self.asked(memory, step, top_up).await, there, "{step:?}");
            }
        }
        let budgets = memory.budgets().await.unwrap();
        for other in others {
            let there = read(async || other.budgets().await).await;
            assert_eq!(budgets, there, "{step:?}");
        }
        for name in ["user/ana", "user/bob", "org/acme"] {
            let scope: Scope = name.parse().unwrap();
            let here = memory.status(self.now, &scope).await.unwrap();
            for other in others {
                let there = read(async || other.status(self.now, &scope).await).await;
                assert_eq!(here, there, "{step:?}");
            }
        }
    }

    /// At once, where the store does what comes first before what comes next, and else one after the other.
    async fn asked_together(
        &self,
        store: &dyn LedgerStore,
        steps: &[Step],
        top_up: TopUpId,
        keeps_order: bool,
    ) -> Vec<String> {
        let mut waiting: Vec<_> = steps
            .iter()
            .map(|step| self.asked(store, step, top_up))
            .map(Box::pin)
            .collect();
        let mut said = vec![None; steps.len()];
        std::future::poll_fn(|context| {
            for (asked, said) in waiting.iter_mut().zip(&mut said) {
                if said.is_none()
                    && let Poll::Ready(answer) = asked.as_mut().poll(context)
                {
                    *said = Some(answer);
                }
                if said.is_none() && !keeps_order {
                    return Poll::Pending;
                }
            }
            if said.iter().all(Option::is_some) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        said.into_iter().flatten().collect()
    }

    async fn asked(&self, store: &dyn LedgerStore, step: &Step, top_up: TopUpId) -> String {
        let now = self.now;
        match step {
            Step::Define {
                scope,
                window,
                limit,
                carried,
                is_setting,
            } => {
                let window = window_of(*window);
                let carried = if matches!(window, Window::Calendar(..)) {
                    *carried
                } else {
                    0
                };
                let budget = Budget::new(of(*scope), dollars(*limit), window).carrying_over(dollars(carried));
                match is_setting {
                    true => format!("{:?}", store.provision(now, budget).await),
                    false => format!("{:?}", store.define(now, budget).await),
                }
            }
            Step::Edit {
                scope,
                limit,
                carried,
                ..
            } => {
                let before = self.seen[*scope].clone();
                let new = || Budget::new(of(*scope), dollars(1), window_of(0));
                let mut after = before.clone().unwrap_or_else(new);
                after.limit = limit.map_or(after.limit, dollars);
                let carries = matches!(after.window, Window::Calendar(..));
                let carried = carried.filter(|_| carries).map(dollars);
                after.carry_over = carried.unwrap_or(after.carry_over);
                format!("{:?}", store.edit(now, before, after).await)
            }
            Step::Remove(scope) => format!("{:?}", store.remove(now, &of(*scope)).await),
            Step::TopUp {
                scope,
                amount,
                minutes,
            } => {
                let top_up = TopUp {
                    id: top_up,
                    scope: of(*scope),
                    amount: dollars(*amount),
                    granted_at: now,
                    expires_at: minutes.map(|minutes| self.after(minutes)),
                    note: "more".to_owned(),
                };
                format!("{:?}", store.top_up(now, top_up).await)
            }
            Step::Stop(reason) => format!("{:?}", store.stop(now, reason.map(str::to_owned)).await),
            Step::Open {
                scopes,
                amount,
                at_least,
                key,
            } => {
                let scopes = scopes.iter().map(|scope| of(*scope));
                let mut request = HoldRequest::new(scopes, dollars(*amount), "alike")
                    .ttl(Duration::from_secs(20 * 60))
                    .grace(Duration::from_secs(60));
                request.scopes.sort();
                request.at_least = at_least.map(dollars);
                request.idempotency_key = KEYS[*key].map(str::to_owned);
                let open = OpenHold {
                    id: *self.holds.last().unwrap(),
                    request,
                    unbudgeted: Unbudgeted::Refuse,
                };
                format!("{:?}", store.open(now, open).await)
            }
            Step::Act(hold, act) => {
                let Some(hold) = self.holds.iter().rev().nth(*hold) else {
                    return String::new();
                };
                let Some(action) = self.action(act) else {
                    return String::new();
                };
                format!("{:?}", store.act(now, *hold, action).await)
            }
            Step::Wait(_) | Step::Reopen | Step::Disconnect | Step::Together(_) => String::new(),
            Step::Expire => {
                let mut ended = read(async || store.expire(now).await).await;
                ended.sort_by_key(|settlement| settlement.hold);
                format!("{ended:?}")
            }
            Step::Raise(number) => format!("{:?}", store.raise(now, *number, Happening::Resumed).await),
            Step::Turn(owner) => {
                let turn = store
                    .take_turn(now, "webhooks", OWNERS[*owner], self.after(1))
                    .await;
                format!("{:?}", events_after(store, turn).await)
            }
            Step::Advance(owner, event) => {
                let seq = match events_after(store, Ok(Some(0))).await {
                    Ok(Some(events)) => events.get(*event).map_or(0, |(seq, _)| *seq),
                    other => return format!("{other:?}"),
                };
                let advanced = store.advance("webhooks", OWNERS[*owner], seq);
                format!("{:?}", advanced.await)
            }
        }
    }

    fn action(&self, act: &Act) -> Option<HoldAction> {
        let intent = |number: &usize| self.intents.iter().rev().nth(*number).copied();
        Some(match act {
            Act::Draw(amount, key) => HoldAction::Draw {
                key: KEYS[*key].map(str::to_owned),
                line: line(*amount),
            },
            Act::Intend(amount) => HoldAction::Intend {
                intent: *self.intents.last()?,
                line: line(*amount),
                reference: None,
            },
            Act::Meter(number, amount) => HoldAction::Meter {
                intent: intent(number)?,
                lines: vec![line(*amount)],
            },
            Act::Resolve(number, amount) => HoldAction::Resolve {
                intent: intent(number)?,
                lines: vec![line(*amount)],
            },
            Act::Extend(minutes) => HoldAction::Extend {
                until: self.after(*minutes),
            },
            Act::Close(state) => HoldAction::Close { state: *state },
        })
    }
}

/// The place and number of each.
struct Events(Vec<(u64, u64)>);

impl std::ops::Deref for Events {
    type Target = [(u64, u64)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(_, number)| number))
            .finish()
    }
}

fn of(scope: usize) -> Scope {
    SCOPES[scope].parse().unwrap()
}

fn window_of(window: usize) -> Window {
    match window {
        0 => "hour UTC",
        1 => "day Europe/Berlin",
        2 => "rolling 1h",
        _ => "lifetime",
    }
    .parse()
    .unwrap()
}

fn dollars(dollars: u64) -> Usd {
    Usd::from_nanos(dollars * 1_000_000_000).unwrap()
}

fn line(amount: u64) -> CostLine {
    CostLine {
        item: "call".into(),
        quantity: amount,
        unit: "calls".into(),
        amount: dollars(amount),
        estimated: false,
        price: None,
    }
}

/// Those that a reader has not heard of. Their places rise, and are not the same everywhere.
async fn events_after(
    store: &dyn LedgerStore,
    after: Result<Option<u64>, BudgetError>,
) -> Result<Option<Events>, BudgetError> {
    let Some(after) = after? else { return Ok(None) };
    let events = store.events(EventPage { after, limit: 100 }).await?;
    let numbers = events.iter().map(|event| (event.seq, event.number));
    Ok(Some(Events(numbers.collect())))
}

/// What is kept of holds, and what each hold's entries say. Places in the ledger are not the same everywhere: holds that
/// expire together end in any order.
async fn kept(store: &dyn LedgerStore) -> (String, Vec<String>) {
    let holds = HoldPage {
        limit: 10_000,
        ..HoldPage::default()
    };
    let all = EntryPage {
        after: 0,
        limit: 100_000,
    };
    let entries = store.entries(all).await.unwrap();
    let mut told: Vec<_> = entries.iter().map(|entry| (entry.body.hold, entry)).collect();
    told.sort_by_key(|(hold, entry)| (*hold, entry.seq));
    let told = told
        .iter()
        .map(|(_, entry)| format!("{} {:?}", entry.at, entry.body))
        .collect();
    (format!("{:?}", store.holds(holds).await.unwrap()), told)
}

/// The same steps each time, so that a build fails for what was changed; `METERBOX_SEED=7` has others.
fn seed() -> RngSeed {
    let given = std::env::var("METERBOX_SEED").ok();
    RngSeed::Fixed(given.and_then(|seed| seed.parse().ok()).unwrap_or(1))
}

/// Connections that have ended are found out by whoever comes next, and reading has no second try of its own.
async fn read<T>(question: impl AsyncFn() -> Result<T, BudgetError>) -> T {
    for _ in 0..8 {
        if let Ok(answer) = question().await {
            return answer;
        }
    }
    question().await.unwrap()
}

/// Where the other ledger is kept.
trait Place {
    type Store: LedgerStore;
    /// Are steps that wait together done in the order in which they came?
    const KEEPS_ORDER: bool;

    async fn open(&self) -> Self::Store;

    /// Ends all connections to it, where there are such.
    fn disconnect(&self);
}

/// With so many who have the other ledger open, each in places of their own.
fn check<P: Place>(cases: u32, length: usize, openers: usize, new_place: impl Fn() -> P) {
    check_turns(cases, turns(step(), length), openers, new_place);
}

/// The same where budgets are there from the start, and change seldom.
fn check_calm<P: Place>(cases: u32, length: usize, openers: usize, new_place: impl Fn() -> P) {
    let turns = turns(calm_step(), length).prop_map(|turns| {
        let begin = (0..3).map(|scope| (0, budget_of(scope, 12)));
        begin.chain(turns).collect()
    });
    check_turns(cases, turns, openers, new_place);
}

fn check_turns<P: Place>(
    cases: u32,
    turns: impl Strategy<Value = Vec<Turn>>,
    openers: usize,
    new_place: impl Fn() -> P,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        rng_seed: seed(),
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&turns, |turns| {
            runtime.block_on(async {
                let (memory, place) = (MemoryLedger::new(), new_place());
                let mut others = Vec::new();
                while others.len() < openers {
                    others.push(place.open().await);
                }
                let mut world = World::new();
                for (who, step) in &turns {
                    let who = who % openers;
                    match step {
                        Step::Reopen => others[who] = place.open().await,
                        Step::Disconnect => place.disconnect(),
                        _ => {}
                    }
                    world.step(&memory, &others, who, step, P::KEEPS_ORDER).await;
                }
                let other = &others[0];
                read(async || other.entries(EntryPage { after: 0, limit: 1 }).await).await;
                assert_eq!(kept(&memory).await, kept(other).await);
                let reports = [memory.verify().await.unwrap(), other.verify().await.unwrap()];
                for report in reports {
                    assert!(report.is_clean(), "{report:?}");
                }
            });
            Ok(())
        })
        .unwrap();
}

struct File {
    /// Goes with this.
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("ledger.sqlite3");
        drop(SqliteLedger::open(&path).unwrap());
        let sql = format!(
            "CREATE TRIGGER unwritable AFTER INSERT ON entries WHEN {UNWRITABLE}
             BEGIN SELECT RAISE(ABORT, 'on purpose'); END"
        );
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }
}

impl Place for File {
    type Store = SqliteLedger;
    const KEEPS_ORDER: bool = true;

    async fn open(&self) -> SqliteLedger {
        SqliteLedger::open(&self.path).unwrap()
    }

    fn disconnect(&self) {}
}

struct Served {
    server: &'static PostgresServer,
    address: String,
    is_ready: AtomicBool,
}

impl Served {
    fn new(server: &'static PostgresServer) -> Self {
        Self {
            server,
            address: server.database(),
            is_ready: AtomicBool::new(false),
        }
    }
}

impl Place for Served {
    type Store = PostgresLedger;
    const KEEPS_ORDER: bool = false;

    async fn open(&self) -> PostgresLedger {
        let ledger = PostgresLedger::connect(&self.address).await.unwrap();
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            let sql = format!(
                "SET search_path = meterbox_ledger;
                 CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
                     BEGIN RAISE EXCEPTION 'on purpose'; END $$;
                 CREATE TRIGGER unwritable AFTER INSERT ON entries FOR EACH ROW WHEN ({UNWRITABLE})
                     EXECUTE FUNCTION fail();"
            );
            self.server.sql(&self.address, &sql).unwrap();
        }
        ledger
    }

    fn disconnect(&self) {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'meterbox'";
        self.server.sql(&self.address, sql).unwrap();
    }
}

#[test]
fn the_sqlite_ledger_is_as_the_memory_ledger() {
    check(24, 160, 1, File::new);
}

/// Each remembers what it has read, and finds out that the other has written since.
#[test]
fn two_hands_on_one_file_are_as_the_memory_ledger() {
    check(24, 160, 2, File::new);
}

#[test]
fn the_postgres_ledger_is_as_the_memory_ledger() {
    if let Some(server) = PostgresServer::shared() {
        check(6, 120, 1, || Served::new(server));
    }
}

/// Each remembers what it has read, and finds out that the other has written since.
#[test]
fn two_replicas_are_as_the_memory_ledger() {
    if let Some(server) = PostgresServer::shared() {
        check(6, 120, 2, || Served::new(server));
    }
}

/// Nearly all is decided by what is remembered.
#[test]
fn two_hands_on_one_file_that_remember_are_as_the_memory_ledger() {
    check_calm(12, 160, 2, File::new);
}

/// Nearly all is decided by what is remembered.
#[test]
fn two_replicas_that_remember_are_as_the_memory_ledger() {
    if let Some(server) = PostgresServer::shared() {
        check_calm(6, 160, 2, || Served::new(server));
    }
}
