//! Requests with one time limit, bounded replies and typed faults.

use std::time::Duration;

use meterbox_http_client::{Fault, asked_pause, deadline_after, send, server_of, shown};
use reqwest::{Method, RequestBuilder, StatusCode, Url, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Credentials, PostgrestError, Refusal, UserToken};

/// Of what a server says when it says no.
const LARGEST_REFUSAL: usize = 64 << 10;

pub(super) struct Transport {
    http: reqwest::Client,
    server: String,
    credentials: Credentials,
    limit: Duration,
    largest_reply: usize,
}

/// A reply of success, all of it.
pub(super) struct Reply {
    server: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Everything may be missing, and a proxy says it otherwise.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    code: Option<serde_json::Value>,
    message: Option<String>,
    msg: Option<String>,
    error: Option<serde_json::Value>,
    details: Option<serde_json::Value>,
    hint: Option<String>,
}

impl Transport {
    pub(super) fn new(
        http: reqwest::Client,
        base: &Url,
        credentials: Credentials,
        limit: Duration,
        largest_reply: usize,
    ) -> Self {
        Self {
            http,
            server: server_of(base),
            credentials,
            limit,
            largest_reply,
        }
    }

    /// Host and port, for messages.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn request(&self, method: Method, url: Url, user: Option<&UserToken>) -> RequestBuilder {
        let mut request = self
            .http
            .request(method, url)
            .header("accept", "application/json");
        if let Some(key) = self.credentials.api_key_header() {
            request = request.header("apikey", key);
        }
        if let Some(authorization) = self.credentials.authorization(user) {
            request = request.header("authorization", authorization);
        }
        request
    }

    /// Sends it and reads the reply as JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, PostgrestError> {
        self.reply(request).await?.json()
    }

    /// Sends it; whatever is not success is an error.
    pub(super) async fn reply(&self, request: RequestBuilder) -> Result<Reply, PostgrestError> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| PostgrestError::Unusable {
            what: "the request",
            reason: shown(&error.without_url().to_string()),
        })?;
        let token = request.headers().get("authorization").cloned();
        let deadline = deadline_after(self.limit);
        let exchange = async {
            let reply = send(&client, request, deadline)
                .await
                .map_err(|fault| self.error(fault))?;
            self.read(reply).await
        };
        let token = token.as_ref().and_then(|token| token.to_str().ok());
        exchange
            .await
            .map_err(|error| self.without_token(error, token.unwrap_or_default()))
    }

    async fn read(&self, reply: meterbox_http_client::Reply) -> Result<Reply, PostgrestError> {
        let (status, headers) = (reply.status(), reply.headers().clone());
        if !status.is_success() {
            let said = reply.bytes(LARGEST_REFUSAL).await.unwrap_or_default();
            return Err(self.refusal(status, &headers, &said));
        }
        let body = reply.bytes(self.largest_reply).await;
        Ok(Reply {
            server: self.server.clone(),
            headers,
            body: body.map_err(|fault| self.error(fault))?,
        })
    }

    fn error(&self, fault: Fault) -> PostgrestError {
        match fault {
            Fault::Unreachable {
                server,
                reason,
                source,
            } => PostgrestError::Unreachable {
                server,
                reason,
                source,
            },
            Fault::Broken {
                server,
                reason,
                source,
            } => PostgrestError::Broken {
                server,
                reason,
                source,
            },
            Fault::DeadlinePassed { server } => PostgrestError::TimedOut {
                server,
                limit: self.limit,
            },
            Fault::TooLarge { server, limit } => PostgrestError::TooLarge { server, limit },
            // A redirect, or what later versions of the client tell apart.
            other => bad_reply(&self.server, &format!("{other}, where keys must not go")),
        }
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PostgrestError {
        let said: Said = serde_json::from_slice(body).unwrap_or_default();
        let clean = |text: String| shown(&self.credentials.redact(&text));
        let text_of = |value: serde_json::Value| match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let message = said.message.or(said.msg).or_else(|| said.error.and_then(text_of));
        let refusal = Refusal {
            status: status.as_u16(),
            code: said.code.and_then(text_of).map(clean),
            message: clean(message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())),
            details: said.details.and_then(text_of).map(clean),
            hint: said.hint.map(clean),
        };
        classified(self.server.clone(), Box::new(refusal), asked_pause(headers))
    }

    /// What the server said back of a user's token goes nowhere.
    fn without_token(&self, mut error: PostgrestError, authorization: &str) -> PostgrestError {
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        if token.is_empty() {
            return error;
        }
        let token = UserToken::new(token);
        if let PostgrestError::Conflict { refusal, .. }
        | PostgrestError::Forbidden { refusal, .. }
        | PostgrestError::Missing { refusal, .. }
        | PostgrestError::Busy { refusal, .. }
        | PostgrestError::Refused { refusal, .. } = &mut error
        {
            refusal.message = token.redact(&refusal.message);
            for text in [&mut refusal.details, &mut refusal.hint].into_iter().flatten() {
                *text = token.redact(text);
            }
        }
        error
    }
}

impl Reply {
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, PostgrestError> {
        let media_type = self.header("content-type").unwrap_or_default();
        if !media_type.contains("json") {
            let reason = format!("its answer is {:?} and no JSON", shown(media_type));
            return Err(bad_reply(&self.server, &reason));
        }
        let text =
            std::str::from_utf8(&self.body).map_err(|_| bad_reply(&self.server, "its answer is no UTF-8"))?;
        // The place in the reply, and none of its words: they are somebody's data.
        serde_json::from_str(text).map_err(|error| {
            let reason = match error.classify() {
                serde_json::error::Category::Data => "its rows have another shape than expected",
                _ => "its answer is no proper JSON",
            };
            let place = format!("{reason} (line {}, column {})", error.line(), error.column());
            bad_reply(&self.server, &place)
        })
    }
}

pub(super) fn bad_reply(server: &str, reason: &str) -> PostgrestError {
    PostgrestError::BadReply {
        server: server.to_owned(),
        reason: reason.to_owned(),
    }
}

fn classified(server: String, refusal: Box<Refusal>, retry_after: Option<Duration>) -> PostgrestError {
    let code = refusal.code.as_deref().unwrap_or_default();
    // Serialisation and deadlock, no resources, the operator or the connection: others were in the way.
    let passes = refusal
        .sqlstate()
        .is_some_and(|code| ["40", "53", "08", "57"].contains(&&code[..2]) || code == "55P03");
    match refusal.status {
        _ if passes || matches!(code, "PGRST000" | "PGRST001" | "PGRST002" | "PGRST003") => {
            PostgrestError::Busy {
                server,
                refusal,
                retry_after,
            }
        }
        429 | 502..=504 => PostgrestError::Busy {
            server,
            refusal,
            retry_after,
        },
        409 => PostgrestError::Conflict { server, refusal },
        401 | 403 => PostgrestError::Forbidden { server, refusal },
        _ if code == "42501" || code.starts_with("PGRST3") => PostgrestError::Forbidden { server, refusal },
        404 => PostgrestError::Missing { server, refusal },
        _ if matches!(code, "42P01" | "42703" | "42883" | "PGRST204") => {
            PostgrestError::Missing { server, refusal }
        }
        _ => PostgrestError::Refused { server, refusal },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgrest::PostgrestErrorKind;

    #[test]
    fn what_a_server_says_is_classified_by_code_before_status() {
        let kind = |status, code: &str| {
            let refusal = Refusal {
                status,
                code: (!code.is_empty()).then(|| code.to_owned()),
                ..Refusal::default()
            };
            classified("s".into(), Box::new(refusal), None).kind()
        };
        for (status, code, expected) in [
            (409, "23505", PostgrestErrorKind::Conflict),
            (409, "23503", PostgrestErrorKind::Conflict),
            (400, "22P02", PostgrestErrorKind::Refused),
            (401, "PGRST301", PostgrestErrorKind::Forbidden),
            (401, "", PostgrestErrorKind::Forbidden),
            (403, "42501", PostgrestErrorKind::Forbidden),
            (404, "PGRST205", PostgrestErrorKind::Missing),
            (404, "42P01", PostgrestErrorKind::Missing),
            (400, "PGRST204", PostgrestErrorKind::Missing),
            (500, "40001", PostgrestErrorKind::Busy),
            (500, "57014", PostgrestErrorKind::Busy),
            (503, "PGRST002", PostgrestErrorKind::Busy),
            (504, "PGRST003", PostgrestErrorKind::Busy),
            (429, "", PostgrestErrorKind::Busy),
            (500, "XX000", PostgrestErrorKind::Refused),
            (413, "", PostgrestErrorKind::Refused),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }
}
