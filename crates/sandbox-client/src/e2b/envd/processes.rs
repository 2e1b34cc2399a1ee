//! Processes in a machine.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use meterbox_http_client::{deadline_after, shown};
use reqwest::{Method, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use super::{json, millis};
use crate::e2b::{
    E2bClient, E2bError,
    address::ENVD,
    connect::{Frame, Frames, framed},
    control::{SandboxAccess, built},
    transport::Reply,
};

const STARTING: &str = "starting a process";
const STREAM: &str = "application/connect+json";
/// Of one event of a process; output comes in pieces of some kilobytes.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program, by path or by name.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Added to its environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts; the user's home if absent.
    pub folder: Option<String>,
    /// Who runs it; the template's own user if absent.
    pub user: Option<String>,
    /// The server kills it after this.
    pub limit: Duration,
}

impl Command {
    /// This program with these arguments, for a minute.
    pub fn new<A: Into<String>>(program: impl Into<String>, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            folder: None,
            user: None,
            limit: Duration::from_secs(60),
        }
    }
}

/// What a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessEvent {
    /// It began.
    Started {
        /// Its number in the machine.
        pid: u32,
    },
    /// It wrote to standard output.
    Stdout(Vec<u8>),
    /// It wrote to standard error.
    Stderr(Vec<u8>),
    /// It ended; always last.
    Ended(ProcessEnd),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Its exit code, or -1 where it has none.
    pub exit_code: i32,
    /// By itself, and not by a signal.
    pub exited: bool,
    /// In the daemon's words, such as `exit status 3` or `signal: killed`.
    pub status: String,
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Asks it to end.
    Terminate,
    /// Ends it.
    Kill,
}

/// A process under way; its events are read one by one. Dropping it cuts the connection, which does not end the
/// process.
#[derive(Debug)]
pub struct Process {
    reply: Reply,
    frames: Frames,
    ended: bool,
}

impl E2bClient {
    /// Starts a process; nothing of it was seen yet when this returns.
    ///
    /// # Errors
    /// [`E2bError`]; after a broken connection it may run.
    pub async fn start(&self, sandbox: &SandboxAccess, command: &Command) -> Result<Process, E2bError> {
        #[derive(Serialize)]
        struct Start<'a> {
            process: Config<'a>,
            stdin: bool,
        }
        #[derive(Serialize)]
        struct Config<'a> {
            cmd: &'a str,
            args: &'a [String],
            envs: &'a BTreeMap<String, String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            cwd: Option<&'a str>,
        }
        let message = Start {
            process: Config {
                cmd: &command.program,
                args: &command.arguments,
                envs: &command.env,
                cwd: command.folder.as_deref(),
            },
            stdin: false,
        };
        let body = framed(&json(&message)?);
        let mut request = self
            .data_plane(Method::POST, sandbox, ENVD, "/process.Process/Start")?
            .header(CONTENT_TYPE, STREAM)
            .header("Connect-Protocol-Version", "1")
            .header("Connect-Timeout-Ms", millis(command.limit))
            .header("Keepalive-Ping-Interval", "50")
            .body(body);
        if let Some(user) = &command.user {
            request = request.basic_auth(user, Some(""));
        }
        // The server's limit comes first; this one is for a server that forgets it.
        let deadline = deadline_after(command.limit.saturating_add(self.request_timeout));
        let reply = self
            .transport
            .send(STARTING, built(request)?, deadline)
            .await?
            .ok()
            .await?;
        // A page of something in between would else be read as a message of half a gigabyte.
        if reply.content_type().is_none_or(|kind| !kind.starts_with(STREAM)) {
            return Err(E2bError::BadReply {
                what: STARTING,
                reason: format!(
                    "it is {}",
                    reply
                        .content_type()
                        .map_or_else(|| "of no type".to_owned(), shown)
                ),
            });
        }
        Ok(Process {
            reply,
            frames: Frames::new(STARTING, MAX_EVENT_BYTES),
            ended: false,
        })
    }

    /// Sends a process a signal.
    ///
    /// # Errors
    /// [`E2bError::NotFound`] where it has ended; others.
    pub async fn signal(
        &self,
        sandbox: &SandboxAccess,
        pid: u32,
        signal: Signal,
        user: Option<&str>,
    ) -> Result<(), E2bError> {
        #[derive(Serialize)]
        struct SendSignal {
            process: Selector,
            signal: &'static str,
        }
        #[derive(Serialize)]
        struct Selector {
            pid: u32,
        }
        let signal = match signal {
            Signal::Terminate => "SIGNAL_SIGTERM",
            Signal::Kill => "SIGNAL_SIGKILL",
        };
        let request = SendSignal {
            process: Selector { pid },
            signal,
        };
        let _: serde_json::Value = self
            .unary(sandbox, "process.Process/SendSignal", user, &request)
            .await?;
        Ok(())
    }
}

impl Process {
    /// The next event; `None` after the last. Cancel-safe.
    ///
    /// # Errors
    /// [`E2bError::Cut`] where it stops before the end of the process; others.
    pub async fn next(&mut self) -> Result<Option<ProcessEvent>, E2bError> {
        loop {
            while let Some(frame) = self.frames.next().map_err(|error| self.reply.struck_out(error))? {
                match frame {
                    Frame::End if self.ended => return Ok(None),
                    Frame::End => return Err(E2bError::Cut { what: STARTING }),
                    Frame::Message(message) => {
                        if let Some(event) = event(&message).map_err(|error| self.reply.struck_out(error))? {
                            self.ended |= matches!(event, ProcessEvent::Ended(_));
                            return Ok(Some(event));
                        }
                    }
                }
            }
            match self.reply.chunk().await? {
                Some(chunk) => self.frames.feed(chunk.as_ref()),
                None if self.ended => return Ok(None),
                None => return Err(E2bError::Cut { what: STARTING }),
            }
        }
    }
}

/// `None` for a keep-alive, or for something newer than this client.
fn event(message: &[u8]) -> Result<Option<ProcessEvent>, E2bError> {
    #[derive(Deserialize)]
    struct Message {
        event: Option<Event>,
    }
    #[derive(Deserialize)]
    struct Event {
        start: Option<Start>,
        data: Option<Data>,
        end: Option<End>,
    }
    #[derive(Deserialize)]
    struct Start {
        #[serde(default)]
        pid: u32,
    }
    #[derive(Deserialize)]
    struct Data {
        stdout: Option<String>,
        stderr: Option<String>,
    }
    // Zero and false are left out.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct End {
        #[serde(default)]
        exit_code: i32,
        #[serde(default)]
        exited: bool,
        #[serde(default)]
        status: String,
    }
    let bad = |reason: String| E2bError::BadReply {
        what: STARTING,
        reason,
    };
    let message: Message = serde_json::from_slice(message).map_err(|error| bad(error.to_string()))?;
    let decoded = |text: &str| {
        STANDARD
            .decode(text)
            .map_err(|error| bad(format!("its output: {error}")))
    };
    let Some(event) = message.event else {
        return Ok(None);
    };
    if let Some(Start { pid }) = event.start {
        return Ok(Some(ProcessEvent::Started { pid }));
    }
    if let Some(data) = event.data {
        if let Some(text) = data.stdout {
            return Ok(Some(ProcessEvent::Stdout(decoded(&text)?)));
        }
        if let Some(text) = data.stderr {
            return Ok(Some(ProcessEvent::Stderr(decoded(&text)?)));
        }
    }
    Ok(event.end.map(|end| {
        ProcessEvent::Ended(ProcessEnd {
            exit_code: end.exit_code,
            exited: end.exited,
            status: shown(&end.status),
        })
    }))
}
