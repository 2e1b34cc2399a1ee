//! The HTTP face of an [`Analyst`]: routes, status codes, the page. No business logic lives here.

mod assets;
mod body;
mod catalog;
mod execute;
mod guard;
mod health;
mod history;
mod live;
mod problem;
#[cfg(test)]
mod tests;

use axum::{
    Router, middleware,
    routing::{get, post},
};
use meterbox_analysis::{Analyst, Principal};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use guard::Hosts;
use live::LiveAnalyses;
use problem::Problem;

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    analyst: Analyst,
    /// Who asks, where nobody logs in.
    principal: Principal,
    hosts: Hosts,
    /// Ends event streams when the service stops.
    shutdown: CancellationToken,
    live: LiveAnalyses,
}

impl AppState {
    /// Serves this analyst to this principal, under these host names, until `shutdown`.
    pub(crate) fn new(
        analyst: Analyst,
        principal: Principal,
        hosts: Hosts,
        shutdown: CancellationToken,
    ) -> Self {
        let live = LiveAnalyses::default();
        Self {
            analyst,
            principal,
            hosts,
            shutdown,
            live,
        }
    }
}

/// All routes, guarded.
pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .route("/", get(assets::page))
        .route("/assets/{name}", get(assets::asset))
        .route("/api/execute", post(execute::execute))
        .route("/api/metrics", get(history::metrics))
        .route("/api/datasets", get(catalog::datasets))
        .route("/api/analyses", get(history::page))
        .route("/api/analyses/{id}", get(history::one))
        .route("/api/analyses/{id}/cancel", post(history::cancel))
        .route("/api/analyses/{id}/artifacts/{name}", get(history::artifact))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
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
