//! A machine that is ended, whoever forgets it.

use std::{collections::BTreeMap, time::Duration};

use meterbox_http_client::now;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use crate::e2b::{E2bClient, E2bError, NewSandbox, SandboxAccess, control::left_nothing};

/// Until a request that nobody waits for any more has come to its end.
const SETTLED: Duration = Duration::from_secs(2);

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

/// A machine that is being made. Where its maker goes away or never hears of it, it is looked for and ended.
struct Making<'a> {
    client: &'a E2bClient,
    metadata: &'a BTreeMap<String, String>,
    is_known: bool,
}

impl Lease {
    /// Makes a machine, which no other has the metadata of.
    pub(super) async fn open(client: &E2bClient, new: &NewSandbox) -> Result<Self, E2bError> {
        let began = now();
        let mut making = Making {
            client,
            metadata: &new.metadata,
            is_known: false,
        };
        let created = client.create(new).await;
        making.is_known = created.as_ref().map_or_else(left_nothing, |_| true);
        let access = created?;
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

    /// For how long it has cost: never beyond its own time-out, whatever ending it takes.
    pub(super) fn age(&self) -> Duration {
        now().saturating_duration_since(self.began).min(self.longest)
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
                self.longest
            }
        }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.is_known {
            return;
        }
        let (client, metadata) = (self.client.clone(), self.metadata.clone());
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            sleep(SETTLED).await;
            let left = client.list(&metadata).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a sandbox may have been left to its time-out");
                Vec::new()
            });
            for machine in left {
                if let Err(error) = client.kill(&machine.id).await {
                    tracing::warn!(sandbox = %machine.id, %error, "a sandbox was left to its time-out");
                }
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::e2b::http_client;

    /// Making and ending it may each take as long as a request may; E2B's own clock does not wait for either.
    #[test]
    fn it_never_costs_beyond_its_own_time_out() {
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = E2bClient::builder(http_client().expect("a client"), "e2b_0")
            .api_url("http://127.0.0.1:9")
            .build()
            .expect("settings");
        let mut lease = Lease {
            client,
            access: SandboxAccess {
                id: "i1".parse().expect("an id"),
                envd_version: String::new(),
                envd_token: None,
                traffic_token: None,
                domain: None,
            },
            began: now() - Duration::from_secs(200),
            longest: Duration::from_secs(1_000),
            ended: true,
        };
        assert!((200..1_000).contains(&lease.age().as_secs()));
        lease.longest = Duration::from_secs(190);
        assert_eq!(lease.age(), lease.longest);
    }
}
