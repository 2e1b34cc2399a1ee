//! Each problem's document, as it goes over the wire.

use std::{fmt::Write as _, time::Duration};

use axum::{
    body::Body,
    http::{Request, header},
};
use meterbox_sandbox_client::{FakeRun, Verdict};
use serde_json::Value;

use super::app::{App, Reply, execute, request};

const QUESTION: &str = r#"{"query": "products by revenue"}"#;

#[tokio::test]
async fn requests_that_cannot_be_taken() {
    let app = App::new().await;
    let long_question = format!(r#"{{"query": "{}"}}"#, "x".repeat(100_000));
    let long_program = format!(r#"{{"code": "{}"}}"#, "x".repeat(300_000));
    let large = " ".repeat(700_000);
    let mut golden = String::new();
    for (name, body) in [
        ("no body", ""),
        ("cut off", r#"{"query": "a"#),
        ("a number for a question", r#"{"query": 7}"#),
        ("an unknown member", r#"{"quest": "a"}"#),
        ("neither question nor program", "{}"),
        ("both question and program", r#"{"query": "a", "code": "b"}"#),
        ("an empty question", r#"{"query": "  "}"#),
        ("a question of 100,000 characters", &long_question),
        ("an empty program", r#"{"code": ""}"#),
        ("a program with NUL", r#"{"code": "a\u0000b"}"#),
        ("a program of 300,000 bytes", &long_program),
        ("700,000 bytes", &large),
        (
            "an unknown dataset",
            r#"{"query": "a", "datasets": ["warehouse"]}"#,
        ),
        ("two datasets", r#"{"query": "a", "datasets": ["shop", "other"]}"#),
        ("a negative limit", r#"{"query": "a", "max_cost": -1}"#),
        (
            "a limit that is no amount",
            r#"{"query": "a", "max_cost": "much"}"#,
        ),
        ("a model where there is none", r#"{"query": "a", "by": "model"}"#),
    ] {
        note(&mut golden, name, &app.execute(body.to_owned()).await);
    }
    insta::assert_snapshot!("requests", golden);
}

#[tokio::test]
async fn addresses_methods_and_types_that_are_not_taken() {
    let app = App::new().await;
    let form = request("POST", "/api/execute")
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from(QUESTION));
    let get = |path: &str| request("GET", path).body(Body::empty());
    let foreign = Request::builder()
        .uri("/")
        .header(header::HOST, "evil.test")
        .body(Body::empty());
    let mut golden = String::new();
    for (name, request) in [
        ("text instead of JSON", form),
        ("an unknown address", get("/nothing")),
        ("an unknown part of the page", get("/assets/nothing.js")),
        ("a method that is not taken", get("/api/execute")),
        (
            "an unknown analysis",
            get("/api/analyses/01990000-0000-7000-8000-000000000000"),
        ),
        ("no id", get("/api/analyses/nothing")),
        ("a page of nothing", get("/api/analyses?limit=0")),
        ("a page before nothing", get("/api/analyses?before=nothing")),
        ("another host", foreign),
    ] {
        note(&mut golden, name, &app.send(request.unwrap()).await);
    }
    insta::assert_snapshot!("addresses", golden);
}

#[tokio::test]
async fn questions_without_an_answer() {
    let app = App::new().await;
    let mut golden = String::new();
    note(
        &mut golden,
        "not understood",
        &app.execute(r#"{"query": "zorblax"}"#).await,
    );
    note(
        &mut golden,
        "ambiguous",
        &app.execute(r#"{"query": "best product"}"#).await,
    );
    app.spend("9.9999999").await;
    note(&mut golden, "beyond the budget", &app.execute(QUESTION).await);
    insta::assert_snapshot!("questions", golden);
}

#[tokio::test]
async fn a_limit_of_the_caller_that_covers_nothing() {
    let app = App::new().await;
    let mut golden = String::new();
    note(
        &mut golden,
        "nothing may be spent",
        &app.execute(r#"{"query": "a", "max_cost": 0}"#).await,
    );
    insta::assert_snapshot!("caller_limit", golden);
}

#[tokio::test]
async fn programs_that_fail_are_results() {
    let app = App::new().await;
    let mut golden = String::new();
    for (name, run) in [
        ("raises", FakeRun::raises("KeyError", "'revenue'")),
        ("runs too long", FakeRun::verdict(Verdict::WallLimit)),
        (
            "uses too much processor time",
            FakeRun::verdict(Verdict::CpuLimit),
        ),
        ("needs too much memory", FakeRun::verdict(Verdict::MemoryLimit)),
        ("prints too much", FakeRun::verdict(Verdict::OutputLimit)),
        ("breaks the contract", FakeRun::replies(r#"{"answer": 7}"#)),
    ] {
        app.sandbox.next(run);
        let reply = app.execute(QUESTION).await;
        let result = reply.json();
        writeln!(
            golden,
            "## {name}\n{} {}\n{:#}\n",
            reply.status, result["status"], result["failure"]
        )
        .unwrap();
    }
    insta::assert_snapshot!("programs", golden);
}

#[tokio::test]
async fn a_sandbox_that_fails_and_then_rests() {
    let app = App::new().await;
    app.sandbox.otherwise(|_| FakeRun::fails("the platform is gone"));
    let mut golden = String::new();
    note(&mut golden, "fails", &app.execute(QUESTION).await);
    for _ in 0..2 {
        app.execute(QUESTION).await;
    }
    app.clock.advance(Duration::from_secs(1));
    let resting = app.execute(QUESTION).await;
    let seconds: u64 = resting.header(header::RETRY_AFTER).parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    note(&mut golden, "rests", &resting);
    insta::assert_snapshot!("sandbox", golden);
}

/// Appends a reply, without what differs from run to run.
fn note(golden: &mut String, name: &str, reply: &Reply) {
    writeln!(golden, "## {name}\n{}", reply.status).unwrap();
    for header in [header::CONTENT_TYPE, header::ALLOW] {
        let value = reply.header(&header);
        if !value.is_empty() {
            writeln!(golden, "{header}: {value}").unwrap();
        }
    }
    if !reply.header(header::RETRY_AFTER).is_empty() {
        writeln!(golden, "retry-after: some seconds").unwrap();
    }
    let mut document = reply.json();
    if let Some(members) = document.as_object_mut() {
        // The analysis has a golden of its own in the contract; here only that it comes along.
        if let Some(analysis) = members.get_mut("analysis") {
            *analysis = Value::String(format!("the analysis, {}", analysis["status"].as_str().unwrap()));
        }
        if let Some(wait) = members.get_mut("retry_after") {
            *wait = Value::String("some seconds".to_owned());
        }
    }
    writeln!(golden, "{document:#}\n").unwrap();
}

#[tokio::test]
async fn a_wait_is_told_in_whole_seconds() {
    let app = App::new().await;
    app.sandbox.otherwise(|_| FakeRun::fails("the platform is gone"));
    let reply = app.send(execute(QUESTION)).await;
    assert!(
        reply
            .header(header::RETRY_AFTER)
            .parse::<u64>()
            .is_ok_and(|seconds| seconds >= 1)
    );
}
