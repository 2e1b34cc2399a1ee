use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use meterbox_core::Timestamp;
use meterbox_http_client::Secret;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::PostgrestError;

/// What opens the server: its key, of the anonymous role or of a service.
#[derive(Clone)]
pub struct Credentials {
    api_key: Secret,
}

/// Who asks, signed.
#[derive(Clone)]
pub struct UserToken(Secret);

impl Credentials {
    /// This key. It goes into `apikey`, and as long as no user's token is there into `Authorization` too, if it is a JWT:
    /// Supabase's newer keys (`sb_publishable_…`, `sb_secret_…`) are none.
    pub fn key(key: impl Into<String>) -> Self {
        Self {
            api_key: Secret::new(key.into().trim()),
        }
    }

    pub(super) fn check(&self) -> Result<(), PostgrestError> {
        let unusable = |reason: &str| PostgrestError::Unusable {
            what: "the key",
            reason: reason.to_owned(),
        };
        if self.api_key.expose().is_empty() {
            return Err(unusable("it is empty"));
        }
        if !self.api_key.is_plausible() {
            return Err(unusable(
                "it has characters no key has; was something else copied with it?",
            ));
        }
        Ok(())
    }

    pub(super) fn api_key_header(&self) -> Option<HeaderValue> {
        self.api_key.header("")
    }

    pub(super) fn authorization(&self, user: Option<&UserToken>) -> Option<HeaderValue> {
        match user {
            Some(UserToken(token)) => token.header("Bearer "),
            None if is_jwt(self.api_key.expose()) => self.api_key.header("Bearer "),
            None => None,
        }
    }

    /// The text without any key in it, though a server may say them back.
    pub(super) fn redact(&self, text: &str) -> String {
        self.api_key.masked_in(text)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl UserToken {
    /// Signs these claims with the server's secret (HS256), good for so long from `now`.
    pub fn sign(claims: &Map<String, Value>, secret: &[u8], now: Timestamp, good_for: Duration) -> Self {
        let mut claims = claims.clone();
        let ends = now.saturating_add(good_for).as_micros().div_euclid(1_000_000);
        claims.insert("exp".to_owned(), json!(ends));
        let part = |json: String| BASE64_URL_SAFE_NO_PAD.encode(json);
        let header = part(json!({ "alg": "HS256", "typ": "JWT" }).to_string());
        let signed = format!("{header}.{}", part(Value::Object(claims).to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Self(Secret::new(format!("{signed}.{signature}")))
    }

    /// A token from elsewhere, such as that of a user who is signed in.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Secret::new(token))
    }

    /// The token itself: whoever has it is this user as long as it is good.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(super) fn redact(&self, text: &str) -> String {
        self.0.masked_in(text)
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserToken(***)")
    }
}

/// Three parts of base64, the first of which is a JSON object.
pub(crate) fn is_jwt(key: &str) -> bool {
    let is_base64 = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    key.starts_with("eyJ") && key.split('.').count() == 3 && key.split('.').all(is_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.1 has the key and the signature; the header differs by a line break there, so the known answer
    /// here is of PyJWT 2.10.
    #[test]
    fn a_token_is_what_other_libraries_sign() {
        let claims = json!({ "role": "authenticated" });
        let at = "2026-11-23T12:00:00Z".parse().unwrap();
        let token = UserToken::sign(
            claims.as_object().unwrap(),
            b"super-secret-jwt-token-with-at-least-32-characters-long",
            at,
            Duration::from_secs(300),
        );
        let expected = include_str!("token.golden").trim();
        assert_eq!(token.expose(), expected);
        assert!(is_jwt(token.expose()));
        assert_eq!(format!("{token:?}"), "UserToken(***)");
    }

    #[test]
    fn newer_keys_are_no_tokens() {
        for key in [
            "sb_publishable_abc",
            "sb_secret_a.b.c",
            "eyJ.b",
            "eyJ..c",
            "eyJa.b.c!",
        ] {
            assert!(!is_jwt(key), "{key}");
            let credentials = Credentials::key(key);
            assert_eq!(credentials.authorization(None), None);
            let user = UserToken::new("t");
            let header = credentials.authorization(Some(&user)).unwrap();
            assert_eq!(header.to_str().unwrap(), "Bearer t");
            assert_eq!(format!("{header:?}"), "Sensitive");
        }
        for key in ["", " ", "two words", "line\nbreak", "ü\u{7f}"] {
            assert!(Credentials::key(key).check().is_err(), "{key:?}");
        }
    }
}
