//! What the soft caps of a budget do to analyses.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{fs, sync::Arc, time::Duration};

use meterbox_analysis::{Analyst, Ask, Principal, Request};
use meterbox_budget_engine::{Budget, BudgetEngine, EntryPage, MemoryLedger, Offer, SoftCaps, Window};
use meterbox_core::{
    Scope, Usd,
    contract::{AnalysisResult, CostLine, FailureKind, Status},
};
use meterbox_datasets::{Catalog, Dataset};
use meterbox_price_book::{PriceBook, Terms, TokenUsage};
use meterbox_results_store::MemoryResults;
use meterbox_sandbox_client::{FakeRun, FakeSandbox, Job, Program};
use meterbox_testkit::ManualClock;
use tokio::time::timeout;

const ANSWER: &str = r#"{"answer": {"kind": "table", "columns": [{"name": "product", "type": "text"}, {"name": "revenue", "type": "decimal"}],
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
    sandbox: FakeSandbox,
    data: Dataset,
    _folder: tempfile::TempDir,
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// A dollar for ana, with features off from 50 % and one at a time from 60 %.
async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("sales.csv");
    fs::write(&csv, "product,revenue\nLamp,12.50\n").unwrap();
    let clock = ManualClock::at("2026-11-26T12:00:00Z".parse().unwrap());
    let budget = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    let mut of_ana = Budget::new(ana(), usd("1"), Window::Lifetime);
    of_ana.soft_caps = SoftCaps {
        warn_percent: 30,
        degrade_percent: 40,
        features_off_percent: 50,
        squeeze_percent: 60,
        squeeze_to: 1,
    };
    budget.define(of_ana).await.unwrap();
    let catalog = Catalog::open(&folder.path().join("datasets")).unwrap();
    let data = catalog.add(&[csv]).unwrap();
    let sandbox = FakeSandbox::new();
    sandbox.otherwise(run);
    let analyst = Analyst::builder(
        Arc::new(sandbox.clone()),
        budget.clone(),
        Arc::new(MemoryResults::new()),
        catalog,
        folder.path().join("artifacts"),
    )
    .clock(Arc::new(clock))
    .prices(PriceBook::shipped(), "local")
    .unwrap()
    .build();
    analyst
        .prepare(data.clone(), Principal::user(ana()))
        .await
        .unwrap();
    House {
        analyst,
        budget,
        sandbox,
        data,
        _folder: folder,
    }
}

fn run(job: &Job) -> FakeRun {
    match &job.program {
        Program::Analysis { .. } => FakeRun::replies(ANSWER),
        Program::Service { parameters, .. } if parameters.get("files").is_some() => {
            FakeRun::replies(IMPORT).leaving("sales.parquet", b"PAR1")
        }
        Program::Service { .. } => {
            FakeRun::replies(r#"{"file": "chart.png"}"#).leaving("chart.png", b"\x89PNG")
        }
    }
}

impl House {
    async fn spend_up_to(&self, total: &str) {
        let spent = self.budget.status(&ana()).await.unwrap().spent;
        let amount = usd(total).checked_sub(spent).unwrap();
        let request = meterbox_budget_engine::HoldRequest::new([ana()], amount, "elsewhere");
        let hold = self.budget.hold(request).await.unwrap();
        let line = CostLine {
            item: "output".into(),
            quantity: 1,
            unit: "tokens".into(),
            amount,
            estimated: false,
            price: None,
        };
        hold.draw(line).await.unwrap();
        hold.settle().await.unwrap();
    }

    fn request(&self) -> Request {
        Request {
            chart_png: true,
            ..Request::new(
                Ask::Code("result = 1".into()),
                self.data.clone(),
                Principal::user(ana()),
            )
        }
    }

    async fn ask(&self) -> AnalysisResult {
        self.analyst
            .start(self.request())
            .unwrap()
            .result()
            .await
            .unwrap()
    }
}

fn leaves_the_picture_out(result: &AnalysisResult) -> bool {
    assert_eq!(result.status, Status::Ok, "{:?}", result.failure);
    let told = result
        .warnings
        .iter()
        .any(|warning| warning.contains("picture of the chart"));
    assert_eq!(told, result.artifacts.is_empty(), "{:?}", result.warnings);
    told
}

#[tokio::test]
async fn features_go_off_near_the_limit_and_come_back_with_more_of_it() {
    let house = house().await;
    assert!(!leaves_the_picture_out(&house.ask().await));
    house.spend_up_to("0.55").await;
    assert!(leaves_the_picture_out(&house.ask().await));
    house.budget.top_up(&ana(), usd("5"), None, "more").await.unwrap();
    assert!(!leaves_the_picture_out(&house.ask().await));
}

/// Close to the limit the whole worst case is not covered; the caps hold for the smaller request as well.
#[tokio::test]
async fn a_smaller_request_heeds_the_caps_too() {
    let house = house().await;
    house.spend_up_to("0.9999").await;
    assert!(leaves_the_picture_out(&house.ask().await));
    house.spend_up_to("1").await;
    let refused = house.ask().await;
    assert_eq!(refused.status, Status::Refused);
    assert_eq!(refused.failure.unwrap().kind, FailureKind::Budget);
}

/// What is kept for cheap answers pays for the answer, not for its picture.
#[tokio::test]
async fn an_answer_from_the_degraded_allowance_has_no_picture() {
    let house = house().await;
    let of_ana = Budget::new(ana(), usd("1"), Window::Lifetime).with_degraded_allowance(usd("0.05"));
    house.budget.define(of_ana).await.unwrap();
    house.spend_up_to("0.95").await;
    let request = Request {
        ask: Ask::Question("revenue by product".into()),
        ..house.request()
    };
    let result = house.analyst.start(request).unwrap().result().await.unwrap();
    let told = |words: &str| result.warnings.iter().any(|warning| warning.contains(words));
    assert!(told("kept for cheap answers"), "{:?}", result.warnings);
    assert!(leaves_the_picture_out(&result));
}

/// With one under way that hangs, another goes on beside it, or waits for its turn without money set aside.
#[tokio::test(start_paused = true)]
async fn near_the_limit_one_goes_on_at_a_time() {
    for (spent, waits) in [("0.2", false), ("0.7", true)] {
        let house = house().await;
        house.spend_up_to(spent).await;
        let before = house.sandbox.jobs().len();
        house.sandbox.next(FakeRun::hangs());
        let first = house.analyst.start(house.request()).unwrap();
        while house.sandbox.jobs().len() == before {
            tokio::task::yield_now().await;
        }
        let held = house.budget.status(&ana()).await.unwrap().held;
        let second = house.analyst.start(house.request()).unwrap();
        let mut second = tokio::spawn(second.result());
        let ended = timeout(Duration::from_secs(5), &mut second).await;
        assert_eq!(ended.is_err(), waits, "{spent}");
        assert_eq!(house.budget.status(&ana()).await.unwrap().held, held, "{spent}");
        first.canceller().cancel();
        assert_eq!(first.result().await.unwrap().status, Status::Cancelled);
        let result = match ended {
            Ok(result) => result,
            Err(_) => second.await,
        };
        assert_eq!(result.unwrap().unwrap().status, Status::Ok);
    }
}

/// Whoever waits for a turn can be cancelled.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_can_be_cancelled() {
    let house = house().await;
    house.spend_up_to("0.7").await;
    let before = house.sandbox.jobs().len();
    house.sandbox.next(FakeRun::hangs());
    let first = house.analyst.start(house.request()).unwrap();
    while house.sandbox.jobs().len() == before {
        tokio::task::yield_now().await;
    }
    let second = house.analyst.start(house.request()).unwrap();
    tokio::task::yield_now().await;
    second.canceller().cancel();
    let result = second.result().await.unwrap();
    assert_eq!((result.status, result.cost), (Status::Cancelled, Usd::ZERO));
    first.canceller().cancel();
    first.result().await.unwrap();
}

/// Each line says by which price of which book it was priced, and so does the worst case in the ledger.
#[tokio::test]
async fn lines_say_their_price_also_in_the_ledger() {
    let house = house().await;
    let result = house.ask().await;
    let book = PriceBook::shipped();
    assert!(!result.cost_lines.is_empty());
    for line in &result.cost_lines {
        let tag = line.price.as_ref().unwrap();
        assert_eq!(tag.book(), book.short_fingerprint());
        assert!(tag.rate().starts_with("sandbox/local/"), "{tag}");
    }
    let entries = house
        .budget
        .entries(EntryPage {
            after: 0,
            limit: 10_000,
        })
        .await
        .unwrap();
    let lines: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.body.line.as_deref())
        .collect();
    assert!(lines.iter().all(|line| line.price.is_some()), "{lines:?}");
    let worst_case = |line: &&&CostLine| line.price.as_ref().unwrap().rate() == "sandbox/local:worst_case";
    assert!(lines.iter().filter(worst_case).count() >= 3);
}

/// Which model is the cheaper one depends on the request: gpt-4.1 costs less for output, gpt-5 less for input. Offers
/// priced by the book at the request's own mix say so.
#[tokio::test]
async fn the_cheaper_model_is_the_one_that_is_cheaper_for_this_request() {
    let house = house().await;
    house.spend_up_to("0.5").await;
    let now = "2026-11-26T12:00:00Z".parse().unwrap();
    for (input, output, chosen) in [
        (20_000_u64, 500_u64, "openai/gpt-5"),
        (500, 5_000, "openai/gpt-4.1"),
        (500, 50_000, "openai/gpt-4.1"),
    ] {
        let usage = TokenUsage {
            input,
            output,
            ..TokenUsage::default()
        };
        let offers = ["openai/gpt-5", "openai/gpt-4.1"].map(|name| {
            let (model, terms) = (PriceBook::shipped().model(name, now).unwrap(), Terms::default());
            Offer {
                name: name.to_owned(),
                cost: model.cost(&usage, &terms).unwrap(),
                worst_case: model.worst_case(input, output, &terms).unwrap(),
            }
        });
        let advice = house.budget.advise(&[ana()], &offers).await.unwrap();
        assert_eq!(advice.name, chosen, "{input} {output} {offers:?}");
        // And the hold is what the call may cost, with its output cut to it.
        let model = PriceBook::shipped().model(chosen, now).unwrap();
        let hold = offers[advice.offer].worst_case;
        let most = model.output_within(hold, input, &Terms::default()).unwrap();
        assert_eq!(most, Some(output));
    }
}
