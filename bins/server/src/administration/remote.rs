//! Administration of a server, over HTTP with an API key.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use meterbox_access::KeyId;
use meterbox_budget_engine::ExportFormat;
use meterbox_core::Scope;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    AdminError, BudgetAdministration, Export, KeyAdministration, LedgerAdministration, MAX_UPLOAD_BYTES,
    wire::{
        AuditLog, AuditQuery, BudgetChange, BudgetView, Budgets, CheckReply, CheckRequest, CreatedKeyView,
        Events, EventsQuery, ForecastQuery, ForecastView, KeyView, Keys, NewKey, NewTopUp, RangeQuery,
        ReconcileRequest, ReconcileView, ReplayRequest, ReplayView, RerateRequest, RerateView, RotateRequest,
        SpendingView, Standing, StopReply, StopRequest, TopUpView, VerifyView,
    },
};
use crate::tls;

const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of a reply: adding up a large ledger takes its time.
const SILENCE: Duration = Duration::from_secs(300);

/// A Meterbox server and the key that opens it.
pub(crate) struct Remote {
    client: Client,
    base: Url,
    key: Option<String>,
}

/// Why a server did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("{0:?} is no address of a server; write it like https://meterbox.example.com")]
    Address(String),
    #[error("the server at {address} cannot be reached: {source}")]
    Unreachable { address: Url, source: reqwest::Error },
    #[error(
        "the file has {0} bytes, and a server takes {MAX_UPLOAD_BYTES} at most; split it, or run this on the data folder"
    )]
    TooLarge(usize),
    #[error("{}", .0.words())]
    Refused(RemoteProblem),
    #[error("{address} answered, but not as a Meterbox server of this version does: {reason}")]
    Strange { address: Url, reason: String },
}

/// The server's own words.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RemoteProblem {
    pub(crate) title: String,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) hint: String,
}

impl RemoteProblem {
    fn words(&self) -> &str {
        if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        }
    }
}

impl Remote {
    /// # Errors
    /// [`RemoteError::Address`] for what is no `http` or `https` address.
    pub(crate) fn new(address: &str, key: Option<String>) -> Result<Self, RemoteError> {
        let wrong = || RemoteError::Address(address.to_owned());
        let base: Url = address.parse().map_err(|_| wrong())?;
        let host = base.host_str().ok_or_else(wrong)?;
        if !matches!(base.scheme(), "http" | "https") || base.path() != "/" || !base.username().is_empty() {
            return Err(wrong());
        }
        tls::install();
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            // A key goes to the server it is meant for and to no other.
            .redirect(redirect::Policy::none());
        if is_loopback(host) {
            client = client.no_proxy();
        }
        let unusable = |source| RemoteError::Unreachable {
            address: base.clone(),
            source,
        };
        Ok(Self {
            client: client.build().map_err(unusable)?,
            key,
            base,
        })
    }

    /// Would others on the way be able to read the key?
    pub(crate) fn is_in_the_clear(&self) -> bool {
        self.base.scheme() == "http" && !self.base.host_str().is_some_and(is_loopback)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_to(method, self.address(path))
    }

    fn request_to(&self, method: Method, address: Url) -> RequestBuilder {
        let request = self.client.request(method, address);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn address(&self, path: &str) -> Url {
        let mut address = self.base.clone();
        address.set_path(path);
        address
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, RemoteError> {
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|source| self.unreachable(source))?;
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(RemoteError::Refused(problem)),
            Err(_) => Err(RemoteError::Strange {
                address: self.base.clone(),
                reason: format!("status {status}"),
            }),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, AdminError> {
        let response = self.send(request).await?;
        let body = response
            .bytes()
            .await
            .map_err(|source| self.unreachable(source))?;
        let strange = |error: serde_json::Error| RemoteError::Strange {
            address: self.base.clone(),
            reason: error.to_string(),
        };
        Ok(serde_json::from_slice(&body).map_err(strange)?)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &(impl Serialize + Sync),
    ) -> Result<T, AdminError> {
        self.ask(self.with_query(path, query)?).await
    }

    fn with_query(&self, path: &str, query: &impl Serialize) -> Result<RequestBuilder, AdminError> {
        let mut address = self.address(path);
        let members = serde_json::to_value(query).map_err(std::io::Error::from)?;
        for (name, value) in members.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            address.query_pairs_mut().append_pair(name, &text);
        }
        Ok(self.request_to(Method::GET, address))
    }

    fn unreachable(&self, source: reqwest::Error) -> RemoteError {
        RemoteError::Unreachable {
            address: self.base.clone(),
            // The address stands in the sentence already.
            source: source.without_url(),
        }
    }
}

/// A server would hang up in the middle of a longer file, and then its answer would be lost.
fn fits(bytes: usize) -> Result<(), RemoteError> {
    if bytes > MAX_UPLOAD_BYTES {
        return Err(RemoteError::TooLarge(bytes));
    }
    Ok(())
}

/// A scope as one segment of a path.
fn segment(scope: &Scope) -> String {
    utf8_percent_encode(&scope.to_string(), NON_ALPHANUMERIC).to_string()
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[async_trait]
impl BudgetAdministration for Remote {
    async fn budgets(&self) -> Result<Budgets, AdminError> {
        self.get("/api/budget", &()).await
    }

    async fn standing(&self, scope: &Scope) -> Result<Standing, AdminError> {
        let request = self.request(Method::GET, "/api/metrics");
        self.ask(request.header("x-budget-scope-key", scope.to_string()))
            .await
    }

    async fn set_budget(&self, change: BudgetChange) -> Result<BudgetView, AdminError> {
        self.ask(self.request(Method::PUT, "/api/budget").json(&change))
            .await
    }

    async fn remove_budget(&self, scope: &Scope) -> Result<(), AdminError> {
        let path = format!("/api/budget/{}", segment(scope));
        self.send(self.request(Method::DELETE, &path)).await?;
        Ok(())
    }

    async fn top_up(&self, scope: &Scope, top_up: NewTopUp) -> Result<TopUpView, AdminError> {
        let path = format!("/api/budget/{}/top-ups", segment(scope));
        self.ask(self.request(Method::POST, &path).json(&top_up)).await
    }

    async fn check(&self, request: CheckRequest) -> Result<CheckReply, AdminError> {
        self.ask(self.request(Method::POST, "/api/budget/check").json(&request))
            .await
    }

    async fn forecast(&self, scope: &Scope, query: ForecastQuery) -> Result<ForecastView, AdminError> {
        self.get(&format!("/api/budget/{}/forecast", segment(scope)), &query)
            .await
    }

    async fn spending(&self, range: RangeQuery) -> Result<SpendingView, AdminError> {
        self.get("/api/spending", &range).await
    }

    async fn stop_all(&self, reason: String) -> Result<StopReply, AdminError> {
        let request = self.request(Method::PUT, "/api/stop");
        self.ask(request.json(&StopRequest { reason })).await
    }

    async fn resume(&self) -> Result<StopReply, AdminError> {
        self.ask(self.request(Method::DELETE, "/api/stop")).await
    }
}

#[async_trait]
impl LedgerAdministration for Remote {
    async fn verify(&self) -> Result<VerifyView, AdminError> {
        self.get("/api/ledger/verify", &()).await
    }

    async fn export(&self, format: ExportFormat, range: RangeQuery) -> Result<Box<dyn Export>, AdminError> {
        let path = match format {
            ExportFormat::JsonLines => "/api/ledger/export.jsonl",
            _ => "/api/ledger/export.csv",
        };
        let response = self.send(self.with_query(path, &range)?).await?;
        Ok(Box::new(RemoteExport {
            response,
            address: self.base.clone(),
        }))
    }

    async fn events(&self, query: EventsQuery) -> Result<Events, AdminError> {
        self.get("/api/events", &query).await
    }

    async fn replay(&self, request: ReplayRequest) -> Result<ReplayView, AdminError> {
        self.ask(self.request(Method::POST, "/api/ledger/replay").json(&request))
            .await
    }

    async fn rerate(&self, request: RerateRequest) -> Result<RerateView, AdminError> {
        fits(request.book.as_ref().map_or(0, |book| book.text.len()))?;
        self.ask(self.request(Method::POST, "/api/ledger/rerate").json(&request))
            .await
    }

    async fn reconcile(&self, request: ReconcileRequest) -> Result<ReconcileView, AdminError> {
        fits(request.content.len())?;
        self.ask(self.request(Method::POST, "/api/ledger/reconcile").json(&request))
            .await
    }
}

#[async_trait]
impl KeyAdministration for Remote {
    async fn keys(&self) -> Result<Keys, AdminError> {
        self.get("/api/keys", &()).await
    }

    async fn create_key(&self, key: NewKey) -> Result<CreatedKeyView, AdminError> {
        self.ask(self.request(Method::POST, "/api/keys").json(&key)).await
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<KeyView, AdminError> {
        self.ask(self.request(Method::DELETE, &format!("/api/keys/{id}")))
            .await
    }

    async fn rotate_key(&self, id: &KeyId, grace: Duration) -> Result<CreatedKeyView, AdminError> {
        let request = self.request(Method::POST, &format!("/api/keys/{id}/rotate"));
        let grace_seconds = grace.as_secs();
        self.ask(request.json(&RotateRequest { grace_seconds })).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditLog, AdminError> {
        self.get("/api/audit", &query).await
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

struct RemoteExport {
    response: Response,
    address: Url,
}

#[async_trait]
impl Export for RemoteExport {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, AdminError> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|source| RemoteError::Unreachable {
            address: self.address.clone(),
            source: source.without_url(),
        })?;
        Ok(piece.map(Vec::from))
    }
}
