use axum::{
    body::Body,
    http::{StatusCode, header},
};

use super::app::{App, request};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What stands between `before` and the next quotation mark, wherever it occurs.
fn quoted_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
}

#[tokio::test]
async fn the_page_and_all_its_parts_are_served_with_their_types() {
    let app = App::new().await;
    let page = app.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    let mut open: Vec<String> = ["href=\"/assets/", "src=\"/assets/"]
        .iter()
        .flat_map(|before| quoted_after(&page.text, before))
        .map(str::to_owned)
        .collect();
    let mut served = Vec::new();
    while let Some(name) = open.pop() {
        if served.contains(&name) {
            continue;
        }
        let part = app.get(&format!("/assets/{name}")).await;
        assert_eq!(part.status, StatusCode::OK, "{name}");
        let expected = match name.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(part.header(header::CONTENT_TYPE), expected, "{name}");
        open.extend(quoted_after(&part.text, "from \"./").map(str::to_owned));
        served.push(name);
    }
    assert!(served.len() >= 15, "{served:?}");
}

#[tokio::test]
async fn the_page_needs_nothing_its_policy_forbids() {
    let app = App::new().await;
    let page = app.get("/").await;
    assert_eq!(page.header(header::CONTENT_SECURITY_POLICY), POLICY);
    for forbidden in [
        "style=",
        "<style",
        "onclick=",
        "<script>",
        "javascript:",
        "http://",
        "https://",
    ] {
        assert!(!page.text.contains(forbidden), "{forbidden}");
    }
    for (name, expected) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), expected);
        assert_eq!(
            app.get("/no/such/thing").await.header(name),
            expected,
            "on errors as well"
        );
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let app = App::new().await;
    let tag = app.get("/assets/page.css").await.header(header::ETAG).to_owned();
    for known in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"old\", {tag}"),
        "*".to_owned(),
    ] {
        let request = request("GET", "/assets/page.css").header(header::IF_NONE_MATCH, known);
        let reply = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::NOT_MODIFIED);
        assert!(reply.text.is_empty());
    }
    let request = request("GET", "/assets/page.css").header(header::IF_NONE_MATCH, "\"old\"");
    assert_eq!(
        app.send(request.body(Body::empty()).unwrap()).await.status,
        StatusCode::OK
    );
}
