//! Programs in another sandbox than the one that types data: its prices, its worst case, its circuit.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{fs, sync::Arc};

use meterbox_analysis::{Analyst, Ask, Principal, Request};
use meterbox_budget_engine::{Budget, BudgetEngine, MemoryLedger, Window};
use meterbox_core::{
    Usd,
    contract::{AnalysisResult, FailureKind, PrivacyLevel, Status, Usage},
};
use meterbox_datasets::{Catalog, Dataset};
use meterbox_llm_codegen::{
    CodeGenerator, Planner,
    chat::{FakeModel, FakeTurn},
    model::{Cached, MemoryPrograms, ModelGenerator, Router, Trust},
};
use meterbox_price_book::PriceBook;
use meterbox_results_store::MemoryResults;
use meterbox_sandbox_client::{FakeRun, FakeSandbox, Limits, Program, Sent};
use meterbox_testkit::ManualClock;

const IMPORT: &str = r#"{"as_of": null, "failures": [], "tables": [{
    "name": "sales", "source": "sales.csv", "file": "sales.parquet", "rows": 2, "warnings": [],
    "columns": [{"name": "revenue", "type": "decimal", "role": "measure", "nulls": 0, "distinct": 2, "scale": 2}]}]}"#;
const ANSWER: &str = r#"{"answer": {"kind": "table", "columns": [{"name": "revenue", "type": "decimal"}], "rows": [[1.5]],
    "row_count": 1, "truncated": false}, "charts": [{"kind": "bar", "y": ["revenue"]}]}"#;

struct House {
    analyst: Analyst,
    budget: BudgetEngine,
    here: FakeSandbox,
    cloud: FakeSandbox,
    data: Dataset,
    _folder: tempfile::TempDir,
}

/// A machine of two processors and 2 GiB, for so many milliseconds.
fn machine(wall_ms: u64) -> Usage {
    Usage {
        wall_ms,
        cpu_ms: 2 * wall_ms,
        peak_memory_bytes: 2 << 30,
        output_bytes: 0,
    }
}

/// Its life is three minutes longer than the program's.
fn whole_life(limits: &Limits) -> Usage {
    machine(180_000 + u64::try_from(limits.wall.as_millis()).unwrap())
}

async fn house() -> House {
    house_with(Arc::new(Planner::default())).await
}

async fn house_with(generator: Arc<dyn CodeGenerator>) -> House {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("sales.csv");
    fs::write(&csv, "revenue\n1.50\n2.50\n").unwrap();
    let clock = ManualClock::at("2026-03-10T12:00:00Z".parse().unwrap());
    let budget = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    let month = Window::month("UTC").unwrap();
    budget
        .define(Budget::new(
            "user/*".parse().unwrap(),
            Usd::from_dollars(1),
            month,
        ))
        .await
        .unwrap();
    let catalog = Catalog::open(&folder.path().join("datasets")).unwrap();
    let data = catalog.add(&[csv]).unwrap();
    catalog.set_privacy(&data, PrivacyLevel::Samples).unwrap();
    let (here, cloud) = (FakeSandbox::new(), FakeSandbox::new());
    here.otherwise(|job| match &job.program {
        Program::Service { parameters, .. } if parameters.get("files").is_some() => {
            FakeRun::replies(IMPORT).leaving("sales.parquet", b"PAR1")
        }
        Program::Service { parameters, .. } if parameters.get("tables").is_some() => FakeRun::replies("{}")
            .leaving("sales.csv", b"\"revenue\"")
            .leaving("sales.types.json", b"{}"),
        Program::Service { .. } => FakeRun::replies("{}").leaving("chart.png", b"\x89PNG"),
        Program::Analysis { .. } => FakeRun::fails("a program where data is typed"),
    });
    cloud.otherwise(|job| match &job.program {
        Program::Analysis { .. } => FakeRun::replies(ANSWER).using(machine(10_000)),
        Program::Service { .. } => FakeRun::fails("our own program, far from home"),
    });
    cloud.bills_at_most(whole_life);
    let analyst = Analyst::builder(
        Arc::new(here.clone()),
        budget.clone(),
        Arc::new(MemoryResults::new()),
        catalog,
        folder.path().join("artifacts"),
    )
    .clock(Arc::new(clock))
    .generator(generator)
    .programs_in(Arc::new(cloud.clone()), PriceBook::shipped(), "e2b")
    .unwrap()
    .build();
    House {
        analyst,
        budget,
        here,
        cloud,
        data,
        _folder: folder,
    }
}

impl House {
    async fn run(&self) -> AnalysisResult {
        self.ask(Ask::Code("result = 1".to_owned())).await
    }

    async fn ask(&self, ask: Ask) -> AnalysisResult {
        let principal = Principal::user("user/ana".parse().unwrap());
        let mut request = Request::new(ask, self.data.clone(), principal);
        request.chart_png = true;
        self.analyst.start(request).unwrap().result().await.unwrap()
    }

    async fn spent(&self) -> Usd {
        let status = self.budget.status(&"user/ana".parse().unwrap()).await.unwrap();
        assert!(self.budget.verify().await.unwrap().is_clean() && status.held.is_zero());
        status.spent
    }
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn programs_run_elsewhere_at_the_prices_there_and_all_else_at_home() {
    let house = house().await;
    let result = house.run().await;
    assert_eq!(result.status, Status::Ok, "{:?}", result.failure);
    assert_eq!(house.cloud.jobs().len(), 1, "the program");
    assert_eq!(
        house.here.jobs().len(),
        3,
        "the import, the tables as CSV, and the picture"
    );
    let program = &house.cloud.jobs()[0];
    assert_eq!(program.tables["sales"], "typed/sales.parquet");
    assert!(program.portable_tables["sales"].csv.ends_with("sales.csv"));
    let program = result
        .cost_lines
        .iter()
        .filter(|line| line.item.starts_with("program"));
    let lines: Vec<(&str, Usd)> = program
        .map(|line| (line.price.as_ref().unwrap().rate(), line.amount))
        .collect();
    // Ten seconds of the machine, to the cent of its list price.
    assert_eq!(
        lines,
        [
            ("sandbox/e2b/vcpu_second", usd("0.00028")),
            ("sandbox/e2b/gib_second", usd("0.00009")),
        ]
    );
    let others = result
        .cost_lines
        .iter()
        .filter(|line| !line.item.starts_with("program"));
    for line in others {
        let rate = line.price.as_ref().unwrap().rate().to_owned();
        assert!(rate.starts_with("sandbox/local/"), "{rate}");
    }
    // 210 seconds of the machine at $0.000037 stand in the hold.
    assert!(result.hold > usd("0.00777"), "{}", result.hold);
    assert_eq!(house.spent().await, result.cost);

    // Written once a version.
    house.run().await;
    assert_eq!(house.here.jobs().len(), 4, "one more picture");
}

/// A cloud whose Python reads Parquet does not miss it.
#[tokio::test(start_paused = true)]
async fn tables_that_cannot_be_written_as_csv_go_as_they_are() {
    let house = house().await;
    house
        .here
        .next(FakeRun::replies(IMPORT).leaving("sales.parquet", b"PAR1"));
    house.here.next(FakeRun::raises("OSError", "File too large"));
    let result = house.run().await;
    assert_eq!(result.status, Status::Ok, "{:?}", result.failure);
    assert!(house.cloud.jobs()[0].portable_tables.is_empty());
    let told = |warning: &String| warning.contains("could not be written as CSV");
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
    assert_eq!(house.spent().await, result.cost);
}

/// Nobody knows whether a machine was made: it is paid until its own time-out.
#[tokio::test(start_paused = true)]
async fn a_run_whose_machine_nobody_knows_of_is_booked_at_the_machines_whole_life() {
    let house = house().await;
    house.run().await;
    let before = house.spent().await;
    house.cloud.next(FakeRun::lost(false));
    let result = house.run().await;
    assert_eq!(
        result.failure.as_ref().unwrap().kind,
        FailureKind::SandboxUnavailable
    );
    assert_eq!(result.cost, usd("0.00777"), "{:?}", result.cost_lines);
    assert_eq!(house.spent().await, before.checked_add(usd("0.00777")).unwrap());
    let line = result.cost_lines.last().unwrap();
    assert_eq!(line.price.as_ref().unwrap().rate(), "sandbox/e2b:worst_case");
}

/// A cloud that is down keeps nobody from typing data.
#[tokio::test(start_paused = true)]
async fn each_place_has_a_circuit_of_its_own() {
    let house = house().await;
    for _ in 0..3 {
        house.cloud.next(FakeRun::fails("the cloud is down"));
        house.run().await;
    }
    let result = house.run().await;
    assert_eq!(result.failure.as_ref().unwrap().kind, FailureKind::BreakerOpen);
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("more.csv");
    fs::write(&csv, "revenue\n3.50\n4.50\n").unwrap();
    let more = house.analyst.catalog().add(&[csv]).unwrap();
    let typed = house
        .analyst
        .prepare(more, Principal::user("user/ana".parse().unwrap()))
        .await;
    assert!(typed.is_ok(), "{typed:?}");
}

/// The files of data that is to stay here are not given to a cloud, and nothing is held for the attempt.
#[tokio::test(start_paused = true)]
async fn data_that_is_to_stay_is_refused_before_anything_is_held_or_sent() {
    let house = house().await;
    let catalog = house.analyst.catalog();
    for level in [PrivacyLevel::Nothing, PrivacyLevel::Shape, PrivacyLevel::Values] {
        catalog.set_privacy(&house.data, level).unwrap();
        let result = house.run().await;
        let failure = result.failure.as_ref().unwrap();
        assert_eq!(failure.kind, FailureKind::BadRequest);
        let told = format!("sales is at privacy level {level}");
        assert!(failure.message.contains(&told), "{}", failure.message);
        assert_eq!((result.status, result.hold), (Status::Failed, Usd::ZERO));
    }
    assert!(house.cloud.jobs().is_empty() && house.here.jobs().is_empty());
    assert_eq!(house.spent().await, Usd::ZERO);
    // Typing it happens here, and is allowed.
    let typed = house
        .analyst
        .prepare(house.data.clone(), Principal::user("user/ana".parse().unwrap()))
        .await;
    assert!(typed.is_ok(), "{typed:?}");
}

/// Whatever becomes of a run, what left for it stands in the result.
#[tokio::test(start_paused = true)]
async fn what_was_sent_is_kept_with_the_answer_also_of_a_lost_run() {
    let house = house().await;
    let sent = Sent {
        to: "sandbox.example".to_owned(),
        name: "typed/sales.csv".to_owned(),
        bytes: 7,
        sha256: "ab".repeat(32),
        body: None,
    };
    house.cloud.next(FakeRun::replies(ANSWER).sent(sent.clone()));
    house.cloud.next(FakeRun::lost(false).sent(sent.clone()));
    for status in [Status::Ok, Status::Failed] {
        let result = house.run().await;
        assert_eq!(result.status, status, "{:?}", result.failure);
        let [egress] = &result.egress[..] else {
            panic!("{:?}", result.egress)
        };
        assert_eq!((&egress.to, &egress.purpose), (&sent.to, &sent.name));
        assert_eq!((egress.bytes, &egress.sha256), (sent.bytes, &sent.sha256));
    }
}

/// What a model is told about a cloud is learnt there once, in a run that is on the bill.
#[tokio::test(start_paused = true)]
async fn looking_at_a_cloud_is_paid_for_once() {
    let model = FakeModel::new();
    let written = ModelGenerator::new(Arc::new(model.clone()));
    let kept = Cached::new(written, "fake", Arc::new(MemoryPrograms::new(10)));
    let house = house_with(Arc::new(Router::new(kept).trust(Trust::Off))).await;
    let nothing = || FakeRun::replies("null").using(machine(4_000));
    let question = |about: &str| Ask::Question(format!("what would {about} think of the revenue"));

    model.next(FakeTurn::says("```python\nresult = 1\n```"));
    house.cloud.next(nothing());
    let result = house.ask(question("a lighthouse keeper")).await;
    assert_eq!(result.status, Status::Ok, "{:?}", result.failure);
    let looked = result
        .cost_lines
        .iter()
        .filter(|line| line.item.starts_with("look"));
    let looked: Usd = looked.fold(Usd::ZERO, |sum, line| sum.checked_add(line.amount).unwrap());
    assert_eq!(looked, usd("0.000148"), "four seconds of the machine");
    assert_eq!(house.cloud.jobs().len(), 2, "the look and the program");
    assert_eq!(house.spent().await, result.cost);

    model.next(FakeTurn::says("```python\nresult = 2\n```"));
    let result = house.ask(question("a captain")).await;
    assert_eq!(result.status, Status::Ok, "{:?}", result.failure);
    assert_eq!(house.cloud.jobs().len(), 3, "the program alone");
    // Without a model nobody asks.
    house.run().await;
    assert_eq!(house.cloud.jobs().len(), 4);
}
