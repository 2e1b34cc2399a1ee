//! What the client says and hears is what E2B's own generated messages say and hear: a daemon made of the classes of
//! its Python package parses every request and serialises every reply.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{path::Path, process::Stdio, time::Duration};

use meterbox_sandbox_client::e2b::{
    Command, E2bClient, E2bError, E2bErrorKind, FileEntry, FileKind, NewSandbox, Process, ProcessEvent,
    SandboxAccess, Signal, http_client,
};
use meterbox_testkit::{E2B_KEY, E2bDouble, peer_python};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
};

/// The daemon; gone when it is dropped.
struct Daemon {
    heard: Lines<BufReader<ChildStdout>>,
    _process: Child,
    client: E2bClient,
    sandbox: SandboxAccess,
}

impl Daemon {
    async fn start() -> Option<Self> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        let python = peer_python("e2b-sdk", &peers.join("e2b-sdk.txt"))?;
        let mut process = tokio::process::Command::new(python)
            .arg(peers.join("e2b_envd.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut heard = BufReader::new(process.stdout.take().unwrap()).lines();
        let port: u16 = heard.next_line().await.unwrap().unwrap().parse().unwrap();
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let control = E2bDouble::start().await;
        let client = E2bClient::builder(http_client().unwrap(), E2B_KEY)
            .api_url(control.url())
            .sandbox_url(format!("http://127.0.0.1:{port}"))
            .request_timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let sandbox = client.create(&NewSandbox::new("base")).await.unwrap();
        Some(Self {
            heard,
            _process: process,
            client,
            sandbox,
        })
    }

    /// What it understood.
    async fn understood(&mut self) -> Value {
        let line = self.heard.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn run(&mut self, program: &str) -> Process {
        let command = Command::new(program, [""; 0]);
        let process = self.client.start(&self.sandbox, &command).await.unwrap();
        self.understood().await;
        process
    }
}

async fn all(mut process: Process) -> Result<Vec<ProcessEvent>, E2bError> {
    let mut events = Vec::new();
    while let Some(event) = process.next().await? {
        events.push(event);
    }
    Ok(events)
}

#[tokio::test]
async fn requests_are_parsed_to_what_was_meant() {
    let Some(mut daemon) = Daemon::start().await else {
        return;
    };
    let mut command = Command::new("/bin/bash", ["-c", "echo \"ü\"", ""]);
    command.env.insert("A b".to_owned(), "'\n\u{1F600}".to_owned());
    command.folder = Some("/home/user/wörk".to_owned());
    command.user = Some("user".to_owned());
    command.limit = Duration::from_millis(4_321);
    all(daemon.client.start(&daemon.sandbox, &command).await.unwrap())
        .await
        .unwrap();
    let understood = daemon.understood().await;
    assert_eq!(
        understood["message"],
        json!({ "process": {
            "cmd": "/bin/bash", "args": ["-c", "echo \"ü\"", ""], "envs": { "A b": "'\n\u{1F600}" },
            "cwd": "/home/user/wörk",
        }, "stdin": false })
    );
    assert_eq!(
        (&understood["user"], &understood["sandbox"], &understood["port"]),
        (
            &json!("user:"),
            &json!(daemon.sandbox.id.as_str()),
            &json!("49983")
        )
    );
    assert_eq!(understood["has_token"], true);
    // Counted down from the moment it arrived.
    let left = understood["timeout_ms"].as_f64().unwrap();
    assert!(left > 1_000.0 && left <= 4_321.0, "{left}");

    for (signal, name) in [
        (Signal::Terminate, "SIGNAL_SIGTERM"),
        (Signal::Kill, "SIGNAL_SIGKILL"),
    ] {
        daemon
            .client
            .signal(&daemon.sandbox, 7, signal, Some("root"))
            .await
            .unwrap();
        let understood = daemon.understood().await;
        assert_eq!(
            understood["message"],
            json!({ "process": { "pid": 7 }, "signal": name })
        );
        assert_eq!(understood["user"], "root:");
    }
    daemon
        .client
        .list_folder(&daemon.sandbox, "/empty", "user")
        .await
        .unwrap();
    let understood = daemon.understood().await;
    assert_eq!(understood["message"], json!({ "path": "/empty", "depth": 1 }));
}

#[tokio::test]
async fn replies_are_understood_as_they_were_meant() {
    let Some(mut daemon) = Daemon::start().await else {
        return;
    };
    let seen = all(daemon.run("prints").await).await.unwrap();
    assert_eq!(seen[0], ProcessEvent::Started { pid: 7 });
    assert_eq!(seen[1], ProcessEvent::Stdout((0..=255).collect()));
    assert_eq!(seen[2], ProcessEvent::Stderr("ünïcode".into()));
    assert!(matches!(&seen[3], ProcessEvent::Stdout(bytes) if bytes.len() == 1 << 20));
    assert_eq!(seen[4], ProcessEvent::Stdout(Vec::new()));
    assert!(
        matches!(&seen[5], ProcessEvent::Ended(end) if end.exit_code == 3 && end.exited && end.status == "exit status 3")
    );
    // What is zero, false or empty is not on the wire at all.
    let seen = all(daemon.run("true").await).await.unwrap();
    assert!(matches!(seen.last(), Some(ProcessEvent::Ended(end)) if end.exit_code == 0 && end.exited));
    let seen = all(daemon.run("is killed").await).await.unwrap();
    assert!(
        matches!(seen.last(), Some(ProcessEvent::Ended(end)) if end.exit_code == -1 && !end.exited && end.status == "signal: killed")
    );

    let listed = daemon
        .client
        .list_folder(&daemon.sandbox, "/d", "user")
        .await
        .unwrap();
    let entry = |name: &str, kind, size, link: Option<&str>| FileEntry {
        name: name.to_owned(),
        path: format!("/d/{name}"),
        kind,
        size,
        link_target: link.map(str::to_owned),
    };
    assert_eq!(
        listed,
        [
            entry("large", FileKind::File, 1 << 40, None),
            entry("empty", FileKind::File, 0, None),
            entry("folder", FileKind::Folder, 0, None),
            entry("link", FileKind::File, 0, Some("/etc/passwd")),
            entry("odd", FileKind::Other, 0, None),
        ]
    );
    let empty = daemon.client.list_folder(&daemon.sandbox, "/empty", "user");
    assert_eq!(empty.await.unwrap(), []);
}

#[tokio::test]
async fn errors_are_understood_wherever_they_stand() {
    let Some(mut daemon) = Daemon::start().await else {
        return;
    };
    // Before the first event of a stream, and after it.
    let error = all(daemon.run("missing").await).await.unwrap_err();
    assert!(
        matches!(&error, E2bError::NotFound { message } if message == "no such program"),
        "{error:?}"
    );
    let error = all(daemon.run("breaks").await).await.unwrap_err();
    assert!(
        matches!(&error, E2bError::Server { code: Some(code), message, .. }
            if code == "unavailable" && message == "the machine goes down"),
        "{error:?}"
    );
    // A stream that ends well without the end of the process.
    let error = all(daemon.run("vanishes").await).await.unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::Cut);
    // As the reply of a plain call.
    let signal = daemon.client.signal(&daemon.sandbox, 8, Signal::Kill, None);
    assert_eq!(signal.await.unwrap_err().kind(), E2bErrorKind::NotFound);
    let listed = daemon.client.list_folder(&daemon.sandbox, "/nowhere", "user");
    assert_eq!(listed.await.unwrap_err().kind(), E2bErrorKind::NotFound);
}
