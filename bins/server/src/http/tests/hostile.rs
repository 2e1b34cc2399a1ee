//! No input is answered with a 500.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

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
