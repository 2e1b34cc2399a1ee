//! Who is told, and how they know that it was us.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use meterbox_budget_engine::Happening;
use sha2::{Digest, Sha256};

const PREFIX: &str = "whsec_";
/// What the specification asks for, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const KINDS: [&str; 4] = ["cap_reached", "spike", "stopped", "resumed"];

/// Who is told of which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: reqwest::Url,
    secret: Secret,
    /// `None` for all.
    kinds: Option<Vec<String>>,
}

/// Never shown.
#[derive(Clone, PartialEq, Eq)]
struct Secret(Vec<u8>);

/// Why nobody can be told there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("the webhook's address is no URL. Fix: write it like https://example.org/meterbox.")]
    Address,
    #[error(
        "the webhook's address is not https, and not on this machine, so anybody on the way could read it. Fix: use https."
    )]
    Unencrypted,
    #[error(
        "the webhook's address has a user or password in it. Fix: leave them out; the signature is the proof."
    )]
    Credentials,
    #[error(
        "the webhook's secret is not {PREFIX} and 24 to 64 bytes in base64. \
         Fix: make one with `printf whsec_; head -c 32 /dev/urandom | base64`."
    )]
    Secret,
    #[error("{0:?} is no kind of event. Fix: use cap_reached, spike, stopped or resumed.")]
    Kind(String),
}

impl Endpoint {
    pub(crate) fn new(url: &str, secret: &str, kinds: Option<Vec<String>>) -> Result<Self, EndpointError> {
        let url: reqwest::Url = url.parse().map_err(|_| EndpointError::Address)?;
        let is_here = match url.host_str() {
            None => return Err(EndpointError::Address),
            Some(host) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let address: Option<std::net::IpAddr> = host.parse().ok();
                address.is_some_and(|address| address.is_loopback()) || host == "localhost"
            }
        };
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            "http" => return Err(EndpointError::Unencrypted),
            _ => return Err(EndpointError::Address),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        let encoded = secret.strip_prefix(PREFIX).ok_or(EndpointError::Secret)?;
        let key = STANDARD.decode(encoded).map_err(|_| EndpointError::Secret)?;
        if !SECRET_BYTES.contains(&key.len()) {
            return Err(EndpointError::Secret);
        }
        let wrong = kinds
            .iter()
            .flatten()
            .find(|kind| !KINDS.contains(&kind.as_str()));
        if let Some(wrong) = wrong {
            return Err(EndpointError::Kind(wrong.chars().take(40).collect()));
        }
        Ok(Self {
            url,
            secret: Secret(key),
            kinds,
        })
    }

    pub(super) fn url(&self) -> &reqwest::Url {
        &self.url
    }

    /// For logs: paths and queries may be secrets of their own.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Names it in the ledger: the same for the same address, and telling nothing about it.
    pub(super) fn reader(&self) -> String {
        let digest = Sha256::digest(self.url.as_str());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("webhook {hex}")
    }

    pub(super) fn wants(&self, what: &Happening) -> bool {
        let kind = match what {
            Happening::CapReached { .. } => "cap_reached",
            Happening::Spike { .. } => "spike",
            Happening::Stopped { .. } => "stopped",
            Happening::Resumed => "resumed",
            _ => return self.kinds.is_none(),
        };
        self.kinds
            .as_ref()
            .is_none_or(|kinds| kinds.iter().any(|wanted| wanted == kind))
    }

    /// The header `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`.
    pub(super) fn signature(&self, id: &str, timestamp: i64, body: &str) -> String {
        // Keys of every length are keys of an HMAC.
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret.0).expect("an HMAC takes keys of every length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let endpoint = Endpoint::new("https://example.org/x", SECRET, None).unwrap();
        let signature = endpoint.signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[derive(serde::Deserialize)]
    struct Signed {
        secret: String,
        id: String,
        timestamp: i64,
        body: String,
        signature: String,
    }

    /// Made by `golden/signatures.py`.
    #[test]
    fn signatures_are_those_of_the_reference_library() {
        let golden: Vec<Signed> = serde_json::from_str(include_str!("golden/signatures.json")).unwrap();
        assert_eq!(golden.len(), 5);
        for signed in golden {
            let endpoint = Endpoint::new("https://example.org/", &signed.secret, None).unwrap();
            let signature = endpoint.signature(&signed.id, signed.timestamp, &signed.body);
            assert_eq!(signature, signed.signature, "{}", signed.id);
        }
    }

    #[test]
    fn addresses_and_secrets_that_would_tell_too_much_are_refused() {
        let new = |url: &str| Endpoint::new(url, SECRET, None).map(drop);
        for url in [
            "https://example.org/x?y=z",
            "http://127.0.0.1:8080",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert_eq!(new(url), Ok(()), "{url}");
        }
        for (url, error) in [
            ("", EndpointError::Address),
            ("example.org", EndpointError::Address),
            ("ftp://example.org", EndpointError::Address),
            ("file:///etc/passwd", EndpointError::Address),
            ("http://example.org", EndpointError::Unencrypted),
            ("http://127.0.0.1.example.org", EndpointError::Unencrypted),
            ("https://ana:s3cr3t@example.org", EndpointError::Credentials),
        ] {
            assert_eq!(new(url), Err(error), "{url}");
        }
        for secret in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_c2hvcnQ=",
            "whsec_!",
        ] {
            let error = Endpoint::new("https://example.org", secret, None).unwrap_err();
            assert_eq!(error, EndpointError::Secret, "{secret}");
        }
        let kinds = Some(vec!["spyke".to_owned()]);
        let error = Endpoint::new("https://example.org", SECRET, kinds).unwrap_err();
        assert_eq!(error, EndpointError::Kind("spyke".into()));
        let endpoint = Endpoint::new("https://example.org/hidden?token=s3cr3t", SECRET, None).unwrap();
        assert!(!endpoint.reader().contains("hidden") && !format!("{:?}", endpoint.secret).contains("MfKQ"));
    }
}
