//! Who spent how much, on what: added up from the holds.

use std::time::Duration;

use meterbox_access::Role;
use meterbox_budget_engine::{Hold, HoldRequest};
use meterbox_core::contract::CostLine;
use serde_json::{Value, json};

use super::app::App;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn hold(app: &App, scopes: &[&str], purpose: &str, drawn: &str) -> Hold {
    let scopes = scopes.iter().map(|scope| scope.parse().unwrap());
    let request = HoldRequest::new(scopes, "1".parse().unwrap(), purpose);
    let hold = app.budget.hold(request).await.unwrap();
    let line = CostLine {
        item: "test".to_owned(),
        quantity: 1,
        unit: "piece".to_owned(),
        amount: drawn.parse().unwrap(),
        estimated: false,
        price: None,
    };
    hold.draw(line).await.unwrap();
    hold
}

#[tokio::test]
async fn spending_is_told_by_person_by_group_and_by_purpose() {
    let app = App::new().await;
    let admin = app.key(Role::Admin, &["user/boss"]).await.0;
    // Last month's is no part of this month's.
    app.clock.set_wall("2026-10-31T23:59:59Z".parse().unwrap());
    hold(&app, &["user/ana"], "import", "0.7")
        .await
        .settle()
        .await
        .unwrap();
    app.clock.set_wall("2026-11-01T00:00:00Z".parse().unwrap());
    hold(&app, &["user/ana", "org/acme", "global/all"], "import", "0.25")
        .await
        .settle()
        .await
        .unwrap();
    app.clock.advance(DAY);
    hold(&app, &["user/bob", "org/acme"], "analysis", "0.5")
        .await
        .settle()
        .await
        .unwrap();
    let under_way = hold(&app, &["user/ana", "org/acme"], "analysis", "0.125").await;

    let get = async |query: &str| {
        let reply = app
            .call("GET", &format!("/api/spending{query}"), Some(&admin), None)
            .await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
        reply.json()
    };
    let part = |name: &str, spent: f64, held: f64, count: u64| json!({ "name": name, "spent": spent, "held": held, "count": count });
    let month: Value = get("").await;
    assert_eq!(month["since"], "2026-11-01T00:00:00Z");
    assert_eq!(dollars(&month["total"]), dollars(&part("", 0.875, 0.875, 3)));
    for (group, expected) in [
        (
            "by_person",
            vec![part("user/bob", 0.5, 0.0, 1), part("user/ana", 0.375, 0.875, 2)],
        ),
        ("by_group", vec![part("org/acme", 0.875, 0.875, 3)]),
        (
            "by_purpose",
            vec![part("analysis", 0.625, 0.875, 2), part("import", 0.25, 0.0, 1)],
        ),
    ] {
        let parts = month[group].as_array().unwrap();
        assert_eq!(
            parts.iter().map(dollars).collect::<Vec<_>>(),
            expected.iter().map(dollars).collect::<Vec<_>>()
        );
    }
    let first_day = get("?since=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z").await;
    assert_eq!(first_day["total"]["count"], 1);
    let ever = get("?since=2026-01-01T00:00:00Z").await;
    assert_eq!(ever["total"]["count"], 4);
    under_way.settle().await.unwrap();
}

/// Name, spent, held and count; whole dollars have no point.
fn dollars(part: &Value) -> (String, f64, f64, u64) {
    let number = |name: &str| part[name].as_f64().unwrap();
    let name = part["name"].as_str().unwrap_or_default().to_owned();
    (
        name,
        number("spent"),
        number("held"),
        part["count"].as_u64().unwrap(),
    )
}
