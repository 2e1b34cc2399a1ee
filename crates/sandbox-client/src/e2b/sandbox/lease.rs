//! A machine that is ended, whoever forgets it.

use std::time::Duration;

use meterbox_http_client::now;
use tokio::{runtime::Handle, time::Instant};

use crate::e2b::{E2bClient, E2bError, NewSandbox, SandboxAccess};

/// Holds a machine from its creation on; dropping it ends the machine, in the background.
#[derive(Debug)]
pub(super) struct Lease {
    client: E2bClient,
    access: SandboxAccess,
    /// When it began to cost: before the request was sent, so never too late.
    began: Instant,
    /// When E2B ends it by itself.
    longest: Duration,
    ended: bool,
}

impl Lease {
    pub(super) async fn open(client: &E2bClient, new: &NewSandbox) -> Result<Self, E2bError> {
        let began = now();
        let access = client.create(new).await?;
        Ok(Self {
            client: client.clone(),
            access,
            began,
            longest: new.timeout,
            ended: false,
        })
    }

    pub(super) fn access(&self) -> &SandboxAccess {
        &self.access
    }

    /// For how long it has cost.
    pub(super) fn age(&self) -> Duration {
        now().saturating_duration_since(self.began)
    }

    /// Ends the machine and says for how long it costs: until now, or until its own time-out where E2B does not
    /// confirm the end.
    pub(super) async fn end(mut self) -> Duration {
        match self.client.kill(&self.access.id).await {
            Ok(_) => {
                self.ended = true;
                self.age()
            }
            Err(error) => {
                tracing::warn!(sandbox = %self.access.id, %error, "a sandbox was left to its time-out");
                self.longest.max(self.age())
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (client, id) = (self.client.clone(), self.access.id.clone());
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = client.kill(&id).await {
                tracing::warn!(sandbox = %id, %error, "a sandbox was left to its time-out");
            }
        });
    }
}
