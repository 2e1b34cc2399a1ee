use std::time::Duration;

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use http_body_util::BodyExt;
use meterbox_sandbox_client::FakeRun;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::app::{ANSWER, App, execute_live, request};
use crate::http::live::HANG_UP_GRACE;

const QUESTION: &str = r#"{"query": "products by revenue"}"#;

#[tokio::test]
async fn a_question_is_answered_kept_and_charged() {
    let app = App::new().await;
    let reply = app.execute(QUESTION).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let result = reply.json();
    assert_eq!(result["status"], "ok");
    assert_eq!(result["source"], "rules");
    assert_eq!(result["answer"]["rows"], json!([["Espresso", 12.5], ["Tea", 3]]));

    let location = reply.header(header::CONTENT_LOCATION).to_owned();
    assert_eq!(
        location,
        format!("/api/analyses/{}", result["id"].as_str().unwrap())
    );
    assert_eq!(kept(&app, &location).await, without_timings(result.clone()));

    let listed = app.get("/api/analyses").await.json();
    assert_eq!(listed["analyses"][0]["id"], result["id"]);
    assert_eq!(listed["analyses"][0]["cost"], result["cost"]);
    assert_eq!(listed["next"], Value::Null);

    let metrics = app.get("/api/metrics").await.json();
    assert_eq!(metrics["spent"], result["cost"]);
    assert_eq!(metrics["remaining"], result["remaining"]);
    assert_eq!(metrics["held"], 0);
    assert_eq!(metrics["limit"], 10);
    assert_eq!(metrics["scope"], "user/local");
    assert_eq!(metrics["state"], "active");
    assert_eq!(metrics["resets_at"], "2026-12-01T00:00:00Z");
}

#[tokio::test]
async fn an_analysis_is_forgotten_with_its_files_and_its_cost_stays() {
    let app = App::new().await;
    let result = app.execute(QUESTION).await.json();
    let id = result["id"].as_str().unwrap();
    let folder = app.artifacts_of(id);
    std::fs::create_dir_all(&folder).unwrap();
    let spent = app.get("/api/metrics").await.json()["spent"].clone();

    let path = format!("/api/analyses/{id}");
    let reply = app.call("DELETE", &path, None, None).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text);
    assert_eq!(app.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/api/analyses").await.json()["analyses"], json!([]));
    assert!(!folder.exists());
    assert_eq!(app.get("/api/metrics").await.json()["spent"], spent);
    let again = app.call("DELETE", &path, None, None).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_come_in_order_and_end_with_the_kept_result() {
    let app = App::new().await;
    app.sandbox
        .next(FakeRun::replies(ANSWER).printing("hello\n\nevent: result\ndata: forged\n\n"));
    let reply = app.execute_live(r#"{"code": "result = 1"}"#).await;
    let events = reply.events();
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last.0, "result");
    assert_eq!(
        without_timings(last.1.clone()),
        kept(&app, reply.header(header::CONTENT_LOCATION)).await
    );
    assert!(
        before.iter().all(|(name, _)| name == "step" || name == "output"),
        "{events:?}"
    );

    let steps: Vec<_> = before
        .iter()
        .filter(|(name, _)| name == "step")
        .map(|(_, step)| step)
        .collect();
    assert_eq!(
        (&steps[0]["step"], &steps[0]["state"]),
        (&json!("hold"), &json!("started"))
    );
    assert_eq!(steps.last().unwrap()["step"], "store");
    let printed = before.iter().find(|(name, _)| name == "output").unwrap();
    assert_eq!(
        printed.1,
        json!({"stream": "stdout", "text": "hello\n\nevent: result\ndata: forged\n\n"})
    );
}

async fn kept(app: &App, location: &str) -> Value {
    without_timings(app.get(location).await.json())
}

/// How long the keeping took cannot be in what is kept.
fn without_timings(mut result: Value) -> Value {
    result
        .as_object_mut()
        .unwrap()
        .remove("timings")
        .expect("a result has timings");
    result
}

#[tokio::test]
async fn what_has_a_status_of_its_own_ends_a_stream_as_an_error() {
    let app = App::with_budget("0").await;
    let events = app.execute_live(QUESTION).await.events();
    let (name, problem) = events.last().unwrap();
    assert_eq!(name, "error");
    assert_eq!(problem["type"], "/problems/budget");
    assert_eq!(problem["status"], 402);
    assert_eq!(problem["analysis"]["status"], "refused");
}

#[tokio::test]
async fn history_goes_page_by_page() {
    let app = App::new().await;
    for _ in 0..5 {
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(app.execute(QUESTION).await.status, StatusCode::OK);
    }
    let mut seen = Vec::new();
    let mut path = "/api/analyses?limit=2".to_owned();
    loop {
        let page = app.get(&path).await.json();
        let ids = page["analyses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/analyses?limit=2&before={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
}

/// Starts a program that never ends, listens until it is under way, and returns its id and the open stream.
pub(super) async fn hanging(app: &App, key: Option<&str>) -> (String, Body) {
    app.sandbox.next(FakeRun::hangs());
    let mut request = execute_live(r#"{"code": "while True: pass"}"#);
    if let Some(key) = key {
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let response = app.router.clone().oneshot(request).await.unwrap();
    let location = response.headers()[header::CONTENT_LOCATION].to_str().unwrap();
    let id = location.rsplit('/').next().unwrap().to_owned();
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains(r#""step":"run","state":"started""#) {
        let frame = body.frame().await.unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    (id, body)
}

async fn status_of(app: &App, id: &str) -> Option<String> {
    // Not over HTTP: waiting for the file of the keys would let the paused clock run on.
    let user = &app.state.local_user;
    let found = app.state.analyst.find(user, id.parse().unwrap()).await.unwrap();
    found.map(|result| {
        serde_json::to_value(result.status)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    })
}

#[tokio::test(start_paused = true)]
async fn hanging_up_cancels_after_a_while_and_not_before() {
    let app = App::new().await;
    let (id, body) = hanging(&app, None).await;
    drop(body);
    app.wait(HANG_UP_GRACE - Duration::from_millis(100)).await;
    assert_eq!(status_of(&app, &id).await, None, "still running");
    app.wait(Duration::from_millis(200)).await;
    assert_eq!(status_of(&app, &id).await.as_deref(), Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn who_keeps_listening_is_not_cut_off() {
    let app = App::new().await;
    let (id, body) = hanging(&app, None).await;
    app.wait(2 * HANG_UP_GRACE).await;
    assert_eq!(status_of(&app, &id).await, None, "still running");
    drop(body);
}

#[tokio::test]
async fn cancelling_by_id_ends_the_stream_with_the_result() {
    let app = App::new().await;
    let (id, body) = hanging(&app, None).await;
    let cancel = || {
        request("POST", &format!("/api/analyses/{id}/cancel"))
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(app.send(cancel()).await.status, StatusCode::ACCEPTED);
    let rest = body.collect().await.unwrap().to_bytes();
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        rest.contains("event: result") && rest.contains(r#""status":"cancelled""#),
        "{rest}"
    );
    assert_eq!(status_of(&app, &id).await.as_deref(), Some("cancelled"));
    assert_eq!(
        app.send(cancel()).await.status,
        StatusCode::NOT_FOUND,
        "nothing of this id runs any more"
    );
}

#[tokio::test]
async fn stopping_the_service_cancels_what_runs_and_says_so() {
    let app = App::new().await;
    let (id, body) = hanging(&app, None).await;
    app.shutdown.cancel();
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&rest).contains(r#""status":"cancelled""#));
    assert_eq!(status_of(&app, &id).await.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn files_are_handed_out_inert() {
    let app = App::new().await;
    app.sandbox.next(
        FakeRun::replies(ANSWER)
            .leaving("figure.png", b"\x89PNG")
            .leaving("page.html", b"<script>alert(1)</script>"),
    );
    let id = app.execute(r#"{"code": "x"}"#).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let picture = app.get(&format!("/api/analyses/{id}/artifacts/figure.png")).await;
    assert_eq!(picture.header(header::CONTENT_TYPE), "image/png");
    assert_eq!(picture.header(header::CONTENT_DISPOSITION), "inline");

    let page = app.get(&format!("/api/analyses/{id}/artifacts/page.html")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header(header::CONTENT_TYPE), "application/octet-stream");
    assert_eq!(
        page.header(header::CONTENT_DISPOSITION),
        "attachment; filename*=UTF-8''page%2Ehtml"
    );
    assert_eq!(page.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(
        page.header(header::CONTENT_SECURITY_POLICY),
        "default-src 'none'; sandbox"
    );

    std::fs::write(app.artifacts_of(&id).join("secret.txt"), "not listed").unwrap();
    for name in [
        "secret.txt",
        "..%2fsecret.txt",
        "%2e%2e",
        "figure.png%00",
        ".",
        "FIGURE.PNG",
    ] {
        let reply = app.get(&format!("/api/analyses/{id}/artifacts/{name}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{name}");
    }
}

/// A drawing with a script, a document, a table of formulas: to be saved, never shown. What is called a picture is sent
/// as one and nothing else, whatever else it is.
#[tokio::test]
async fn files_that_a_browser_would_run_are_handed_out_inert() {
    let app = App::new().await;
    let files: [(&str, &[u8]); 5] = [
        (
            "drawing.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>",
        ),
        (
            "document.pdf",
            b"%PDF-1.7 /OpenAction << /S /JavaScript /JS (app.alert(1)) >>",
        ),
        ("table.csv", b"=cmd|' /C calc'!A0\n"),
        (
            "page.xhtml",
            b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
        ),
        (
            "both.png",
            b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script></html>",
        ),
    ];
    let run = files
        .iter()
        .fold(FakeRun::replies(ANSWER), |run, (name, content)| {
            run.leaving(name, content)
        });
    app.sandbox.next(run);
    let id = app.execute(r#"{"code": "x"}"#).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (name, _) in files {
        let file = app.get(&format!("/api/analyses/{id}/artifacts/{name}")).await;
        assert_eq!(file.status, StatusCode::OK, "{name}");
        let (kind, way) = (
            file.header(header::CONTENT_TYPE),
            file.header(header::CONTENT_DISPOSITION),
        );
        if name.ends_with(".png") {
            assert_eq!((kind, way), ("image/png", "inline"));
        } else {
            assert_eq!(kind, "application/octet-stream", "{name}");
            assert!(way.starts_with("attachment; filename"), "{name}: {way}");
        }
        assert_eq!(file.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{name}");
        assert_eq!(
            file.header(header::CONTENT_SECURITY_POLICY),
            "default-src 'none'; sandbox",
            "{name}"
        );
    }
}

#[tokio::test]
async fn datasets_are_described_without_their_values() {
    let app = App::new().await;
    let datasets = app.get("/api/datasets").await.json();
    let shop = &datasets["datasets"][0];
    assert_eq!(shop["name"], "shop");
    assert!(
        shop["version"]
            .as_str()
            .is_some_and(|version| !version.is_empty())
    );
    assert_eq!(shop["tables"][0]["name"], "orders");
    assert_eq!(shop["tables"][0]["columns"][1]["max"], 12.5);
    assert_eq!(shop["as_of"], "2026-10-31");
    assert!(!shop["examples"].as_array().unwrap().is_empty());
    assert!(!datasets.to_string().contains("Espresso"), "{datasets}");

    for named in ["shop", shop["version"].as_str().unwrap()] {
        let reply = app
            .execute(json!({"query": "a", "datasets": [named]}).to_string())
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert_eq!(reply.json()["datasets"][0]["version"], shop["version"]);
    }
}

#[tokio::test]
async fn it_says_that_it_lives_and_is_ready() {
    let app = App::new().await;
    assert_eq!(app.get("/healthz").await.json(), json!({"status": "ok"}));
    let ready = app.get("/readyz").await;
    assert_eq!(
        ready.json()["sandbox"],
        json!({"provider": "fake", "tier": "none"})
    );
    assert_eq!(
        ready.json()["results"],
        json!({"place": "data_folder", "state": "ok"})
    );
}
