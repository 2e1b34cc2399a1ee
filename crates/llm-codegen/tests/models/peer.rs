//! Servers of others, in Python.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use meterbox_testkit::peer_python;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

/// A server that says where it listens; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct PeerServer {
    pub(crate) port: u16,
    _process: Child,
}

/// The folder of programs and locks.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// The Python of a lock; `None` where it cannot be had.
pub(crate) fn python(name: &str) -> Option<PathBuf> {
    peer_python(name, &peers().join(format!("{name}.txt")))
}

/// What a program says to these lines: one line each.
pub(crate) async fn answers(python: &Path, program: &str, lines: &[Value]) -> Vec<Value> {
    let mut process = Command::new(python)
        .arg(peers().join(program))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = process.stdin.take().expect("it is piped");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let written = async move { input.write_all(text.as_bytes()).await };
    let (written, output) = tokio::join!(written, process.wait_with_output());
    written.expect("it reads");
    let said = String::from_utf8(output.expect("it ends").stdout).expect("text");
    let found: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(found.len(), lines.len(), "{said}");
    found
}

impl PeerServer {
    pub(crate) async fn start(python: &Path, program: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(python)
            .arg(peers().join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let stdout = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let port = loop {
            let line = lines
                .next_line()
                .await
                .expect("it can be read")
                .expect("the server starts");
            if let Some(port) = line.strip_prefix("listening ") {
                break port.parse().expect("a port");
            }
        };
        // Whatever else it prints must not block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            port,
            _process: process,
        }
    }
}
