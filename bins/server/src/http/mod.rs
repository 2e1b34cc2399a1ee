//! The HTTP face of an [`Analyst`]: routes, status codes, the page. No business logic lives here.

mod assets;
mod body;
mod budgets;
mod caller;
mod catalog;
mod execute;
mod guard;
mod health;
mod history;
mod keys;
mod ledger;
mod live;
mod openapi;
mod problem;
mod refusals;
mod routes;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use meterbox_access::Access;
use meterbox_analysis::{Analyst, Principal};
use meterbox_core::Clock;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{administration::Local, results::Results};
use caller::Caller;
pub(crate) use caller::Peer;
pub(crate) use guard::Hosts;
use live::LiveAnalyses;
use problem::Problem;

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    analyst: Analyst,
    access: Access,
    /// Acts in the name of whoever sits at the machine; [`AppState::administration`] in that of a caller.
    local: Local,
    clock: Arc<dyn Clock>,
    results: Results,
    /// Who asks, where nobody logs in.
    local_user: Principal,
    /// As long as there are no keys, is whoever reaches us let in?
    open_without_key: bool,
    hosts: Hosts,
    /// Ends event streams when the service stops.
    shutdown: CancellationToken,
    live: LiveAnalyses,
}

/// What an [`AppState`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) analyst: Analyst,
    pub(crate) access: Access,
    /// The ledger and the keys of the data folder.
    pub(crate) local: Local,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) results: Results,
    /// Who asks, where nobody logs in.
    pub(crate) local_user: Principal,
    /// Only this machine can reach us, so that as long as there are no keys nobody needs one.
    pub(crate) open_without_key: bool,
    /// The names we answer to.
    pub(crate) hosts: Hosts,
}

impl AppState {
    /// Serves until `shutdown`.
    pub(crate) fn new(parts: Parts, shutdown: CancellationToken) -> Self {
        Self {
            analyst: parts.analyst,
            access: parts.access,
            local: parts.local,
            clock: parts.clock,
            results: parts.results,
            local_user: parts.local_user,
            open_without_key: parts.open_without_key,
            hosts: parts.hosts,
            shutdown,
            live: LiveAnalyses::default(),
        }
    }

    /// Ends what keys asked that were revoked at the command line. Runs for ever.
    pub(crate) fn follow_revocations(&self) -> impl Future<Output = ()> + Send + use<> {
        self.live.clone().follow_revocations(self.access.clone())
    }

    /// Administration in the name of this caller.
    fn administration(&self, caller: &Caller) -> Local {
        self.local.clone().for_remote(caller.actor.clone())
    }
}

/// All routes, guarded.
pub(crate) fn router(state: AppState) -> Router {
    let page = Router::new()
        .route("/", get(assets::page))
        .route("/admin", get(assets::admin))
        .route("/assets/{name}", get(assets::asset));
    let endpoints = routes::all().into_iter().map(|endpoint| endpoint.guarded(&state));
    endpoints
        .fold(page, |router, (path, handler)| router.route(path, handler))
        .fallback(async || Problem::not_found("There is nothing at this address.", "Start at /."))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            guard::known_hosts_only,
        ))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn(guard::secure_headers))
        .with_state(state)
}
