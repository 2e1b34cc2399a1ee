//! The E2B sandbox does what every sandbox does, ends every machine it made, and bills what E2B bills.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use meterbox_sandbox_client::{
    InputFile, Job, Limits, PortableTable, Program, Reply, Sandbox, SandboxError, Verdict, conformance,
    e2b::{E2bClient, E2bSandbox, MachineSize, NewSandbox, http_client},
};
use meterbox_testkit::{E2B_KEY, E2bDouble, E2bFault, peer_python, peer_python_of};

fn sandbox(double: &E2bDouble) -> E2bSandbox {
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = E2bClient::builder(http_client().unwrap(), E2B_KEY)
        .api_url(double.url())
        .sandbox_url(double.url())
        .build()
        .unwrap();
    E2bSandbox::new(client, "code-interpreter-v1").with_metadata("installation", "test")
}

fn service(code: &str) -> Job {
    Job::new(Program::Service {
        code: code.to_owned(),
        parameters: serde_json::Value::Null,
    })
}

async fn run(sandbox: &E2bSandbox, job: Job) -> meterbox_sandbox_client::Outcome {
    sandbox.run(job, Arc::new(())).await.unwrap()
}

/// Killed in the background, so not at once.
async fn all_machines_are_gone(double: &E2bDouble) {
    let gone = async {
        while !double.running().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap_or_else(|_| panic!("left: {:?}", double.running()));
}

#[tokio::test(flavor = "multi_thread")]
async fn does_what_every_sandbox_does_and_leaves_no_machine() {
    let double = E2bDouble::start().await;
    conformance::all(&sandbox(&double)).await;
    let behind_pointers: Arc<Box<dyn Sandbox>> = Arc::new(Box::new(sandbox(&double)));
    conformance::all(&behind_pointers).await;
    conformance::sessions::none(&behind_pointers).await;
    all_machines_are_gone(&double).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sees_its_files_and_leaves_others() {
    let double = E2bDouble::start().await;
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders.csv");
    std::fs::write(&orders, "name,price\npen,2\nink,5\n").unwrap();
    let mut job = Job::new(Program::Analysis {
        code: "open('note.txt', 'w').write('left')\nimport os\nos.symlink('/data/orders.csv', 'link')\n\
               result = tables['orders'].price.sum()"
            .to_owned(),
    });
    job.inputs = vec![InputFile {
        source: orders,
        path: "orders.csv".to_owned(),
    }];
    job.tables.insert("orders".to_owned(), "orders.csv".to_owned());
    job.artifacts_into = Some(folder.path().to_path_buf());
    let outcome = run(&sandbox(&double), job).await;
    let Some(Reply::Value(value)) = &outcome.reply else {
        panic!("{outcome:?}")
    };
    assert!(value.get().contains('7'), "{}", value.get());
    assert_eq!(outcome.artifacts.len(), 1, "{outcome:?}");
    assert_eq!(
        std::fs::read_to_string(&outcome.artifacts[0].path).unwrap(),
        "left"
    );
    assert_eq!(outcome.rejected[0].name, "link");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_end_a_program_and_its_machine() {
    let double = E2bDouble::start().await;
    let sandbox = sandbox(&double);
    let mut slow = service("import time\ntime.sleep(600)");
    slow.limits.wall = Duration::from_secs(2);
    assert_eq!(run(&sandbox, slow).await.verdict, Verdict::WallLimit);
    let mut busy = service("while True: pass");
    busy.limits.cpu = Duration::from_secs(1);
    assert_eq!(run(&sandbox, busy).await.verdict, Verdict::CpuLimit);
    let loud = service("while True: print('x' * 1000)");
    let outcome = run(&sandbox, loud).await;
    assert_eq!(outcome.verdict, Verdict::OutputLimit);
    assert!(outcome.stdout.len() as u64 <= Limits::default().output_bytes);
    let mut long = service("reply('x' * 5000)");
    long.limits.reply_bytes = 1000;
    assert_eq!(run(&sandbox, long).await.verdict, Verdict::OutputLimit);
    let hungry = run(&sandbox, service("held = b'x' * (1 << 31)\nreply(1)")).await;
    assert!(
        matches!(&hungry.reply, Some(Reply::Error(error)) if error.kind == "MemoryError"),
        "{hungry:?}"
    );
    all_machines_are_gone(&double).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_machine_is_billed_from_its_creation_on() {
    let double = E2bDouble::start().await;
    let sandbox = sandbox(&double);
    let outcome = run(&sandbox, service("import time\ntime.sleep(1)\nreply(1)")).await;
    assert!(outcome.usage.wall_ms >= 1_000);
    assert_eq!(outcome.usage.cpu_ms, 2 * outcome.usage.wall_ms, "two processors");
    assert_eq!(outcome.usage.peak_memory_bytes, 2048 << 20);
    let most = sandbox.worst_usage(&Limits::default());
    assert!(most.wall_ms > outcome.usage.wall_ms && most.cpu_ms == 2 * most.wall_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_lost_midway_is_billed_and_said_to_be_lost() {
    let double = E2bDouble::start().await;
    let sandbox = Arc::new(sandbox(&double));
    sandbox.capabilities().await.unwrap();
    double.fail_next("POST /process.Process/Start", E2bFault::CutBody);
    let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    let SandboxError::Lost {
        usage: Some(usage), ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(usage.cpu_ms > 0);
    // Before the program, and the machine has cost all the same.
    double.fail_next(
        "POST /files",
        E2bFault::Status(507, Vec::new(), "no space".to_owned()),
    );
    let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    assert!(
        matches!(error, SandboxError::Lost { usage: Some(_), .. }),
        "{error:?}"
    );
    // No machine was made, and nothing is to be billed.
    double.fail_next(
        "POST /v2/sandboxes",
        E2bFault::Status(403, Vec::new(), "blocked".to_owned()),
    );
    let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    assert!(matches!(error, SandboxError::Unavailable { .. }), "{error:?}");
    // One was made, and whoever asks again is told that there is no room for another.
    double.fail_next("POST /v2/sandboxes", E2bFault::LostReply);
    for _ in 0..3 {
        double.fail_next(
            "POST /v2/sandboxes",
            E2bFault::Status(503, Vec::new(), "no room".to_owned()),
        );
    }
    let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    assert!(
        matches!(error, SandboxError::Lost { usage: None, .. }),
        "{error:?}"
    );
    // Nobody knows whether one was made.
    double.fail_next("POST /v2/sandboxes", E2bFault::Junk);
    let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    assert!(
        matches!(error, SandboxError::Lost { usage: None, .. }),
        "{error:?}"
    );
    all_machines_are_gone(&double).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_left_behind_are_reaped_and_no_others() {
    let double = E2bDouble::start().await;
    let mine = sandbox(&double).owned_by("me");
    let client = E2bClient::builder(http_client().unwrap(), E2B_KEY)
        .api_url(double.url())
        .sandbox_url(double.url())
        .build()
        .unwrap();
    let machine = async |metadata: &[(&str, &str)]| {
        let mut new = NewSandbox::new("code-interpreter-v1");
        let metadata = metadata.iter();
        new.metadata = metadata
            .map(|(name, value)| (String::from(*name), String::from(*value)))
            .collect();
        client.create(&new).await.unwrap().id.to_string()
    };
    let ours = ("made-by", "meterbox");
    let here = ("installation", "test");
    machine(&[ours, here, ("owner", "dead")]).await;
    let mut kept = vec![
        machine(&[ours, here, ("owner", "alive")]).await,
        machine(&[ours, here, ("owner", "me")]).await,
        machine(&[ours, here]).await,
        machine(&[ours, ("installation", "another"), ("owner", "dead")]).await,
        machine(&[("owner", "dead")]).await,
    ];
    let is_gone = |owner: &str| owner != "alive";
    // One that does not go keeps no other one.
    machine(&[ours, here, ("owner", "dead")]).await;
    double.fail_next("DELETE", E2bFault::Status(500, Vec::new(), "no".to_owned()));
    mine.reap(is_gone).await.unwrap_err();
    assert_eq!(double.running().len(), kept.len() + 1);
    assert_eq!(mine.reap(is_gone).await.unwrap(), 1);
    assert_eq!(mine.reap(is_gone).await.unwrap(), 0);
    kept.sort();
    assert_eq!(double.running(), kept);
}

/// What a machine costs is known before it is made; one that turns out dearer is not used.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_larger_than_it_was_said_to_be_is_ended_and_billed_as_it_is() {
    let double = E2bDouble::start().await;
    let small = sandbox(&double).with_size(MachineSize {
        processors: 1,
        memory_mib: 512,
    });
    let most = small.worst_usage(&Limits::default());
    assert_eq!((most.cpu_ms, most.peak_memory_bytes), (most.wall_ms, 512 << 20));
    let error = small.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    let SandboxError::Lost {
        usage: Some(usage),
        message,
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (usage.cpu_ms, usage.peak_memory_bytes),
        (2 * usage.wall_ms, 2048 << 20)
    );
    assert!(message.contains("2 processors and 2048 MiB"), "{message}");
    assert!(double.running().is_empty());
}

/// Where E2B does not say that nothing was made, something may have been.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_of_unknown_outcome_is_lost_and_one_that_made_nothing_is_free() {
    let double = E2bDouble::start().await;
    let sandbox = sandbox(&double);
    let said = |status, code: &str| {
        let body = format!(r#"{{"code": {status}, "message": "as ordered", "error_code": "{code}"}}"#);
        E2bFault::Status(status, vec![("should-retry", "false".to_owned())], body)
    };
    for (fault, may_have_made_one) in [
        (said(500, "sandbox_create_failed"), false),
        (said(503, "sandbox_capacity_unavailable"), false),
        (said(400, ""), false),
        (said(429, ""), false),
        (said(500, "internal_server_error"), true),
        (said(504, "sandbox_placement_timeout"), true),
        (said(409, "idempotency_outcome_unknown"), true),
        (E2bFault::HugeBody, true),
        (E2bFault::CutBody, true),
    ] {
        // The retries of a broken connection meet it too.
        for _ in 0..4 {
            double.fail_next("POST /v2/sandboxes", fault.clone());
        }
        let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
        let is_lost = matches!(error, SandboxError::Lost { usage: None, .. });
        assert_eq!(is_lost, may_have_made_one, "{fault:?}: {error:?}");
        double.forget_faults();
    }
    all_machines_are_gone(&double).await;
}

/// What an attempt may have made is not forgotten because the next one was refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_of_one_attempt_outlives_the_refusal_of_the_next() {
    let double = E2bDouble::start().await;
    let sandbox = sandbox(&double);
    let said = |status, retry: &str, code: &str| {
        let body = format!(r#"{{"code": {status}, "message": "as ordered", "error_code": "{code}"}}"#);
        let headers = vec![
            ("should-retry", retry.to_owned()),
            ("retry-after", "0".to_owned()),
        ];
        E2bFault::Status(status, headers, body)
    };
    for (first, may_have_made_one) in [
        (said(504, "true", "sandbox_placement_timeout"), true),
        (said(502, "true", ""), true),
        (said(500, "true", "sandbox_create_failed"), false),
        (said(503, "true", "sandbox_capacity_unavailable"), false),
        (said(429, "true", ""), false),
    ] {
        double.fail_next("POST /v2/sandboxes", first.clone());
        double.fail_next("POST /v2/sandboxes", said(403, "false", ""));
        let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
        let is_lost = matches!(error, SandboxError::Lost { usage: None, .. });
        assert_eq!(is_lost, may_have_made_one, "{first:?}: {error:?}");
    }
    // Something in between that finds nothing is not E2B, which would say that of a machine alone.
    let nowhere = || E2bFault::Status(502, Vec::new(), "<html>upstream not found</html>".to_owned());
    for _ in 0..4 {
        double.fail_next("POST /v2/sandboxes", nowhere());
    }
    let error = sandbox.run(service("reply(1)"), Arc::new(())).await.unwrap_err();
    assert!(
        matches!(error, SandboxError::Lost { usage: None, .. }),
        "{error:?}"
    );
    for _ in 0..4 {
        double.fail_next("DELETE /sandboxes", nowhere());
    }
    let job = service("reply(1)");
    let most = sandbox.worst_usage(&job.limits);
    assert_eq!(run(&sandbox, job).await.usage.wall_ms, most.wall_ms);
    all_machines_are_gone(&double).await;
}

/// A machine whose end is not confirmed costs until its own time-out.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_could_not_be_ended_is_billed_for_all_its_life() {
    let double = E2bDouble::start().await;
    let sandbox = sandbox(&double);
    let refused = E2bFault::Status(500, Vec::new(), "no".to_owned());
    double.fail_next("DELETE /sandboxes", refused);
    let job = service("reply(1)");
    let most = sandbox.worst_usage(&job.limits);
    let outcome = run(&sandbox, job).await;
    assert_eq!(
        (outcome.usage.wall_ms, outcome.usage.cpu_ms),
        (most.wall_ms, most.cpu_ms)
    );
    // Tried again in the background.
    all_machines_are_gone(&double).await;
}

/// With the packages of our own template.
#[tokio::test(flavor = "multi_thread")]
async fn programs_see_and_answer_what_they_should() {
    let double = E2bDouble::start().await;
    let folder = tempfile::tempdir().unwrap();
    conformance::programs::all(&sandbox(&double), folder.path()).await;
}

fn stock_pins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/e2b-stock.txt")
}

/// With those of E2B's stock template: pandas 2.2.3, no DuckDB, no pyarrow.
#[tokio::test(flavor = "multi_thread")]
async fn programs_answer_the_same_with_the_packages_of_the_stock_template() {
    let Some(python) = peer_python("e2b-stock", &stock_pins()) else {
        return;
    };
    programs_answer_the_same_with(&python, None).await;
}

/// The stock template's own Python, where the machine has one.
#[tokio::test(flavor = "multi_thread")]
async fn programs_answer_the_same_with_the_python_of_the_stock_template() {
    let Some(python) = peer_python_of("3.13", "e2b-stock", &stock_pins()) else {
        return;
    };
    programs_answer_the_same_with(&python, Some("3.13.")).await;
}

async fn programs_answer_the_same_with(python: &Path, version: Option<&str>) {
    let double = E2bDouble::start().await;
    double.has_python(python);
    let sandbox = sandbox(&double);
    let found = sandbox.capabilities().await.unwrap();
    assert_eq!(found.packages["pandas"], "2.2.3");
    assert!(!found.packages.contains_key("pyarrow") && !found.packages.contains_key("duckdb"));
    assert!(
        version.is_none_or(|version| found.python.starts_with(version)),
        "{}",
        found.python
    );
    let folder = tempfile::tempdir().unwrap();
    conformance::programs::all(&sandbox, folder.path()).await;

    // A table that it cannot read is said to be one, and costs what its machine cost.
    let table = folder.path().join("sales.parquet");
    std::fs::write(&table, "PAR1").unwrap();
    let mut job = Job::new(Program::Analysis {
        code: "result = len(tables['sales'])".to_owned(),
    });
    job.inputs = vec![InputFile {
        source: table,
        path: "typed/sales.parquet".to_owned(),
    }];
    job.tables
        .insert("sales".to_owned(), "typed/sales.parquet".to_owned());
    let error = sandbox.run(job.clone(), Arc::new(())).await.unwrap_err();
    assert!(
        matches!(&error, SandboxError::Lost { usage: Some(_), message, .. } if message.contains("without pyarrow")),
        "{error:?}"
    );
    // As CSV it can.
    let [csv, types] = ["sales.csv", "sales.types.json"].map(|name| folder.path().join(name));
    std::fs::write(&csv, "\"n\"\n\"1\"\n\"\"\n").unwrap();
    std::fs::write(
        &types,
        r#"{"columns": [{"name": "n", "dtype": "Int64", "missing": ""}]}"#,
    )
    .unwrap();
    job.program = Program::Analysis {
        code: "table = tables['sales']\nresult = f'{table.n.dtype} {table.n.sum()} {len(table)}'".to_owned(),
    };
    job.portable_tables
        .insert("sales".to_owned(), PortableTable { csv, types });
    let outcome = run(&sandbox, job).await;
    let Some(Reply::Value(value)) = &outcome.reply else {
        panic!("{outcome:?}")
    };
    assert!(value.get().contains("Int64 1 2"), "{}", value.get());
}
