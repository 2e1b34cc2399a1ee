//! Two processes on one ledger, in a SQLite file and in Postgres, one of them killed in the middle of its work.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, BudgetStatus, EntryKind, EntryPage, Hold, HoldRequest, PostgresLedger,
    SqliteLedger, Window,
};
use meterbox_core::{Scope, SystemClock, Usd, contract::CostLine};
use meterbox_testkit::PostgresServer;

const LEDGER: &str = "METERBOX_TEST_LEDGER";
const NAME: &str = "METERBOX_TEST_NAME";
const STOP: &str = "METERBOX_TEST_STOP";
const HOLDS_ASKED_FOR: u32 = 1_000;
const TTL: Duration = Duration::from_secs(2);

/// A file, or the address of a database.
async fn engine(ledger: &str) -> BudgetEngine {
    let clock = SystemClock::default();
    if ledger.starts_with("host=") {
        BudgetEngine::new(PostgresLedger::connect(ledger).await.unwrap(), clock)
    } else {
        BudgetEngine::new(SqliteLedger::open(ledger).unwrap(), clock)
    }
}

fn scopes() -> [Scope; 2] {
    ["user/ana".parse().unwrap(), "org/acme".parse().unwrap()]
}

/// Not a test of its own: what each of the two processes does. Asks for a thousand holds and then for more
/// until the file `stop` appears; draws a little of each and keeps six under way, so that the two want more
/// than ten dollars at once.
#[tokio::test]
// Left out of an ordinary run because it is the program that the test below starts twice.
#[ignore = "run by the other test, in a process of its own"]
async fn one_process() {
    let (Ok(ledger), Ok(name), Some(stop)) = (env::var(LEDGER), env::var(NAME), env::var_os(STOP)) else {
        return;
    };
    let engine = engine(&ledger).await;
    let stop = Path::new(&stop);
    let mut under_way: Vec<Hold> = Vec::new();
    let mut asked = 0;
    while asked < HOLDS_ASKED_FOR || !stop.exists() {
        asked += 1;
        let request = HoldRequest::new(scopes(), Usd::from_dollars(1), "one of many")
            .ttl(TTL)
            .grace(Duration::ZERO);
        let refused = match engine.hold(request).await {
            Ok(hold) => {
                hold.draw(a_little(&name)).await.unwrap();
                under_way.push(hold);
                false
            }
            Err(BudgetError::Refused { .. }) => true,
            Err(error) => panic!("{error}"),
        };
        if (refused || under_way.len() == 6) && !under_way.is_empty() {
            under_way.remove(0).settle().await.unwrap();
        }
    }
    for hold in under_way {
        hold.settle().await.unwrap();
    }
}

fn a_little(item: &str) -> CostLine {
    CostLine {
        item: item.into(),
        quantity: 1,
        unit: "calls".into(),
        amount: "0.00001".parse().unwrap(),
        estimated: false,
        price: None,
    }
}

/// A process that is killed with its handle, so that a failing test leaves none behind.
struct Worker(Child);

impl Worker {
    fn start(name: &str, ledger: &str, stop: &Path) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "one_process", "--ignored"])
            .env(LEDGER, ledger)
            .env(NAME, name)
            .env(STOP, stop)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn is_at_work(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks at the ledger from a third process, and counts whose draws it has seen.
struct Observer {
    engine: BudgetEngine,
    last_seq: u64,
    draws: BTreeMap<String, u32>,
    drawn: Usd,
}

impl Observer {
    async fn look(&mut self) -> BudgetStatus {
        let [user, _] = scopes();
        let status = self.engine.status(&user).await.unwrap();
        assert!(
            status.spent.checked_add(status.held).unwrap() <= status.limit,
            "{status:?}"
        );
        let page = EntryPage {
            after: self.last_seq,
            limit: usize::MAX,
        };
        for entry in self.engine.entries(page).await.unwrap() {
            self.last_seq = entry.seq;
            if let (EntryKind::Drawn, Some(line)) = (entry.body.kind, entry.body.line) {
                *self.draws.entry(line.item).or_default() += 1;
                self.drawn = self.drawn.checked_add(line.amount).unwrap();
            }
        }
        status
    }

    fn draws_by(&self, name: &str) -> u32 {
        self.draws.get(name).copied().unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overspent_lost_or_kept_when_one_of_two_is_killed() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    one_of_two_is_killed(folder.path().join("ledger.sqlite3").to_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overspent_lost_or_kept_in_postgres_when_one_of_two_is_killed() {
    if let Some(server) = PostgresServer::shared() {
        one_of_two_is_killed(&server.database()).await;
    }
}

async fn one_of_two_is_killed(ledger: &str) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let stop = folder.path().join("stop");
    let engine = engine(ledger).await;
    for scope in ["user/*", "org/acme"] {
        let budget = Budget::new(
            scope.parse().unwrap(),
            Usd::from_dollars(10),
            Window::month("UTC").unwrap(),
        );
        engine.define(budget).await.unwrap();
    }
    let mut observer = Observer {
        engine,
        last_seq: 0,
        draws: BTreeMap::new(),
        drawn: Usd::ZERO,
    };

    let [mut victim, mut survivor] = ["victim", "survivor"].map(|name| Worker::start(name, ledger, &stop));
    while observer.draws_by("victim") < 50 || observer.draws_by("survivor") < 50 {
        observer.look().await;
        assert!(victim.is_at_work() && survivor.is_at_work());
    }
    victim.kill();
    let status = observer.look().await;
    let (before, by_victim) = (observer.draws_by("survivor"), observer.draws_by("victim"));
    assert!(status.held > Usd::ZERO, "the victim died with money set aside");
    assert!(observer.engine.verify().await.unwrap().is_clean());
    while observer.draws_by("survivor") < before + 200 {
        observer.look().await;
        assert!(survivor.is_at_work());
    }
    fs::write(&stop, "").unwrap();
    while survivor.is_at_work() {
        observer.look().await;
    }
    assert!(survivor.0.wait().unwrap().success());

    thread::sleep(TTL);
    let status = observer.look().await;
    assert_eq!(status.held, Usd::ZERO, "what the dead process held is free again");
    assert_eq!(status.spent, observer.drawn, "and what it drew is booked");
    assert_eq!(observer.draws_by("victim"), by_victim);
    let report = observer.engine.verify().await.unwrap();
    assert!(report.is_clean() && report.open_holds == 0, "{report:?}");
}

/// A thousand one-dollar holds that nobody settles, over two connections at once: ten are admitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dollars_asked_of_ten_gets_ten() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    ten_of_a_thousand(folder.path().join("ledger.sqlite3").to_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_dollars_asked_of_ten_in_postgres_gets_ten() {
    if let Some(server) = PostgresServer::shared() {
        ten_of_a_thousand(&server.database()).await;
    }
}

/// Over two connections at once, ten raise the limit and ten what is carried over, each from what it has read: all
/// twenty count, as they would one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_two_undo_none() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    twenty_edits(folder.path().join("ledger.sqlite3").to_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_two_in_postgres_undo_none() {
    if let Some(server) = PostgresServer::shared() {
        twenty_edits(&server.database()).await;
    }
}

async fn twenty_edits(ledger: &str) {
    let engines = [engine(ledger).await, engine(ledger).await];
    let month = Window::month("UTC").unwrap();
    let budget = Budget::new("user/*".parse().unwrap(), Usd::from_dollars(10), month);
    engines[0].define(budget).await.unwrap();
    let editors: Vec<_> = (0..20_usize)
        .map(|editor| {
            let engine = engines[editor % 2].clone();
            tokio::spawn(async move {
                let mut before = engine.budgets().await.unwrap().remove(0);
                loop {
                    let mut after = before.clone();
                    let part = match editor < 10 {
                        true => &mut after.limit,
                        false => &mut after.carry_over,
                    };
                    *part = part.saturating_add(Usd::from_dollars(1));
                    match engine.edit(Some(before), after).await {
                        Err(BudgetError::Changed { found, .. }) => before = *found.unwrap(),
                        edited => return edited.unwrap(),
                    }
                }
            })
        })
        .collect();
    for editor in editors {
        editor.await.unwrap();
    }
    for engine in engines {
        let budget = engine.budgets().await.unwrap().remove(0);
        assert_eq!([budget.limit, budget.carry_over], [20, 10].map(Usd::from_dollars));
    }
}

async fn ten_of_a_thousand(ledger: &str) {
    let engines = [engine(ledger).await, engine(ledger).await];
    let budget = Budget::new("user/*".parse().unwrap(), Usd::from_dollars(10), Window::Lifetime);
    engines[0].define(budget).await.unwrap();
    let callers: Vec<_> = (0..1_000)
        .map(|caller: usize| {
            let engine = engines[caller % 2].clone();
            let [user, _] = scopes();
            tokio::spawn(async move {
                engine
                    .hold(HoldRequest::new([user], Usd::from_dollars(1), "storm"))
                    .await
                    .ok()
            })
        })
        .collect();
    let mut admitted = Vec::new();
    for caller in callers {
        admitted.extend(caller.await.unwrap());
    }
    assert_eq!(admitted.len(), 10);
    assert!(engines[1].verify().await.unwrap().is_clean());
}
