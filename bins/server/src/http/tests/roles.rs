//! Who gets what answer where: each route, with each kind of key.

use std::{collections::BTreeSet, time::Duration};

use axum::http::{StatusCode, header};
use meterbox_access::{Actor, AuditPage, KeyGrant, Role};
use serde_json::{Value, json};

use super::{
    analyses::hanging,
    app::{App, Reply},
};
use crate::http::{live::LOOK_FOR_REVOCATIONS, openapi::document};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A route with a request that makes sense.
struct Case {
    method: &'static str,
    /// As the OpenAPI document has it.
    template: &'static str,
    path: String,
    body: Option<Value>,
    needs: Role,
    /// What somebody gets whose role is enough.
    good: u16,
}

/// Ana of Acme asked something, and there are two more keys and a budget to administer.
struct World {
    app: App,
    viewer: String,
    analyst: String,
    admin: String,
    foreign_analyst: String,
    foreign_admin: String,
    nobody: Vec<String>,
    analysis: String,
    dataset: String,
    key_to_revoke: String,
    key_to_rotate: String,
}

impl World {
    async fn new() -> Self {
        let app = App::new().await;
        let ana = ["user/ana", "org/acme"];
        let (viewer, _) = app.key(Role::Viewer, &ana).await;
        let (analyst, _) = app.key(Role::Analyst, &ana).await;
        let (admin, _) = app.key(Role::Admin, &ana).await;
        let (foreign_analyst, _) = app.key(Role::Analyst, &["user/eve", "org/other"]).await;
        let (foreign_admin, _) = app.key(Role::Admin, &["user/eve", "org/other"]).await;
        let key_to_revoke = app.key(Role::Viewer, &ana).await.1.id.to_string();
        let key_to_rotate = app.key(Role::Viewer, &ana).await.1.id.to_string();

        let (revoked, record) = app.key(Role::Admin, &ana).await;
        app.access.revoke_key(&actor(), &record.id, false).await.unwrap();
        let end = "2026-11-24T12:00:00Z".parse().unwrap();
        let grant = KeyGrant::new("short", Role::Admin, [ana[0].parse().unwrap()]).expiring_at(end);
        let expired = app.access.create_key(&actor(), grant).await.unwrap().key.reveal();
        app.clock.advance(DAY);
        let unknown = App::new().await.key(Role::Admin, &ana).await.0;
        let swapped = format!("{}{}", &admin[..17], &analyst[17..]);
        let nobody = vec![
            revoked,
            expired,
            unknown,
            swapped,
            admin[..65].to_owned(),
            format!("{admin}x"),
            admin.to_lowercase(),
            String::new(),
            "x".repeat(5_000),
            "' OR 1=1 --".to_owned(),
        ];

        let body = json!({ "query": "products by revenue" });
        let reply = app
            .call("POST", "/api/execute", Some(&analyst), Some(&body))
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        let analysis = reply.json()["id"].as_str().unwrap().to_owned();
        let datasets = app.call("GET", "/api/datasets", Some(&viewer), None).await.json();
        let dataset = datasets["datasets"][0]["version"].as_str().unwrap().to_owned();
        let folder = app.artifacts_of(&analysis);
        std::fs::create_dir_all(folder).unwrap();
        Self {
            app,
            viewer,
            analyst,
            admin,
            foreign_analyst,
            foreign_admin,
            nobody,
            analysis,
            dataset,
            key_to_revoke,
            key_to_rotate,
        }
    }

    #[rustfmt::skip]
    fn cases(&self) -> Vec<Case> {
        use Role::{Admin, Analyst, Viewer};
        let case = |method, template, needs, good| Case {
            method, template, path: template.to_owned(), body: None, needs, good,
        };
        let at = |path: String, case: Case| Case { path, ..case };
        let with = |body: Value, case: Case| Case { body: Some(body), ..case };
        vec![
            case("GET", "/api/session", Viewer, 200),
            case("GET", "/api/datasets", Viewer, 200),
            at(format!("/api/datasets/{}", self.dataset),
               with(json!({ "privacy": 2 }), case("PATCH", "/api/datasets/{version}", Admin, 200))),
            case("GET", "/api/metrics", Viewer, 200),
            case("GET", "/api/analyses", Viewer, 200),
            at(format!("/api/analyses/{}", self.analysis), case("GET", "/api/analyses/{id}", Viewer, 200)),
            // It left no file: who may look learns that.
            at(format!("/api/analyses/{}/artifacts/a.png", self.analysis),
               case("GET", "/api/analyses/{id}/artifacts/{name}", Viewer, 404)),
            with(json!({ "query": "products by revenue" }), case("POST", "/api/execute", Analyst, 200)),
            // There is none of this id: who may delete learns that.
            at("/api/analyses/01999999-9999-7999-8999-999999999999".to_owned(), case("DELETE", "/api/analyses/{id}", Analyst, 404)),
            // It has ended.
            at(format!("/api/analyses/{}/cancel", self.analysis), case("POST", "/api/analyses/{id}/cancel", Analyst, 404)),
            case("GET", "/api/budget", Admin, 200),
            with(json!({ "scope": "org/acme", "limit": 5 }), case("PUT", "/api/budget", Admin, 200)),
            at("/api/budget/org%2Facme/top-ups".to_owned(),
               with(json!({ "amount": 1 }), case("POST", "/api/budget/{scope}/top-ups", Admin, 200))),
            at("/api/budget/org%2Facme/forecast".to_owned(), case("GET", "/api/budget/{scope}/forecast", Admin, 200)),
            with(json!({ "scopes": ["user/ana"], "amount": 1 }), case("POST", "/api/budget/check", Admin, 200)),
            at("/api/budget/org%2Facme".to_owned(), case("DELETE", "/api/budget/{scope}", Admin, 204)),
            case("GET", "/api/spending", Admin, 200),
            case("GET", "/api/ledger/verify", Admin, 200),
            case("GET", "/api/ledger/export.csv", Admin, 200),
            case("GET", "/api/ledger/export.jsonl", Admin, 200),
            with(json!({ "budgets": [{ "scope": "user/*", "limit": 1, "window": "month UTC" }] }),
                 case("POST", "/api/ledger/replay", Admin, 200)),
            with(json!({}), case("POST", "/api/ledger/rerate", Admin, 200)),
            with(json!({ "source": "usage.csv", "format": "csv", "content": "reference,item,quantity,unit,amount\n" }),
                 case("POST", "/api/ledger/reconcile", Admin, 200)),
            case("GET", "/api/events", Admin, 200),
            with(json!({ "reason": "a test" }), case("PUT", "/api/stop", Admin, 200)),
            case("DELETE", "/api/stop", Admin, 200),
            case("GET", "/api/keys", Admin, 200),
            with(json!({ "name": "new", "role": "viewer", "scopes": ["user/new"] }), case("POST", "/api/keys", Admin, 201)),
            at(format!("/api/keys/{}/rotate", self.key_to_rotate),
               with(json!({}), case("POST", "/api/keys/{id}/rotate", Admin, 201))),
            at(format!("/api/keys/{}", self.key_to_revoke), case("DELETE", "/api/keys/{id}", Admin, 200)),
            case("GET", "/api/audit", Admin, 200),
        ]
    }

    async fn send(&self, case: &Case, key: Option<&str>) -> Reply {
        self.app
            .call(case.method, &case.path, key, case.body.as_ref())
            .await
    }

    async fn acts(&self) -> Vec<String> {
        let page = AuditPage {
            before: None,
            limit: 1_000,
        };
        let entries = self.app.access.audit(page).await.unwrap();
        entries.into_iter().rev().map(|entry| entry.act).collect()
    }
}

fn actor() -> Actor {
    Actor::new("uid 1000", "command line")
}

#[tokio::test]
async fn each_route_answers_each_key_as_it_should() {
    let world = World::new().await;
    let acts_before = world.acts().await;
    let mut matrix = String::new();
    for case in world.cases() {
        let name = format!("{} {}", case.method, case.template);
        let is = |reply: &Reply, status: u16, who: &str| {
            assert_eq!(reply.status.as_u16(), status, "{name} with {who}: {}", reply.text);
            if status >= 400 {
                assert_eq!(
                    reply.header(header::CONTENT_TYPE),
                    "application/problem+json",
                    "{name} with {who}"
                );
            }
        };
        let reply = world.send(&case, None).await;
        is(&reply, 401, "no key");
        assert_eq!(
            reply.header(header::WWW_AUTHENTICATE),
            "Bearer realm=\"meterbox\""
        );
        for key in &world.nobody {
            is(
                &world.send(&case, Some(key)).await,
                401,
                &key[..key.len().min(80)],
            );
        }
        let enough = |role: Role| role.covers(case.needs);
        let mut row = format!("{name:<46}");
        for (who, role, key) in [
            ("viewer", Role::Viewer, &world.viewer),
            ("analyst", Role::Analyst, &world.analyst),
            ("admin", Role::Admin, &world.admin),
        ] {
            let expected = if enough(role) { case.good } else { 403 };
            let reply = world.send(&case, Some(key)).await;
            is(&reply, expected, who);
            row += &format!(" {who} {expected}");
        }
        // Of another tenant: things of others are as if they were not there.
        let is_of_ana = case.template.starts_with("/api/analyses/{id}");
        let expected = match enough(Role::Analyst) {
            true if is_of_ana => 404,
            true => case.good,
            false => 403,
        };
        is(
            &world.send(&case, Some(&world.foreign_analyst)).await,
            expected,
            "a foreign analyst",
        );
        matrix += &format!("{row} foreign {expected}\n");
    }
    println!("{matrix}");
    let acts = world.acts().await;
    assert_eq!(
        acts[acts_before.len()..],
        [
            "dataset.privacy",
            "budget.set",
            "budget.top_up",
            "budget.remove",
            "ledger.reconcile",
            "spending.stop",
            "spending.resume",
            "key.create",
            "key.rotate",
            "key.revoke",
        ],
        "each act that was done is noted once, and nothing that was refused"
    );
}

#[tokio::test]
async fn the_matrix_has_every_route_that_needs_a_role() {
    let world = World::new().await;
    let tested: BTreeSet<(String, String, String)> = world
        .cases()
        .iter()
        .map(|case| {
            (
                case.method.to_lowercase(),
                case.template.to_owned(),
                case.needs.to_string(),
            )
        })
        .collect();
    let mut guarded = BTreeSet::new();
    let mut open = BTreeSet::new();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            match operation["x-meterbox-role"].as_str() {
                Some(role) => drop(guarded.insert((method.clone(), path.clone(), role.to_owned()))),
                None => drop(open.insert(format!("{method} {path}"))),
            }
        }
    }
    assert_eq!(tested, guarded);
    let expected = [
        "delete /api/session",
        "get /api/openapi.json",
        "get /healthz",
        "get /readyz",
        "post /api/session",
    ];
    assert!(open.iter().eq(expected), "{open:?}");
}

#[tokio::test]
async fn what_belongs_to_others_is_as_if_it_were_not_there() {
    let world = World::new().await;
    let strange = "01990000-0000-7000-8000-000000000000";
    for (method, path) in [
        ("GET", "/api/analyses/ID"),
        ("GET", "/api/analyses/ID/artifacts/a.png"),
        ("POST", "/api/analyses/ID/cancel"),
    ] {
        let of_ana = path.replace("ID", &world.analysis);
        let of_nobody = path.replace("ID", strange);
        for key in [&world.foreign_analyst, &world.foreign_admin] {
            let one = world.app.call(method, &of_ana, Some(key), None).await;
            let other = world.app.call(method, &of_nobody, Some(key), None).await;
            assert_eq!((one.status, &one.text), (other.status, &other.text), "{path}");
            assert_eq!(one.status, StatusCode::NOT_FOUND);
        }
    }
    let listed = world
        .app
        .call("GET", "/api/analyses", Some(&world.foreign_admin), None)
        .await;
    assert_eq!(listed.json()["analyses"], json!([]));
    let shared = world
        .app
        .call("GET", "/api/analyses", Some(&world.viewer), None)
        .await;
    assert_eq!(shared.json()["analyses"][0]["id"], world.analysis.as_str());
}

async fn metrics_of(app: &App, key: &str, scope: &str) -> Reply {
    let request = super::app::request("GET", "/api/metrics")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header("x-budget-scope-key", scope);
    app.send(request.body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn budgets_of_others_are_seen_by_administrators_alone() {
    let world = World::new().await;
    let (app, admin) = (&world.app, world.admin.as_str());
    let body = json!({ "scope": "org/acme", "limit": 7 });
    assert_eq!(
        app.call("PUT", "/api/budget", Some(admin), Some(&body))
            .await
            .status,
        StatusCode::OK
    );

    for (key, scope, expected) in [
        (admin, "org/acme", 200),
        (admin, "user/eve", 200),
        (admin, "org/none", 404),
        (&world.viewer, "org/acme", 200),
        (&world.viewer, "user/ana", 200),
        (&world.viewer, "user/eve", 404),
        (&world.foreign_analyst, "org/acme", 404),
        (&world.foreign_analyst, "org/none", 404),
        (admin, "org/*", 422),
        (admin, "nonsense", 422),
        (&world.viewer, "nonsense", 422),
        (admin, "", 422),
    ] {
        let reply = metrics_of(app, key, scope).await;
        assert_eq!(reply.status.as_u16(), expected, "{scope}: {}", reply.text);
        if expected == 200 {
            assert_eq!(reply.json()["scope"], scope);
        }
    }
    let hidden = metrics_of(app, &world.foreign_analyst, "org/acme").await.text;
    let missing = metrics_of(app, &world.foreign_analyst, "org/none").await.text;
    assert_eq!(hidden.replace("org/acme", "org/none"), missing);
}

#[tokio::test]
async fn the_key_alone_says_whose_money_is_spent() {
    let world = World::new().await;
    let body = json!({ "scope": "org/acme", "limit": 7 });
    world
        .app
        .call("PUT", "/api/budget", Some(&world.admin), Some(&body))
        .await;
    let asked = json!({ "query": "products by revenue" });
    let mut request = super::app::execute(asked.to_string());
    for (name, value) in [
        ("authorization", format!("Bearer {}", world.analyst)),
        ("x-budget-scope-key", "user/eve".to_owned()),
        ("x-user", "eve".to_owned()),
        ("x-forwarded-for", "10.9.9.9".to_owned()),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let result = world.app.send(request).await.json();
    assert_eq!(result["principal"], "user/ana");
    let spent = metrics_of(&world.app, &world.admin, "org/acme").await.json()["spent"].clone();
    assert_eq!(spent, result["cost"], "the groups of the key pay too");
    assert_eq!(
        metrics_of(&world.app, &world.admin, "user/eve").await.json()["spent"],
        0
    );
}

#[tokio::test]
async fn the_first_key_closes_the_door_and_nothing_opens_it_again() {
    let app = App::new().await;
    let who = app.get("/api/session").await.json();
    assert_eq!(
        (&who["principal"], &who["role"], &who["key"]),
        (&json!("user/local"), &json!("admin"), &Value::Null)
    );
    let (key, record) = app.key(Role::Admin, &["user/ana"]).await;
    assert_eq!(app.get("/api/session").await.status, StatusCode::UNAUTHORIZED);
    let who = app.call("GET", "/api/session", Some(&key), None).await.json();
    assert_eq!(
        (&who["principal"], &who["key"]["name"]),
        (&json!("user/ana"), &json!("a admin"))
    );

    let path = format!("/api/keys/{}", record.id);
    let last = app.call("DELETE", &path, Some(&key), None).await;
    assert_eq!(last.status, StatusCode::CONFLICT, "{}", last.text);
    app.access.revoke_key(&actor(), &record.id, false).await.unwrap();
    assert_eq!(app.get("/api/session").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(
        app.get("/").await.status,
        StatusCode::OK,
        "the page asks for a key itself"
    );
}

#[tokio::test]
async fn without_keys_nobody_comes_in_through_a_proxy() {
    let app = App::new().await;
    for name in ["forwarded", "via", "x-forwarded-for", "x-real-ip"] {
        let request = super::app::request("GET", "/api/session").header(name, "10.0.0.1");
        let reply = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[tokio::test]
async fn who_is_told_why_a_key_opens_nothing() {
    let world = World::new().await;
    let detail = async |key: &str| {
        let reply = world.app.call("GET", "/api/session", Some(key), None).await;
        reply.json()["detail"].as_str().unwrap().to_owned()
    };
    assert!(
        detail(&world.nobody[0]).await.contains("was revoked"),
        "who has the secret"
    );
    assert!(
        detail(&world.nobody[1]).await.contains("expired"),
        "who has the secret"
    );
    // A stranger's key, and one whose id is real, are told the same.
    let unknown = detail(&world.nobody[2]).await;
    assert!(unknown.contains("not known"), "{unknown}");
    assert!(!detail(&world.nobody[3]).await.contains("revoked"));
}

#[tokio::test(start_paused = true)]
async fn revoking_a_key_ends_what_it_began() {
    for at_the_command_line in [false, true] {
        let world = World::new().await;
        tokio::spawn(world.app.state.follow_revocations());
        let (key, record) = world.app.key(Role::Analyst, &["user/ana"]).await;
        let (id, _body) = hanging(&world.app, Some(&key)).await;
        if at_the_command_line {
            world
                .app
                .access
                .revoke_key(&actor(), &record.id, false)
                .await
                .unwrap();
        } else {
            let path = format!("/api/keys/{}", record.id);
            let revoked = world.app.call("DELETE", &path, Some(&world.admin), None).await;
            assert_eq!(revoked.json()["state"], "revoked");
        }
        let path = format!("/api/analyses/{id}");
        assert_eq!(
            world.app.call("GET", &path, Some(&key), None).await.status,
            StatusCode::UNAUTHORIZED
        );
        world.app.wait(3 * LOOK_FOR_REVOCATIONS).await;
        let ended = world.app.call("GET", &path, Some(&world.viewer), None).await;
        assert_eq!(ended.json()["status"], "cancelled", "{}", ended.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_revoked_while_many_use_it_lets_nobody_in_afterwards() {
    let world = std::sync::Arc::new(World::new().await);
    let users: Vec<_> = (0..6)
        .map(|_| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                let mut entered = 0_u32;
                loop {
                    let reply = world
                        .app
                        .call("GET", "/api/metrics", Some(&world.viewer), None)
                        .await;
                    match reply.status {
                        StatusCode::OK => entered += 1,
                        status => return (entered, status),
                    }
                }
            })
        })
        .collect();
    let id = &world.viewer[4..16];
    let revoked = world
        .app
        .call("DELETE", &format!("/api/keys/{id}"), Some(&world.admin), None)
        .await;
    assert_eq!(revoked.status, StatusCode::OK);
    let late = world
        .app
        .call("GET", "/api/metrics", Some(&world.viewer), None)
        .await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    for user in users {
        let (_, end) = user.await.unwrap();
        assert_eq!(end, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_audit_log_says_who_what_when_and_from_where() {
    let world = World::new().await;
    let app = &world.app;
    let admin = Some(world.admin.as_str());
    for limit in [5, 9] {
        let body = json!({ "scope": "team/ops", "limit": limit });
        assert_eq!(
            app.call("PUT", "/api/budget", admin, Some(&body)).await.status,
            StatusCode::OK
        );
    }
    let wrong = json!({ "scope": "team/ops", "limit": 9, "window": "day UTC" });
    assert_eq!(
        app.call("PUT", "/api/budget", admin, Some(&wrong))
            .await
            .status
            .as_u16(),
        422
    );

    let log = app.call("GET", "/api/audit?limit=3", admin, None).await.json();
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(
        (&entries[0]["outcome"], &entries[0]["act"]),
        (&json!("failed"), &json!("budget.set"))
    );
    assert!(
        entries[0]["reason"].as_str().unwrap().contains("month UTC"),
        "{log}"
    );
    let change = &entries[1];
    assert_eq!(change["outcome"], "done");
    assert_eq!(
        (&change["before"]["limit"], &change["after"]["limit"]),
        (&json!(5), &json!(9))
    );
    assert_eq!(
        (&change["actor"], &change["target"]),
        (&json!("user/ana (a admin)"), &json!("team/ops"))
    );
    assert_eq!(change["key"].as_str(), Some(&world.admin[4..16]));
    assert_eq!(change["at"], "2026-11-24T12:00:00Z");
    assert_eq!(entries[2]["before"], Value::Null);
    let older = format!("/api/audit?before={}", log["next"]);
    let older = app.call("GET", &older, admin, None).await.json();
    assert_eq!(older["entries"][0]["act"], "key.create");
    assert!(!older.to_string().contains(&world.viewer[17..]), "no secret");
}
