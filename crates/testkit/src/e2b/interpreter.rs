//! `/execute` over a kernel of its own in each machine.

use std::{convert::Infallible, process::Stdio, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc,
};

use super::machine::Machine;

const KERNEL: &str = include_str!("kernel.py");
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A Python that keeps its names from one execution to the next.
#[derive(Debug)]
pub(super) struct Kernel {
    _process: Child,
    code: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
}

pub(super) async fn serve(machine: Arc<Machine>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/health") => Json("OK").into_response(),
        (&Method::GET, "/contexts") => Json(json!([context("default")])).into_response(),
        (&Method::POST, "/contexts") => {
            *machine.kernel.lock().await = None;
            Json(context("made")).into_response()
        }
        (&Method::DELETE, _) if path.starts_with("/contexts/") => Json(Value::Null).into_response(),
        (&Method::POST, "/execute") => execute(machine, request).await,
        _ => (StatusCode::NOT_FOUND, Json(json!({ "detail": "Not Found" }))).into_response(),
    }
}

fn context(id: &str) -> Value {
    json!({ "id": id, "language": "python", "cwd": "/home/user" })
}

async fn execute(machine: Arc<Machine>, request: Request) -> Response {
    let body = to_bytes(request.into_body(), 16 << 20).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(code) = body["code"].as_str().map(str::to_owned) else {
        let detail =
            json!({ "detail": [{ "loc": ["body", "code"], "msg": "Field required", "type": "missing" }] });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(detail)).into_response();
    };
    if !body["context_id"].is_null() && !body["language"].is_null() {
        let message = "Only one of context_id or language can be provided";
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    let (lines, mut receive) = mpsc::channel::<Bytes>(16);
    tokio::spawn(async move {
        let mut kernel = machine.kernel.lock().await;
        let done = converse(&machine, &mut kernel, &code, &lines).await;
        if done.is_none() {
            // It died, or nobody listens any more.
            *kernel = None;
            let error = json!({ "type": "error", "name": "ContextRestarting", "value": "", "traceback": "" });
            let _ = lines.send(line(&error.to_string())).await;
            let _ = lines
                .send(line(&json!({ "type": "end_of_execution" }).to_string()))
                .await;
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| {
        receive
            .poll_recv(context)
            .map(|bytes| bytes.map(Ok::<_, Infallible>))
    });
    // Without a content type, as the original.
    Body::from_stream(stream).into_response()
}

/// `None` where the kernel is not to be used again.
async fn converse(
    machine: &Machine,
    kernel: &mut Option<Kernel>,
    code: &str,
    lines: &mpsc::Sender<Bytes>,
) -> Option<()> {
    if kernel.is_none() {
        *kernel = Some(started(machine)?);
    }
    let kernel = kernel.as_mut()?;
    let cell = format!("{}\n", json!(code));
    kernel.code.write_all(cell.as_bytes()).await.ok()?;
    loop {
        match tokio::time::timeout(KEEP_ALIVE, kernel.events.next_line()).await {
            Err(_) => lines.send(line(r#"{"type": "keepalive"}"#)).await.ok()?,
            Ok(Ok(Some(event))) => {
                let ends = event.contains(r#""type": "end_of_execution""#);
                lines.send(line(&event)).await.ok()?;
                if ends {
                    return Some(());
                }
            }
            Ok(_) => return None,
        }
    }
}

fn started(machine: &Machine) -> Option<Kernel> {
    let arguments = ["-u", "-c", KERNEL].map(str::to_owned);
    let mut command = super::process::confined(machine, "python3", &arguments, "/home/user");
    let mut process = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    Some(Kernel {
        code: process.stdin.take()?,
        events: BufReader::new(process.stdout.take()?).lines(),
        _process: process,
    })
}

fn line(text: &str) -> Bytes {
    format!("{text}\n").into()
}
