//! The control plane: machines are made, found and ended.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::atomic::Ordering, time::Duration};

use meterbox_core::Timestamp;
use meterbox_http_client::{Secret, shown};
use reqwest::{Method, Request, RequestBuilder};
use serde::{Deserialize, Serialize};

use super::{
    E2bClient, E2bError, E2bErrorKind,
    transport::{Repeatable, Reply},
};

/// Where E2B says that there was no room for a machine, or that it may not be made.
const NOTHING_MADE: [&str; 4] = [
    "sandbox_create_failed",
    "sandbox_create_refused",
    "sandbox_capacity_unavailable",
    "sandbox_no_compatible_node",
];
/// A list has no more pages than this of ours.
const MAX_PAGES: usize = 100;

/// Names a sandbox: lower-case letters and digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxId(String);

/// A sandbox to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSandbox {
    /// The template's name or id, such as `code-interpreter-v1`; a snapshot's id as well.
    pub template: String,
    /// How long it lives at most from now, in whole seconds, rounded up; the server ends it then.
    pub timeout: Duration,
    /// To find it again by.
    pub metadata: BTreeMap<String, String>,
    /// Environment of everything that runs in it.
    pub env: BTreeMap<String, String>,
    /// May it reach the internet? Not unless this is set.
    pub internet: bool,
    /// A retry with the same key gets the same sandbox: 1 to 255 of `a-z`, `0-9` and `-`.
    pub idempotency_key: Option<String>,
}

/// What opens a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxAccess {
    /// Which.
    pub id: SandboxId,
    /// Of the daemon in it.
    pub envd_version: String,
    pub(super) envd_token: Option<Secret>,
    pub(super) traffic_token: Option<Secret>,
    /// Where it is, if not at the client's domain.
    pub(super) domain: Option<String>,
}

/// What E2B knows of a sandbox, and bills.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxDetail {
    /// Which.
    #[serde(rename = "sandboxID")]
    pub id: SandboxId,
    /// From which template.
    #[serde(rename = "templateID")]
    pub template: String,
    /// When it began to run.
    pub started_at: Timestamp,
    /// When it will be ended.
    pub end_at: Timestamp,
    /// Virtual processors, all billed.
    pub cpu_count: u32,
    /// Memory in MiB, all billed.
    #[serde(rename = "memoryMB")]
    pub memory_mib: u64,
    /// Running or paused.
    pub state: SandboxState,
    /// As it was created with.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A sandbox of a list.
pub type ListedSandbox = SandboxDetail;

/// Does a sandbox run?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SandboxState {
    /// It does, and costs.
    Running,
    /// It does not.
    Paused,
    /// Something newer than this client.
    #[serde(other)]
    Unknown,
}

/// What a sandbox used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxMetric {
    /// When, in Unix seconds.
    #[serde(default)]
    pub timestamp_unix: i64,
    /// Virtual processors.
    #[serde(default)]
    pub cpu_count: u32,
    /// Of all processors, in percent.
    #[serde(default)]
    pub cpu_used_pct: f64,
    /// In bytes.
    #[serde(default)]
    pub mem_used: u64,
    /// In bytes.
    #[serde(default)]
    pub mem_total: u64,
    /// In bytes.
    #[serde(default)]
    pub disk_used: u64,
    /// In bytes.
    #[serde(default)]
    pub disk_total: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewSandboxBody<'a> {
    #[serde(rename = "templateID")]
    template: &'a str,
    timeout: u64,
    metadata: &'a BTreeMap<String, String>,
    env_vars: &'a BTreeMap<String, String>,
    // The one name in snake case.
    #[serde(rename = "allow_internet_access")]
    internet: bool,
    /// The old form only; the new one is always secured.
    #[serde(skip_serializing_if = "Option::is_none")]
    secure: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    #[serde(rename = "sandboxID")]
    id: SandboxId,
    #[serde(default)]
    envd_version: String,
    envd_access_token: Option<String>,
    traffic_access_token: Option<String>,
    domain: Option<String>,
}

#[derive(Serialize)]
struct Seconds {
    timeout: u64,
}

impl NewSandbox {
    /// From this template, for five minutes, without internet.
    pub fn new(template: impl Into<String>) -> Self {
        Self {
            template: template.into(),
            timeout: Duration::from_secs(300),
            metadata: BTreeMap::new(),
            env: BTreeMap::new(),
            internet: false,
            idempotency_key: None,
        }
    }
}

impl E2bClient {
    /// Creates a sandbox. Where the reply is lost and there is an idempotency key, it is asked for again.
    ///
    /// # Errors
    /// [`E2bError`]; after [`Broken`](E2bError::Broken) or [`DeadlinePassed`](E2bError::DeadlinePassed) there may be a
    /// sandbox that nobody knows: it ends with its time-out, and [`list`](Self::list) finds it by its metadata.
    pub async fn create(&self, new: &NewSandbox) -> Result<SandboxAccess, E2bError> {
        let mut lost = None;
        let created = self.create_noting_losses(new, &mut lost).await;
        // A request whose reply was lost may have made one, whatever the next one was told.
        created.map_err(|error| lost.unwrap_or(error))
    }

    async fn create_noting_losses(
        &self,
        new: &NewSandbox,
        lost: &mut Option<E2bError>,
    ) -> Result<SandboxAccess, E2bError> {
        const WHAT: &str = "creating a sandbox";
        let deadline = self.deadline();
        let repeatable = match &new.idempotency_key {
            Some(key) => check_key(key).map(|()| Repeatable::Yes)?,
            None => Repeatable::No,
        };
        let mut create = async |path: &str, secure: Option<bool>| {
            let body = NewSandboxBody {
                template: &new.template,
                timeout: whole_seconds(new.timeout),
                metadata: &new.metadata,
                env_vars: &new.env,
                internet: new.internet,
                secure,
            };
            let mut request = self.control(Method::POST, path)?.json(&body);
            if let Some(key) = &new.idempotency_key {
                request = request.header("Idempotency-Key", key);
            }
            // The old form promises nothing of keys: asked again, it could make a second one that nobody knows.
            let repeatable = match secure {
                None => repeatable,
                Some(_) => Repeatable::No,
            };
            self.transport
                .send_noting_losses(WHAT, built(request)?, repeatable, deadline, lost, left_nothing)
                .await
        };
        if !self.has_only_v1.load(Ordering::Relaxed) {
            let reply = create("v2/sandboxes", None).await?;
            match reply.ok().await {
                Ok(reply) => return Ok(reply.json::<Created>().await?.into()),
                // A server with the new form says which template it does not have.
                Err(E2bError::NotFound { message }) if !message.contains("template") => {}
                Err(E2bError::Rejected { status: 405, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let reply = create("sandboxes", Some(true)).await?.ok().await?;
        self.has_only_v1.store(true, Ordering::Relaxed);
        Ok(reply.json::<Created>().await?.into())
    }

    /// Opens a sandbox that is there, resumes it if it is paused, and lets it live so long from now.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn connect(&self, id: &SandboxId, timeout: Duration) -> Result<SandboxAccess, E2bError> {
        const WHAT: &str = "connecting to a sandbox";
        let deadline = self.deadline();
        let body = Seconds {
            timeout: whole_seconds(timeout),
        };
        let connect = async |path: String| {
            let request = self.control(Method::POST, &path)?.json(&body);
            self.transport
                .send_retrying(WHAT, built(request)?, Repeatable::Yes, deadline)
                .await
        };
        if !self.has_only_v1.load(Ordering::Relaxed) {
            match connect(format!("v2/sandboxes/{id}/connect")).await?.ok().await {
                Ok(reply) => return Ok(reply.json::<Created>().await?.into()),
                // A server with the new form names the sandbox it does not have.
                Err(E2bError::NotFound { message }) if !message.contains(id.as_str()) => {}
                Err(error) => return Err(error),
            }
        }
        let reply = connect(format!("sandboxes/{id}/connect")).await?.ok().await?;
        Ok(reply.json::<Created>().await?.into())
    }

    /// What E2B knows of a sandbox.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn get(&self, id: &SandboxId) -> Result<SandboxDetail, E2bError> {
        let request = self.control(Method::GET, &format!("sandboxes/{id}"))?;
        self.call("asking for a sandbox", request).await?.json().await
    }

    /// The sandboxes that have all of this metadata, running or paused.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn list(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<ListedSandbox>, E2bError> {
        const WHAT: &str = "listing sandboxes";
        // A query string inside a query string, which the server decodes as a whole before it takes it apart.
        let wanted = twice_encoded(metadata);
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("metadata", wanted.as_str()), ("limit", "100")];
            query.extend(next.as_deref().map(|token| ("nextToken", token)));
            query.retain(|(_, value)| !value.is_empty());
            let path = format!("v2/sandboxes?{}", url_encoded_pairs(&query));
            let reply = self.call(WHAT, self.control(Method::GET, &path)?).await?;
            next = reply
                .header("x-next-token")
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            let mut page: Vec<ListedSandbox> = reply.json().await?;
            found.append(&mut page);
            if next.is_none() {
                return Ok(found);
            }
        }
        Err(E2bError::BadReply {
            what: WHAT,
            reason: format!("it goes on after {MAX_PAGES} pages"),
        })
    }

    /// Lets a sandbox live so long from now, longer or shorter than before.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn set_timeout(&self, id: &SandboxId, timeout: Duration) -> Result<(), E2bError> {
        let body = Seconds {
            timeout: whole_seconds(timeout),
        };
        let request = self.control(Method::POST, &format!("sandboxes/{id}/timeout"))?;
        self.call("setting a time-out", request.json(&body))
            .await
            .map(drop)
    }

    /// Ends a sandbox; false where there is none any more.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn kill(&self, id: &SandboxId) -> Result<bool, E2bError> {
        let request = self.control(Method::DELETE, &format!("sandboxes/{id}"))?;
        match self.call("ending a sandbox", request).await {
            Ok(_) => Ok(true),
            Err(E2bError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a sandbox used, a few times a minute.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn metrics(&self, id: &SandboxId) -> Result<Vec<SandboxMetric>, E2bError> {
        let request = self.control(Method::GET, &format!("sandboxes/{id}/metrics"))?;
        self.call("asking for metrics", request).await?.json().await
    }

    async fn call(&self, what: &'static str, request: RequestBuilder) -> Result<Reply, E2bError> {
        let reply = self
            .transport
            .send_retrying(what, built(request)?, Repeatable::Yes, self.deadline())
            .await?;
        reply.ok().await
    }

    fn control(&self, method: Method, path: &str) -> Result<RequestBuilder, E2bError> {
        let base = self.api_url.as_str().trim_end_matches('/');
        let key = self
            .api_key
            .header("")
            .ok_or_else(|| E2bError::Invalid("the API key fits in no header".to_owned()))?;
        Ok(self
            .transport
            .http()
            .request(method, format!("{base}/{path}"))
            .header("X-API-Key", key))
    }
}

/// Is it certain that a create that ended with this made no sandbox?
pub(super) fn left_nothing(error: &E2bError) -> bool {
    match error {
        E2bError::Server { code: Some(code), .. } => NOTHING_MADE.contains(&code.as_str()),
        error => matches!(
            error.kind(),
            E2bErrorKind::Unreachable
                | E2bErrorKind::Unauthorized
                | E2bErrorKind::Forbidden
                | E2bErrorKind::NotFound
                | E2bErrorKind::Busy
                | E2bErrorKind::Rejected
                | E2bErrorKind::Invalid
        ),
    }
}

pub(super) fn built(request: RequestBuilder) -> Result<Request, E2bError> {
    request
        .build()
        .map_err(|error| E2bError::Invalid(format!("the request cannot be built: {}", error.without_url())))
}

pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn check_key(key: &str) -> Result<(), E2bError> {
    let usable = (1..=255).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if usable {
        return Ok(());
    }
    Err(E2bError::Invalid(
        "an idempotency key of E2B is 1 to 255 of a-z, 0-9 and -".to_owned(),
    ))
}

fn twice_encoded(pairs: &BTreeMap<String, String>) -> String {
    let once: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    let once: Vec<(&str, &str)> = once
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    url_encoded_pairs(&once)
}

fn url_encoded_pairs(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl From<Created> for SandboxAccess {
    fn from(created: Created) -> Self {
        Self {
            id: created.id,
            envd_version: created.envd_version,
            envd_token: created.envd_access_token.map(Secret::new),
            traffic_token: created.traffic_access_token.map(Secret::new),
            domain: created.domain.filter(|domain| !domain.is_empty()),
        }
    }
}

impl SandboxId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SandboxId {
    type Err = E2bError;

    fn from_str(text: &str) -> Result<Self, E2bError> {
        let plain = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if plain {
            return Ok(Self(text.to_owned()));
        }
        Err(E2bError::Invalid(format!(
            "{:?} is no id of a sandbox: lower-case letters and digits",
            shown(text)
        )))
    }
}

impl TryFrom<String> for SandboxId {
    type Error = E2bError;

    fn try_from(text: String) -> Result<Self, E2bError> {
        text.parse()
    }
}

impl From<SandboxId> for String {
    fn from(id: SandboxId) -> Self {
        id.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
