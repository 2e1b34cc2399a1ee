//! Browsers: a key is traded for a cookie, which only our own pages can use.

use std::time::Duration;

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use meterbox_access::{Actor, Role};
use serde_json::json;

use super::app::{App, Reply, request};

const ORIGIN: &str = "http://localhost:3000";

struct Browser<'a> {
    app: &'a App,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(app: &'a App, key: &str) -> (Browser<'a>, Reply) {
        let request = request("POST", "/api/session")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ORIGIN, ORIGIN);
        let body = json!({ "key": key }).to_string();
        let reply = app.send(request.body(body.into()).unwrap()).await;
        let set = reply.header(header::SET_COOKIE).to_owned();
        let cookie = set.split(';').next().unwrap_or_default().to_owned();
        (Browser { app, cookie }, reply)
    }

    async fn send(&self, method: &str, path: &str, origin: Option<&str>, body: &str) -> Reply {
        let mut request =
            request(method, path).header(header::COOKIE, format!("theme=dark; {}", self.cookie));
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.app.send(request.body(body.to_owned().into()).unwrap()).await
    }
}

#[tokio::test]
async fn signing_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let app = App::new().await;
    let (key, _) = app.key(Role::Admin, &["user/ana"]).await;
    let (browser, reply) = Browser::sign_in(&app, &key).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let cookie = reply.header(header::SET_COOKIE);
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(
        !cookie.contains(&key[17..]) && !cookie.contains("Secure"),
        "plain HTTP on loopback: {cookie}"
    );
    assert_eq!(
        browser.send("GET", "/api/session", None, "").await.json()["principal"],
        "user/ana"
    );

    let stop = r#"{"reason": "a test"}"#;
    for (origin, expected) in [
        (None, StatusCode::FORBIDDEN),
        (Some("http://evil.test"), StatusCode::FORBIDDEN),
        (Some("http://localhost:4000"), StatusCode::FORBIDDEN),
        (Some(ORIGIN), StatusCode::OK),
    ] {
        assert_eq!(
            browser.send("PUT", "/api/stop", origin, stop).await.status,
            expected,
            "{origin:?}"
        );
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_so_does_time_and_revoking() {
    let app = App::new().await;
    let (key, record) = app.key(Role::Viewer, &["user/ana"]).await;
    let (one, _) = Browser::sign_in(&app, &key).await;
    let (two, _) = Browser::sign_in(&app, &key).await;
    let out = one.send("DELETE", "/api/session", Some(ORIGIN), "").await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert_eq!(
        one.send("GET", "/api/session", None, "").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        two.send("GET", "/api/session", None, "").await.status,
        StatusCode::OK
    );

    app.clock.advance(Duration::from_secs(12 * 60 * 60));
    assert_eq!(
        two.send("GET", "/api/session", None, "").await.status,
        StatusCode::UNAUTHORIZED
    );
    let (three, _) = Browser::sign_in(&app, &key).await;
    app.access
        .revoke_key(&Actor::new("a", "b"), &record.id, false)
        .await
        .unwrap();
    assert_eq!(
        three.send("GET", "/api/session", None, "").await.status,
        StatusCode::UNAUTHORIZED
    );
    let (_, refused) = Browser::sign_in(&app, &key).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header(header::SET_COOKIE), "");
}

#[tokio::test]
async fn a_wrong_key_is_not_passed_over_for_the_cookie() {
    let app = App::new().await;
    let (key, _) = app.key(Role::Admin, &["user/ana"]).await;
    let (browser, _) = Browser::sign_in(&app, &key).await;
    for authorization in ["Bearer nonsense", "Bearer", "Basic YTpi", &key, "Bearer  "] {
        let request = request("GET", "/api/session")
            .header(header::COOKIE, &browser.cookie)
            .header(header::AUTHORIZATION, authorization);
        let reply = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{authorization}");
    }
    for bytes in [&b"Bearer \xff\xfe"[..], b"\xff"] {
        let value = axum::http::HeaderValue::from_bytes(bytes).unwrap();
        let request = request("GET", "/api/session").header(header::AUTHORIZATION, value);
        let reply = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    let twice = request("GET", "/api/session")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::AUTHORIZATION, format!("Bearer {key}"));
    let reply = app.send(twice.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "two are one too many");
    for cookie in [
        "meterbox_session=",
        "meterbox_session=x",
        "meterbox_session",
        &"a=b; ".repeat(500),
    ] {
        let request = request("GET", "/api/session").header(header::COOKIE, cookie);
        let reply = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
}
