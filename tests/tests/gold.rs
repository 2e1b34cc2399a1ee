//! Fifty questions as a shop owner would put them, in three phrasings, over the sample shop and over data nobody
//! here made. Forty have answers computed by a separate pandas program; ten must be declined.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Arc};

use meterbox_analysis::{Analyst, Ask, Principal, Request};
use meterbox_budget_engine::{Budget, BudgetEngine, MemoryLedger, Window};
use meterbox_core::{
    SystemClock,
    contract::{AnalysisResult, Answer, Cell, FailureKind, Source, Status},
};
use meterbox_datasets::{Catalog, Dataset};
use meterbox_local_sandbox::LocalSandbox;
use meterbox_results_store::MemoryResults;
use meterbox_testkit::test_runtime;
use meterbox_tests::repository;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn forty_five_answers_match_and_ten_questions_are_declined() {
    let folder = tempfile::tempdir().unwrap();
    // Data of an unrelated schema, drawn by an independent package.
    let superstore = repository().join("tests/gold/superstore.csv");
    let gold = gold(&superstore);
    let house = House::new(folder.path(), &superstore).await;
    let (mut asked, mut wrong) = (0, Vec::new());
    for line in fs::read_to_string(repository().join("tests/gold/questions.jsonl"))
        .unwrap()
        .lines()
    {
        let question: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| question[name].as_str().unwrap();
        let result = house.ask(text("data"), text("question")).await;
        asked += 1;
        let complaint = match question["decline"].as_bool() {
            Some(true) => undeclined(&result),
            _ => mismatch(&result, &gold[text("id")]),
        };
        if let Some(complaint) = complaint {
            wrong.push(format!("{} {:?}: {complaint}", text("id"), text("question")));
        }
    }
    assert_eq!(asked, 55);
    assert!(
        wrong.is_empty(),
        "{} of 55 are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn undeclined(result: &AnalysisResult) -> Option<String> {
    let declined = result.failure.as_ref().is_some_and(|failure| {
        matches!(failure.kind, FailureKind::CannotAnswer | FailureKind::Ambiguous)
            && !failure.suggestions.is_empty()
    });
    (!declined).then(|| format!("not declined: {:?} {:?}", result.reading, result.failure))
}

fn mismatch(result: &AnalysisResult, gold: &[Vec<Cell>]) -> Option<String> {
    let Some(answer) = result.answer.as_ref().filter(|_| result.status == Status::Ok) else {
        return Some(format!("not answered: {:?} {:?}", result.status, result.failure));
    };
    assert_eq!(result.source, Some(Source::Rules));
    let rows = match answer {
        Answer::Table { rows, .. } => rows.clone(),
        Answer::Scalar { value, .. } => vec![vec![value.clone()]],
        other => return Some(format!("not a table or a value: {other:?}")),
    };
    if same_rows(&rows, gold) {
        return None;
    }
    let shown = |rows: &[Vec<Cell>]| format!("{} rows, {:?}", rows.len(), &rows[..rows.len().min(4)]);
    let reading = result.reading.as_ref().map(|reading| reading.text.clone());
    Some(format!(
        "{}\n      but gold has {}\n      read as {reading:?}",
        shown(&rows),
        shown(gold)
    ))
}

/// The same rows in any order, with gold's columns among ours: an answer may also say which customer of that name,
/// or the sum behind a share.
fn same_rows(rows: &[Vec<Cell>], gold: &[Vec<Cell>]) -> bool {
    let (ours, wanted) = (rows.first().map_or(0, Vec::len), gold.first().map_or(0, Vec::len));
    rows.len() == gold.len() && ours >= wanted && pair_columns(rows, gold, [ours, wanted], &mut Vec::new())
}

/// Finds the columns of ours that gold's are, one after the other.
fn pair_columns(
    rows: &[Vec<Cell>],
    gold: &[Vec<Cell>],
    widths: [usize; 2],
    columns: &mut Vec<usize>,
) -> bool {
    let [ours, wanted] = widths;
    if !same_multiset(rows, gold, columns) {
        return false;
    }
    if columns.len() == wanted {
        return true;
    }
    for candidate in 0..ours {
        if columns.contains(&candidate) {
            continue;
        }
        columns.push(candidate);
        if pair_columns(rows, gold, widths, columns) {
            return true;
        }
        columns.pop();
    }
    false
}

fn same_multiset(rows: &[Vec<Cell>], gold: &[Vec<Cell>], columns: &[usize]) -> bool {
    let mut taken = vec![false; rows.len()];
    gold.iter().all(|wanted| {
        let fits = |row: &Vec<Cell>| {
            columns
                .iter()
                .zip(wanted)
                .all(|(column, wanted)| same_cell(&row[*column], wanted))
        };
        let found = (0..rows.len()).find(|&at| !taken[at] && fits(&rows[at]));
        found.is_some_and(|at| !std::mem::replace(&mut taken[at], true))
    })
}

fn same_cell(ours: &Cell, gold: &Cell) -> bool {
    match (ours.as_f64(), gold.as_f64()) {
        // Answers about money are rounded to the cent.
        (Some(ours), Some(gold)) => {
            (ours - gold).abs() <= 1e-6 * gold.abs().max(1.0) || (ours - gold).abs() < 0.005_1
        }
        _ => ours == gold,
    }
}

struct House {
    analyst: Analyst,
    data: BTreeMap<&'static str, Dataset>,
}

impl House {
    async fn new(folder: &Path, superstore: &Path) -> Self {
        let budget = BudgetEngine::new(MemoryLedger::new(), SystemClock::default());
        let everyone = Budget::new("user/*".parse().unwrap(), "1".parse().unwrap(), Window::Lifetime);
        budget.define(everyone).await.unwrap();
        let catalog = Catalog::open(&folder.join("datasets")).unwrap();
        let shop = catalog.add(&[repository().join("examples/data/shop")]).unwrap();
        let superstore = catalog.add(&[superstore.to_owned()]).unwrap();
        let sandbox = LocalSandbox::builder(test_runtime())
            .inputs_root(catalog.folder())
            .build()
            .unwrap();
        let results = Arc::new(MemoryResults::new());
        let analyst = Analyst::builder(
            Arc::new(sandbox),
            budget,
            results,
            catalog,
            folder.join("artifacts"),
        )
        .build();
        Self {
            analyst,
            data: BTreeMap::from([("shop", shop), ("superstore", superstore)]),
        }
    }

    async fn ask(&self, data: &str, question: &str) -> AnalysisResult {
        let request = Request::new(
            Ask::Question(question.to_owned()),
            self.data[data].clone(),
            Principal::user("user/owner".parse().unwrap()),
        );
        self.analyst.start(request).unwrap().result().await.unwrap()
    }
}

fn gold(superstore: &Path) -> BTreeMap<String, Vec<Vec<Cell>>> {
    let shop = repository().join("examples/data/shop");
    let printed = python("gold.py", &[&shop, superstore]);
    serde_json::from_str(&printed).expect("gold.py prints JSON")
}

fn python(script: &str, arguments: &[&Path]) -> String {
    let output = Command::new(test_runtime().python)
        .arg(repository().join("tests/gold").join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
