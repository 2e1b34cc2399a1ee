//! Where a machine's services are.

use reqwest::{Method, RequestBuilder, Url};

use super::{Addressing, E2bClient, E2bError, control::SandboxAccess};

/// Ports of the services in a machine.
pub(super) const ENVD: u16 = 49_983;
pub(super) const CODE_INTERPRETER: u16 = 49_999;
/// Names the machine that a request is for.
pub(super) const SANDBOX_ID: &str = "E2b-Sandbox-Id";

impl E2bClient {
    /// A request to a service in this machine.
    pub(super) fn data_plane(
        &self,
        method: Method,
        sandbox: &SandboxAccess,
        port: u16,
        path: &str,
    ) -> Result<RequestBuilder, E2bError> {
        let mut url = self.base(sandbox, port)?;
        url.set_path(path);
        let mut request = self
            .transport
            .http()
            .request(method, url)
            .header(SANDBOX_ID, sandbox.id.as_str())
            .header("E2b-Sandbox-Port", port);
        if let Some(token) = sandbox.envd_token.as_ref().and_then(|token| token.header("")) {
            request = request.header("X-Access-Token", token);
        }
        let traffic = sandbox.traffic_token.as_ref().filter(|_| port != ENVD);
        if let Some(token) = traffic.and_then(|token| token.header("")) {
            request = request.header("E2B-Traffic-Access-Token", token);
        }
        Ok(request)
    }

    /// The host that this machine is reached at.
    pub(super) fn host_of(&self, sandbox: &SandboxAccess) -> String {
        let url = self.base(sandbox, ENVD).ok();
        url.and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default()
    }

    fn base(&self, sandbox: &SandboxAccess, port: u16) -> Result<Url, E2bError> {
        if let Some(url) = &self.sandbox_url {
            return Ok(url.clone());
        }
        let domain = sandbox.domain.as_deref().unwrap_or(&self.domain);
        let host = match self.addressing {
            Addressing::Direct => format!("{port}-{}.{domain}", sandbox.id),
            Addressing::Shared => format!("sandbox.{domain}"),
        };
        Url::parse(&format!("https://{host}")).map_err(|error| E2bError::BadReply {
            what: "creating a sandbox",
            reason: format!("its domain makes no address: {error}"),
        })
    }
}
