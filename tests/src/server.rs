use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use meterbox_testkit::test_runtime_folder;
use serde_json::Value;

use crate::settings::without_services;

const START: Duration = Duration::from_secs(240);
const STOP: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

/// A running `meterbox serve` on a free loopback port. Dropping it stops the process.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts the server over this data, with everything it keeps in `data_dir`, and waits until it answers.
    /// The Python runtime is the one all tests of this user share.
    ///
    /// # Panics
    /// Where it does not start; its log is in the message.
    pub fn start(data_dir: &Path, data: &Path) -> Self {
        Self::start_with(data_dir, data, &[])
    }

    /// The same with these settings.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(data_dir: &Path, data: &Path, settings: &[(&str, &str)]) -> Self {
        let log = data_dir.join("server.log");
        let output = File::create(&log).expect("the log can be written");
        let process = without_services(&mut Command::new(crate::meterbox()))
            .arg("serve")
            .arg("--data")
            .arg(data)
            .env("METERBOX_DATA_DIR", data_dir)
            .env("METERBOX_RUNTIME_DIR", test_runtime_folder())
            // A port that is free now could be another server's before this one has it.
            .env("METERBOX_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log can be shared"))
            .stderr(output)
            .spawn()
            .expect("the server can be started");
        let mut server = Self {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            log,
        };
        server.wait_until_ready();
        server
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Status and body of a GET.
    ///
    /// # Panics
    /// Where the server does not answer in HTTP.
    pub fn get(&self, path: &str) -> (u16, String) {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        self.exchange(head.as_bytes()).expect("the server answers")
    }

    /// Status and JSON body of a POST with a JSON body.
    ///
    /// # Panics
    /// Where the server does not answer in HTTP, or not in JSON.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        );
        let (status, body) = self.exchange(request.as_bytes()).expect("the server answers");
        (status, serde_json::from_str(&body).expect("the reply is JSON"))
    }

    /// Ends the process as a crash would.
    ///
    /// # Panics
    /// Where it cannot be ended.
    pub fn kill(mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("the process can be watched");
    }

    /// What the server printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn exchange(&self, request: &[u8]) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(request)?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        let reply = String::from_utf8_lossy(&reply);
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        status.zip(body).ok_or_else(|| std::io::Error::other("not HTTP"))
    }

    fn wait_until_ready(&mut self) {
        let polls = START.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            if let Some(status) = self.process.try_wait().expect("the process can be watched") {
                panic!("the server ended ({status}):\n{}", self.log());
            }
            if let Some(address) = address_in(&self.log()) {
                self.address = address;
                if self.is_ready() {
                    return;
                }
            }
            sleep(POLL);
        }
        panic!(
            "the server did not answer within {} s:\n{}",
            START.as_secs(),
            self.log()
        );
    }

    fn is_ready(&self) -> bool {
        let request = format!(
            "GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        self.exchange(request.as_bytes())
            .is_ok_and(|(status, _)| status == 200)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first, so that it can end its sandbox; it may also have ended by itself.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        for _ in 0..STOP.as_millis() / POLL.as_millis() {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            sleep(POLL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the server says that it is.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("Meterbox is at http://")?;
    rest.split_whitespace().next()?.parse().ok()
}
