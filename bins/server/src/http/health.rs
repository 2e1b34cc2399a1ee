//! Is the process alive, and could it run a program now?

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{AppState, Problem};

pub(crate) async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

pub(crate) async fn ready(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    let capabilities = state.analyst.sandbox().await.map_err(|error| {
        Problem::unavailable(format!("No sandbox is ready: {error}."), "Run `meterbox doctor`.")
    })?;
    Ok(Json(json!({
        "status": "ok",
        "sandbox": { "provider": capabilities.sandbox.provider, "tier": capabilities.sandbox.tier },
        "python": capabilities.python,
        "results": state.results.state().await,
    })))
}
