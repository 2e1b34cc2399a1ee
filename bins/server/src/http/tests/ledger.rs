//! The ledger tried under other rules and corrected, over HTTP.

use axum::http::StatusCode;
use meterbox_access::{AuditPage, Role};
use meterbox_budget_engine::HoldRequest;
use meterbox_core::contract::CostLine;
use serde_json::{Value, json};

use super::app::{App, Reply};
use crate::administration::MAX_UPLOAD_BYTES;

const HEADER: &str = "reference,item,quantity,unit,amount\n";

/// A service with an administrator, and two calls whose use nobody knows.
struct World {
    app: App,
    admin: String,
}

impl World {
    async fn new() -> Self {
        let app = App::new().await;
        let (admin, _) = app.key(Role::Admin, &["user/boss"]).await;
        let request = HoldRequest::new(["user/ana".parse().unwrap()], "3".parse().unwrap(), "a call");
        let hold = app.budget.hold(request).await.unwrap();
        for reference in ["req-1", "req-2"] {
            let worst_case = CostLine {
                item: "output".into(),
                quantity: 900,
                unit: "tokens".into(),
                amount: "1".parse().unwrap(),
                estimated: false,
                price: None,
            };
            let _ = hold.intend_known_as(reference, worst_case).await.unwrap();
        }
        hold.settle().await.unwrap();
        Self { app, admin }
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.app.call("POST", path, Some(&self.admin), Some(body)).await
    }

    async fn reconcile(&self, format: &str, content: &str, dry_run: bool) -> Reply {
        let body = json!({ "source": "march.csv", "format": format, "content": content, "dry_run": dry_run });
        self.post("/api/ledger/reconcile", &body).await
    }

    async fn spent(&self) -> Value {
        let path = "/api/budget/user%2Fana/forecast";
        let forecast = self.app.call("GET", path, Some(&self.admin), None).await;
        forecast.json()["status"]["spent"].clone()
    }

    async fn corrections_noted(&self) -> Vec<(String, Value)> {
        let entries = self.app.access.audit(AuditPage::default()).await.unwrap();
        let corrections = entries
            .into_iter()
            .filter(|entry| entry.act == "ledger.reconcile");
        corrections
            .map(|entry| (entry.target, entry.after.unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn a_usage_export_corrects_worst_cases_once_and_is_noted() {
    let world = World::new().await;
    assert_eq!(world.spent().await, 2);
    let rows = format!("{HEADER}req-1,output,9,tokens,0.25\nreq-9,output,1,tokens,1\n");

    let tried = world.reconcile("csv", &rows, true).await;
    assert_eq!(tried.status, StatusCode::OK, "{}", tried.text);
    let tried = tried.json();
    assert_eq!(
        (&tried["corrected"][0]["from"], &tried["corrected"][0]["to"]),
        (&json!(1), &json!(0.25))
    );
    assert_eq!(world.spent().await, 2, "a trial changes nothing");
    assert_eq!(world.corrections_noted().await, []);

    let done = world.reconcile("csv", &rows, false).await.json();
    assert_eq!(
        (&done["corrected"], &done["unmatched"]),
        (&tried["corrected"], &json!(["req-9"]))
    );
    assert_eq!(world.spent().await, 1.25);
    let again = world.reconcile("csv", &rows, false).await.json();
    assert_eq!(
        (&again["corrected"], &again["already_known"]),
        (&json!([]), &json!(["req-1"]))
    );
    assert_eq!(world.spent().await, 1.25);
    let noted = world.corrections_noted().await;
    let expected = ("march.csv".to_owned(), json!({ "records": 2 }));
    assert_eq!(noted, [expected.clone(), expected]);
}

#[tokio::test]
async fn a_usage_export_that_is_wrong_changes_nothing_and_is_explained() {
    let world = World::new().await;
    for (format, content, said) in [
        (
            "csv",
            format!("{HEADER}req-1,output,many,tokens,1\n"),
            "line 2, quantity",
        ),
        (
            "csv",
            format!("{HEADER}req-1,output,1,tokens,-1\n"),
            "cannot be negative",
        ),
        (
            "csv",
            format!("{HEADER}req-1,output,1,tokens,1e400\n"),
            "line 2, amount",
        ),
        ("jsonl", "[]".to_owned(), "line 1 is no JSON object"),
        ("e2b", "{\"id\":1}".to_owned(), "event 1, id"),
    ] {
        let reply = world.reconcile(format, &content, false).await;
        assert_eq!(reply.status.as_u16(), 422, "{}", reply.text);
        let problem = reply.json();
        assert_eq!(problem["field"], "content");
        let detail = problem["detail"].as_str().unwrap().to_lowercase();
        assert!(detail.contains(&said.to_lowercase()), "{detail}");
    }
    for source in [String::new(), "x".repeat(201), "a\nb".to_owned()] {
        let body = json!({ "source": source, "format": "csv", "content": HEADER });
        let reply = world.post("/api/ledger/reconcile", &body).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["field"]),
            (422, &json!("source"))
        );
    }
    assert_eq!(world.spent().await, 2);
    assert_eq!(world.corrections_noted().await, []);
}

#[tokio::test]
async fn files_are_taken_up_to_their_limit() {
    let world = World::new().await;
    // What is in other columns is passed over.
    let header = HEADER.replace('\n', ",note\n");
    let row = format!("req-9,output,1,tokens,1,{}\n", "x".repeat(4_000));
    let rows = (MAX_UPLOAD_BYTES - header.len()) / row.len();
    let fits = format!("{header}{}", row.repeat(rows));
    let reply = world.reconcile("csv", &fits, true).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);

    let too_long = "\n".repeat(MAX_UPLOAD_BYTES + 1);
    let far_too_long = "\n".repeat(MAX_UPLOAD_BYTES * 2);
    for content in [&too_long, &far_too_long] {
        let reply = world.reconcile("csv", content, true).await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", reply.text);
        assert!(
            reply.json()["hint"].as_str().unwrap().contains("Split the file"),
            "{}",
            reply.text
        );
    }
    let book = json!({ "book": { "format": "toml", "text": too_long } });
    let reply = world.post("/api/ledger/rerate", &book).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn another_policy_and_other_prices_are_tried_without_a_trace() {
    let world = World::new().await;
    let policy = |limit: f64, window: &str| json!({ "budgets": [{ "scope": "user/*", "limit": limit, "window": window }] });
    let same = world
        .post("/api/ledger/replay", &policy(10.0, "month UTC"))
        .await
        .json();
    assert_eq!((&same["holds"], &same["unchanged"]), (&json!(1), &json!(1)));
    let tight = world
        .post("/api/ledger/replay", &policy(2.5, "month UTC"))
        .await
        .json();
    assert_eq!(
        (&tight["refused"], &tight["differences"][0]["outcome"]),
        (&json!(1), &json!("refused"))
    );
    for (body, field, said) in [
        (policy(1.0, "fortnight"), "budgets", "is no window"),
        (json!({ "budgets": [] }), "budgets", "at least one"),
        (
            json!({ "budgets": [{ "scope": "user/*" }] }),
            "body",
            "missing field",
        ),
    ] {
        let reply = world.post("/api/ledger/replay", &body).await;
        let problem = reply.json();
        assert_eq!((reply.status.as_u16(), &problem["field"]), (422, &json!(field)));
        assert!(problem["detail"].as_str().unwrap().contains(said), "{problem}");
    }

    let own = "units = [{ unit = 'own/x', prices = [{ price = 1 }] }]";
    let own = json!({ "book": { "format": "toml", "text": own } });
    let [in_force, over] = [
        world.post("/api/ledger/rerate", &json!({})).await.json(),
        world.post("/api/ledger/rerate", &own).await.json(),
    ];
    // These calls say no price of a book.
    assert_eq!(
        (&in_force["left_recorded"], &over["left_recorded"]),
        (&json!(2), &json!(2))
    );
    assert_ne!(in_force["fingerprint"], over["fingerprint"]);
    let broken = json!({ "book": { "format": "json", "text": "{" } });
    let reply = world.post("/api/ledger/rerate", &broken).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["field"]),
        (422, &json!("book"))
    );
    assert_eq!(world.spent().await, 2);
}

#[tokio::test]
async fn events_are_read_page_by_page() {
    let world = World::new().await;
    let get = async |path: &str| world.app.call("GET", path, Some(&world.admin), None).await;
    world.app.budget.stop_all("a leak").await.unwrap();
    world.app.budget.resume().await.unwrap();
    let first = get("/api/events?limit=1").await.json();
    assert_eq!(
        (&first["events"][0]["type"], &first["events"][0]["reason"]),
        (&json!("stopped"), &json!("a leak"))
    );
    let second = get(&format!("/api/events?after={}", first["next"])).await.json();
    assert_eq!(second["events"].as_array().unwrap().len(), 1);
    assert_eq!(second["events"][0]["type"], "resumed");
    let none = get(&format!("/api/events?after={}", second["next"])).await.json();
    assert_eq!((&none["events"], &none["next"]), (&json!([]), &second["next"]));
    for wrong in ["limit=0", "limit=1001", "after=-1", "after=x"] {
        assert_eq!(
            get(&format!("/api/events?{wrong}")).await.status.as_u16(),
            422,
            "{wrong}"
        );
    }
}
