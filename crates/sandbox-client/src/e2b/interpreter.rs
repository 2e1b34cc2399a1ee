//! The code interpreter in a machine: a Jupyter kernel behind lines of JSON.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use meterbox_http_client::deadline_after;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    E2bClient, E2bError,
    address::CODE_INTERPRETER,
    control::{SandboxAccess, built},
    transport::Reply,
};

const EXECUTING: &str = "executing code";
/// A kernel needs some seconds to come up.
const START_UP_TRIES: u32 = 100;
const START_UP_POLL: Duration = Duration::from_millis(200);

/// Code for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutionRequest {
    /// The code.
    pub code: String,
    /// In which context; a language's own if absent. Not after a time-out: a kernel that was interrupted may answer
    /// nothing, or emptily, so that a new context or sandbox is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// `python` if absent; not together with a context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// For this execution. They are pasted into code by the server: see [`E2bClient::execute`].
    #[serde(rename = "env_vars", skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    #[serde(skip)]
    pub limit: Duration,
    /// How many bytes of output and results it may have.
    #[serde(skip)]
    pub output_limit: u64,
}

/// A kernel's state of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Context {
    /// Its name.
    pub id: String,
    /// Its language.
    pub language: String,
    /// Where it is.
    pub cwd: String,
}

/// What code does. Everything in it is what a program says: untrusted, to be shown inert.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ExecutionEvent {
    /// How many executions the kernel counts with this one.
    Count(u64),
    /// It printed.
    Stdout(String),
    /// It printed to standard error.
    Stderr(String),
    /// It showed something.
    Result(Box<ExecutionResult>),
    /// It raised an error.
    Error(ExecutionError),
    /// Nothing, for five seconds.
    KeepAlive,
    /// It ended; always last.
    End,
}

/// Something code showed, in all forms it has. A program may give as text what is none: then it is here as JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ExecutionResult {
    /// Is it the value of the last line?
    #[serde(default)]
    pub is_main_result: bool,
    /// As text.
    #[serde(default, deserialize_with = "text")]
    pub text: Option<String>,
    /// As HTML.
    #[serde(default, deserialize_with = "text")]
    pub html: Option<String>,
    /// As Markdown.
    #[serde(default, deserialize_with = "text")]
    pub markdown: Option<String>,
    /// As SVG.
    #[serde(default, deserialize_with = "text")]
    pub svg: Option<String>,
    /// As PNG, in base64.
    #[serde(default, deserialize_with = "text")]
    pub png: Option<String>,
    /// As JPEG, in base64.
    #[serde(default, deserialize_with = "text")]
    pub jpeg: Option<String>,
    /// As PDF, in base64.
    #[serde(default, deserialize_with = "text")]
    pub pdf: Option<String>,
    /// As LaTeX.
    #[serde(default, deserialize_with = "text")]
    pub latex: Option<String>,
    /// As JSON.
    pub json: Option<Value>,
    /// As JavaScript.
    #[serde(default, deserialize_with = "text")]
    pub javascript: Option<String>,
    /// A table: of each column all its values.
    pub data: Option<Value>,
    /// A chart, taken apart.
    pub chart: Option<Value>,
    /// Other forms, by MIME type.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

/// An error that code raised.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExecutionError {
    /// The exception's class; `ContextRestarting` and `UnexpectedEndOfExecution` where the kernel died.
    #[serde(default)]
    pub name: String,
    /// Its message.
    #[serde(default)]
    pub value: String,
    /// Where.
    #[serde(default)]
    pub traceback: String,
}

/// Code under way. Dropping it closes the connection, and the server interrupts the kernel some seconds later.
#[derive(Debug)]
pub struct Execution {
    reply: Reply,
    lines: Lines,
    left: u64,
    output_limit: u64,
    ended: bool,
}

impl ExecutionRequest {
    /// This Python code, for 30 seconds and a megabyte of output.
    pub fn new(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            context_id: None,
            language: None,
            env: BTreeMap::new(),
            limit: Duration::from_secs(30),
            output_limit: 1 << 20,
        }
    }
}

impl E2bClient {
    /// Executes code; waits for a kernel that is still coming up.
    ///
    /// # Errors
    /// [`E2bError::Invalid`] for an environment the server would paste into code as something else; others. After
    /// [`E2bError::DeadlinePassed`] the context is not to be used again.
    pub async fn execute(
        &self,
        sandbox: &SandboxAccess,
        request: &ExecutionRequest,
    ) -> Result<Execution, E2bError> {
        check_env(&request.env)?;
        let deadline = deadline_after(request.limit);
        let mut tries = 0;
        let reply = loop {
            let sent = built(
                self.data_plane(Method::POST, sandbox, CODE_INTERPRETER, "/execute")?
                    .json(request),
            )?;
            match self.transport.send(EXECUTING, sent, deadline).await?.ok().await {
                Err(E2bError::NotReady) if tries < START_UP_TRIES => {
                    tries += 1;
                    sleep(START_UP_POLL).await;
                }
                reply => break reply?,
            }
        };
        Ok(Execution {
            reply,
            lines: Lines::default(),
            left: request.output_limit,
            output_limit: request.output_limit,
            ended: false,
        })
    }

    /// A new context, so that a kernel's state begins afresh.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn create_context(
        &self,
        sandbox: &SandboxAccess,
        language: &str,
        cwd: &str,
    ) -> Result<Context, E2bError> {
        let body = serde_json::json!({ "language": language, "cwd": cwd });
        let request = self
            .data_plane(Method::POST, sandbox, CODE_INTERPRETER, "/contexts")?
            .json(&body);
        self.context_call("creating a context", request)
            .await?
            .json()
            .await
    }

    /// All contexts, the languages' own included.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn contexts(&self, sandbox: &SandboxAccess) -> Result<Vec<Context>, E2bError> {
        let request = self.data_plane(Method::GET, sandbox, CODE_INTERPRETER, "/contexts")?;
        self.context_call("listing contexts", request).await?.json().await
    }

    /// A kernel's state begins afresh, in the folder that kernels start in. Code that runs there ends with an error.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn restart_context(&self, sandbox: &SandboxAccess, id: &str) -> Result<(), E2bError> {
        let path = format!("/contexts/{}/restart", in_path(id));
        let request = self.data_plane(Method::POST, sandbox, CODE_INTERPRETER, &path)?;
        self.context_call("restarting a context", request).await.map(drop)
    }

    /// Ends a context.
    ///
    /// # Errors
    /// [`E2bError`].
    pub async fn remove_context(&self, sandbox: &SandboxAccess, id: &str) -> Result<(), E2bError> {
        let path = format!("/contexts/{}", in_path(id));
        let request = self.data_plane(Method::DELETE, sandbox, CODE_INTERPRETER, &path)?;
        self.context_call("ending a context", request).await.map(drop)
    }

    async fn context_call(
        &self,
        what: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<Reply, E2bError> {
        let reply = self
            .transport
            .send(what, built(request)?, self.deadline())
            .await?;
        reply.ok().await
    }
}

impl Execution {
    /// The next event; `None` after the last. Cancel-safe.
    ///
    /// # Errors
    /// [`E2bError::TooLarge`] beyond the output limit, [`E2bError::Cut`] where it stops before its end, others.
    pub async fn next(&mut self) -> Result<Option<ExecutionEvent>, E2bError> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(event) = event(&line).map_err(|error| self.reply.struck_out(error))? {
                    self.ended = event == ExecutionEvent::End;
                    return Ok(Some(event));
                }
            }
            if self.ended {
                return Ok(None);
            }
            let Some(chunk) = self.reply.chunk().await? else {
                return Err(E2bError::Cut { what: EXECUTING });
            };
            let size = chunk.as_ref().len() as u64;
            self.left = self.left.checked_sub(size).ok_or(E2bError::TooLarge {
                what: "the output of the code",
                limit: self.output_limit,
            })?;
            self.lines.feed(chunk.as_ref());
        }
    }
}

/// Lines out of bytes that arrive in any pieces.
#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                self.whole.push_back(std::mem::take(&mut self.rest));
            }
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }
}

/// `None` for an empty line, or a type of event newer than this client.
fn event(line: &[u8]) -> Result<Option<ExecutionEvent>, E2bError> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    #[derive(Deserialize)]
    struct Text {
        #[serde(default)]
        text: String,
    }
    #[derive(Deserialize)]
    struct Count {
        #[serde(default)]
        execution_count: u64,
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    fn parsed<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, E2bError> {
        serde_json::from_slice(line).map_err(|error| E2bError::BadReply {
            what: EXECUTING,
            reason: error.to_string(),
        })
    }
    Ok(Some(match parsed::<Kind>(line)?.r#type.as_str() {
        "number_of_executions" => ExecutionEvent::Count(parsed::<Count>(line)?.execution_count),
        "stdout" => ExecutionEvent::Stdout(parsed::<Text>(line)?.text),
        "stderr" => ExecutionEvent::Stderr(parsed::<Text>(line)?.text),
        "result" => ExecutionEvent::Result(parsed(line)?),
        "error" => ExecutionEvent::Error(parsed(line)?),
        "keepalive" => ExecutionEvent::KeepAlive,
        "end_of_execution" => ExecutionEvent::End,
        _ => return Ok(None),
    }))
}

/// What a program says is text, and may be anything.
fn text<'de, D: Deserializer<'de>>(form: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(form)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

/// The server writes each value between quotes into a line of code.
fn check_env(env: &BTreeMap<String, String>) -> Result<(), E2bError> {
    for (name, value) in env {
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name
            || value
                .chars()
                .any(|letter| "'\"\\".contains(letter) || letter.is_control())
        {
            return Err(E2bError::Invalid(format!(
                "the variable {name:?} has a quote, backslash or control character, which the server would run as \
                 code; give it when the sandbox is created, or in a file"
            )));
        }
    }
    Ok(())
}

fn in_path(id: &str) -> String {
    const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    utf8_percent_encode(id, SPECIAL).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_of_event_is_read_and_unknown_ones_are_passed_over() {
        let read = |line: &str| event(line.as_bytes()).unwrap();
        assert_eq!(
            read(r#"{"type": "number_of_executions", "execution_count": 15}"#),
            Some(ExecutionEvent::Count(15))
        );
        assert_eq!(
            read(r#"{"type": "stdout", "text": "hi\n", "timestamp": "2026-11-23T12:17:22.353655+00:00"}"#),
            Some(ExecutionEvent::Stdout("hi\n".to_owned()))
        );
        let Some(ExecutionEvent::Result(result)) = read(
            r#"{"type": "result", "text": "2", "json": [1], "data": {"a": [1, null]}, "extra": {}, "is_main_result": true}"#,
        ) else {
            panic!("a result")
        };
        assert!(result.is_main_result && result.text.as_deref() == Some("2"));
        let Some(ExecutionEvent::Result(odd)) =
            read(r#"{"type": "result", "html": ["<b>"], "png": null, "extra": {}}"#)
        else {
            panic!("a result")
        };
        assert_eq!((odd.html.as_deref(), odd.png), (Some("[\"<b>\"]"), None));
        let Some(ExecutionEvent::Error(error)) =
            read(r#"{"type": "error", "name": "ValueError", "value": "x", "traceback": "y"}"#)
        else {
            panic!("an error")
        };
        assert_eq!((error.name.as_str(), error.value.as_str()), ("ValueError", "x"));
        assert_eq!(read(r#"{"type": "keepalive"}"#), Some(ExecutionEvent::KeepAlive));
        assert_eq!(read(r#"{"type": "end_of_execution"}"#), Some(ExecutionEvent::End));
        assert_eq!(read(r#"{"type": "surprise", "text": 7}"#), None);
        assert_eq!(read("\n"), None);
        assert!(event(b"junk\n").is_err() && event(b"{\"type\": \"stdout\", \"text\": 7}").is_err());
    }

    #[test]
    fn an_environment_that_would_become_code_is_refused() {
        let env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check_env(&env("A", "plain text, 3 words")).unwrap();
        for (name, value) in [("A", "it's"), ("A", "\\"), ("A", "a\nb"), ("A'", "x"), ("", "x")] {
            assert!(check_env(&env(name, value)).is_err(), "{name:?} {value:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_in_any_pieces(
            lines in proptest::collection::vec("[a-z]{0,12}", 0..8),
            pieces in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let stream: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
            let (mut read, mut rest, mut sizes) = (Lines::default(), &stream[..], pieces.iter().cycle());
            let mut seen = Vec::new();
            while !rest.is_empty() {
                let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                read.feed(piece);
                seen.extend(std::iter::from_fn(|| read.next()));
                rest = later;
            }
            let expected: Vec<Vec<u8>> = lines.iter().map(|line| format!("{line}\n").into_bytes()).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
