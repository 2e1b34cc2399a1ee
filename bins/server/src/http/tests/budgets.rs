//! Budgets of settings, edited while the service runs.

use axum::http::StatusCode;
use meterbox_access::Role;
use meterbox_budget_engine::{Budget, Window};
use serde_json::{Value, json};

use super::app::App;

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
