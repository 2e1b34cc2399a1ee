//! The examples run, without keys, and say what they should.

use std::process::Command;

use meterbox_testkit::test_runtime_folder;
use meterbox_tests::repository;

fn run(example: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "meterbox-examples",
            "--example",
            example,
        ])
        .current_dir(repository())
        .env("METERBOX_RUNTIME_DIR", test_runtime_folder())
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{example} failed:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn budget_alone_settles_and_verifies() {
    let said = run("budget_alone");
    assert!(said.contains("refused") && said.contains("settled"), "{said}");
}

#[test]
fn results_wait_for_their_store_and_arrive() {
    let said = run("results_elsewhere");
    for line in [
        "waiting    1, because",
        "delivered  true",
        "stored     true",
        "deleted    true",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn the_pipeline_answers_inside_another_service() {
    meterbox_testkit::test_runtime();
    let said = run("embed_in_axum");
    assert!(
        said.contains("Electric Grinder") && said.contains("set aside"),
        "{said}"
    );
}
