//! The binary with a language model, which is a double here: what is asked, what is answered, what it costs, and what
//! becomes of a call when the process dies.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{fs, path::Path, process::Stdio, time::Duration};

use meterbox_budget_engine::{BudgetEngine, SqliteLedger};
use meterbox_core::{
    Clock, SystemClock, Timestamp, Usd,
    contract::{AnalysisResult, Source, Status},
};
use meterbox_testkit::{MODEL_KEY, ManualClock, ModelAnswer, ModelDouble, ModelFault, WireFault};
use meterbox_tests::Terminal;

const SALES: &str = "product,city,revenue,customer_email\nTea,Berlin,10.50,ida@example.com\n\
                     Coffee,Berlin,32.00,tom@example.com\nCake,Paris,5.25,ida@example.com\nTea,Paris,4.50,mia@example.com\n";
/// A question that rules have no answer to.
const HARD: &str = "which product would somebody from Berlin most likely bring along, going by takings";
const PROGRAM: &str = "sales = tables['sales']\nberlin = sales[sales['city'] == 'Berlin']\n\
                       result = berlin.groupby('product', as_index=False)['revenue'].sum().sort_values('revenue', ascending=False)";

fn reply(code: &str) -> String {
    serde_json::json!({ "reading": "takings of each product in Berlin", "assumptions": ["takings are revenue"], "code": code })
        .to_string()
}

fn azure(double: &ModelDouble) -> Vec<(&'static str, String)> {
    vec![
        ("AZURE_OPENAI_ENDPOINT", double.azure_url()),
        ("AZURE_OPENAI_API_KEY", MODEL_KEY.to_owned()),
        ("AZURE_OPENAI_DEPLOYMENT_NAME", "analyst".to_owned()),
    ]
}

/// Runs the binary beside the double, which answers meanwhile.
fn ask(
    terminal: &Terminal,
    question: &str,
    further: &[&str],
    settings: &[(&'static str, String)],
) -> AnalysisResult {
    let arguments = [&["ask", question, "--data", "sales.csv", "--json"], further].concat();
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let ended = tokio::task::block_in_place(|| terminal.run_with(&arguments, &settings));
    assert!(!ended.stderr.contains(MODEL_KEY) && !ended.stdout.contains(MODEL_KEY));
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_azure_answers_and_its_price_is_learnt() {
    let double = ModelDouble::start().await;
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    double.answer_next(ModelAnswer::text(reply(PROGRAM)).using(1_000, 200));
    let result = ask(&terminal, HARD, &[], &azure(&double));

    assert_eq!(
        (result.status, result.source),
        (Status::Ok, Some(Source::Model)),
        "{result:?}"
    );
    let answer = serde_json::to_value(result.answer.unwrap()).unwrap();
    assert_eq!(
        answer["rows"],
        serde_json::json!([["Coffee", 32.0], ["Tea", 10.5]])
    );
    assert_eq!(result.reading.unwrap().text, "takings of each product in Berlin");
    let call = &double.calls()[0];
    assert_eq!(
        result.egress[0].body.as_deref().map(str::as_bytes),
        Some(call.bytes.as_slice())
    );
    // What "analyst" is, the reply said: gpt-4.1-mini, at $0.40 and $1.60 a million.
    let billed: Vec<_> = result
        .cost_lines
        .iter()
        .filter(|line| line.unit == "tokens")
        .collect();
    let total = billed
        .iter()
        .fold(Usd::ZERO, |sum, line| sum.checked_add(line.amount).unwrap());
    assert_eq!(total, "0.00072".parse().unwrap(), "{billed:?}");
    let learnt = fs::read_to_string(terminal.folder().join("kept/azure-deployments.json")).unwrap();
    assert!(
        learnt.contains("analyst") && learnt.contains("gpt-4.1-mini"),
        "{learnt}"
    );

    let prompt = call.prompt();
    assert!(prompt.contains("customer_email") && prompt.contains(HARD));
    // A double on this machine is told frequent values, and none that is personal.
    assert!(
        prompt.contains("\"Berlin\"") && !prompt.contains("ida@example.com"),
        "{prompt}"
    );
    assert!(no_file_holds(terminal.folder(), MODEL_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_again_costs_no_call_and_a_person_may_choose_who_writes() {
    let double = ModelDouble::start().await;
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    let settings = [
        ("OPENAI_BASE_URL", double.openai_url()),
        ("OPENAI_API_KEY", MODEL_KEY.to_owned()),
        ("OPENAI_MODEL", "gpt-4.1-mini".to_owned()),
    ];
    double.answer_next(
        ModelAnswer::text(format!("Reading: takings\n```python\n{PROGRAM}\n```")).using(900, 90),
    );
    ask(&terminal, HARD, &["--privacy", "1"], &settings);
    assert!(
        !double.calls()[0].prompt().contains("\"Berlin\""),
        "level 1 tells no value"
    );
    let noted = tokio::task::block_in_place(|| terminal.run(&["audit"]));
    assert!(noted.stdout.contains("dataset.privacy"), "{noted:?}");
    let again = ask(&terminal, HARD, &[], &settings);
    assert_eq!((again.status, again.source), (Status::Ok, Some(Source::Saved)));
    assert_eq!(double.calls().len(), 1);

    let by_rules = ask(&terminal, "revenue by city", &["--by", "rules"], &settings);
    assert_eq!(by_rules.source, Some(Source::Rules));
    double.answer_next(ModelAnswer::text(format!("```python\n{PROGRAM}\n```")).using(900, 90));
    let by_model = ask(&terminal, "revenue by city", &["--by", "model"], &settings);
    assert_eq!(by_model.source, Some(Source::Model));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_said_and_ends_with_7() {
    let double = ModelDouble::start().await;
    double.forgets_keys();
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    let settings = azure(&double);
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let arguments = ["ask", HARD, "--data", "sales.csv"];
    let ended = tokio::task::block_in_place(|| terminal.run_with(&arguments, &settings));
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert!(!ended.stderr.contains(MODEL_KEY), "{ended:?}");
}

#[test]
fn wrong_settings_stop_the_start() {
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    for (settings, said) in [
        (vec![("OPENAI_API_KEY", "k")], "OPENAI_MODEL is not set"),
        (
            vec![("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "gpt-99-enormous")],
            "MODEL_PRICED_LIKE",
        ),
        (
            vec![
                ("OPENAI_BASE_URL", "http://models.example.com/v1"),
                ("OPENAI_API_KEY", "k"),
                ("OPENAI_MODEL", "m"),
            ],
            "unencrypted",
        ),
    ] {
        let ended = terminal.run_with(&["ask", "revenue by city", "--data", "sales.csv"], &settings);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains(said) && ended.stderr.contains("Fix: "),
            "{said}: {ended:?}"
        );
    }
}

/// SIGKILL while the model thinks: once the hold has run out, the call stands at its worst case.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_crash_cut_short_is_booked_at_its_worst_case() {
    let double = ModelDouble::start().await;
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    let settings = azure(&double);
    // The data is typed first, so that only the call is under way.
    ask(&terminal, "revenue by city", &["--by", "rules"], &settings);
    double.fail_next(ModelFault::Wire(WireFault::Hang));
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut process = terminal
        .command(&["ask", HARD, "--data", "sales.csv"], &settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| double.calls().len() == 1).await;
    process.kill().unwrap();
    process.wait().unwrap();

    let tomorrow = SystemClock::default().now().as_micros() + 86_400_000_000;
    let ledger = SqliteLedger::open(terminal.folder().join("kept/ledger.sqlite3")).unwrap();
    let engine = BudgetEngine::new(ledger, ManualClock::at(Timestamp::from_micros(tomorrow).unwrap()));
    let settled = engine.expire().await.unwrap();
    let estimated: Vec<_> = settled
        .iter()
        .flat_map(|settlement| &settlement.estimated)
        .collect();
    assert_eq!(estimated.len(), 1, "{settled:?}");
    assert!(
        estimated[0].item.starts_with("program: ") && estimated[0].amount > Usd::ZERO,
        "{estimated:?}"
    );
    assert!(engine.verify().await.unwrap().is_clean());
}

async fn wait_until(done: impl Fn() -> bool + Send + Sync) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("within a minute");
}

fn no_file_holds(folder: &Path, secret: &str) -> bool {
    fs::read_dir(folder).unwrap().all(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return no_file_holds(&path, secret);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        !bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    })
}
