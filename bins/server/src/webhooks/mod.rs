//! Tells endpoints of events, signed and again until they heard, in the manner of the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>, version 1.0.0).
//!
//! The events wait in the ledger, so nothing is lost while an endpoint is away, and nothing ever waits for one. Of
//! several processes on one ledger one at a time tells an endpoint. After a crash an event may be told twice, under
//! the same id.

mod delivery;
mod endpoint;
mod message;
mod post;
mod retry;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use meterbox_budget_engine::BudgetEngine;
use meterbox_core::{Clock, Usd};
use tokio::task::JoinHandle;

pub(crate) use endpoint::{Endpoint, EndpointError};

use self::{delivery::Delivery, post::HttpPost};

/// Starts to watch the ledger and to tell these endpoints, until the tasks are aborted. A budget with less left than the
/// least request costs is at its end.
pub(crate) fn start(
    engine: &BudgetEngine,
    least_request: Usd,
    endpoints: &[Endpoint],
    clock: &Arc<dyn Clock>,
) -> Vec<JoinHandle<()>> {
    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
    if let Some(watcher) = engine.watcher() {
        tasks.push(tokio::spawn(watcher.least_request(least_request).run()));
    }
    if endpoints.is_empty() {
        return tasks;
    }
    let post = match HttpPost::new() {
        Ok(post) => post,
        Err(error) => {
            tracing::error!(%error, "webhooks cannot be sent");
            return tasks;
        }
    };
    for endpoint in endpoints {
        let delivery = Delivery::new(engine.clone(), endpoint.clone(), post.clone(), Arc::clone(clock));
        tasks.push(tokio::spawn(delivery.run()));
    }
    tasks
}
