//! Budgets edited while the service runs.

use axum::{http::StatusCode, response::IntoResponse};
use meterbox_access::Role;
use meterbox_budget_engine::{Budget, BudgetError, Window};
use serde_json::{Value, json};

use super::app::App;
use crate::{administration::AdminError, http::Problem};

#[tokio::test]
async fn a_budget_of_a_setting_is_edited_live_and_says_which_of_both_counts() {
    let app = App::new().await;
    let admin = app.key(Role::Admin, &["user/boss"]).await.0;
    let every_user = async || {
        let listed = app.call("GET", "/api/budget", Some(&admin), None).await.json();
        let budgets = listed["budgets"].as_array().unwrap();
        budgets
            .iter()
            .find(|budget| budget["scope"] == "user/*")
            .unwrap()
            .clone()
    };
    let setting = |limit: u32, edited: bool| json!({ "name": "DEFAULT_BUDGET_LIMIT", "limit": limit, "edited": edited });
    assert_eq!(every_user().await["setting"], setting(10, false));

    let edit = json!({ "scope": "user/*", "limit": 99 });
    let edited = app.call("PUT", "/api/budget", Some(&admin), Some(&edit)).await;
    assert_eq!(edited.status, StatusCode::OK, "{}", edited.text);
    assert_eq!(
        (&edited.json()["limit"], &edited.json()["setting"]),
        (&json!(99), &setting(10, true))
    );
    let checked = json!({ "scopes": ["user/ana"], "amount": 50 });
    let checked = app
        .call("POST", "/api/budget/check", Some(&admin), Some(&checked))
        .await;
    assert_eq!(checked.json()["admitted"], true);

    // The next start with the same setting, and one with another.
    let start = async |limit: &str| {
        let month = Window::month("UTC").unwrap();
        let wanted = Budget::new("user/*".parse().unwrap(), limit.parse().unwrap(), month);
        app.budget.provision(wanted).await.unwrap()
    };
    assert!(!start("10").await);
    assert_eq!(every_user().await["limit"], 99);
    assert!(start("12").await);
    let set = every_user().await;
    assert_eq!(
        (&set["limit"], &set["setting"]),
        (&json!(12), &setting(12, false))
    );

    let removed = app
        .call("DELETE", "/api/budget/user%2F*", Some(&admin), None)
        .await;
    assert_eq!(removed.status, StatusCode::CONFLICT, "{}", removed.text);
    assert!(removed.text.contains("DEFAULT_BUDGET_LIMIT"), "{}", removed.text);
    let own = json!({ "scope": "user/ana", "limit": 3 });
    let own = app
        .call("PUT", "/api/budget", Some(&admin), Some(&own))
        .await
        .json();
    assert_eq!(own["setting"], Value::Null, "nobody's setting");
}

#[tokio::test]
async fn a_lower_limit_keeps_no_more_apart_than_there_is() {
    let app = App::new().await;
    let admin = app.key(Role::Admin, &["user/boss"]).await.0;
    let set = async |body: Value| app.call("PUT", "/api/budget", Some(&admin), Some(&body)).await;
    let kept = set(json!({ "scope": "org/acme", "limit": 5, "degraded_allowance": 1 })).await;
    assert_eq!(kept.json()["degraded_allowance"], 1);
    let lower = set(json!({ "scope": "org/acme", "limit": 0.5 })).await.json();
    assert_eq!(
        (&lower["limit"], &lower["degraded_allowance"]),
        (&json!(0.5), &json!(0.5))
    );
    let stopped = set(json!({ "scope": "org/acme", "limit": 0 })).await.json();
    assert_eq!(stopped["degraded_allowance"], 0);
    let named = set(json!({ "scope": "org/acme", "limit": 1, "degraded_allowance": 2 })).await;
    assert_eq!(
        named.status.as_u16(),
        422,
        "what is asked for is not made smaller: {}",
        named.text
    );
}

/// Three administrators at once change each another part, time and again: nobody undoes what another did, and the audit
/// log says what each change was made of.
#[tokio::test]
async fn administrators_at_once_undo_nothing_of_each_other() {
    let app = App::new().await;
    let admin = app.key(Role::Admin, &["user/boss"]).await.0;
    let set = async |body: Value| {
        let reply = app.call("PUT", "/api/budget", Some(&admin), Some(&body)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    };
    let listed = async || {
        let budgets = app.call("GET", "/api/budget", Some(&admin), None).await.json();
        let budgets = budgets["budgets"].as_array().unwrap();
        budgets
            .iter()
            .find(|budget| budget["scope"] == "org/acme")
            .unwrap()
            .clone()
    };
    set(json!({ "scope": "org/acme", "limit": 100 })).await;
    for round in 1..=20 {
        tokio::join!(
            set(json!({ "scope": "org/acme", "limit": 100 + round })),
            set(json!({ "scope": "org/acme", "soft_caps": { "warn_percent": round } })),
            set(json!({ "scope": "org/acme", "carry_over": round })),
        );
        let now = listed().await;
        assert_eq!(
            [
                &now["limit"],
                &now["soft_caps"]["warn_percent"],
                &now["carry_over"]
            ],
            [&json!(100 + round), &json!(round), &json!(round)]
        );
    }

    let log = app
        .call("GET", "/api/audit?limit=1000", Some(&admin), None)
        .await
        .json();
    let entries = log["entries"].as_array().unwrap();
    let told = |member: &str, outcome: &str| {
        let of_outcome = entries
            .iter()
            .filter(|entry| entry["act"] == "budget.set" && entry["outcome"] == outcome);
        of_outcome
            .map(|entry| entry[member].to_string())
            .collect::<Vec<_>>()
    };
    let (mut before, mut after) = (told("before", "done"), told("after", "done"));
    assert_eq!(after.len(), 61);
    // Each was made of what another had made, but for the first, and nobody made anything of the last.
    let mut last = listed().await;
    last.as_object_mut().unwrap().remove("status");
    before.push(last.to_string());
    after.push(Value::Null.to_string());
    before.sort();
    after.sort();
    assert_eq!(before, after);
    let reasons = told("reason", "failed");
    assert!(
        !reasons.is_empty() && reasons.iter().all(|reason| reason.contains("meanwhile")),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_part_of_a_budget_is_changed_without_saying_the_rest() {
    let app = App::new().await;
    let admin = app.key(Role::Admin, &["user/boss"]).await.0;
    let set = async |body: Value| app.call("PUT", "/api/budget", Some(&admin), Some(&body)).await;
    let part = json!({ "scope": "org/acme", "carry_over": 1 });
    let refused = set(part.clone()).await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.text);
    assert!(refused.text.contains("limit"), "{}", refused.text);
    set(json!({ "scope": "org/acme", "limit": 5, "window": "day UTC" })).await;
    let changed = set(part).await.json();
    assert_eq!(
        [&changed["limit"], &changed["window"], &changed["carry_over"]],
        [&json!(5), &json!("day UTC"), &json!(1)]
    );
}

/// An edit that others were faster than each time is no mistake of who made it, and may be made again.
#[test]
fn an_edit_that_others_overtook_is_a_conflict() {
    let scope = "org/acme".parse().unwrap();
    let problem = Problem::from(AdminError::from(BudgetError::Changed { scope, found: None }));
    assert_eq!(problem.into_response().status(), StatusCode::CONFLICT);
}
