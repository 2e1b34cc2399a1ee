//! Machines made, found and ended.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{E2B_KEY, Shared, machine::Machine, refusal};

type World = State<Arc<Shared>>;

/// More pages than one from this many machines on.
const PAGE: usize = 2;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v2/sandboxes", post(create_v2).get(list))
        .route("/sandboxes", post(create_v1))
        .route("/v2/sandboxes/{id}/connect", post(connect_v2))
        .route("/sandboxes/{id}/connect", post(connect))
        .route("/sandboxes/{id}", get(detail).delete(kill))
        .route("/sandboxes/{id}/timeout", post(set_timeout))
        .route("/sandboxes/{id}/metrics", get(metrics))
}

async fn create_v2(State(shared): World, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if shared.world().has_only_v1 {
        return refusal(404, "no matching operation was found");
    }
    create(&shared, &headers, body)
}

async fn create_v1(State(shared): World, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    create(&shared, &headers, body)
}

fn create(shared: &Shared, headers: &HeaderMap, body: Value) -> Response {
    if let Some(refused) = unauthorized(headers) {
        return refused;
    }
    let template = body["templateID"].as_str().unwrap_or_default();
    if !["base", "code-interpreter-v1"].contains(&template) {
        return refusal(404, &format!("template '{template}' not found"));
    }
    let timeout = body["timeout"].as_i64().unwrap_or(300);
    if timeout <= 0 {
        return refusal(400, "Timeout must be greater than 0");
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let mut world = shared.world();
    if let Some((earlier, reply)) = key.and_then(|key| world.created.get(key)) {
        if *earlier != body {
            return refusal(422, "the idempotency key was used with another body");
        }
        return (StatusCode::CREATED, Json(reply.clone())).into_response();
    }
    let machine = Machine::new(&body, timeout, world.python.clone());
    let reply = opened(&machine);
    if let Some(key) = key {
        world.created.insert(key.to_owned(), (body, reply.clone()));
    }
    world.machines.insert(machine.id.clone(), Arc::new(machine));
    (StatusCode::CREATED, Json(reply)).into_response()
}

fn opened(machine: &Machine) -> Value {
    json!({
        "templateID": machine.template,
        "sandboxID": machine.id,
        "clientID": "6532622b",
        "envdVersion": "0.6.13",
        "envdAccessToken": machine.token,
        "domain": null,
    })
}

async fn connect_v2(state: World, id: Path<String>, headers: HeaderMap, body: Json<Value>) -> Response {
    if state.world().has_only_v1 {
        return refusal(404, "no matching operation was found");
    }
    connect(state, id, headers, body).await
}

async fn connect(
    State(shared): World,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    match find(&shared, &id, &headers) {
        Ok(machine) => {
            machine.live_for(body["timeout"].as_i64().unwrap_or(300));
            Json(opened(&machine)).into_response()
        }
        Err(refused) => *refused,
    }
}

async fn detail(State(shared): World, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match find(&shared, &id, &headers) {
        Ok(machine) => Json(machine.detail()).into_response(),
        Err(refused) => *refused,
    }
}

async fn kill(State(shared): World, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match find(&shared, &id, &headers) {
        Ok(_) => {
            let mut world = shared.world();
            world.end(&id);
            world.kills += 1;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refused) => *refused,
    }
}

async fn set_timeout(
    State(shared): World,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    match find(&shared, &id, &headers) {
        Ok(machine) => {
            machine.live_for(body["timeout"].as_i64().unwrap_or_default());
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refused) => *refused,
    }
}

async fn metrics(State(shared): World, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match find(&shared, &id, &headers) {
        Ok(_) => Json(json!([{
            "timestamp": "2026-11-26T00:00:00Z", "timestampUnix": 1_795_651_200, "cpuCount": 2, "cpuUsedPct": 12.5,
            "memUsed": 300_000_000, "memTotal": 2_147_483_648_u64, "memCache": 0, "diskUsed": 1, "diskTotal": 2,
        }]))
        .into_response(),
        Err(refused) => *refused,
    }
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    metadata: String,
    #[serde(default, rename = "nextToken")]
    next: String,
}

async fn list(State(shared): World, headers: HeaderMap, Query(wanted): Query<Wanted>) -> Response {
    if let Some(refused) = unauthorized(&headers) {
        return refused;
    }
    // A query string inside the query string, decoded as a whole and then pair by pair.
    let spaced = wanted.metadata.replace('+', " ");
    let pairs = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
    let metadata: BTreeMap<String, String> = serde_urlencoded::from_str(&pairs).unwrap_or_default();
    let machines: Vec<Arc<Machine>> = shared.world().machines.values().map(Arc::clone).collect();
    let has = |machine: &&Arc<Machine>| {
        metadata
            .iter()
            .all(|(name, value)| machine.metadata.get(name) == Some(value))
    };
    let from = machines
        .iter()
        .filter(has)
        .filter(|machine| machine.id.as_str() > wanted.next.as_str());
    let found: Vec<&Arc<Machine>> = from.collect();
    let page: Vec<Value> = found.iter().take(PAGE).map(|machine| machine.detail()).collect();
    let last = found.get(PAGE - 1).filter(|_| found.len() > PAGE);
    let next = last.map(|machine| machine.id.clone()).unwrap_or_default();
    ([("x-next-token", next)], Json(page)).into_response()
}

fn find(shared: &Shared, id: &str, headers: &HeaderMap) -> Result<Arc<Machine>, Box<Response>> {
    if let Some(refused) = unauthorized(headers) {
        return Err(Box::new(refused));
    }
    shared.machine(id).ok_or_else(|| {
        let message = format!("Sandbox \"{id}\" doesn't exist or you don't have access to it");
        Box::new(refusal(404, &message))
    })
}

fn unauthorized(headers: &HeaderMap) -> Option<Response> {
    let key = headers.get("x-api-key").and_then(|key| key.to_str().ok());
    match key {
        Some(E2B_KEY) => None,
        None => Some(refusal(401, "authorization header is missing")),
        // A server that repeats what it was sent.
        Some(key) => Some(refusal(
            401,
            &format!("Invalid API key, please visit the dashboard: {key}"),
        )),
    }
}

impl Shared {
    /// One that still lives.
    pub(super) fn machine(&self, id: &str) -> Option<Arc<Machine>> {
        let mut world = self.world();
        if world.machines.get(id).is_some_and(|machine| machine.is_over()) {
            world.end(id);
        }
        world.machines.get(id).map(Arc::clone)
    }
}
