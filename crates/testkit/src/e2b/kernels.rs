//! IPython's kernels in a machine, and the one program there that speaks Jupyter's protocol with them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc,
};

use super::{machine::Machine, process};
use crate::{peer, python::TestPython};

/// The program.
const SPEAKER: &str = include_str!("kernels.py");
/// A kernel, which the program starts.
const KERNEL: &str = include_str!("kernel.py");

/// All kernels of a machine; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Kernels {
    wishes: tokio::sync::Mutex<ChildStdin>,
    ears: Arc<Ears>,
    number: AtomicU64,
    _process: Child,
}

/// What a kernel says about one execution.
#[derive(Debug)]
pub(super) enum Said {
    /// One of Jupyter's messages.
    Message(Message),
    /// It died, and another one is started in its place.
    Restarts,
}

/// One of Jupyter's messages.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) kind: String,
    pub(super) content: Value,
    /// When it was said.
    pub(super) at: String,
}

/// Hears about one execution, or one wish.
#[derive(Debug)]
pub(super) struct Ear {
    number: u64,
    heard: mpsc::UnboundedReceiver<Line>,
    ears: Arc<Ears>,
}

/// By the number of what they listen for.
#[derive(Debug, Default)]
struct Ears(Mutex<BTreeMap<u64, Listener>>);

#[derive(Debug)]
struct Listener {
    /// Of an execution, and not of a wish.
    kernel: Option<String>,
    ear: mpsc::UnboundedSender<Line>,
}

/// What the program says.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Line {
    Restarts {
        restarts: String,
    },
    Done {
        number: u64,
        done: String,
    },
    Failed {
        number: u64,
        failed: String,
    },
    Message {
        number: u64,
        #[serde(flatten)]
        message: Value,
    },
}

impl Kernels {
    /// With none yet.
    pub(super) async fn start(machine: &Machine) -> Result<Self, String> {
        let python = machine.python().clone();
        let packages = tokio::task::spawn_blocking(move || packages(&python))
            .await
            .expect("an install does not panic")?;
        let folder = packages.display().to_string();
        let arguments = ["-u", "-c", SPEAKER, &folder, KERNEL].map(str::to_owned);
        let mut process = process::confined(machine, &[&packages], "python3", &arguments, "/home/user")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (wishes, said) = process.stdin.take().zip(process.stdout.take()).expect("pipes");
        let ears = Arc::<Ears>::default();
        tokio::spawn(hear(said, Arc::clone(&ears)));
        Ok(Self {
            wishes: wishes.into(),
            ears,
            number: AtomicU64::default(),
            _process: process,
        })
    }

    /// A new kernel's name.
    pub(super) async fn add(&self) -> Result<String, String> {
        self.ask(json!({ "wish": "start" })).await
    }

    pub(super) async fn interrupt(&self, kernel: &str) -> Result<(), String> {
        self.ask(json!({ "wish": "interrupt", "kernel": kernel }))
            .await
            .map(drop)
    }

    /// Nothing more is heard of what it executes.
    pub(super) async fn restart(&self, kernel: &str) -> Result<(), String> {
        self.ears.hang_up(kernel);
        self.ask(json!({ "wish": "restart", "kernel": kernel }))
            .await
            .map(drop)
    }

    /// Nothing more is heard of what it executes.
    pub(super) async fn remove(&self, kernel: &str) -> Result<(), String> {
        self.ears.hang_up(kernel);
        self.ask(json!({ "wish": "stop", "kernel": kernel }))
            .await
            .map(drop)
    }

    pub(super) async fn run(&self, kernel: &str, code: &str, silent: bool) -> Ear {
        let wish = json!({ "wish": "run", "kernel": kernel, "code": code, "silent": silent });
        self.send(Some(kernel), wish).await
    }

    async fn ask(&self, wish: Value) -> Result<String, String> {
        match self.send(None, wish).await.heard.recv().await {
            Some(Line::Done { done, .. }) => Ok(done),
            Some(Line::Failed { failed, .. }) => Err(failed),
            other => Err(format!("instead of an answer: {other:?}")),
        }
    }

    async fn send(&self, kernel: Option<&str>, mut wish: Value) -> Ear {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (ear, heard) = mpsc::unbounded_channel();
        let kernel = kernel.map(str::to_owned);
        self.ears.all().insert(number, Listener { kernel, ear });
        wish["number"] = json!(number);
        let line = format!("{wish}\n");
        if self.wishes.lock().await.write_all(line.as_bytes()).await.is_err() {
            self.ears.all().remove(&number);
        }
        Ear {
            number,
            heard,
            ears: Arc::clone(&self.ears),
        }
    }
}

impl Ear {
    /// `None` where nothing more will be heard: the kernel was ended, or started again because somebody wished it.
    pub(super) async fn next(&mut self) -> Option<Said> {
        match self.heard.recv().await? {
            Line::Message { message, .. } => {
                Some(Said::Message(serde_json::from_value(message).expect("a message")))
            }
            Line::Restarts { .. } => Some(Said::Restarts),
            Line::Done { .. } | Line::Failed { .. } => None,
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.ears.all().remove(&self.number);
    }
}

impl Ears {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self, kernel: &str) {
        self.all()
            .retain(|_, listener| listener.kernel.as_deref() != Some(kernel));
    }

    fn pass_on(&self, line: &Line) {
        for (number, listener) in self.all().iter() {
            let is_meant = match line {
                Line::Restarts { restarts } => listener.kernel.as_ref() == Some(restarts),
                Line::Done { number: of, .. }
                | Line::Failed { number: of, .. }
                | Line::Message { number: of, .. } => of == number,
            };
            if is_meant {
                let _ = listener.ear.send(line.clone());
            }
        }
    }
}

/// Until the program ends; then nobody hears anything more.
async fn hear(said: ChildStdout, ears: Arc<Ears>) {
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // What Rust cannot read, such as lists a hundred deep, is not told.
        if let Ok(line) = serde_json::from_str(&line) {
            ears.pass_on(&line);
        }
    }
    ears.all().clear();
}

/// Where the kernel's own packages for this Python are, installed on first use.
pub(super) fn packages(python: &TestPython) -> Result<PathBuf, String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/ipykernel.txt");
    peer::packages_for(python.file(), "ipykernel", &lock)
}
