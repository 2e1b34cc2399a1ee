//! Where spans and metrics go.

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use meterbox_http_client::{BadAddress, Fault, Secret, deadline_after, parse_address, send, server_of};
use percent_encoding::percent_decode_str;
use reqwest::{
    Client, Method, Request, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

/// The path to Langfuse's endpoint; `/v1/traces` comes after it.
const LANGFUSE_PATH: &str = "api/public/otel";
const LANGFUSE_VERSION: HeaderName = HeaderName::from_static("x-langfuse-ingestion-version");
pub(crate) const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// An OpenTelemetry collector, and what opens it. Keys are in no error and no debug output.
#[derive(Clone)]
pub struct Collector {
    traces: Url,
    /// Langfuse takes none.
    metrics: Option<Url>,
    headers: HeaderMap,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Langfuse,
    Otlp,
}

/// A setting that names no collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCollector {
    /// Its address.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The public key of Langfuse.
    #[error("is no public key of Langfuse, which begins with pk-")]
    PublicKey,
    /// The secret key of Langfuse.
    #[error("is no secret key of Langfuse, which begins with sk-")]
    SecretKey,
    /// The headers.
    #[error("are no headers; write them as name=value,name=value, special characters percent-encoded")]
    Headers,
}

/// Why a collector would not take anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It does not accept the keys.
    #[error("{server} does not accept the key ({status})")]
    Key {
        /// Host and port.
        server: String,
        /// 401 or 403.
        status: u16,
    },
    /// There is no collector at this address.
    #[error("{server} has no OTLP endpoint at {path} ({status})")]
    NoEndpoint {
        /// Host and port.
        server: String,
        /// Where it was looked for.
        path: String,
        /// 404 or 405.
        status: u16,
    },
    /// It answers otherwise than with success.
    #[error("{server} answers {status}")]
    Status {
        /// Host and port.
        server: String,
        /// The status.
        status: u16,
    },
    /// It cannot be reached, or does not answer in time.
    #[error("{0}")]
    Unreachable(String),
}

impl Collector {
    /// Langfuse, in the cloud or one's own, by a project's keys.
    ///
    /// # Errors
    /// [`BadCollector`], without what was given.
    pub fn langfuse(base_url: &str, public_key: &str, secret_key: &str) -> Result<Self, BadCollector> {
        let base = below(&parse_address(base_url)?, LANGFUSE_PATH)?;
        let is_key = |key: &str, begin: &str| {
            key.starts_with(begin)
                && key.len() > begin.len()
                && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_key(public_key, "pk-") || public_key.contains(':') {
            return Err(BadCollector::PublicKey);
        }
        if !is_key(secret_key, "sk-") {
            return Err(BadCollector::SecretKey);
        }
        let credentials = Secret::new(BASE64_STANDARD.encode(format!("{public_key}:{secret_key}")));
        let authorization = credentials.header("Basic ").ok_or(BadCollector::SecretKey)?;
        let headers = [
            (AUTHORIZATION, authorization),
            (LANGFUSE_VERSION, HeaderValue::from_static("4")),
        ];
        Ok(Self {
            traces: below(&base, "v1/traces")?,
            metrics: None,
            headers: headers.into_iter().collect(),
            kind: Kind::Langfuse,
        })
    }

    /// Any collector that speaks OTLP over HTTP, such as `http://127.0.0.1:4318`. The headers are written as
    /// [OpenTelemetry's specification](https://opentelemetry.io/docs/specs/otel/protocol/exporter/) has them in
    /// `OTEL_EXPORTER_OTLP_HEADERS`. Without headers it need not be encrypted: there is no key to be read on the way.
    ///
    /// # Errors
    /// [`BadCollector`], without what was given.
    pub fn otlp(endpoint: &str, headers: &str) -> Result<Self, BadCollector> {
        let headers = parse_headers(headers).ok_or(BadCollector::Headers)?;
        let base = match parse_address(endpoint) {
            Err(BadAddress::Unencrypted) if headers.is_empty() => {
                Url::parse(endpoint.trim()).map_err(|_| BadAddress::NoAddress)?
            }
            parsed => parsed?,
        };
        Ok(Self {
            traces: below(&base, "v1/traces")?,
            metrics: Some(below(&base, "v1/metrics")?),
            headers,
            kind: Kind::Otlp,
        })
    }

    /// Sends it nothing, and so finds out whether it would take something.
    ///
    /// # Errors
    /// [`CheckError`], in words for a person.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn check(&self, http: &Client, within: Duration) -> Result<(), CheckError> {
        let mut request = Request::new(Method::POST, self.traces.clone());
        request.headers_mut().clone_from(&self.headers);
        request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
        // No bytes are an `ExportTraceServiceRequest` without spans.
        *request.body_mut() = Some(Vec::new().into());
        let reply = send(http, request, deadline_after(within)).await;
        let status = reply.map_err(|fault| unreachable(&fault))?.status();
        self.verdict(status)
    }

    pub(crate) fn verdict(&self, status: StatusCode) -> Result<(), CheckError> {
        let server = self.server();
        match status.as_u16() {
            200..=299 => Ok(()),
            status @ (401 | 403) => Err(CheckError::Key { server, status }),
            status @ (404 | 405) => Err(CheckError::NoEndpoint {
                server,
                path: self.traces.path().to_owned(),
                status,
            }),
            status => Err(CheckError::Status { server, status }),
        }
    }

    /// Host, and port where it is not the protocol's own.
    pub fn server(&self) -> String {
        server_of(&self.traces)
    }

    pub(crate) fn traces(&self) -> &Url {
        &self.traces
    }

    pub(crate) fn metrics(&self) -> Option<&Url> {
        self.metrics.as_ref()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Without keys.
impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Langfuse => "Langfuse",
            Kind::Otlp => "a collector",
        };
        write!(f, "{kind} at {}", self.server())
    }
}

/// Without keys.
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("traces", &self.traces.as_str())
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

/// In words without the address's secrets, of which it has none.
pub(crate) fn unreachable(fault: &Fault) -> CheckError {
    CheckError::Unreachable(fault.to_string())
}

fn below(base: &Url, path: &str) -> Result<Url, BadAddress> {
    let whole = format!("{}/{path}", base.as_str().trim_end_matches('/'));
    Url::parse(&whole).map_err(|_| BadAddress::NoAddress)
}

fn parse_headers(text: &str) -> Option<HeaderMap> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn langfuse_is_found_below_its_address_and_opened_by_both_keys() {
        for base in ["https://cloud.langfuse.com", "cloud.langfuse.com/"] {
            let collector = Collector::langfuse(base, "pk-lf-1", "sk-lf-2").unwrap();
            assert_eq!(
                collector.traces.as_str(),
                "https://cloud.langfuse.com/api/public/otel/v1/traces"
            );
            assert_eq!(collector.metrics, None);
            assert_eq!(collector.headers[AUTHORIZATION], "Basic cGstbGYtMTpzay1sZi0y");
            assert_eq!(collector.headers["x-langfuse-ingestion-version"], "4");
        }
        let own = Collector::langfuse("http://127.0.0.1:3000/traces", "pk-1", "sk-2").unwrap();
        assert_eq!(
            own.traces.as_str(),
            "http://127.0.0.1:3000/traces/api/public/otel/v1/traces"
        );
    }

    #[test]
    fn headers_are_read_as_the_specification_writes_them() {
        let collector =
            Collector::otlp("https://otel.example.com/", "api-key=a%3Db, x-team = ops ,").unwrap();
        assert_eq!(collector.headers["api-key"], "a=b");
        assert_eq!(collector.headers["x-team"], "ops");
        assert_eq!(
            collector.metrics.unwrap().as_str(),
            "https://otel.example.com/v1/metrics"
        );
        let plain = Collector::otlp("http://collector:4318", "").unwrap();
        assert_eq!(plain.traces.as_str(), "http://collector:4318/v1/traces");
    }

    #[test]
    fn what_is_wrong_is_said_without_keys() {
        let langfuse = |url, public, secret| Collector::langfuse(url, public, secret).unwrap_err();
        let url = "https://cloud.langfuse.com";
        assert_eq!(langfuse(url, "sk-lf-2", "pk-lf-1"), BadCollector::PublicKey);
        assert_eq!(langfuse(url, "pk-lf-1", "pk-lf-1"), BadCollector::SecretKey);
        assert_eq!(langfuse(url, "pk-lf-1", "sk-lf 2"), BadCollector::SecretKey);
        assert_eq!(langfuse(url, "pk-a:b", "sk-2"), BadCollector::PublicKey);
        let unencrypted = BadCollector::Address(BadAddress::Unencrypted);
        assert_eq!(
            langfuse("http://langfuse.example.com", "pk-1", "sk-2"),
            unencrypted
        );
        let otlp = |url, headers| Collector::otlp(url, headers).unwrap_err();
        assert_eq!(otlp("http://collector:4318", "api-key=k"), unencrypted);
        for headers in ["api-key", "a b=c", "a=%0a", "=x"] {
            assert_eq!(otlp("https://otel.example.com", headers), BadCollector::Headers);
        }
        let hidden = Collector::langfuse(url, "pk-hunter2", "sk-hunter2").unwrap();
        let shown = format!("{hidden:?} {hidden}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("cGstaHVudGVyMj"),
            "{shown}"
        );
    }
}
