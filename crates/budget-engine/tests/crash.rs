//! kill -9 at random moments, again and again, over ledgers that are never repaired.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    collections::BTreeMap,
    env,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, EntryKind, EntryPage, Hold, HoldFilter, HoldPage, HoldRequest,
    PostgresLedger, SqliteLedger, Window,
};
use meterbox_core::{Scope, SystemClock, Usd, contract::CostLine};
use meterbox_testkit::PostgresServer;

const LEDGER: &str = "METERBOX_TEST_LEDGER";
const NAME: &str = "METERBOX_TEST_NAME";
/// How many kills; 1,000 for the long form.
const POINTS: &str = "METERBOX_CRASH_POINTS";
const POINTS_BY_DEFAULT: u32 = 15;
/// So many kills share a ledger: each is followed by adding up all of it.
const POINTS_OF_A_LEDGER: u32 = 100;
const TTL: Duration = Duration::from_millis(500);
const LONGEST_LIFE: u64 = 150;
const CALLERS: usize = 4;

/// A file, or the address of a database.
async fn engine(ledger: &str) -> BudgetEngine {
    let clock = SystemClock::default();
    if ledger.starts_with("host=") {
        BudgetEngine::new(PostgresLedger::connect(ledger).await.unwrap(), clock)
    } else {
        BudgetEngine::new(SqliteLedger::open(ledger).unwrap(), clock)
    }
}

/// Not a test of its own: the process that is killed. Its callers draw and say so as soon as the ledger has
/// answered; some holds they settle, some they keep.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
// Left out of an ordinary run because it is the program that the tests below start and kill.
#[ignore = "run by the other tests, in a process of its own"]
async fn victim() {
    let (Ok(ledger), Ok(name)) = (env::var(LEDGER), env::var(NAME)) else {
        return;
    };
    let engine = engine(&ledger).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(spend(engine.clone(), format!("{name}-{caller}"))))
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

async fn spend(engine: BudgetEngine, name: String) {
    let scopes: [Scope; 2] = ["user/ana".parse().unwrap(), "org/acme".parse().unwrap()];
    let mut kept: Vec<Hold> = Vec::new();
    let mut stdout = std::io::stdout();
    for round in 0_u32.. {
        let key = format!("{name}-{round}");
        let request = HoldRequest::new(scopes.clone(), Usd::from_dollars(1), "soon killed")
            .idempotency_key(&key)
            .ttl(TTL)
            .grace(Duration::ZERO);
        let hold = engine.hold(request).await.unwrap();
        hold.draw_once(key.as_str(), a_little(&key)).await.unwrap();
        // Past the harness, which keeps what is printed.
        writeln!(stdout, "drawn {key}").unwrap();
        kept.push(hold);
        if kept.len() > 3 {
            match kept.remove(0).settle().await {
                // It was slow, and its hold expired.
                Ok(_) | Err(BudgetError::AlreadyEnded(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
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
struct Victim {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Victim {
    fn start(ledger: &str, name: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "victim", "--ignored", "--nocapture"])
            .env(LEDGER, ledger)
            .env(NAME, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                // The harness writes to the same pipe.
                if let Some((_, key)) = line.split_once("drawn ") {
                    say.send(key.to_owned()).unwrap();
                }
            }
        });
        Self { child, said }
    }

    /// SIGKILL, some time after the first draw; what it had said by then.
    fn kill_after(mut self, life: Duration) -> Vec<String> {
        let first = self.said.recv_timeout(Duration::from_secs(30));
        let first = first.expect("the process draws");
        thread::sleep(life);
        assert!(
            self.child.try_wait().unwrap().is_none(),
            "it worked until it was killed"
        );
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::once(first).chain(self.said.iter()).collect()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many kills as are asked for, over ledgers that this names; returns what was seen, for who wants to know.
async fn survive_crashes(mut new_ledger: impl FnMut() -> String) -> Vec<String> {
    let mut seen = Vec::new();
    let points = env::var(POINTS).map_or(POINTS_BY_DEFAULT, |points| points.parse().unwrap());
    for first in (0..points).step_by(POINTS_OF_A_LEDGER as usize) {
        let points = points.min(first + POINTS_OF_A_LEDGER) - first;
        seen.push(survives_crashes(&new_ledger(), points).await);
    }
    seen
}

async fn survives_crashes(ledger: &str, points: u32) -> String {
    let engine = engine(ledger).await;
    for scope in ["user/*", "org/acme"] {
        let limit = Usd::from_dollars(1_000);
        let budget = Budget::new(scope.parse().unwrap(), limit, Window::Lifetime);
        engine.define(budget).await.unwrap();
    }
    let mut said: Vec<String> = Vec::new();
    for point in 0..points {
        let life = RandomState::new().hash_one(point) % LONGEST_LIFE;
        let victim = Victim::start(ledger, &point.to_string());
        said.extend(victim.kill_after(Duration::from_millis(life)));
        let report = engine.verify().await.unwrap();
        assert!(report.is_clean(), "right after kill {point}: {report:?}");

        thread::sleep(TTL);
        engine.expire().await.unwrap();
        let open = HoldPage {
            only: HoldFilter::Open,
            ..HoldPage::default()
        };
        assert_eq!(
            engine.holds(open).await.unwrap(),
            [],
            "alive past their time after kill {point}"
        );
    }
    let mut drawn: BTreeMap<String, u32> = BTreeMap::new();
    let mut spent = Usd::ZERO;
    let all = EntryPage {
        after: 0,
        limit: usize::MAX,
    };
    for entry in engine.entries(all).await.unwrap() {
        if let (EntryKind::Drawn, Some(line)) = (entry.body.kind, entry.body.line) {
            spent = spent.checked_add(line.amount).unwrap();
            *drawn.entry(line.item).or_default() += 1;
        }
    }
    for key in &said {
        assert_eq!(drawn.get(key), Some(&1), "{key} was acknowledged");
    }
    assert!(drawn.values().all(|times| *times == 1), "nothing is doubled");
    let status = engine.status(&"user/ana".parse().unwrap()).await.unwrap();
    assert_eq!((status.spent, status.held), (spent, Usd::ZERO));
    let report = engine.verify().await.unwrap();
    assert!(report.is_clean() && report.open_holds == 0, "{report:?}");
    format!(
        "{points} kills, {} draws acknowledged, {} kept",
        said.len(),
        drawn.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_loses_and_doubles_nothing_when_killed() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut files = (0..).map(|number| folder.path().join(format!("ledger-{number}.sqlite3")));
    let seen = survive_crashes(|| files.next().unwrap().to_str().unwrap().to_owned()).await;
    println!("{}", seen.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_loses_and_doubles_nothing_when_its_client_is_killed() {
    if let Some(server) = PostgresServer::shared() {
        let seen = survive_crashes(|| server.database()).await;
        println!("{}", seen.join("\n"));
    }
}
