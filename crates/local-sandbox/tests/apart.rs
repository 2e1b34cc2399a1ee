//! Runs kept apart: two tenants side by side, one run after another, and programs that are hardly programs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{path::Path, time::Duration};

use common::{Fixture, MB, input, program::folder, service, value};
use futures_util::future::join_all;
use meterbox_sandbox_client::{Job, Limits, Outcome, Program, Reply, Verdict};

/// Looks for the other tenant's data wherever it might be.
const TENANT: &str = "
import os, time
mine = open('/data/orders.csv').read()
with open('result.csv', 'w') as file:
    file.write(mine)
with open('/tmp/result.csv', 'w') as file:
    file.write(mine)
found = set()
for _ in range(20):
    for top in ('/data', '/inputs', '/scratch', '/tmp', '/proc'):
        for at, _, names in os.walk(top):
            for name in names:
                if name.endswith('.csv'):
                    found.add(open(os.path.join(at, name)).read())
    for guess in parameters:
        try:
            found.add(open(guess).read())
        except OSError:
            pass
    time.sleep(0.01)
reply(sorted(found))
";

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_with_one_name_for_their_data_never_meet() {
    let fixture = Fixture::bare_with(|builder| builder.ready(2));
    let tenants = ["ana", "bob"];
    let sources = tenants.map(|tenant| {
        std::fs::create_dir(fixture.inputs.path().join(tenant)).unwrap();
        fixture.input(&format!("{tenant}/orders.csv"), tenant)
    });
    let guesses: Vec<String> = sources
        .iter()
        .map(|source| source.display().to_string())
        .chain(tenants.map(|tenant| format!("/inputs/{tenant}/orders.csv")))
        .chain(tenants.map(|tenant| format!("/data/../inputs/{tenant}/orders.csv")))
        .collect();
    let runs = (0..8).map(|number| {
        let (tenant, source, guesses, fixture) =
            (tenants[number % 2], &sources[number % 2], &guesses, &fixture);
        async move {
            let into = tempfile::tempdir().unwrap();
            let job = Job {
                inputs: vec![input(source, "orders.csv")],
                artifacts_into: Some(into.path().to_owned()),
                ..Job::new(Program::Service {
                    code: TENANT.to_owned(),
                    parameters: guesses.clone().into(),
                })
            };
            let outcome = fixture.run(job).await;
            assert_eq!(value(&outcome), serde_json::json!([tenant]), "{outcome:#?}");
            assert_eq!(read(into.path(), "result.csv"), tenant);
        }
    });
    join_all(runs).await;
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// One after another and side by side, in new children and in ready ones.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_run_reaches_the_next_one() {
    let leaves = std::fs::read_to_string(folder().join("096_leaves_something.py")).unwrap();
    // What one holds while it lives is not there for the other either.
    let holds = "import numpy, os\nbefore = numpy.random.rand()\nnumpy.random.seed(7)\n\
                 open('/tmp/held', 'x').write(str(before))\nreply([before, sorted(os.listdir('/tmp'))])";
    for ready in [0, 2] {
        let fixture = Fixture::with(|builder| builder.ready(ready));
        for _ in 0..3 {
            assert_eq!(fixture.value(&leaves).await, "denied");
        }
        let side_by_side = join_all((0..4).map(|_| fixture.value(holds))).await;
        let mut drawn: Vec<f64> = side_by_side
            .iter()
            .map(|value| value[0].as_f64().unwrap())
            .collect();
        drawn.sort_by(f64::total_cmp);
        drawn.dedup();
        assert_eq!(drawn.len(), 4, "each has numbers of its own: {side_by_side:?}");
        assert!(
            side_by_side
                .iter()
                .all(|value| value[1] == serde_json::json!(["held"]))
        );
    }
}

/// Compiling is under the limits of running.
#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_hardly_code_is_an_error_and_bounded() {
    let fixture = Fixture::new();
    let nested = format!("{}{}", "(".repeat(1_000_000), ")".repeat(1_000_000));
    let codes = [
        (
            "ten megabytes of a comment",
            format!("#{}\nresult = 1", "x".repeat(10 << 20)),
            true,
        ),
        ("ten megabytes of lines", "a = 1\n".repeat(1_700_000), false),
        ("a million parentheses", nested, false),
        (
            "a million unary signs",
            format!("{}1", "-".repeat(1_000_000)),
            false,
        ),
        ("a null byte", "result = 1\0".to_owned(), false),
        ("a mark of byte order", "\u{feff}result = 1".to_owned(), true),
        (
            "two marks of byte order",
            "\u{feff}\u{feff}result = 1".to_owned(),
            false,
        ),
        (
            "a cookie of another coding",
            "# coding: utf-7\nresult = '+AGEAYg-'".to_owned(),
            true,
        ),
        (
            "a cookie of no coding",
            "# -*- coding: meterbox -*-\nresult = 1".to_owned(),
            true,
        ),
        (
            "a line end of another age",
            "result = 1\rresult = 2\u{2028}".to_owned(),
            false,
        ),
        ("a name in look-alike letters", "rеsult = 1".to_owned(), false),
        (
            "a text that turns around",
            "result = '\u{202e}abc'".to_owned(),
            true,
        ),
        ("nothing", String::new(), false),
        ("an endless constant", "result = 9**9**9".to_owned(), false),
        (
            "a syntax tree too deep",
            format!("result = {}1{}", "[".repeat(5_000), "]".repeat(5_000)),
            false,
        ),
    ];
    for (what, code, answers) in codes {
        let limits = Limits {
            wall: Duration::from_secs(8),
            cpu: Duration::from_secs(4),
            memory_bytes: 128 * MB,
            ..Limits::default()
        };
        let job = Job {
            limits,
            ..Job::new(Program::Analysis { code })
        };
        let outcome = fixture.run(job).await;
        assert_eq!(is_answer(&outcome), answers, "{what}: {outcome:#?}");
        let ended_well = matches!(outcome.verdict, Verdict::Exited { .. });
        let was_stopped = matches!(
            outcome.verdict,
            Verdict::WallLimit | Verdict::CpuLimit | Verdict::MemoryLimit | Verdict::Signalled { signal: 11 }
        );
        assert!(ended_well || was_stopped, "{what}: {outcome:#?}");
        assert_eq!(value(&fixture.run(service("reply(1)")).await), 1, "after {what}");
    }
}

fn is_answer(outcome: &Outcome) -> bool {
    outcome.verdict == (Verdict::Exited { code: 0 }) && matches!(outcome.reply, Some(Reply::Value(_)))
}
