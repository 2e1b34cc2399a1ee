//! Hold and settle: in memory over many keys and much history, and durably for many clients at once.
//!
//! `cargo bench -p meterbox-benches --bench ledger [memory|durable|postgres|peers|profile KEYS SCOPES PAIRS]`. Beside the memory ledger stands a counter in a
//! mutex, which is what people write who have no ledger; beside the durable one a table with a reserved column and one
//! transaction for each operation (otari's idea), and what the disk takes for one `fdatasync`. `peers` is a thousand
//! callers who ask ten dollars for a dollar each, and how long one caller takes, here and of floe-guard, LiteLLM and
//! TensorZero, which are Python; `README.md` beside this file has what others there are. It fails where a figure is off its target
//! by more than twice.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark times, prints, and stops where it cannot go on"
)]

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use meterbox_benches::{Targets, Timings, load, resident_megabytes};
use meterbox_budget_engine::{
    Budget, BudgetEngine, HoldRequest, LedgerStore, MemoryLedger, PostgresLedger, SqliteLedger, Window,
};
use meterbox_core::{Scope, SystemClock, Usd, contract::CostLine};
use meterbox_testkit::{PostgresServer, peer_python};
use rusqlite::Connection;
use tokio_postgres::NoTls;

const PAIRS: usize = 200_000;
const ROUNDS: usize = 5;
const DURABLE_TIME: Duration = Duration::from_secs(4);

/// The steps are the same in SQLite.
const PLAIN: &str =
    "CREATE TABLE budgets (id integer PRIMARY KEY, spend_limit bigint, spent bigint, reserved bigint);
    INSERT INTO budgets SELECT id, 4000000000000000000, 0, 0 FROM generate_series(0, 63) AS id";
const RESERVE: &str =
    "UPDATE budgets SET reserved = reserved + 1000 WHERE id = $1 AND spent + reserved + 1000 <= spend_limit";
const SETTLE: &str = "UPDATE budgets SET reserved = reserved - 1000, spent = spent + 1000 WHERE id = $1";

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    if let [mode, numbers @ ..] = wanted.as_slice()
        && mode == "profile"
    {
        let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().unwrap()).collect();
        profile(&numbers);
        return ExitCode::SUCCESS;
    }
    let mut targets = Targets::default();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let threads = tokio::runtime::Runtime::new().unwrap();
    println!("load {} at the start", load());
    if wants("memory") {
        threads.block_on(memory(&mut targets));
    }
    if wants("durable") {
        threads.block_on(durable(&mut targets));
    }
    if wants("postgres") {
        threads.block_on(postgres(&mut targets));
    }
    if wants("peers") {
        threads.block_on(peers());
    }
    println!("load {} at the end", load());
    targets.exit()
}

// === in memory ===

async fn memory(targets: &mut Targets) {
    println!("\nhold + settle in memory, ns a pair, median of {ROUNDS} rounds of {PAIRS}");
    for keys in [1, 1_000, 100_000, 1_000_000] {
        let counter = counted(keys);
        let one = held(&engine(MemoryLedger::new()).await, keys, 1).await;
        let five = held(&engine(MemoryLedger::new()).await, keys, 5).await;
        let of_one = targets.at_most(one as f64, 1_000.0);
        let of_five = targets.at_most(five as f64, 4_000.0);
        println!(
            "{keys:>9} keys   one scope {one:>6} ({of_one})   five scopes {five:>6} ({of_five})   bare counter in a mutex {counter:>5}"
        );
    }
    let engine = engine(MemoryLedger::new()).await;
    for history in [0, 1_000_000, 10_000_000] {
        grow(&engine, history).await;
        let pair = held(&engine, 1_000, 1).await;
        let memory = resident_megabytes();
        let held = targets.at_most(pair as f64, 1_000.0);
        println!("{history:>9} entries of history   one scope {pair:>6} ({held})   {memory} MB resident");
    }
}

async fn engine(store: impl LedgerStore) -> BudgetEngine {
    let engine = BudgetEngine::new(store, SystemClock::default());
    for kind in ["org", "team", "user", "session", "task"] {
        let limit = Usd::from_dollars(4_000_000_000);
        let scope = Scope::new(kind, "*").unwrap();
        let budget = Budget::new(scope, limit, Window::month("UTC").unwrap());
        engine.define(budget).await.unwrap();
    }
    engine
}

/// The scopes of request number `index`: as many as asked, each among this many keys.
fn scopes(keys: usize, count: usize) -> Vec<Vec<Scope>> {
    let kinds = ["user", "org", "team", "session", "task"];
    (0..keys.min(PAIRS))
        .map(|index| {
            // Spread over the keys, so that neighbours in time are no neighbours in memory.
            let id = (index * 7_919 % keys).to_string();
            kinds[..count]
                .iter()
                .map(|kind| Scope::new(kind, &id).unwrap())
                .collect()
        })
        .collect()
}

async fn held(engine: &BudgetEngine, keys: usize, count: usize) -> u128 {
    let amount: Usd = "0.01".parse().unwrap();
    let sets = scopes(keys, count);
    make_known(engine, keys, count, amount).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let requests: Vec<Vec<Scope>> = sets.iter().cycle().take(PAIRS).cloned().collect();
        let started = Instant::now();
        for scopes in requests {
            pair(engine, scopes, amount).await;
        }
        rounds.push(started.elapsed().as_nanos() / PAIRS as u128);
    }
    median(rounds)
}

/// Every key is known before time is taken.
async fn make_known(engine: &BudgetEngine, keys: usize, count: usize, amount: Usd) {
    for id in 0..keys {
        let id = id.to_string();
        let known = ["user", "org", "team", "session", "task"][..count]
            .iter()
            .map(|kind| Scope::new(kind, &id).unwrap());
        pair(engine, known.collect(), amount).await;
    }
}

async fn pair(engine: &BudgetEngine, scopes: Vec<Scope>, amount: Usd) {
    let hold = engine
        .hold(HoldRequest::new(scopes, amount, "bench"))
        .await
        .unwrap();
    hold.settle().await.unwrap();
}

/// Nothing but pairs, for a profiler: so many keys, scopes and pairs. Two counts of instructions that differ in the
/// pairs alone give those of a pair, whatever else the machine does.
fn profile(numbers: &[usize]) {
    let &[keys, scopes_each, pairs] = numbers else {
        panic!("profile KEYS SCOPES PAIRS")
    };
    let thread = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    thread.block_on(async {
        let engine = engine(MemoryLedger::new()).await;
        let amount: Usd = "0.01".parse().unwrap();
        let sets = scopes(keys, scopes_each);
        make_known(&engine, keys, scopes_each, amount).await;
        for set in sets.iter().cycle().take(pairs) {
            pair(&engine, set.clone(), amount).await;
        }
    });
}

/// At least this many entries in the ledger.
async fn grow(engine: &BudgetEngine, entries: usize) {
    let (scope, amount) = (Scope::new("user", "history").unwrap(), "0.01".parse().unwrap());
    for _ in 0..entries / 2 {
        pair(engine, vec![scope.clone()], amount).await;
    }
}

/// A check and two additions under a lock: no holds, no ledger, no windows.
fn counted(keys: usize) -> u128 {
    let spent: Mutex<HashMap<String, i64>> = Mutex::new((0..keys).map(|key| (key.to_string(), 0)).collect());
    let names: Vec<String> = (0..keys.min(PAIRS))
        .map(|index| (index * 7_919 % keys).to_string())
        .collect();
    let rounds = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        for name in names.iter().cycle().take(PAIRS) {
            for change in [10_000_000, -9_000_000] {
                let mut spent = spent.lock().unwrap();
                let sum = spent.get_mut(name).unwrap();
                assert!(*sum < i64::MAX / 2);
                *sum += change;
            }
        }
        started.elapsed().as_nanos() / PAIRS as u128
    });
    median(rounds.collect())
}

fn median(mut rounds: Vec<u128>) -> u128 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}

// === durably ===

async fn durable(targets: &mut Targets) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("\ndurable hold + settle in SQLite, fsync on, {DURABLE_TIME:?} each");
    println!("one fdatasync of 4 KiB   {}", fdatasync(folder.path()));
    for clients in [1, 8, 64] {
        let file = folder.path().join(format!("{clients}.sqlite3"));
        let engine = engine(SqliteLedger::open(&file).unwrap()).await;
        pairs_of(clients, engine, targets).await;
    }
    let file = folder.path().join("plain.sqlite3");
    let plain = Arc::new(Mutex::new(plain(&file)));
    let timings = clients_at_once(64, move |client| {
        let plain = Arc::clone(&plain);
        async move {
            let step = move || reserve_and_settle(&mut plain.lock().unwrap(), client);
            tokio::task::spawn_blocking(step).await.unwrap();
        }
    })
    .await;
    report("reserved column, a transaction each, 64 clients", &timings);
}

/// As many clients at once, each with a budget of its own and one that all share.
async fn pairs_of(clients: usize, engine: BudgetEngine, targets: &mut Targets) {
    let timings = clients_at_once(clients, move |client| {
        let engine = engine.clone();
        async move {
            let scopes = vec![
                Scope::new("user", &client.to_string()).unwrap(),
                Scope::new("org", "acme").unwrap(),
            ];
            pair(&engine, scopes, "0.01".parse().unwrap()).await;
        }
    });
    let (what, timings) = (format!("ledger, {clients} clients, two scopes"), timings.await);
    report(&what, &timings);
    if clients == 64 {
        let rate = targets.at_least(per_second(&timings), 10_000.0);
        let p99 = targets.at_most(Timings::new(timings).millis(99), 10.0);
        println!("{:<48} pairs/s {rate}, p99 {p99}", "");
    }
}

async fn postgres(targets: &mut Targets) {
    let Some(server) = PostgresServer::start_or_skip() else {
        return;
    };
    println!("\ndurable hold + settle in Postgres on this machine, fsync on, {DURABLE_TIME:?} each");
    println!("one fdatasync of 4 KiB   {}", fdatasync(&std::env::temp_dir()));
    for clients in [1, 8, 64] {
        let ledger = PostgresLedger::connect(&server.database()).await.unwrap();
        pairs_of(clients, engine(ledger).await, targets).await;
    }
    let database = server.database();
    server.sql(&database, PLAIN).unwrap();
    for clients in [1, 8, 32] {
        let timings = plain_in_postgres(&database, clients).await;
        report(
            &format!("reserved column, a transaction each, {clients} clients"),
            &timings,
        );
    }
}

/// Each client has a connection and a row of its own, so that nobody waits for anybody but for the disk: more than most
/// programs have. The server takes no more clients than that.
async fn plain_in_postgres(database: &str, clients: usize) -> Vec<Duration> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
        tokio::spawn(connection);
        let reserve = client.prepare(RESERVE).await.unwrap();
        let settle = client.prepare(SETTLE).await.unwrap();
        connections.push((client, reserve, settle));
    }
    let connections = Arc::new(connections);
    clients_at_once(clients, move |number| {
        let connections = Arc::clone(&connections);
        async move {
            let (client, reserve, settle) = &connections[number];
            let id = i32::try_from(number).unwrap();
            for statement in [reserve, settle] {
                assert_eq!(client.execute(statement, &[&id]).await.unwrap(), 1);
            }
        }
    })
    .await
}

async fn peers() {
    println!("\na thousand callers, a dollar each, ten dollars; 5 ms of work");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("ledger.sqlite3");
    for (name, engine) in [
        ("memory", engine(MemoryLedger::new()).await),
        ("SQLite", engine(SqliteLedger::open(file).unwrap()).await),
    ] {
        let scope = Scope::new("user", "ana").unwrap();
        let ten = Budget::new(scope.clone(), Usd::from_dollars(10), Window::Lifetime);
        engine.define(ten).await.unwrap();
        println!(
            "  ours in {name:<23} {:>5} of 1000 admitted",
            admitted(&engine, &scope).await
        );
        let other = Scope::new("user", "bob").unwrap();
        let (pairs, started) = (500, Instant::now());
        for _ in 0..pairs {
            pair(&engine, vec![other.clone()], "0.000001".parse().unwrap()).await;
        }
        println!(
            "  ours, one caller in {name:<12} {:>9} ns a pair",
            started.elapsed().as_nanos() / pairs
        );
    }
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    for (name, script) in [
        ("floe-guard", "floe_guard_race.py"),
        ("litellm", "litellm_race.py"),
        ("tensorzero", "tensorzero_race.py"),
    ] {
        let Some(python) = peer_python(name, &peers.join(format!("{name}.txt"))) else {
            continue;
        };
        let status = std::process::Command::new(python)
            .arg(peers.join(script))
            .env("METERBOX_BENCH_FOLDER", folder.path())
            .status();
        assert!(status.unwrap().success(), "{name}");
    }
}

async fn admitted(engine: &BudgetEngine, scope: &Scope) -> usize {
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let (engine, scope) = (engine.clone(), scope.clone());
            tokio::spawn(async move {
                let request = HoldRequest::new([scope], Usd::from_dollars(1), "bench");
                let Ok(hold) = engine.hold(request).await else {
                    return 0;
                };
                tokio::time::sleep(Duration::from_millis(5)).await;
                hold.draw(CostLine {
                    item: "call".into(),
                    quantity: 1,
                    unit: "calls".into(),
                    amount: Usd::from_dollars(1),
                    estimated: false,
                    price: None,
                })
                .await
                .unwrap();
                hold.settle().await.unwrap();
                1
            })
        })
        .collect();
    let mut admitted = 0;
    for caller in callers {
        admitted += caller.await.unwrap();
    }
    admitted
}

/// What each of these clients measures who do one operation after the other for a while.
async fn clients_at_once<F, O>(clients: usize, operation: F) -> Vec<Duration>
where
    F: Fn(usize) -> O + Clone + Send + 'static,
    O: Future<Output = ()> + Send,
{
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let operation = operation.clone();
            tokio::spawn(async move {
                let (started, mut timings) = (Instant::now(), Vec::new());
                while started.elapsed() < DURABLE_TIME {
                    let began = Instant::now();
                    operation(client).await;
                    timings.push(began.elapsed());
                }
                timings
            })
        })
        .collect();
    let mut timings = Vec::new();
    for task in tasks {
        timings.extend(task.await.unwrap());
    }
    timings
}

fn report(what: &str, timings: &[Duration]) {
    let rate = per_second(timings);
    let timings = Timings::new(timings.to_vec());
    println!(
        "{what:<48} {rate:>8.0} pairs/s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        timings.millis(50),
        timings.millis(99)
    );
}

fn per_second(timings: &[Duration]) -> f64 {
    timings.len() as f64 / DURABLE_TIME.as_secs_f64()
}

fn fdatasync(folder: &Path) -> Timings {
    let mut file = File::create(folder.join("sync")).unwrap();
    let timings = (0..200).map(|_| {
        file.write_all(&[7; 4096]).unwrap();
        let started = Instant::now();
        file.sync_data().unwrap();
        started.elapsed()
    });
    Timings::new(timings.collect())
}

fn plain(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE budgets (id INTEGER PRIMARY KEY, spend_limit INTEGER, spent INTEGER, reserved INTEGER)",
        )
        .unwrap();
    for client in 0..64 {
        let sql = "INSERT INTO budgets VALUES (?1, 4000000000000000000, 0, 0)";
        connection.execute(sql, [client]).unwrap();
    }
    connection
}

fn reserve_and_settle(connection: &mut Connection, client: usize) {
    let client = i64::try_from(client).unwrap();
    for sql in [RESERVE, SETTLE] {
        let transaction = connection.transaction().unwrap();
        assert_eq!(
            transaction
                .prepare_cached(sql)
                .unwrap()
                .execute([client])
                .unwrap(),
            1
        );
        transaction.commit().unwrap();
    }
}
