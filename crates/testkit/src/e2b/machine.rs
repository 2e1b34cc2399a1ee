//! A machine: a folder for a root, processes in it, and the services at its ports.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Query, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use meterbox_core::{Clock, SystemClock, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Shared, interpreter::Interpreter, process, refusal};
use crate::python::{TestPython, test_python};

const ENVD: &str = "49983";
const INTERPRETER: &str = "49999";
const HOME: &str = "home/user";
const MOST_BYTES: usize = 1 << 30;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) template: String,
    pub(super) token: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) env: BTreeMap<String, String>,
    python: Option<TestPython>,
    started: Timestamp,
    ends: Mutex<Timestamp>,
    root: tempfile::TempDir,
    pub(super) processes: process::Processes,
    pub(super) interpreter: Interpreter,
    /// When it is, all that runs in it ends.
    pub(super) is_gone: CancellationToken,
}

impl Machine {
    pub(super) fn new(body: &Value, timeout: i64, python: Option<TestPython>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let texts = |name: &str| -> BTreeMap<String, String> {
            serde_json::from_value(body[name].clone()).unwrap_or_default()
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = tempfile::Builder::new()
            .prefix("meterbox-e2b-")
            .tempdir()
            .expect("a temporary folder");
        for folder in [HOME, "data", "tmp"] {
            std::fs::create_dir_all(root.path().join(folder)).expect("a folder");
        }
        let machine = Self {
            id: format!("i{number:020}"),
            template: body["templateID"].as_str().unwrap_or_default().to_owned(),
            token: format!("envd-token-of-machine-{number:06}"),
            metadata: texts("metadata"),
            env: texts("envVars"),
            python,
            started: now(),
            ends: Mutex::new(now()),
            root,
            processes: process::Processes::default(),
            interpreter: Interpreter::default(),
            is_gone: CancellationToken::new(),
        };
        machine.live_for(timeout);
        machine
    }

    pub(super) fn live_for(&self, seconds: i64) {
        let life = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = now().saturating_add(life);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) <= now()
    }

    pub(super) fn python(&self) -> &TestPython {
        self.python.as_ref().unwrap_or_else(|| test_python())
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn detail(&self) -> Value {
        let ends = *self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "templateID": self.template, "sandboxID": self.id, "clientID": "6532622b", "envdVersion": "0.6.13",
            "startedAt": self.started.to_string(), "endAt": ends.to_string(), "cpuCount": 2, "memoryMB": 2048,
            "diskSizeMB": 10_240, "state": "running", "metadata": self.metadata,
        })
    }

    /// A path as programs in the machine see it.
    fn inside(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        let absolute = Path::new("/").join(HOME).join(path);
        let parts = absolute.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        });
        self.root().join(parts.collect::<PathBuf>())
    }
}

fn now() -> Timestamp {
    SystemClock::default().now()
}

/// Everything that is no route of the control plane.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().fallback(in_a_machine)
}

async fn in_a_machine(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let text = |name: &str| header_text(&headers, name);
    let Some(id) = text("e2b-sandbox-id") else {
        return refusal(404, "no matching operation was found");
    };
    let Some(machine) = shared.machine(&id) else {
        let body = json!({ "sandboxId": id, "message": "The sandbox was not found", "code": 502 });
        return (StatusCode::BAD_GATEWAY, Json(body)).into_response();
    };
    let port = text("e2b-sandbox-port").unwrap_or_default();
    let path = request.uri().path().to_owned();
    let has_token = text("x-access-token").as_deref() == Some(machine.token.as_str());
    let is_open = path == "/health" || path.starts_with("/contexts");
    if !has_token && !is_open {
        return refusal(401, "unauthorized access, please provide a valid access token");
    }
    let method = request.method().clone();
    match (port.as_str(), method, path.as_str()) {
        (ENVD, Method::GET, "/health") => StatusCode::NO_CONTENT.into_response(),
        (ENVD, Method::GET, "/files") => read(&machine, request).await,
        (ENVD, Method::POST, "/files") => write(&machine, request).await,
        (ENVD, Method::POST, "/process.Process/Start") => process::start(machine, request).await,
        (ENVD, Method::POST, method) => unary(&machine, method, request).await,
        (INTERPRETER, _, _) => super::interpreter::serve(machine, request).await,
        _ => {
            let message = "The sandbox is running but port is not open";
            let body = json!({ "sandboxId": id, "message": message, "port": port });
            (StatusCode::BAD_GATEWAY, Json(body)).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    path: String,
}

fn place(request: &Request) -> String {
    Query::<Place>::try_from_uri(request.uri())
        .map(|Query(place)| place.path)
        .unwrap_or_default()
}

async fn read(machine: &Machine, request: Request) -> Response {
    let path = place(&request);
    let file = machine.inside(&path);
    if file.is_dir() {
        return refusal(400, &format!("path '{path}' is a directory"));
    }
    match tokio::fs::read(&file).await {
        Ok(bytes) => bytes.into_response(),
        Err(_) => refusal(404, &format!("path '{path}' does not exist")),
    }
}

async fn write(machine: &Machine, request: Request) -> Response {
    let path = place(&request);
    let kind = header_text(request.headers(), "content-type").unwrap_or_default();
    let Ok(body) = to_bytes(request.into_body(), MOST_BYTES).await else {
        return refusal(400, "the body was cut");
    };
    let files: Vec<(String, Bytes)> = match kind.split_once("boundary=") {
        None => vec![(path, body)],
        Some((_, boundary)) => parts(&body, boundary.trim_matches('"'), &path),
    };
    let mut written = Vec::new();
    for (path, bytes) in files {
        let file = machine.inside(&path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        if std::fs::write(&file, &bytes).is_err() {
            return refusal(400, &format!("path '{path}' is a directory"));
        }
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let shown = Path::new("/").join(file.strip_prefix(machine.root()).unwrap_or(&file));
        written.push(json!({ "path": shown, "name": name, "type": "file" }));
    }
    Json(written).into_response()
}

/// The files of a multipart body; with one of them the path of the query wins.
fn parts(body: &Bytes, boundary: &str, path: &str) -> Vec<(String, Bytes)> {
    let mark = format!("--{boundary}");
    let find = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).position(|window| window == wanted);
    let mut files = Vec::new();
    let mut rest = body.clone();
    while let Some(start) = find(&rest, mark.as_bytes()) {
        rest = rest.slice(start + mark.len()..);
        let Some(end) = find(&rest, mark.as_bytes()) else {
            break;
        };
        let part = rest.slice(..end);
        let Some(head) = find(&part, b"\r\n\r\n") else {
            break;
        };
        let header = String::from_utf8_lossy(&part[..head]).into_owned();
        let named = header
            .split("filename=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let content = part.slice(head + 4..part.len() - 2);
        files.push((named.unwrap_or_default().to_owned(), content));
    }
    if let ([(name, _)], false) = (&mut files[..], path.is_empty()) {
        path.clone_into(name);
    }
    files
}

async fn unary(machine: &Machine, method: &str, request: Request) -> Response {
    let Ok(body) = to_bytes(request.into_body(), MOST_BYTES).await else {
        return refusal(400, "the body was cut");
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match method {
        "/process.Process/SendSignal" => {
            let pid = body["process"]["pid"].as_u64().unwrap_or_default();
            let kills = body["signal"] == "SIGNAL_SIGKILL";
            if machine.processes.signal(pid, kills) {
                return Json(json!({})).into_response();
            }
            connect_error(404, "not_found", &format!("process with pid {pid} not found"))
        }
        "/filesystem.Filesystem/ListDir" => {
            let path = body["path"].as_str().unwrap_or_default();
            match list(machine, path) {
                Some(entries) => Json(json!({ "entries": entries })).into_response(),
                None => connect_error(404, "not_found", &format!("directory not found: {path}")),
            }
        }
        _ => connect_error(501, "unimplemented", method),
    }
}

fn list(machine: &Machine, path: &str) -> Option<Vec<Value>> {
    let folder = machine.inside(path);
    let entries = std::fs::read_dir(&folder).ok()?.flatten();
    Some(
        entries
            .map(|entry| {
                let shown = Path::new("/").join(entry.path().strip_prefix(machine.root()).expect("inside"));
                let found = entry.path().symlink_metadata().expect("it is there");
                let kind = match () {
                    () if found.is_dir() => "FILE_TYPE_DIRECTORY",
                    () if found.is_file() || found.is_symlink() => "FILE_TYPE_FILE",
                    () => "FILE_TYPE_UNSPECIFIED",
                };
                let mut value =
                    json!({ "name": entry.file_name().to_string_lossy(), "type": kind, "path": shown });
                // Zero is left out.
                if found.len() > 0 {
                    value["size"] = json!(found.len().to_string());
                }
                if let Ok(target) = std::fs::read_link(entry.path()) {
                    value["symlinkTarget"] = json!(target);
                }
                value
            })
            .collect(),
    )
}

pub(super) fn connect_error(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}

pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

pub(super) fn streamed(kind: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}
