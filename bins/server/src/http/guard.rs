//! Who may talk to us, and what browsers may do with our replies.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{AppState, Problem};
use crate::settings::PublicUrl;

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
    /// Where we listen; a request may name this address itself.
    listen: SocketAddr,
    configured: Vec<PublicUrl>,
}

impl Hosts {
    /// The address that is listened on, `localhost` and the loopback addresses with its port, and these.
    pub(crate) fn new(listen: SocketAddr, configured: Vec<PublicUrl>) -> Self {
        Self { listen, configured }
    }

    /// Does the browser reach us by TLS, which somebody in front of us speaks?
    pub(super) fn is_secure(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        self.configured
            .iter()
            .any(|url| url.is_https && host.is_some_and(|host| host.eq_ignore_ascii_case(&url.authority)))
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
            .any(|known| known.authority.eq_ignore_ascii_case(authority.as_str()))
        {
            return true;
        }
        let port = match authority.port() {
            None => Some(HTTP_PORT),
            Some(port) => port.as_str().parse().ok(),
        };
        port == Some(self.listen.port()) && (is_loopback(authority.host()) || self.is_ours(authority.host()))
    }

    /// The address we listen on. Where we listen on all, any address is ours: a foreign page's trick needs a name.
    fn is_ours(&self, host: &str) -> bool {
        let listen = self.listen.ip();
        address_of(host).is_some_and(|address| address == listen || listen.is_unspecified())
            && !listen.is_loopback()
    }

    fn knows_origin(&self, origin: &str) -> bool {
        if self.configured.iter().any(|url| url.is_origin(origin)) {
            return true;
        }
        let authority = origin.strip_prefix("http://");
        // An origin has no path; `http://localhost:3000/x` is not one.
        authority.is_some_and(|authority| {
            let is_configured = self
                .configured
                .iter()
                .any(|url| url.authority.eq_ignore_ascii_case(authority));
            !is_configured && !authority.contains(['/', '?', '#']) && self.knows(authority)
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || address_of(host).is_some_and(|address| address.is_loopback())
}

/// The address a host is written as, if it is no name.
fn address_of(host: &str) -> Option<IpAddr> {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    address.parse().ok()
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

    fn loopback(port: u16) -> Hosts {
        Hosts::new(SocketAddr::from(([127, 0, 0, 1], port)), Vec::new())
    }

    #[test]
    fn beyond_loopback_the_address_listened_on_and_the_configured_names_are_known() {
        let url = |text: &str| text.parse::<PublicUrl>().unwrap();
        let one = Hosts::new("10.0.0.5:3000".parse().unwrap(), Vec::new());
        assert!(one.knows("10.0.0.5:3000") && one.knows("localhost:3000"));
        assert!(!one.knows("10.0.0.6:3000") && !one.knows("10.0.0.5:3001") && !one.knows("evil.test:3000"));
        let all = Hosts::new(
            "0.0.0.0:3000".parse().unwrap(),
            vec![url("https://box.example.com")],
        );
        assert!(
            all.knows("10.0.0.6:3000") && all.knows("[2001:db8::1]:3000") && all.knows("BOX.example.com")
        );
        assert!(!all.knows("evil.test:3000") && !all.knows("box.example.com:3000"));
        assert!(all.knows_origin("https://box.example.com") && all.knows_origin("http://10.0.0.6:3000"));
        for foreign in [
            "http://box.example.com",
            "https://box.example.com:8443",
            "https://box.example.com/",
            "https://10.0.0.6:3000",
        ] {
            assert!(!all.knows_origin(foreign), "{foreign}");
        }
        let of = |host: &'static str| HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        assert!(all.is_secure(&of("box.example.com")) && !all.is_secure(&of("10.0.0.6:3000")));
    }

    #[test]
    fn only_loopback_names_with_our_port_are_known() {
        let hosts = loopback(3000);
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
        assert!(loopback(80).knows("localhost"));
    }

    #[test]
    fn an_origin_must_be_ours_exactly() {
        let hosts = loopback(3000);
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
