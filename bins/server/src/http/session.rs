//! `/api/session`: a page signs in with a key, once, and out again.
//!
//! The key is traded for a cookie that scripts cannot read. Kept by the page itself it would be there for any script
//! that ever slips in; a stolen session also ends by itself, within half a day.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use meterbox_access::Session;
use meterbox_core::{Clock, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AppState, Problem, body,
    caller::{Caller, SESSION_COOKIE, session_of},
};
use crate::administration::wire::RoleName;

/// Who is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Whoami {
    /// To whom the answers belong.
    principal: Scope,
    /// Further scopes that pay.
    groups: Vec<Scope>,
    #[schemars(with = "RoleName")]
    role: meterbox_access::Role,
    /// Null where this machine has no keys, and nobody needs one.
    key: Option<KeyName>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct KeyName {
    id: String,
    name: String,
    expires_at: Option<Timestamp>,
}

/// What a page signs in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// The API key in full.
    key: String,
}

pub(super) async fn whoami(caller: Caller) -> Json<Whoami> {
    Json(Whoami {
        principal: caller.principal.user,
        groups: caller.principal.groups,
        role: caller.role,
        key: caller.key.map(|key| KeyName {
            id: key.id.to_string(),
            name: key.name,
            expires_at: key.expires_at,
        }),
    })
}

pub(super) async fn sign_in(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let is_secure = state.hosts.is_secure(request.headers());
    let SignIn { key } = body::json(request).await?;
    let key = state.access.authenticate(key.trim()).await?;
    let session = state.access.open_session(&key).await?;
    let cookie = cookie(&session, state.clock.as_ref(), is_secure);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

pub(super) async fn sign_out(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(token) = session_of(&headers) {
        state.access.close_session(&token).await?;
    }
    let gone = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// What the browser keeps. Where it reaches us by TLS, it sends it in no other way.
fn cookie(session: &Session, clock: &dyn Clock, is_secure: bool) -> HeaderValue {
    let seconds = session.expires_at.duration_since(clock.now()).as_secs();
    let secure = if is_secure { "; Secure" } else { "" };
    let token = session.token.reveal();
    let cookie =
        format!("{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    // Letters, digits and what stands above.
    HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use meterbox_access::{Access, Actor, KeyGrant, Role};
    use meterbox_testkit::ManualClock;

    use super::*;

    #[tokio::test]
    async fn behind_tls_the_cookie_goes_by_tls_alone() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
        let access = Access::open(folder.path().join("access.sqlite3"), clock.clone()).unwrap();
        let grant = KeyGrant::new("a", Role::Viewer, ["user/ana".parse().unwrap()]);
        let key = access
            .create_key(&Actor::new("a", "b"), grant)
            .await
            .unwrap()
            .record;
        let session = access.open_session(&key).await.unwrap();
        let attributes = |is_secure| {
            let cookie = cookie(&session, &clock, is_secure);
            let text = cookie.to_str().unwrap();
            text.split_once("; ").unwrap().1.to_owned()
        };
        assert_eq!(
            attributes(false),
            "Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"
        );
        assert_eq!(
            attributes(true),
            "Path=/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure"
        );
    }
}
