//! Ordinary programs, each a file under `corpus/` whose first line says its answer. That they run shows that the list
//! of system calls, the folders and the limits leave what analysis needs.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::path::Path;

use common::{Fixture, input, service};
use meterbox_sandbox_client::{Job, Reply, Verdict};

const ORDERS: &str =
    "day,who,amount\n2025-01-03,ana,30.5\n2025-01-20,bo,30\n2025-02-01,ana,25\n2025-02-11,ana,15\n";

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_programs_have_the_right_answers() {
    let fixture = Fixture::new();
    let orders = fixture.input("orders.csv", ORDERS);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 35, "only {} programs", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let code = std::fs::read_to_string(&path).unwrap();
        let answer = code
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# answer: "));
        let answer: serde_json::Value =
            serde_json::from_str(answer.unwrap_or_else(|| panic!("{name}"))).unwrap();
        let job = Job {
            inputs: vec![input(&orders, "orders.csv")],
            ..service(&code)
        };
        let outcome = fixture.run(job).await;
        let found = match &outcome.reply {
            Some(Reply::Value(value)) => serde_json::from_str(value.get()).unwrap(),
            _ => serde_json::Value::Null,
        };
        if outcome.verdict != (Verdict::Exited { code: 0 }) || found != answer {
            wrong.push(format!("{name}: {outcome:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} programs: {}", wrong.len(), wrong.join("\n"));
}
