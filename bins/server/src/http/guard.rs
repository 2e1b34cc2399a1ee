//! Who may talk to us, and what browsers may do with our replies.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{AppState, Problem};

const HTTP_PORT: u16 = 80;

/// Only our own script, style, pictures and requests; nothing inline, nothing framed, no string is ever
/// taken for markup.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// The names this service answers to. Any other name that resolves to this machine may be a trick of a
/// foreign page (DNS rebinding).
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    port: u16,
    configured: Vec<String>,
}

impl Hosts {
    /// `localhost` and the loopback addresses, with the port that is listened on.
    pub(crate) fn loopback(port: u16) -> Self {
        Self {
            port,
            configured: Vec::new(),
        }
    }

    fn knows(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        if authority.as_str().contains('@') {
            return false;
        }
        if self
            .configured
            .iter()
            .any(|known| known.eq_ignore_ascii_case(authority.as_str()))
        {
            return true;
        }
        let port = match authority.port() {
            None => Some(HTTP_PORT),
            Some(port) => port.as_str().parse().ok(),
        };
        port == Some(self.port) && is_loopback(authority.host())
    }

    fn knows_origin(&self, origin: &str) -> bool {
        let authority = origin.strip_prefix("http://");
        // An origin has no path; `http://localhost:3000/x` is not one.
        authority.is_some_and(|authority| !authority.contains(['/', '?', '#']) && self.knows(authority))
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Lets in only requests whose `Host`, target and `Origin` are ours.
pub(crate) async fn known_hosts_only(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let target = request.uri().authority().map(Authority::as_str);
    match check(&state.hosts, request.headers(), target) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(hosts: &Hosts, headers: &HeaderMap, target: Option<&str>) -> Result<(), Problem> {
    let mut named = headers.get_all(header::HOST).iter();
    let host = named.next().and_then(|host| host.to_str().ok());
    if named.next().is_some() || !host.is_some_and(|host| hosts.knows(host)) {
        return Err(Problem::forbidden(
            "The request's Host header does not name this service.",
        ));
    }
    if target.is_some_and(|authority| !hosts.knows(authority)) {
        return Err(Problem::forbidden(
            "The request's target does not name this service.",
        ));
    }
    let foreign = |origin: &HeaderValue| !origin.to_str().is_ok_and(|origin| hosts.knows_origin(origin));
    if headers.get_all(header::ORIGIN).iter().any(foreign) {
        return Err(Problem::forbidden(
            "The request was made by a page of another site.",
        ));
    }
    Ok(())
}

/// Puts on every reply what keeps browsers from doing more with it than is meant.
pub(crate) async fn secure_headers(request: Request, next: Next) -> Response {
    let of_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(PAGE_POLICY);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    if of_api {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_with_our_port_are_known() {
        let hosts = Hosts::loopback(3000);
        for known in [
            "localhost:3000",
            "LOCALHOST:3000",
            "127.0.0.1:3000",
            "127.8.9.1:3000",
            "[::1]:3000",
        ] {
            assert!(hosts.knows(known), "{known}");
        }
        for foreign in [
            "",
            "localhost",
            "localhost:3001",
            "localhost:",
            "localhost:03000x",
            "evil.test:3000",
            "localhost.evil.test:3000",
            "evil@localhost:3000",
            "10.0.0.1:3000",
            "0.0.0.0:3000",
            "[::]:3000",
            "127.0.0.1.evil.test:3000",
            "::1:3000",
            "localhost:3000/path",
            "local host:3000",
            "127.1:3000",
            "2130706433:3000",
        ] {
            assert!(!hosts.knows(foreign), "{foreign}");
        }
        assert!(Hosts::loopback(80).knows("localhost"));
    }

    #[test]
    fn an_origin_must_be_ours_exactly() {
        let hosts = Hosts::loopback(3000);
        assert!(hosts.knows_origin("http://localhost:3000"));
        for foreign in [
            "null",
            "",
            "https://localhost:3000",
            "http://localhost:8080",
            "http://evil.test",
            "file://",
            "http://localhost:3000/",
        ] {
            assert!(!hosts.knows_origin(foreign), "{foreign}");
        }
    }
}
