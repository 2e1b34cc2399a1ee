//! No input is answered with a 500.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

use meterbox_access::Role;
use serde_json::Value;

use super::app::{App, HOST, execute, request};

#[tokio::test]
async fn no_request_is_answered_with_an_error_of_ours() {
    let app = App::new().await;
    let long = "a".repeat(5_000);
    let paths = [
        "/",
        "//",
        "/assets/",
        "/assets/..%2fCargo.toml",
        "/assets/index.html",
        "/assets/%00",
        "/assets/%ff",
        "/api",
        "/api/",
        "/api/execute",
        "/api/metrics?x=%ff",
        "/api/analyses?before=&limit=",
        "/api/analyses?limit=99999999999999999999",
        "/api/analyses?limit=-1",
        "/api/analyses?before=..",
        "/api/analyses?limit=1&limit=2",
        "/api/analyses/%2e%2e",
        "/api/analyses/%ff/cancel",
        "/api/analyses/00000000-0000-0000-0000-000000000000",
        "/api/analyses/x/artifacts/%ff",
        "/api/datasets/",
        "/api/budget/%ff",
        "/api/budget/user",
        "/api/budget/user%2Fa%00b",
        "/api/budget/%2e%2e%2fetc",
        "/api/budget/user%2F*/forecast",
        "/api/budget/user%2Fana/forecast?last=0",
        "/api/budget/user%2Fana/forecast?last=-1&horizon=99999999999999999999",
        "/api/budget/user%2Fana/forecast?horizon=18446744073709551615",
        "/api/budget/user%2Fana/forecast?spike_minimum=-1",
        "/api/budget/user%2Fana/top-ups",
        "/api/spending?since=yesterday",
        "/api/spending?since=2026-01-01T00:00:00Z&until=0001-01-01T00:00:00Z",
        "/api/ledger/export.csv?since=%ff",
        "/api/keys/..",
        "/api/keys/%ff/rotate",
        "/api/keys/000000000000",
        "/api/audit?before=-1",
        "/api/audit?limit=0",
        "/api/audit?limit=99999999999999999999",
        "/api/audit?before=18446744073709551615",
        "/api/stop/x",
        "/api/session?x=1",
        "/healthz",
        &long,
    ];
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for path in paths {
            let target = if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            };
            let reply = app
                .send(request(method, &target).body(Body::empty()).unwrap())
                .await;
            assert!(reply.status.as_u16() < 500, "{method} {target}: {}", reply.status);
            let is_problem = reply.header(header::CONTENT_TYPE) == "application/problem+json";
            assert!(
                reply.status.as_u16() < 400 || is_problem,
                "{method} {target}: {}",
                reply.text
            );
        }
    }
}

#[tokio::test]
async fn no_body_is_answered_with_an_error_of_ours() {
    let app = App::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "[]",
        "1",
        "\"\"",
        "{",
        "{}",
        "{\"query\":}",
        "{\"query\":null}",
        "{\"query\":{}}",
        "{\"query\":\"a\",\"query\":\"b\"}",
        "{\"query\":\"\\ud800\"}",
        "{\"query\":\"\u{0}\"}",
        "{\"query\":\"\\u0000\"}",
        "{\"query\":\"a\",\"datasets\":\"shop\"}",
        "{\"query\":\"a\",\"datasets\":[null]}",
        "{\"query\":\"a\",\"datasets\":[\"../../etc\"]}",
        "{\"query\":\"a\",\"max_cost\":1e999}",
        "{\"query\":\"a\",\"max_cost\":-0.0}",
        "{\"query\":\"a\",\"max_cost\":\"NaN\"}",
        "{\"query\":\"a\",\"max_cost\":\"0.0000000001\"}",
        "{\"query\":\"a\",\"max_cost\":99999999999999999999}",
        "{\"query\":\"a\",\"principal\":\"user/boss\"}",
        "\u{feff}{\"query\":\"a\"}",
        &deep,
    ]
    .iter()
    .map(|text| text.as_bytes().to_owned())
    .chain([
        vec![0xff; 1_000],
        vec![0; 1_000],
        b"{\"query\":\"\xff\"}".to_vec(),
    ])
    .collect();
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = app.execute(body).await;
        assert!(reply.status.as_u16() < 500, "{shown}: {}", reply.text);
    }
}

/// Scopes and amounts that make no sense, on every route that takes one.
#[tokio::test]
async fn hostile_scopes_and_amounts_are_refused_in_words() {
    let app = App::new().await;
    let (admin, _) = app.key(Role::Admin, &["user/ana"]).await;
    let long = format!(r#""user/{}""#, "x".repeat(300));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let scopes = [
        "\"\"",
        "\"user\"",
        "\"user/\"",
        "\"/ana\"",
        "\"User/ana\"",
        "\"user/a/b\"",
        "\"user/a\\u0000b\"",
        "\"user/%ff\"",
        "\"user/a%0ab\"",
        "\"../../etc/passwd\"",
        "null",
        "7",
        "[]",
        "{}",
        &long,
        &deep,
    ];
    let amounts = [
        "-1",
        "-0.0000001",
        "1e400",
        "NaN",
        "\"NaN\"",
        "\"Infinity\"",
        "0.0000000001",
        "9999999999999",
        "null",
        "\"\"",
        "\"1,5\"",
        "\"$-1\"",
        "true",
        "[1]",
        "{}",
        &deep,
    ];
    let mut requests: Vec<(&str, &str, String)> = Vec::new();
    for scope in scopes {
        requests.push((
            "PUT",
            "/api/budget",
            format!(r#"{{"scope": {scope}, "limit": 1}}"#),
        ));
        requests.push((
            "POST",
            "/api/budget/check",
            format!(r#"{{"scopes": [{scope}], "amount": 1}}"#),
        ));
        requests.push((
            "POST",
            "/api/keys",
            format!(r#"{{"name": "a", "role": "viewer", "scopes": [{scope}]}}"#),
        ));
    }
    for amount in amounts {
        requests.push((
            "PUT",
            "/api/budget",
            format!(r#"{{"scope": "user/ana", "limit": {amount}}}"#),
        ));
        requests.push((
            "POST",
            "/api/budget/check",
            format!(r#"{{"scopes": ["user/ana"], "amount": {amount}}}"#),
        ));
        requests.push((
            "POST",
            "/api/budget/user%2Fana/top-ups",
            format!(r#"{{"amount": {amount}}}"#),
        ));
    }
    for (method, path, body) in [
        (
            "PUT",
            "/api/budget",
            r#"{"scope": "user/ana", "limit": 1, "window": "fortnight UTC"}"#,
        ),
        (
            "PUT",
            "/api/budget",
            r#"{"scope": "user/ana", "limit": 1, "soft_caps": {"warn_percent": 99, "degrade_percent": 1}}"#,
        ),
        (
            "PUT",
            "/api/budget",
            r#"{"scope": "user/ana", "limit": 1, "soft_caps": {"warn_percent": 256}}"#,
        ),
        (
            "PUT",
            "/api/budget",
            r#"{"scope": "user/ana", "limit": 1, "degraded_allowance": 2}"#,
        ),
        (
            "PUT",
            "/api/budget",
            r#"{"scope": "user/ana", "limit": 1, "more": 2}"#,
        ),
        ("PUT", "/api/budget", r#"["user/ana", 1, null, null, null, null]"#),
        ("POST", "/api/budget/check", r#"{"scopes": [], "amount": 1}"#),
        (
            "POST",
            "/api/budget/check",
            r#"{"scopes": ["user/*"], "amount": 1}"#,
        ),
        (
            "POST",
            "/api/budget/check",
            r#"{"scopes": ["user/ana"], "amount": 0}"#,
        ),
        ("POST", "/api/budget/user%2F*/top-ups", r#"{"amount": 1}"#),
        ("POST", "/api/budget/user%2Fana/top-ups", r#"{"amount": 0}"#),
        (
            "POST",
            "/api/budget/user%2Fana/top-ups",
            r#"{"amount": 1, "expires_at": "2020-01-01T00:00:00Z"}"#,
        ),
        (
            "POST",
            "/api/budget/user%2Fana/top-ups",
            r#"{"amount": 1, "note": "a\nb"}"#,
        ),
        ("POST", "/api/budget/nonsense/top-ups", r#"{"amount": 1}"#),
        ("PUT", "/api/stop", r#"{"reason": ""}"#),
        ("PUT", "/api/stop", r#"{"reason": "a\u0000b"}"#),
        (
            "POST",
            "/api/keys",
            r#"{"name": "", "role": "viewer", "scopes": ["user/a"]}"#,
        ),
        (
            "POST",
            "/api/keys",
            r#"{"name": "a", "role": "root", "scopes": ["user/a"]}"#,
        ),
        (
            "POST",
            "/api/keys",
            r#"{"name": "a", "role": "viewer", "scopes": []}"#,
        ),
        (
            "POST",
            "/api/keys",
            r#"{"name": "a", "role": "viewer", "scopes": ["org/a"]}"#,
        ),
        (
            "POST",
            "/api/keys",
            r#"{"name": "a", "role": "viewer", "scopes": ["user/a"], "expires_in_days": 0}"#,
        ),
        (
            "POST",
            "/api/keys",
            r#"{"name": "a", "role": "viewer", "scopes": ["user/a"], "expires_in_days": 4294967295}"#,
        ),
        ("POST", "/api/session", r#"{"key": 7}"#),
    ] {
        requests.push((method, path, body.to_owned()));
    }
    let before = app.call("GET", "/api/budget", Some(&admin), None).await.json();
    for (method, path, body) in requests {
        let request = request(method, path)
            .header(header::AUTHORIZATION, format!("Bearer {admin}"))
            .header(header::CONTENT_TYPE, "application/json");
        let reply = app.send(request.body(body.clone().into()).unwrap()).await;
        let shown = &body[..body.len().min(120)];
        assert!(
            matches!(reply.status.as_u16(), 400 | 422),
            "{method} {path} {shown}: {} {}",
            reply.status,
            reply.text
        );
        assert_eq!(reply.header(header::CONTENT_TYPE), "application/problem+json");
        let problem: Value = reply.json();
        assert!(
            !problem["detail"].as_str().unwrap().is_empty() && !problem["hint"].as_str().unwrap().is_empty()
        );
        assert!(reply.text.len() < 2_000, "{method} {path} {shown}");
    }
    assert_eq!(
        app.call("GET", "/api/budget", Some(&admin), None).await.json(),
        before
    );
}

#[tokio::test]
async fn only_whole_json_objects_in_utf_8_are_taken() {
    let app = App::new().await;
    for (body, expected) in [
        ("[[[[", StatusCode::BAD_REQUEST),
        ("{\"query\": \"a\"", StatusCode::BAD_REQUEST),
        ("{\"query\": \"a\"} {}", StatusCode::BAD_REQUEST),
        ("[\"a\", null, null, null]", StatusCode::UNPROCESSABLE_ENTITY),
        ("{\"query\": 7}", StatusCode::UNPROCESSABLE_ENTITY),
        (" {\"query\": \"products by revenue\"} ", StatusCode::OK),
    ] {
        let reply = app.execute(body).await;
        assert_eq!(reply.status, expected, "{body}: {}", reply.text);
    }
    for (media_type, expected) in [
        ("application/json", StatusCode::OK),
        ("application/json; charset=utf-8", StatusCode::OK),
        ("Application/JSON;charset=\"UTF-8\"", StatusCode::OK),
        (
            "application/json; charset=utf-16",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            "application/json; charset=latin1",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let mut request = execute(r#"{"query": "products by revenue"}"#);
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type.parse().unwrap());
        assert_eq!(app.send(request).await.status, expected, "{media_type}");
    }
}

#[tokio::test]
async fn a_client_header_never_chooses_whose_money_is_spent() {
    let app = App::new().await;
    let mut request = execute(r#"{"query": "a"}"#);
    for name in [
        "x-budget-scope-key",
        "x-user",
        "x-forwarded-user",
        "authorization",
    ] {
        request.headers_mut().insert(name, "user/boss".parse().unwrap());
    }
    assert_eq!(app.send(request).await.json()["principal"], "user/local");
}

#[tokio::test]
async fn other_sites_and_other_names_are_kept_out() {
    let app = App::new().await;
    let with = |host: Option<&str>, origin: Option<&str>| {
        let mut builder = Request::builder().uri("/api/metrics");
        if let Some(host) = host {
            builder = builder.header(header::HOST, host);
        }
        if let Some(origin) = origin {
            builder = builder.header(header::ORIGIN, origin);
        }
        builder.body(Body::empty()).unwrap()
    };
    for (host, origin, expected) in [
        (Some(HOST), None, StatusCode::OK),
        (Some(HOST), Some("http://localhost:3000"), StatusCode::OK),
        (Some("127.0.0.1:3000"), None, StatusCode::OK),
        (None, None, StatusCode::FORBIDDEN),
        (Some("evil.test"), None, StatusCode::FORBIDDEN),
        (Some("localhost:4000"), None, StatusCode::FORBIDDEN),
        (Some(HOST), Some("http://evil.test"), StatusCode::FORBIDDEN),
        (Some(HOST), Some("http://localhost:4000"), StatusCode::FORBIDDEN),
        (Some(HOST), Some("null"), StatusCode::FORBIDDEN),
    ] {
        let reply = app.send(with(host, origin)).await;
        assert_eq!(reply.status, expected, "host {host:?}, origin {origin:?}");
    }
    let mut twice = with(Some(HOST), None);
    twice
        .headers_mut()
        .append(header::HOST, "evil.test".parse().unwrap());
    assert_eq!(app.send(twice).await.status, StatusCode::FORBIDDEN);
    let absolute = Request::builder()
        .uri("http://evil.test/api/metrics")
        .header(header::HOST, HOST);
    assert_eq!(
        app.send(absolute.body(Body::empty()).unwrap()).await.status,
        StatusCode::FORBIDDEN
    );
}
