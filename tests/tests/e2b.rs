//! Programs in E2B, chosen by name: the whole binary against a double of the cloud.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use meterbox_budget_engine::{BudgetEngine, SqliteLedger};
use meterbox_core::{
    SystemClock, Usd,
    contract::{AnalysisResult, FailureKind, Status},
};
use meterbox_testkit::{E2B_KEY, E2bDouble, E2bFault, peer_python, test_runtime_folder};
use meterbox_tests::{Terminal, meterbox, repository};
use tokio::runtime::Runtime;

/// Dates, amounts with cents, whole numbers with gaps, yes and no, and text that looks like something else.
const ORDERS: &str = "order_id,ordered_on,product,quantity,price,paid,note\n\
    A-1,2025-01-05,Lamp,2,12.50,yes,NA\n\
    A-2,2025-01-20,Desk,,199.99,no,\n\
    A-3,2025-02-02,Lamp,1,12.50,yes,\"two, lines\"\n\
    A-4,2025-02-28,\"Chair \"\"Oslo\"\"\",4,49.00,,007\n\
    A-5,2025-03-01,Desk,1,199.99,no,null\n";

/// Text that CSV and its readers like to change: nothing and empty, the characters NUL and CR, marks for what is missing.
const ODD: &str = r#"[
    {"name": "plain", "what": "a\u0000b", "big": 9007199254740991, "tiny": 0.1},
    {"name": null, "what": "two\r\nlines", "big": null, "tiny": 1e-300},
    {"name": "\\N0", "what": "back\\slash \\r", "big": -1, "tiny": 0.30000000000000004},
    {"name": "NA", "what": "\"quoted\", comma", "big": 0, "tiny": null}]"#;

/// A terminal, and a cloud on loopback that lives as long as it.
struct World {
    data: Vec<&'static str>,
    terminal: Terminal,
    double: E2bDouble,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let terminal = Terminal::new();
        terminal.write("orders.csv", ORDERS);
        let runtime = Runtime::new().unwrap();
        let double = runtime.block_on(E2bDouble::start());
        Self {
            data: vec!["orders.csv"],
            terminal,
            double,
            runtime,
        }
    }

    /// Settings that choose the cloud.
    fn cloud(&self) -> Vec<(&'static str, String)> {
        vec![
            ("METERBOX_SANDBOX", "e2b".to_owned()),
            ("E2B_API_KEY", E2B_KEY.to_owned()),
            ("E2B_API_URL", self.double.url()),
            ("E2B_SANDBOX_URL", self.double.url()),
        ]
    }

    fn result(&self, arguments: &[&str], settings: &[(&str, String)]) -> (AnalysisResult, Option<i32>) {
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let arguments = [arguments, &["--json", "--quiet", "--data"], &self.data].concat();
        let ended = self.terminal.run_with(&arguments, &settings);
        assert!(
            !ended.stdout.contains(E2B_KEY) && !ended.stderr.contains(E2B_KEY),
            "{ended:?}"
        );
        let result = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        (result, ended.code)
    }

    fn in_the_cloud(&self, arguments: &[&str]) -> AnalysisResult {
        let (result, code) = self.result(arguments, &self.cloud());
        assert_eq!(
            (result.status, code),
            (Status::Ok, Some(0)),
            "{:?}",
            result.failure
        );
        result
    }

    fn here(&self, arguments: &[&str]) -> AnalysisResult {
        let (result, code) = self.result(arguments, &[]);
        assert_eq!(
            (result.status, code),
            (Status::Ok, Some(0)),
            "{:?}",
            result.failure
        );
        result
    }

    /// Spent and held of whoever sits here.
    fn money(&self) -> (Usd, Usd) {
        let ledger = SqliteLedger::open(self.terminal.folder().join("kept/ledger.sqlite3")).unwrap();
        let budget = BudgetEngine::new(ledger, SystemClock::default());
        self.runtime.block_on(async {
            assert!(budget.verify().await.unwrap().is_clean());
            let status = budget.status(&"user/local".parse().unwrap()).await.unwrap();
            (status.spent, status.held)
        })
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&E2bDouble) -> bool) {
        for _ in 0..1_500 {
            if is_so(&self.double) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what} did not come: {:#?}", self.double.requests());
    }
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

#[test]
fn a_question_is_answered_in_the_cloud_billed_by_the_machine_and_the_machine_is_ended() {
    let world = World::new();
    let question = ["ask", "total price by product", "--privacy", "3"];
    let result = world.in_the_cloud(&question);
    let sandbox = result.sandbox.as_ref().unwrap();
    assert_eq!((&*sandbox.provider, &*sandbox.tier), ("e2b", "cloud"));
    assert!(world.double.running().is_empty() && world.double.kills() == 1);

    // The program was billed two processors and 2 GiB for as long as the machine was there; all else at home.
    let of = |item: &str| {
        let lines = result
            .cost_lines
            .iter()
            .filter(|line| line.item.starts_with(item));
        lines.collect::<Vec<_>>()
    };
    let program = of("program");
    let rates: Vec<_> = program
        .iter()
        .map(|line| line.price.as_ref().unwrap().rate())
        .collect();
    assert_eq!(rates, ["sandbox/e2b/vcpu_second", "sandbox/e2b/gib_second"]);
    assert_eq!(
        program[0].quantity, program[1].quantity,
        "as many of both, and a second has been both twice"
    );
    let import = of("import");
    assert!(
        import
            .iter()
            .all(|line| line.price.as_ref().unwrap().rate().starts_with("sandbox/local/"))
    );
    assert_eq!(world.money(), (result.cost, Usd::ZERO));
    // 210 seconds of the machine stood in the hold.
    assert!(result.hold > usd("0.00777"), "{}", result.hold);

    // What was sent stands in the answer: the program as text, and each file by its hash.
    let purposes: Vec<_> = result.egress.iter().map(|sent| sent.purpose.as_str()).collect();
    assert_eq!(purposes, ["job", "typed/orders.parquet", "orders.csv"]);
    let job = result.egress[0].body.as_ref().unwrap();
    assert!(job.contains("\"mode\":\"analysis\""), "{job}");
    assert!(
        result.egress[1..]
            .iter()
            .all(|sent| sent.body.is_none() && sent.sha256.len() == 64)
    );
    assert_eq!(result.egress[2].bytes, ORDERS.len() as u64);

    assert_eq!(world.here(&question).answer, result.answer);
}

/// The same answers come from the stock template, whose Python reads no Parquet: there the tables are CSV.
#[test]
fn typed_tables_arrive_exactly_where_parquet_cannot_be_read() {
    let pins = repository().join("crates/sandbox-client/tests/peers/e2b-stock.txt");
    let Some(python) = peer_python("e2b-stock", &pins) else {
        return;
    };
    let mut world = World::new();
    world.terminal.write("odd.json", ODD);
    world.data.push("odd.json");
    world.double.has_python(&python);
    // What each column is, and every cell with its type.
    world.terminal.write(
        "look.py",
        "table = tables['orders']\n\
         types = ', '.join(f'{name} {kind}' for table in tables.values() for name, kind in table.dtypes.items())\n\
         cells = repr([table.astype(object).values.tolist() for table in tables.values()])\n\
         months = table.groupby(table.ordered_on.dt.to_period('M').astype(str)).price.sum()\n\
         result = {'types': types, 'cells': cells, 'months': months, 'table': table}\n",
    );
    let allowed = world.in_the_cloud(&["ask", "total price by month", "--privacy", "3"]);
    assert_eq!(
        world.here(&["ask", "total price by month"]).answer,
        allowed.answer
    );
    let there = world.in_the_cloud(&["run", "look.py"]);
    let sent: Vec<_> = there.egress.iter().map(|sent| sent.purpose.as_str()).collect();
    assert_eq!(
        sent,
        [
            "job",
            "odd.json",
            "orders.csv",
            "typed/odd.csv",
            "typed/odd.types.json",
            "typed/orders.csv",
            "typed/orders.types.json",
        ]
    );
    let here = world.here(&["run", "look.py"]);
    let shown = format!("{:?}", here.answer);
    for part in ["datetime64", "Int64", r"a\\x00b", r"\\\\N0", r"two\\r\\nlines"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(there.answer, here.answer);
}

#[test]
fn data_that_is_to_stay_is_refused_and_a_key_alone_chooses_nothing() {
    let world = World::new();
    world.terminal.write("one.py", "result = 1\n");
    let (result, code) = world.result(&["run", "one.py"], &world.cloud());
    let failure = result.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::BadRequest);
    assert!(failure.message.contains("privacy level 1"), "{}", failure.message);
    assert_eq!((result.hold, code), (Usd::ZERO, Some(2)));
    assert_eq!(world.money(), (Usd::ZERO, Usd::ZERO));
    let reached = |double: &E2bDouble| {
        let requests = double.requests();
        // Whoever looks for machines left behind sends no data.
        requests
            .iter()
            .filter(|request| *request != "GET /v2/sandboxes")
            .count()
    };
    assert_eq!(reached(&world.double), 0, "{:?}", world.double.requests());

    let before = world.double.requests();
    let only_a_key = &world.cloud()[1..];
    let (result, _) = world.result(&["run", "one.py"], only_a_key);
    assert_eq!(result.status, Status::Ok);
    assert_ne!(result.sandbox.unwrap().provider, "e2b");
    assert_eq!(reached(&world.double), 0);

    // A file beside the data does not choose it either.
    let settings = world.cloud();
    let lines = settings.iter().map(|(name, value)| format!("{name}={value}\n"));
    world.terminal.write(".env", lines.collect::<String>());
    let (result, _) = world.result(&["ask", "total price by product", "--privacy", "3"], &[]);
    assert_ne!(result.sandbox.unwrap().provider, "e2b");
    assert_eq!(
        world.double.requests(),
        before,
        "not even for machines left behind"
    );
    std::fs::remove_file(world.terminal.folder().join(".env")).unwrap();

    // A wrong choice stops the start, with its name and the fix.
    let ended = world.terminal.run_with(
        &["run", "one.py", "--data", "orders.csv"],
        &[("METERBOX_SANDBOX", "e2b")],
    );
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("E2B_API_KEY is not set") && ended.stderr.contains("Fix: "),
        "{ended:?}"
    );
}

/// Nobody is left to end the machine: the next start does.
#[test]
fn what_a_killed_process_left_behind_is_ended_at_the_next_start() {
    let world = World::new();
    world.terminal.write("slow.py", "import time\ntime.sleep(600)\n");
    world.in_the_cloud(&["ask", "total price by product", "--privacy", "3"]);
    let (before, _) = world.money();
    let started = |double: &E2bDouble| {
        let requests = double.requests();
        requests
            .iter()
            .filter(|request| request.ends_with("Process/Start"))
            .count()
    };
    let so_far = started(&world.double);
    let mut process = binary(world.terminal.folder())
        .args(["run", "slow.py", "--data", "orders.csv"])
        .envs(world.cloud())
        .spawn()
        .unwrap();
    // It looks at Python first, and then starts the program.
    world.wait_until("the program", |double| started(double) >= so_far + 2);
    process.kill().unwrap();
    process.wait().unwrap();
    let [left] = &world.double.running()[..] else {
        panic!("{:?}", world.double.running())
    };
    let left = left.clone();
    let (spent, held) = world.money();
    assert!(
        spent >= before && held > usd("0.00777"),
        "{held}: it is held until nobody answers for it"
    );

    world.in_the_cloud(&["ask", "total price by product"]);
    world.wait_until("the end of the machine", |double| {
        !double.running().contains(&left)
    });
    assert!(world.double.running().is_empty());
}

/// A machine of which nobody knows whether it was made is booked for all its life.
#[test]
fn a_create_whose_outcome_is_unknown_is_booked_at_its_worst_case() {
    let world = World::new();
    world.in_the_cloud(&["ask", "total price by product", "--privacy", "3"]);
    let (before, _) = world.money();
    for _ in 0..4 {
        world.double.fail_next("POST /v2/sandboxes", E2bFault::LostReply);
    }
    let (result, code) = world.result(&["ask", "total price by product"], &world.cloud());
    assert_eq!(
        (result.status, code),
        (Status::Failed, Some(6)),
        "{:?}",
        result.failure
    );
    assert_eq!(result.cost, usd("0.00777"), "{:?}", result.cost_lines);
    let (spent, held) = world.money();
    assert_eq!(
        (spent, held),
        (before.checked_add(usd("0.00777")).unwrap(), Usd::ZERO)
    );
}

fn binary(folder: &Path) -> Command {
    let log = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
    let mut command = Command::new(meterbox());
    let runtime: PathBuf = test_runtime_folder();
    command
        .current_dir(folder)
        .env("METERBOX_RUNTIME_DIR", runtime)
        .env("METERBOX_DATA_DIR", folder.join("kept"))
        .stdin(Stdio::null())
        .stdout(log("killed.out"))
        .stderr(log("killed.err"));
    command
}

#[test]
fn doctor_asks_e2b_whether_it_takes_the_key_and_makes_nothing() {
    let world = World::new();
    let doctor = |key: &str| {
        let url = world.double.url();
        let settings = [
            ("METERBOX_SANDBOX", "e2b"),
            ("E2B_API_KEY", key),
            ("E2B_API_URL", &*url),
        ];
        world.terminal.run_with(&["doctor", "--online"], &settings)
    };
    let well = doctor(E2B_KEY);
    assert!(
        well.stdout
            .contains("E2B, template code-interpreter-v1, 2 processors"),
        "{well:?}"
    );
    assert!(
        well.stdout.contains("the key works; 0 sandboxes there now"),
        "{well:?}"
    );
    let ill = doctor("e2b_of_somebody_else");
    assert!(ill.stdout.contains("E2B does not accept the API key"), "{ill:?}");
    assert!(ill.stdout.contains("fix: set E2B_API_KEY"), "{ill:?}");
    for ended in [well, ill] {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            !said.contains(E2B_KEY) && !said.contains("somebody_else"),
            "{said}"
        );
    }
    assert!(world.double.running().is_empty() && world.double.kills() == 0);
}
