//! The pipeline over fakes: what is answered, what is charged, what is kept, whatever goes wrong.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use meterbox_analysis::{Analyst, Ask, Event, Principal, Request, RequestError};
use meterbox_budget_engine::{Budget, BudgetEngine, MemoryLedger, Window};
use meterbox_core::{
    Scope, StorageErrorKind, Usd,
    contract::{AnalysisResult, Answer, FailureKind, Source, Status, Step, StepState, Usage},
};
use meterbox_datasets::{Catalog, Dataset};
use meterbox_results_store::{MemoryResults, PageRequest, ResultsStore};
use meterbox_sandbox_client::{FakeRun, FakeSandbox, Job, Limits, Program, Verdict};
use meterbox_testkit::{FaultyLedger, ManualClock, Moment};

const TABLE: &str = r#"{"answer": {"kind": "table", "columns": [{"name": "product", "type": "text"}, {"name": "revenue", "type": "decimal"}],
    "rows": [["Lamp", 12.5]], "row_count": 1, "truncated": false},
    "charts": [{"kind": "bar", "x": "product", "y": ["revenue"]}]}"#;
const IMPORT: &str = r#"{"as_of": "2025-12-31", "failures": [], "tables": [{
    "name": "sales", "source": "sales.csv", "file": "sales.parquet", "rows": 2, "warnings": [],
    "columns": [
        {"name": "product", "type": "text", "role": "dimension", "nulls": 0, "distinct": 2, "values": [{"value": "Lamp", "count": 1}, {"value": "Desk", "count": 1}]},
        {"name": "revenue", "type": "decimal", "role": "measure", "nulls": 0, "distinct": 2, "scale": 2, "min": 1.5, "max": 12.5}
    ]}]}"#;

struct House {
    analyst: Analyst,
    budget: BudgetEngine,
    ledger: FaultyLedger,
    results: Arc<MemoryResults>,
    sandbox: FakeSandbox,
    clock: ManualClock,
    data: Dataset,
    folder: tempfile::TempDir,
}

async fn house(monthly: &str) -> House {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("sales.csv");
    fs::write(&csv, "product,revenue\nLamp,12.50\nDesk,1.50\n").unwrap();
    let clock = ManualClock::at("2026-03-10T12:00:00Z".parse().unwrap());
    let ledger = FaultyLedger::new(MemoryLedger::new());
    let budget = BudgetEngine::new(ledger.clone(), clock.clone());
    let everyone = Budget::new(
        "user/*".parse().unwrap(),
        monthly.parse().unwrap(),
        Window::month("UTC").unwrap(),
    );
    budget.define(everyone).await.unwrap();
    let catalog = Catalog::open(&folder.path().join("datasets")).unwrap();
    let data = catalog.add(&[csv]).unwrap();
    let results = Arc::new(MemoryResults::new());
    let sandbox = FakeSandbox::new();
    sandbox.otherwise(program_of_ours);
    let artifacts = folder.path().join("artifacts");
    let store: Arc<dyn ResultsStore> = Arc::<MemoryResults>::clone(&results);
    let analyst = Analyst::builder(
        Arc::new(sandbox.clone()),
        budget.clone(),
        store,
        catalog,
        artifacts,
    )
    .clock(Arc::new(clock.clone()))
    .global_scope(everybody())
    .build();
    House {
        analyst,
        budget,
        ledger,
        results,
        sandbox,
        clock,
        data,
        folder,
    }
}

/// Types data, answers with a table, draws charts.
fn program_of_ours(job: &Job) -> FakeRun {
    match &job.program {
        Program::Analysis { .. } => FakeRun::replies(TABLE),
        Program::Service { parameters, .. } if parameters.get("files").is_some() => {
            FakeRun::replies(IMPORT).leaving("sales.parquet", b"PAR1")
        }
        Program::Service { .. } => {
            FakeRun::replies(r#"{"file": "chart.png"}"#).leaving("chart.png", b"\x89PNG")
        }
    }
}

impl House {
    fn request(&self, ask: Ask) -> Request {
        let principal = Principal::user(ana());
        Request::new(ask, self.data.clone(), principal)
    }

    async fn ask(&self, question: &str) -> AnalysisResult {
        self.run(self.request(Ask::Question(question.to_owned()))).await
    }

    async fn code(&self, code: &str) -> AnalysisResult {
        self.run(self.request(Ask::Code(code.to_owned()))).await
    }

    async fn run(&self, request: Request) -> AnalysisResult {
        self.analyst.start(request).unwrap().result().await.unwrap()
    }

    /// Spent and held of ana's budget, and a clean ledger.
    async fn money(&self) -> (Usd, Usd) {
        let status = self.budget.status(&ana()).await.unwrap();
        assert!(self.budget.verify().await.unwrap().is_clean());
        (status.spent, status.held)
    }
}

fn everybody() -> Scope {
    "global/all".parse().unwrap()
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

fn failure(result: &AnalysisResult) -> FailureKind {
    result.failure.as_ref().expect("a failure").kind
}

#[tokio::test]
async fn a_question_is_answered_charged_and_kept() {
    let house = house("10").await;
    let result = house.ask("total revenue by product").await;

    assert_eq!(result.status, Status::Ok, "{result:?}");
    assert_eq!(result.source, Some(Source::Rules));
    assert!(matches!(&result.answer, Some(Answer::Table { rows, .. }) if rows.len() == 1));
    assert!(result.code.is_some() && result.reading.is_some() && result.plan.is_some());
    let lines: Usd = result
        .cost_lines
        .iter()
        .fold(Usd::ZERO, |sum, line| sum.saturating_add(line.amount));
    assert_eq!(result.cost, lines);
    assert!(!result.cost.is_zero() && result.cost < result.hold);
    assert_eq!(house.money().await, (result.cost, Usd::ZERO));
    assert_eq!(result.remaining, Usd::from_dollars(10).checked_sub(result.cost));
    let stored = house.results.find(&ana(), result.id).await.unwrap().unwrap();
    assert_eq!(stored.answer, result.answer);
}

#[tokio::test]
async fn data_is_typed_once() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let again = house.ask("total revenue by product").await;
    assert_eq!(again.status, Status::Ok);
    assert!(again.timings.iter().all(|timing| timing.step != Step::Import));
    assert_eq!(house.sandbox.jobs().len(), 3, "one import, two programs");
}

#[tokio::test]
async fn two_first_questions_at_once_type_the_data_once() {
    let house = house("10").await;
    tokio::join!(
        house.ask("total revenue by product"),
        house.ask("total revenue by product")
    );
    assert_eq!(house.sandbox.jobs().len(), 3, "one import, two programs");
}

#[tokio::test]
async fn steps_are_told_as_they_happen() {
    let house = house("10").await;
    let mut request = house.request(Ask::Question("total revenue by product".into()));
    request.chart_png = true;
    let mut running = house.analyst.start(request).unwrap();
    let mut done = Vec::new();
    while let Some(event) = running.next_event().await {
        if let Event::Step(step) = event
            && step.state == StepState::Done
        {
            done.push(step.step);
        }
    }
    use Step::*;
    assert_eq!(done, [Hold, Import, Program, Run, Check, Chart, Settle, Store]);
    let result = running.result().await.unwrap();
    assert_eq!(result.artifacts[0].name, "chart.png");
    assert!(house.analyst.artifacts_of(result.id).join("chart.png").exists());
}

#[tokio::test]
async fn a_programs_own_picture_does_not_stand_in_the_charts_way() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    house
        .sandbox
        .next(FakeRun::replies(TABLE).leaving("chart.png", b"mine"));
    let mut request = house.request(Ask::Code("result = 1".into()));
    request.chart_png = true;
    let result = house.run(request).await;
    let names: Vec<_> = result
        .artifacts
        .iter()
        .map(|artifact| artifact.name.as_str())
        .collect();
    assert_eq!(names, ["chart.png", "2-chart.png"]);
    let folder = house.analyst.artifacts_of(result.id);
    assert_eq!(fs::read(folder.join("chart.png")).unwrap(), b"mine");
    assert_eq!(fs::read(folder.join("2-chart.png")).unwrap(), b"\x89PNG");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[tokio::test]
async fn however_a_program_ends_it_is_named_and_charged() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    for (run, kind) in [
        (FakeRun::raises("KeyError", "'price'"), FailureKind::ProgramError),
        (FakeRun::raises("MemoryError", ""), FailureKind::LimitMemory),
        (
            FakeRun::verdict(Verdict::Exited { code: 0 }),
            FailureKind::ProgramError,
        ),
        (
            FakeRun::verdict(Verdict::Signalled { signal: 11 }),
            FailureKind::ProgramError,
        ),
        (FakeRun::verdict(Verdict::WallLimit), FailureKind::LimitWall),
        (FakeRun::verdict(Verdict::CpuLimit), FailureKind::LimitCpu),
        (FakeRun::verdict(Verdict::MemoryLimit), FailureKind::LimitMemory),
        (FakeRun::verdict(Verdict::OutputLimit), FailureKind::LimitOutput),
        (
            FakeRun::verdict(Verdict::BrokenReply {
                reason: "not JSON".into(),
            }),
            FailureKind::BadAnswer,
        ),
        (
            FakeRun::replies(
                r#"{"answer": {"kind": "table", "columns": [], "rows": [[1]], "row_count": 1, "truncated": false}}"#,
            ),
            FailureKind::BadAnswer,
        ),
        (FakeRun::replies(r#"{"cost": 0}"#), FailureKind::BadAnswer),
    ] {
        let (spent, _) = house.money().await;
        let described = format!("{run:?}");
        house.sandbox.next(run);
        let result = house.code("result = 1").await;
        assert_eq!(
            (result.status, failure(&result)),
            (Status::Failed, kind),
            "{described}"
        );
        assert!(!result.cost.is_zero(), "{described}");
        assert_eq!(
            house.money().await,
            (spent.checked_add(result.cost).unwrap(), Usd::ZERO),
            "{described}"
        );
        assert!(
            house.results.find(&ana(), result.id).await.unwrap().is_some(),
            "{described}"
        );
    }
}

#[tokio::test]
async fn three_platform_failures_open_the_circuit_and_program_failures_never_do() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    for _ in 0..5 {
        house.sandbox.next(FakeRun::raises("ValueError", "no"));
        house.code("result = 1").await;
    }
    let (spent, _) = house.money().await;
    for _ in 0..3 {
        house.sandbox.next(FakeRun::fails("gone"));
        assert_eq!(
            failure(&house.code("result = 1").await),
            FailureKind::SandboxUnavailable
        );
    }
    let jobs = house.sandbox.jobs().len();
    let refused = house.code("result = 1").await;
    assert_eq!(failure(&refused), FailureKind::BreakerOpen);
    let wait = refused.failure.unwrap().retry_after.expect("when to try again");
    assert_eq!(house.sandbox.jobs().len(), jobs, "the sandbox is left alone");
    assert_eq!(
        house.money().await,
        (spent, Usd::ZERO),
        "nothing ran, nothing is charged"
    );

    house.clock.advance(Duration::from_secs_f64(wait));
    assert_eq!(house.code("result = 1").await.status, Status::Ok);
}

#[tokio::test]
async fn a_run_that_is_lost_is_charged_what_it_may_have_used() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let (before, _) = house.money().await;

    house.sandbox.next(FakeRun::lost(true));
    let measured = house.code("result = 1").await;
    assert_eq!(failure(&measured), FailureKind::SandboxUnavailable);
    assert!(measured.cost_lines.iter().all(|line| !line.estimated) && !measured.cost.is_zero());

    house.sandbox.next(FakeRun::lost(false));
    let unknown = house.code("result = 1").await;
    let [line] = &unknown.cost_lines[..] else {
        panic!("one line: {unknown:?}")
    };
    assert!(line.estimated && line.amount == unknown.cost);
    assert!(unknown.cost > measured.cost && unknown.cost <= unknown.hold);

    let spent = [before, measured.cost, unknown.cost]
        .into_iter()
        .fold(Usd::ZERO, Usd::saturating_add);
    assert_eq!(house.money().await, (spent, Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_stumbles_while_billing_costs_nobody_the_answer() {
    for (moment, kind) in [
        (Moment::Before, StorageErrorKind::Busy),
        (Moment::After, StorageErrorKind::Unavailable),
    ] {
        let house = house("10").await;
        house.ask("total revenue by product").await;
        let ledger = house.ledger.clone();
        house.sandbox.otherwise(move |job| {
            ledger.fail(2, moment, kind);
            program_of_ours(job)
        });
        let result = house.code("result = 1").await;
        assert_eq!(result.status, Status::Ok, "{result:?}");
        assert!(result.cost_lines.iter().all(|line| !line.estimated));
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_bill_cannot_be_written_its_worst_case_stands() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let (before, _) = house.money().await;
    let ledger = house.ledger.clone();
    house.sandbox.otherwise(move |job| {
        ledger.fail(4, Moment::Before, StorageErrorKind::Full);
        program_of_ours(job)
    });
    let result = house.code("result = 1").await;
    assert!(result.answer.is_some(), "{result:?}");
    assert!(
        result
            .warnings
            .iter()
            .any(|warning| warning.contains("worst case")),
        "{result:?}"
    );
    // Settling failed too: the hold ends by itself, and nothing that may have been used is forgotten.
    house.clock.advance(Duration::from_secs(3_600));
    house.budget.expire().await.unwrap();
    let (after, held) = house.money().await;
    assert!(after > before && held.is_zero());
    assert_eq!(
        after,
        before.checked_add(result.cost).unwrap(),
        "what was told is what was booked"
    );
}

#[tokio::test]
async fn a_small_hold_covers_all_that_is_planned() {
    let house = house("10").await;
    let greedy = |job: &Job| {
        let wall_ms = u64::try_from(job.limits.wall.as_millis()).unwrap();
        let cpu_ms = u64::try_from(job.limits.cpu.as_millis()).unwrap();
        program_of_ours(job).using(Usage {
            wall_ms,
            cpu_ms,
            peak_memory_bytes: job.limits.memory_bytes,
            output_bytes: 0,
        })
    };
    house.sandbox.otherwise(greedy);
    let mut request = house.request(Ask::Question("total revenue by product".into()));
    request.chart_png = true;
    request.max_cost = Some("0.001".parse().unwrap());
    let result = house.run(request).await;
    assert_eq!(result.status, Status::Ok, "{result:?}");
    assert_eq!(result.artifacts.len(), 1, "{:?}", result.warnings);
    assert!(result.cost <= result.hold);
}

/// What a run may have used whose bill could not be written is no longer there for the runs after it.
#[tokio::test(start_paused = true)]
async fn runs_after_an_unwritten_bill_get_by_with_the_rest() {
    let house = house("10").await;
    let (ledger, is_first) = (house.ledger.clone(), AtomicBool::new(true));
    house.sandbox.otherwise(move |job| {
        if is_first.swap(false, Ordering::SeqCst) {
            ledger.fail(1, Moment::Before, StorageErrorKind::Full);
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        program_of_ours(job).using(Usage {
            wall_ms: millis(job.limits.wall),
            cpu_ms: millis(job.limits.cpu),
            peak_memory_bytes: job.limits.memory_bytes,
            output_bytes: 0,
        })
    });
    let mut request = house.request(Ask::Question("total revenue by product".into()));
    request.max_cost = Some("0.001".parse().unwrap());
    let result = house.run(request).await;
    assert_eq!(result.status, Status::Ok, "{result:?}");
    let told = |warning: &String| warning.contains("counts at its worst case");
    assert!(result.warnings.iter().any(told), "{result:?}");
    house.clock.advance(Duration::from_secs(3_600));
    house.budget.expire().await.unwrap();
    let (spent, held) = house.money().await;
    assert!(spent <= result.hold, "{spent} of {}", result.hold);
    assert!(held.is_zero());
}

/// A second of everything a program may have, which is metered while it runs.
const A_SECOND: Usage = Usage {
    wall_ms: 1_000,
    cpu_ms: 1_000,
    peak_memory_bytes: 1 << 29,
    output_bytes: 0,
};

#[tokio::test]
async fn what_a_run_uses_is_drawn_while_it_goes_on_and_counted_once() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let (before, _) = house.money().await;
    house
        .sandbox
        .next(FakeRun::hangs().using_meanwhile(A_SECOND).using(A_SECOND));
    let running = house
        .analyst
        .start(house.request(Ask::Code("while True: pass".into())))
        .unwrap();
    // vCPU-second and half a GiB-second.
    let metered: Usd = "0.00001625".parse().unwrap();
    while house.money().await.0 == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.money().await.0, before.checked_add(metered).unwrap());
    running.canceller().cancel();
    let result = running.result().await.unwrap();
    assert_eq!((result.status, result.cost), (Status::Cancelled, metered));
    assert_eq!(
        house.money().await,
        (before.checked_add(metered).unwrap(), Usd::ZERO)
    );
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_run_books_its_worst_case_once() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let (before, _) = house.money().await;
    house.sandbox.next(FakeRun::lost(false).using_meanwhile(A_SECOND));
    let result = house.code("result = 1").await;
    let [line] = &result.cost_lines[..] else {
        panic!("one line: {result:?}")
    };
    assert_eq!((line.amount, line.estimated), (result.cost, true));
    assert_eq!(
        house.money().await,
        (before.checked_add(line.amount).unwrap(), Usd::ZERO)
    );
}

#[tokio::test]
async fn the_kill_switch_ends_what_runs_and_refuses_what_comes() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    house
        .sandbox
        .next(FakeRun::hangs().using_meanwhile(A_SECOND).using(A_SECOND));
    // Stopped before the program is first metered, which is when it hears of it.
    let budget = house.budget.clone();
    house.budget.stop_all("a leak").await.unwrap();
    let refused = house.code("result = 1").await;
    assert_eq!(
        (refused.status, failure(&refused)),
        (Status::Refused, FailureKind::Budget)
    );
    assert!(refused.failure.unwrap().message.contains("a leak"));
    budget.resume().await.unwrap();

    let running = house
        .analyst
        .start(house.request(Ask::Code("while True: pass".into())))
        .unwrap();
    while house.sandbox.jobs().len() < 3 {
        tokio::task::yield_now().await;
    }
    budget.stop_all("another leak").await.unwrap();
    house.sandbox.used_by_all(Usage {
        wall_ms: 2_000,
        cpu_ms: 2_000,
        ..A_SECOND
    });
    let result = running.result().await.unwrap();
    assert_eq!(
        (result.status, failure(&result)),
        (Status::Failed, FailureKind::Budget)
    );
    assert!(result.failure.unwrap().message.contains("another leak"));
    assert_eq!(house.money().await.1, Usd::ZERO);
}

#[tokio::test]
async fn a_cap_on_all_spending_binds_whoever_asks() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let (spent, _) = house.money().await;
    let month = Window::month("UTC").unwrap();
    let cap = Budget::new(everybody(), "0.0000001".parse().unwrap(), month);
    house.budget.define(cap).await.unwrap();
    let refused = house.code("result = 1").await;
    assert_eq!(
        (refused.status, failure(&refused)),
        (Status::Refused, FailureKind::Budget)
    );
    assert_eq!(refused.failure.unwrap().budget.unwrap().scope, everybody());
    assert_eq!(house.money().await, (spent, Usd::ZERO));
}

#[tokio::test]
async fn a_spent_budget_still_pays_for_cheap_answers_from_its_allowance() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let limit: Usd = "0.05".parse().unwrap();
    let month = Window::month("UTC").unwrap();
    let budget = Budget::new("user/*".parse().unwrap(), limit, month).with_degraded_allowance(limit);
    house.budget.define(budget).await.unwrap();

    let refused = house.code("result = 1").await;
    assert_eq!(
        (refused.status, failure(&refused)),
        (Status::Refused, FailureKind::Budget)
    );
    let answered = house.ask("total revenue by product").await;
    assert_eq!(answered.status, Status::Ok, "{answered:?}");
    assert!(
        answered
            .warnings
            .iter()
            .any(|warning| warning.contains("cheap answers")),
        "{answered:?}"
    );
}

#[tokio::test]
async fn a_spent_budget_refuses_before_anything_runs() {
    let house = house("0.000001").await;
    let result = house.ask("total revenue by product").await;
    assert_eq!(
        (result.status, failure(&result)),
        (Status::Refused, FailureKind::Budget)
    );
    let short = result.failure.unwrap().budget.expect("which budget");
    assert_eq!((short.scope, short.limit), (ana(), "0.000001".parse().unwrap()));
    assert_eq!(short.resets_at, Some("2026-04-01T00:00:00Z".parse().unwrap()));
    assert!(house.sandbox.jobs().is_empty());
    assert!(
        house
            .results
            .page(&ana(), PageRequest::default())
            .await
            .unwrap()
            .results
            .is_empty()
    );
}

#[tokio::test]
async fn a_small_remainder_gets_smaller_limits_and_never_costs_more_than_its_hold() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let all_it_may = |job: &Job| {
        let Limits {
            wall,
            cpu,
            memory_bytes,
            ..
        } = job.limits;
        let usage = Usage {
            wall_ms: u64::try_from(wall.as_millis()).unwrap(),
            cpu_ms: u64::try_from(cpu.as_millis()).unwrap(),
            peak_memory_bytes: memory_bytes,
            output_bytes: 0,
        };
        FakeRun::replies(TABLE).using(usage)
    };
    house.sandbox.otherwise(all_it_may);
    for cap in ["0.00004", "0.0001", "0.0002", "5"] {
        let mut request = house.request(Ask::Code("result = 1".into()));
        request.max_cost = Some(cap.parse().unwrap());
        let result = house.run(request).await;
        assert_eq!(result.status, Status::Ok, "{cap}");
        assert!(
            result.cost <= result.hold && result.hold <= cap.parse().unwrap(),
            "{cap}: {result:?}"
        );
    }
    let shortest = house
        .sandbox
        .jobs()
        .iter()
        .map(|job| job.limits.wall)
        .min()
        .unwrap();
    assert!(shortest < Limits::default().wall);

    let mut request = house.request(Ask::Code("result = 1".into()));
    request.max_cost = Some("0.000001".parse().unwrap());
    assert_eq!(failure(&house.run(request).await), FailureKind::Budget);
}

#[tokio::test]
async fn cancelling_charges_what_was_used() {
    let house = house("10").await;
    house.ask("total revenue by product").await;
    let (spent, _) = house.money().await;
    house.sandbox.next(FakeRun::hangs());
    let running = house
        .analyst
        .start(house.request(Ask::Code("while True: pass".into())))
        .unwrap();
    running.canceller().cancel();
    let result = running.result().await.unwrap();
    assert_eq!(
        (result.status, failure(&result)),
        (Status::Cancelled, FailureKind::Cancelled)
    );
    assert_eq!(
        house.money().await,
        (spent.checked_add(result.cost).unwrap(), Usd::ZERO)
    );
}

#[tokio::test]
async fn an_analysis_outlives_whoever_asked() {
    let house = house("10").await;
    let running = house
        .analyst
        .start(house.request(Ask::Question("total revenue by product".into())))
        .unwrap();
    let id = running.id();
    drop(running);
    while house.results.find(&ana(), id).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.money().await.1, Usd::ZERO);
}

#[tokio::test]
async fn shutting_down_cancels_settles_and_refuses() {
    let house = house("10").await;
    house.sandbox.next(FakeRun::hangs());
    let running = house
        .analyst
        .start(house.request(Ask::Question("total revenue by product".into())))
        .unwrap();
    house.analyst.shut_down().await;
    assert_eq!(running.result().await.unwrap().status, Status::Cancelled);
    assert_eq!(house.money().await.1, Usd::ZERO);
    let late = house
        .analyst
        .start(house.request(Ask::Question("revenue".into())));
    assert_eq!(late.unwrap_err(), RequestError::ShuttingDown);
}

#[tokio::test]
async fn what_cannot_be_answered_says_so_with_suggestions() {
    let house = house("10").await;
    let result = house.ask("what will the weather be tomorrow in Lisbon").await;
    assert_eq!(
        (result.status, failure(&result)),
        (Status::Failed, FailureKind::CannotAnswer)
    );
    let failure = result.failure.unwrap();
    assert!(!failure.not_understood.is_empty());
    assert!(!failure.suggestions.is_empty());
    for suggestion in failure.suggestions {
        assert_eq!(house.ask(&suggestion).await.status, Status::Ok, "{suggestion}");
    }
}

#[tokio::test]
async fn impossible_requests_are_not_begun() {
    let house = house("10").await;
    let long = "revenue ".repeat(20_000);
    for (ask, expected) in [
        (Ask::Question(String::new()), RequestError::EmptyQuestion),
        (Ask::Question(" \n\t".into()), RequestError::EmptyQuestion),
        (
            Ask::Question(long.clone()),
            RequestError::LongQuestion { chars: long.len() },
        ),
        (Ask::Code("  ".into()), RequestError::EmptyCode),
        (Ask::Code("a\0b".into()), RequestError::BinaryCode),
        (
            Ask::Code("#".repeat(300_000)),
            RequestError::LongCode { bytes: 300_000 },
        ),
    ] {
        assert_eq!(house.analyst.start(house.request(ask)).unwrap_err(), expected);
    }
    assert_eq!(house.money().await, (Usd::ZERO, Usd::ZERO));
    assert!(is_empty(&house.folder.path().join("artifacts")));
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}
