//! The daemon in a machine: files and processes.

use std::{collections::BTreeMap, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Body, Method, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};
use tokio_util::io::ReaderStream;

use super::{
    E2bClient, E2bError,
    address::ENVD,
    connect::{ConnectError, Frame, Frames, framed},
    control::{SandboxAccess, built},
    deadline::{deadline_after, now},
    transport::Reply,
};

/// Of one event of a process; output comes in pieces of some kilobytes.
const MAX_EVENT_BYTES: usize = 4 << 20;
const MAX_UNARY_BYTES: u64 = 16 << 20;
/// Time for a service to come up in a new machine.
const START_UP: Duration = Duration::from_secs(30);
const START_UP_POLL: Duration = Duration::from_millis(100);

/// A file, folder or link in a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its last part.
    pub name: String,
    /// All of it.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    /// Where it leads, if it is a link.
    pub link_target: Option<String>,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Something else.
    Other,
}

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

const STARTING: &str = "starting a process";

impl E2bClient {
    /// Waits until the daemon answers: right after a sandbox was created it may not yet.
    ///
    /// # Errors
    /// [`E2bError::NotReady`] where it does not within half a minute; other errors at once.
    pub async fn wait_until_ready(&self, sandbox: &SandboxAccess) -> Result<(), E2bError> {
        let until = deadline_after(START_UP);
        loop {
            let request = built(self.data_plane(Method::GET, sandbox, ENVD, "/health")?)?;
            let reply = self.transport.send("asking for health", request, until).await;
            match reply {
                Ok(reply) => match reply.ok().await {
                    Ok(_) => return Ok(()),
                    Err(E2bError::NotReady | E2bError::Busy { .. }) => {}
                    Err(error) => return Err(error),
                },
                Err(E2bError::Unreachable { .. } | E2bError::Broken { .. }) => {}
                Err(E2bError::DeadlinePassed { .. }) => return Err(E2bError::NotReady),
                Err(error) => return Err(error),
            }
            if now() + START_UP_POLL >= until {
                return Err(E2bError::NotReady);
            }
            sleep(START_UP_POLL).await;
        }
    }

    /// Writes these bytes to a file in the machine, as this user; folders above it are made.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn write_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<(), E2bError> {
        self.upload(sandbox, path, user, Body::from(bytes.into()), self.deadline())
            .await
    }

    /// Copies a file of this machine into the sandbox, piece by piece.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn upload_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        from: &Path,
        within: Duration,
    ) -> Result<(), E2bError> {
        let file = tokio::fs::File::open(from)
            .await
            .map_err(|error| local(from, error))?;
        let body = Body::wrap_stream(ReaderStream::new(file));
        self.upload(sandbox, path, user, body, deadline_after(within))
            .await
    }

    async fn upload(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        body: Body,
        deadline: Instant,
    ) -> Result<(), E2bError> {
        let request = self
            .data_plane(Method::POST, sandbox, ENVD, "/files")?
            .query(&[("path", path), ("username", user)])
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body);
        let reply = self
            .transport
            .send("writing a file", built(request)?, deadline)
            .await?;
        reply.ok().await?.bytes(MAX_UNARY_BYTES).await.map(drop)
    }

    /// A file of the machine, if it is no more than so many bytes.
    ///
    /// # Errors
    /// [`E2bError::TooLarge`], with the rest left unread; others.
    pub async fn read_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        limit: u64,
    ) -> Result<Vec<u8>, E2bError> {
        self.download(sandbox, path, user, self.deadline())
            .await?
            .bytes(limit)
            .await
    }

    /// Copies a file of the machine to a new file of this one, if it is no more than so many bytes: how many it has.
    /// With an error nothing is left.
    ///
    /// # Errors
    /// [`E2bError::TooLarge`]; others.
    pub async fn download_file(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        to: &Path,
        limit: u64,
    ) -> Result<u64, E2bError> {
        let mut reply = self.download(sandbox, path, user, self.deadline()).await?;
        let mut file = tokio::fs::File::create_new(to)
            .await
            .map_err(|error| local(to, error))?;
        let copied = async {
            let mut bytes = 0;
            while let Some(chunk) = reply.chunk().await? {
                bytes += chunk.as_ref().len() as u64;
                if bytes > limit {
                    return Err(E2bError::TooLarge {
                        what: "the file",
                        limit,
                    });
                }
                file.write_all(chunk.as_ref())
                    .await
                    .map_err(|error| local(to, error))?;
            }
            file.flush().await.map_err(|error| local(to, error))?;
            Ok(bytes)
        };
        let copied = copied.await;
        if copied.is_err() {
            drop(file);
            // What is half there is of no use; that it is gone already is no fault.
            let _ = tokio::fs::remove_file(to).await;
        }
        copied
    }

    async fn download(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
        deadline: Instant,
    ) -> Result<Reply, E2bError> {
        let request = self
            .data_plane(Method::GET, sandbox, ENVD, "/files")?
            .query(&[("path", path), ("username", user)]);
        let reply = self
            .transport
            .send("reading a file", built(request)?, deadline)
            .await?;
        reply.ok().await
    }

    /// What is in a folder of the machine.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn list_folder(
        &self,
        sandbox: &SandboxAccess,
        path: &str,
        user: &str,
    ) -> Result<Vec<FileEntry>, E2bError> {
        #[derive(Serialize)]
        struct ListDir<'a> {
            path: &'a str,
            depth: u32,
        }
        #[derive(Deserialize)]
        struct Listed {
            #[serde(default)]
            entries: Vec<Entry>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            #[serde(default)]
            name: String,
            #[serde(default)]
            path: String,
            #[serde(default, rename = "type")]
            kind: String,
            // A number of 64 bits is a text in JSON.
            #[serde(default)]
            size: String,
            symlink_target: Option<String>,
        }
        let request = ListDir { path, depth: 1 };
        let listed: Listed = self
            .unary(sandbox, "filesystem.Filesystem/ListDir", Some(user), &request)
            .await?;
        let entries = listed.entries.into_iter().map(|entry| FileEntry {
            kind: match entry.kind.as_str() {
                "FILE_TYPE_FILE" => FileKind::File,
                "FILE_TYPE_DIRECTORY" => FileKind::Folder,
                _ => FileKind::Other,
            },
            // Zero is left out.
            size: entry.size.parse().unwrap_or_default(),
            name: entry.name,
            path: entry.path,
            link_target: entry.symlink_target,
        });
        Ok(entries.collect())
    }

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
            .header(CONTENT_TYPE, "application/connect+json")
            .header("Connect-Protocol-Version", "1")
            .header("Connect-Timeout-Ms", millis(command.limit))
            .header("Keepalive-Ping-Interval", "50")
            .body(body);
        if let Some(user) = &command.user {
            request = request.basic_auth(user, Some(""));
        }
        // The server's limit comes first; this one is for a server that forgets it.
        let deadline = deadline_after(command.limit + self.request_timeout);
        let reply = self
            .transport
            .send(STARTING, built(request)?, deadline)
            .await?
            .ok()
            .await?;
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

    async fn unary<T: DeserializeOwned>(
        &self,
        sandbox: &SandboxAccess,
        method: &str,
        user: Option<&str>,
        message: &(impl Serialize + Sync),
    ) -> Result<T, E2bError> {
        const WHAT: &str = "a call of the daemon";
        let mut request = self
            .data_plane(Method::POST, sandbox, ENVD, &format!("/{method}"))?
            .header(CONTENT_TYPE, "application/json")
            .header("Connect-Protocol-Version", "1")
            .header("Connect-Timeout-Ms", millis(self.request_timeout))
            .body(json(message)?);
        if let Some(user) = user {
            request = request.basic_auth(user, Some(""));
        }
        let reply = self
            .transport
            .send(WHAT, built(request)?, self.deadline())
            .await?;
        // The proxy before the daemon has words of its own.
        if reply.status().is_success() {
            return reply.json().await;
        }
        if reply.status().as_u16() == 502 {
            return Err(reply.refusal().await);
        }
        let body = reply.bytes(MAX_UNARY_BYTES).await?;
        match serde_json::from_slice::<ConnectError>(&body) {
            Ok(error) => Err(error.into_error()),
            Err(error) => Err(E2bError::BadReply {
                what: WHAT,
                reason: format!("an error in no known form: {error}"),
            }),
        }
    }
}

impl Process {
    /// The next event; `None` after the last. Cancel-safe.
    ///
    /// # Errors
    /// [`E2bError::Cut`] where it stops before the end of the process; others.
    pub async fn next(&mut self) -> Result<Option<ProcessEvent>, E2bError> {
        loop {
            while let Some(frame) = self.frames.next()? {
                match frame {
                    Frame::End if self.ended => return Ok(None),
                    Frame::End => return Err(E2bError::Cut { what: STARTING }),
                    Frame::Message(message) => {
                        if let Some(event) = event(&message)? {
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
            status: super::transport::shown(&end.status),
        })
    }))
}

fn json(message: &impl Serialize) -> Result<Vec<u8>, E2bError> {
    serde_json::to_vec(message).map_err(|error| E2bError::Invalid(error.to_string()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn local(path: &Path, source: std::io::Error) -> E2bError {
    E2bError::LocalFile {
        path: path.display().to_string(),
        source,
    }
}
