//! Programs run for real in a machine's folder, confined by bubblewrap, without network.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::mpsc,
};

use super::machine::{Machine, connect_error, header_text, streamed};
use crate::python::test_python;

/// Those that run, by number, and the kill switch of each.
#[derive(Debug, Default)]
pub(super) struct Processes {
    running: Mutex<BTreeMap<u64, tokio_util::sync::CancellationToken>>,
}

impl Processes {
    /// False where there is no such process. Any signal ends it.
    pub(super) fn signal(&self, pid: u64, _kills: bool) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&pid).map(|kill| kill.cancel()).is_some()
    }
}

/// What runs this in the machine, where it sees these folders too.
pub(super) fn confined(
    machine: &Machine,
    folders: &[&Path],
    program: &str,
    arguments: &[String],
    folder: &str,
) -> Command {
    let mut command = Command::new(bubblewrap());
    command.args([
        "--die-with-parent",
        "--unshare-all",
        "--new-session",
        "--clearenv",
    ]);
    command.args(["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]);
    for link in ["bin", "lib", "lib64", "sbin"] {
        command.args(["--symlink", &format!("usr/{link}"), &format!("/{link}")]);
    }
    for inside in ["home", "data", "tmp"] {
        let outside = machine.root().join(inside);
        command.arg("--bind").arg(outside).arg(format!("/{inside}"));
    }
    let python = machine.python();
    for visible in python
        .visible
        .iter()
        .map(PathBuf::as_path)
        .chain(folders.iter().copied())
    {
        command.arg("--ro-bind").arg(visible).arg(visible);
    }
    let path = format!("{}:/usr/bin:/bin", python.folder.display());
    for (name, value) in [
        ("PATH", path.as_str()),
        ("HOME", "/home/user"),
        ("LANG", "C.UTF-8"),
    ] {
        command.args(["--setenv", name, value]);
    }
    for (name, value) in &machine.env {
        command.args(["--setenv", name, value]);
    }
    command.args(["--chdir", folder, "--", program]).args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn bubblewrap() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let place = PathBuf::from("/usr/bin/bwrap");
        if !place.exists() {
            crate::debian::install("bubblewrap");
        }
        assert!(
            place.exists(),
            "these tests need bubblewrap (Debian's package of that name)"
        );
        place
    })
}

/// Installs what machines need where it is not there yet, which takes a while.
pub(super) fn prepare() {
    bubblewrap();
    // A machine that executes code says what is wrong.
    let _ = super::kernels::packages(test_python());
}

pub(super) async fn start(machine: Arc<Machine>, request: Request) -> Response {
    let kind = header_text(request.headers(), "content-type").unwrap_or_default();
    let limit: u64 = header_text(request.headers(), "connect-timeout-ms")
        .and_then(|millis| millis.parse().ok())
        .unwrap_or(u64::MAX >> 1);
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    // Flags, four bytes of length, JSON.
    let message = body.get(5..).unwrap_or_default();
    let Ok(wanted) = serde_json::from_slice::<Value>(message) else {
        return connect_error(400, "invalid_argument", "no JSON in the first message");
    };
    if kind != "application/connect+json" {
        return connect_error(415, "unknown", "another content type");
    }
    let process = &wanted["process"];
    let arguments: Vec<String> = serde_json::from_value(process["args"].clone()).unwrap_or_default();
    let env: BTreeMap<String, String> = serde_json::from_value(process["envs"].clone()).unwrap_or_default();
    let folder = process["cwd"].as_str().unwrap_or("/home/user").to_owned();
    let mut with_env: Vec<String> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    with_env.push(process["cmd"].as_str().unwrap_or_default().to_owned());
    with_env.extend(arguments);
    let mut command = confined(&machine, &[], "/usr/bin/env", &with_env, &folder);
    let (events, mut receive) = mpsc::channel::<Bytes>(16);
    let spawned = command.spawn();
    tokio::spawn(async move {
        match spawned {
            Ok(child) => run(&machine, child, Duration::from_millis(limit), &events).await,
            Err(error) => {
                let error = json!({ "error": { "code": "internal", "message": error.to_string() } });
                let _ = events.send(frame(2, &error)).await;
            }
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| {
        receive
            .poll_recv(context)
            .map(|bytes| bytes.map(Ok::<_, std::convert::Infallible>))
    });
    streamed("application/connect+json", Body::from_stream(stream))
}

/// Whoever listens is told; a process runs on where nobody does.
async fn run(machine: &Machine, mut child: Child, limit: Duration, events: &mpsc::Sender<Bytes>) {
    let pid = u64::from(child.id().unwrap_or_default());
    let kill = tokio_util::sync::CancellationToken::new();
    let running = || {
        machine
            .processes
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    running().insert(pid, kill.clone());
    let _ = events.send(event(&json!({ "start": { "pid": pid } }))).await;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        tokio::join!(
            forward(stdout, "stdout", events),
            forward(stderr, "stderr", events)
        )
    };
    let mut timed_out = false;
    tokio::select! {
        _ = reading => {}
        () = kill.cancelled() => { let _ = child.start_kill(); }
        () = machine.is_gone.cancelled() => {
            // The stream is cut: nobody is there to say how it ended.
            let _ = child.kill().await;
            return;
        }
        () = tokio::time::sleep(limit) => { timed_out = true; let _ = child.start_kill(); }
    }
    let status = child.wait().await;
    running().remove(&pid);
    if timed_out {
        let error = json!({ "error": { "code": "deadline_exceeded", "message": "the deadline passed" } });
        let _ = events.send(frame(2, &error)).await;
        return;
    }
    // Bubblewrap passes a death by signal on as 128 and its number.
    let code = status.ok().and_then(|status| status.code()).unwrap_or(137);
    let mut end = if code > 128 {
        // Go's words, as the daemon's.
        let name = match code - 128 {
            6 => "aborted",
            9 => "killed",
            11 => "segmentation fault",
            24 => "CPU time limit exceeded",
            _ => "terminated",
        };
        json!({ "status": format!("signal: {name}"), "exitCode": -1 })
    } else {
        json!({ "exited": true, "status": format!("exit status {code}"), "exitCode": code })
    };
    if code == 0 {
        // Zero is left out.
        end.as_object_mut().map(|end| end.remove("exitCode"));
    }
    let _ = events.send(event(&json!({ "end": end }))).await;
    let _ = events.send(frame(2, &json!({}))).await;
}

async fn forward(pipe: Option<impl AsyncRead + Unpin>, name: &str, events: &mpsc::Sender<Bytes>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; 32 << 10];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let text = STANDARD.encode(&chunk[..read]);
        if events
            .send(event(&json!({ "data": { name: text } })))
            .await
            .is_err()
        {
            return;
        }
    }
}

fn event(event: &Value) -> Bytes {
    frame(0, &json!({ "event": event }))
}

fn frame(flags: u8, message: &Value) -> Bytes {
    let json = message.to_string();
    let length = u32::try_from(json.len()).expect("a short message");
    let mut frame = vec![flags];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(json.as_bytes());
    frame.into()
}
