//! The examples run, without keys, and say what they should.

use std::process::Command;

use meterbox_testkit::{E2B_KEY, E2bDouble, test_runtime_folder};
use meterbox_tests::repository;

fn run(example: &str) -> String {
    run_with(example, &[])
}

fn run_with(example: &str, settings: &[(&str, &str)]) -> String {
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
        .env_remove("E2B_API_KEY")
        .env_remove("LANGFUSE_PUBLIC_KEY")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .envs(settings.iter().copied())
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
fn a_follow_up_builds_on_the_last_question() {
    let said = run("sandbox_session");
    for line in [
        "answered   {\"answer\":{\"kind\":\"table\"",
        "\"name\":\"percent\"",
        "raised     KeyError: no such column",
        "3 cells used ",
        "After that: the session has ended: it was closed; begin a new one.",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
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

#[test]
fn a_run_in_e2b_has_a_price_before_it_is_made_and_runs_against_a_double() {
    let said = run("e2b_sandbox");
    assert!(
        said.contains("may cost $0.00777") && said.contains("Set E2B_API_KEY"),
        "{said}"
    );

    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let double = runtime.block_on(E2bDouble::start());
    let url = double.url();
    let said = run_with(
        "e2b_sandbox",
        &[
            ("E2B_API_KEY", E2B_KEY),
            ("E2B_API_URL", &url),
            ("E2B_SANDBOX_URL", &url),
        ],
    );
    assert!(
        said.contains("says 42") && said.contains("Exited { code: 0 }"),
        "{said}"
    );
    assert!(double.running().is_empty());
}

#[test]
fn traces_are_printed_where_no_collector_is_named() {
    let said = run("traces");
    for line in [
        "langfuse.trace.name = write a program",
        "user.id = user/ana",
        "error.type = overloaded",
        "gen_ai.response.finish_reasons = [\"stop\"]",
        "4 spans were taken, 0 were not",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_model_is_called_again_and_each_call_has_its_cost() {
    let said = run("call_a_model");
    assert!(
        said.contains("cost: nothing") && said.contains("result = sum") && said.contains("output tokens"),
        "{said}"
    );
}
