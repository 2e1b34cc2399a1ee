//! The daemon in a machine: files and processes.

mod files;
mod processes;

use std::time::Duration;

use meterbox_http_client::{deadline_after, now};
use reqwest::{Method, header::CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;

pub use self::{
    files::{FileEntry, FileKind},
    processes::{Command, Process, ProcessEnd, ProcessEvent, Signal},
};
use super::{
    E2bClient, E2bError,
    address::ENVD,
    connect::ConnectError,
    control::{SandboxAccess, built},
};

/// Time for a service to come up in a new machine.
const START_UP: Duration = Duration::from_secs(30);
const START_UP_POLL: Duration = Duration::from_millis(100);

impl E2bClient {
    /// Waits until the daemon answers: right after a sandbox was created it may not yet.
    ///
    /// # Errors
    /// [`E2bError::NotReady`] where it does not within half a minute; other errors at once.
    pub async fn wait_until_ready(&self, sandbox: &SandboxAccess) -> Result<(), E2bError> {
        let until = deadline_after(START_UP);
        loop {
            let request = built(self.data_plane(Method::GET, sandbox, ENVD, "/health")?)?;
            let reply = self.transport.send("asking for health", request, until).await;
            match reply {
                Ok(reply) => match reply.ok().await {
                    Ok(_) => return Ok(()),
                    Err(E2bError::NotReady | E2bError::Busy { .. }) => {}
                    Err(error) => return Err(error),
                },
                Err(E2bError::Unreachable { .. } | E2bError::Broken { .. }) => {}
                Err(E2bError::DeadlinePassed { .. }) => return Err(E2bError::NotReady),
                Err(error) => return Err(error),
            }
            if now() + START_UP_POLL >= until {
                return Err(E2bError::NotReady);
            }
            sleep(START_UP_POLL).await;
        }
    }

    async fn unary<T: DeserializeOwned>(
        &self,
        sandbox: &SandboxAccess,
        method: &str,
        user: Option<&str>,
        message: &(impl Serialize + Sync),
    ) -> Result<T, E2bError> {
        const WHAT: &str = "a call of the daemon";
        let mut request = self
            .data_plane(Method::POST, sandbox, ENVD, &format!("/{method}"))?
            .header(CONTENT_TYPE, "application/json")
            .header("Connect-Protocol-Version", "1")
            .header("Connect-Timeout-Ms", millis(self.request_timeout))
            .body(json(message)?);
        if let Some(user) = user {
            request = request.basic_auth(user, Some(""));
        }
        let reply = self
            .transport
            .send(WHAT, built(request)?, self.deadline())
            .await?;
        if reply.status().is_success() {
            return reply.json().await;
        }
        // The proxy before the daemon has words of its own.
        let in_words_of_the_daemon = |body: &[u8]| {
            let error: ConnectError = serde_json::from_slice(body).ok()?;
            Some(error.into_error())
        };
        Err(reply.refusal_in(in_words_of_the_daemon).await)
    }
}

fn json(message: &impl Serialize) -> Result<Vec<u8>, E2bError> {
    serde_json::to_vec(message).map_err(|error| E2bError::Invalid(error.to_string()))
}

/// Of a time-out of Connect's, which has ten digits at most.
fn millis(time: Duration) -> u64 {
    const MOST: u64 = 9_999_999_999;
    u64::try_from(time.as_millis()).map_or(MOST, |millis| millis.min(MOST))
}
