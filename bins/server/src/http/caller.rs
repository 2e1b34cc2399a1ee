//! Who calls, and whether their role is enough. Scopes come from the key alone: no header of a client ever chooses
//! whose money is spent.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use meterbox_access::{AccessError, Actor, Denied, KeyRecord, MalformedKey, Role, SessionToken};
use meterbox_analysis::Principal;

use super::{AppState, Problem};

/// The cookie of a browser that signed in. A script cannot read it (`HttpOnly`), so no script can carry it off; no
/// other site can use it (`SameSite=Strict`, and what changes something must have our `Origin`).
pub(super) const SESSION_COOKIE: &str = "meterbox_session";

/// What proxies add. Behind one everybody seems to sit at this machine.
const FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(super) principal: Principal,
    pub(super) role: Role,
    /// As the audit log has them.
    pub(super) actor: Actor,
    /// By which key; `None` for whoever sits at a machine without keys.
    pub(super) key: Option<KeyRecord>,
}

/// Lets in callers whose role covers what is needed.
pub(super) async fn admit(
    State((state, needed)): State<(AppState, Role)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match identify(&state, &parts).await {
        Err(problem) => problem.into_response(),
        Ok(caller) if !caller.role.covers(needed) => Problem::needs_role(needed, caller.role).into_response(),
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
    }
}

/// Who sent this request.
///
/// # Errors
/// 401 where a key is needed and none opens anything; 503 where the keys cannot be read.
async fn identify(state: &AppState, request: &Parts) -> Result<Caller, Problem> {
    let peer = request.extensions.get::<Peer>();
    let origin = peer.map_or_else(|| "unknown".to_owned(), |Peer(address)| address.ip().to_string());
    let refusal = match presented_key(state, request).await {
        Ok(Some(key)) => return Ok(Caller::by_key(key, origin)),
        Ok(None) => Problem::unauthenticated("This needs an API key, and none came with the request."),
        Err(refusal) => refusal,
    };
    // As long as there are no keys, what looks like one means nothing.
    if !state.open_without_key || state.access.needs_key().await? {
        return Err(refusal);
    }
    if FORWARDED.iter().any(|name| request.headers.contains_key(*name)) {
        return Err(Problem::unauthenticated(
            "This request came through a proxy, and without API keys only this machine itself is served.",
        ));
    }
    Ok(Caller::at_the_machine(state, origin))
}

/// The key that the request shows, or that its session belongs to; `None` where it shows nothing.
async fn presented_key(state: &AppState, request: &Parts) -> Result<Option<KeyRecord>, Problem> {
    let headers = &request.headers;
    if let Some(key) = bearer(headers)? {
        return Ok(Some(state.access.authenticate(key).await?));
    }
    let Some(token) = session_of(headers) else {
        return Ok(None);
    };
    require_origin(&request.method, headers)?;
    Ok(Some(state.access.session(&token).await?))
}

/// The key of the `Authorization` header, if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    match (key, given.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(AccessError::from(Denied::from(MalformedKey)).into()),
    }
}

/// The session of the cookie, if there is one.
pub(super) fn session_of(headers: &HeaderMap) -> Option<SessionToken> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .and_then(|(_, token)| token.parse().ok())
}

/// Browsers send a cookie whoever made the request, but also say who did. That it is us is checked for every request
/// that says so.
fn require_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let changes_nothing = matches!(*method, Method::GET | Method::HEAD);
    if changes_nothing || headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "A request that a cookie signs must say which page made it (Origin).",
    ))
}

impl Caller {
    fn at_the_machine(state: &AppState, origin: String) -> Self {
        Self {
            actor: Actor::new(state.local_user.user.to_string(), origin),
            principal: state.local_user.clone(),
            role: Role::Admin,
            key: None,
        }
    }

    fn by_key(key: KeyRecord, origin: String) -> Self {
        let name = format!("{} ({})", key.user(), key.name);
        Self {
            actor: Actor::new(name, origin).with_key(key.id.clone()),
            principal: Principal {
                user: key.user().clone(),
                groups: key.groups().to_vec(),
            },
            role: key.role,
            key: Some(key),
        }
    }
}

/// Handlers take the caller that [`admit`] let in.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    #[expect(
        clippy::expect_used,
        reason = "every route whose handler takes a caller is declared with a role"
    )]
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().expect("the route needs a role"))
    }
}
