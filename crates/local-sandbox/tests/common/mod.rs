//! What the tests share: a sandbox, its inputs, and short ways to run programs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::future_not_send,
    reason = "the sandbox lives in real time, and a test holds its turn, which stays on its thread"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod dice;
pub(crate) mod groups;
pub(crate) mod machine;
pub(crate) mod program;
pub(crate) mod session;
pub(crate) mod session_attacks;
pub(crate) mod watch;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meterbox_core::contract::Usage;
use meterbox_local_sandbox::{
    LocalSandbox, LocalSandboxBuilder, Tier,
    runtime::{Packages, Runtime},
};
use meterbox_sandbox_client::{Job, Outcome, OutputSink, OutputStream, Program, Reply, Sandbox};

pub(crate) const MB: u64 = 1 << 20;

/// A sandbox and the folder its jobs take their inputs from.
pub(crate) struct Fixture {
    pub(crate) sandbox: LocalSandbox,
    pub(crate) inputs: tempfile::TempDir,
    /// Dropped last: only then may the next test begin.
    pub(crate) alone: Alone,
}

/// One sandbox at a time in a process: tests count its children and its open files, and `cargo test` runs them
/// side by side.
pub(crate) struct Alone(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Alone {
    pub(crate) fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // The last test's zygote ends by itself, a moment after its sandbox is dropped.
        for _ in 0..500 {
            if children().is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(turn)
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(change: impl FnOnce(LocalSandboxBuilder) -> LocalSandboxBuilder) -> Self {
        Self::of(runtime(), change)
    }

    /// Without the libraries, which take an interpreter a second: for what needs none.
    pub(crate) fn bare() -> Self {
        Self::bare_with(|builder| builder)
    }

    pub(crate) fn bare_with(change: impl FnOnce(LocalSandboxBuilder) -> LocalSandboxBuilder) -> Self {
        Self::with(|builder| change(builder.without(&["preload"])))
    }

    /// With this Python.
    pub(crate) fn of(
        runtime: Runtime,
        change: impl FnOnce(LocalSandboxBuilder) -> LocalSandboxBuilder,
    ) -> Self {
        let alone = Alone::new();
        let inputs = readable_folder();
        // No ready children unless a test asks for them: tests count.
        let builder = LocalSandbox::builder(runtime).inputs_root(inputs.path()).ready(0);
        let builder = match tier() {
            Some(tier) => builder.only_tier(tier),
            None => builder,
        };
        Self {
            sandbox: change(builder).build().expect("a sandbox"),
            inputs,
            alone,
        }
    }

    /// Puts a file among the inputs.
    pub(crate) fn input(&self, name: &str, content: &str) -> PathBuf {
        let path = self.inputs.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) async fn run(&self, job: Job) -> Outcome {
        self.sandbox
            .run(job, Arc::new(()))
            .await
            .expect("a working sandbox")
    }

    /// Runs a program and takes its reply's value.
    pub(crate) async fn value(&self, code: &str) -> serde_json::Value {
        value(&self.run(service(code)).await)
    }
}

/// A folder that the sandbox's own user can enter: a temporary folder is closed to others.
pub(crate) fn readable_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// The tier that `METERBOX_TEST_TIER` names: every test of a binary can be run again in it.
pub(crate) fn tier() -> Option<Tier> {
    let name = std::env::var("METERBOX_TEST_TIER").ok()?;
    Some(name.parse().unwrap())
}

/// The program as it finds its folders in this tier: without a root of its own they are not at `/data`, `/scratch` and
/// `/tmp`. Texts of bytes stay as they are.
pub(crate) fn placed(code: &str) -> String {
    if tier().is_none_or(|tier| tier >= Tier::Namespaces) {
        return code.to_owned();
    }
    let mut placed = code.to_owned();
    for (folder, name) in [("/data", "data_dir"), ("/scratch", "_scratch"), ("/tmp", "_tmp")] {
        for quote in ["\"", "'"] {
            let (inside, whole) = (format!("{quote}{folder}/"), format!("{quote}{folder}{quote}"));
            placed = placed
                .replace(&format!("b{inside}"), "\0")
                .replace(&format!("b{whole}"), "\u{1}")
                .replace(&format!("f{inside}"), &format!("{name} + f{quote}/"))
                .replace(&inside, &format!("{name} + {quote}/"))
                .replace(&whole, name)
                .replace('\0', &format!("b{inside}"))
                .replace('\u{1}', &format!("b{whole}"));
        }
    }
    format!(
        "import os as _os, tempfile as _tempfile\n_scratch, _tmp = _os.getcwd(), _tempfile.gettempdir()\n{placed}"
    )
}

/// On a slow machine as many times this as `METERBOX_TEST_PATIENCE` says.
pub(crate) fn patience(usual: Duration) -> Duration {
    let times = std::env::var("METERBOX_TEST_PATIENCE").ok();
    usual * times.map_or(1, |times| times.parse().unwrap())
}

pub(crate) fn service(code: &str) -> Job {
    let mut job = Job::new(Program::Service {
        code: placed(code),
        parameters: serde_json::Value::Null,
    });
    job.limits.wall = patience(job.limits.wall);
    job.limits.cpu = patience(job.limits.cpu);
    job
}

pub(crate) fn value(outcome: &Outcome) -> serde_json::Value {
    let Some(Reply::Value(value)) = &outcome.reply else {
        panic!("no value: {outcome:#?}")
    };
    serde_json::from_str(value.get()).unwrap()
}

/// The Python to test with: the environment in the folder `METERBOX_TEST_VENV` if that is set, and otherwise
/// the one that all tests share.
pub(crate) fn runtime() -> Runtime {
    match std::env::var_os("METERBOX_TEST_VENV") {
        Some(venv) => given(venv.into()),
        None => meterbox_testkit::test_runtime(),
    }
}

/// The same with the full list of packages.
pub(crate) fn full_runtime() -> Runtime {
    match std::env::var_os("METERBOX_TEST_VENV") {
        Some(venv) => given(venv.into()),
        None => meterbox_testkit::full_test_runtime(),
    }
}

pub(crate) fn given(venv: PathBuf) -> Runtime {
    let python = venv.join("bin/python");
    let asked = std::process::Command::new(&python)
        .args(["-I", "-c", "import sys; print(sys.base_prefix)"])
        .output()
        .unwrap();
    let base_prefix = PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim());
    Runtime {
        python,
        base_prefix,
        font_cache: venv.with_file_name("matplotlib"),
        venv,
        version: String::new(),
        list: Packages::Base,
        packages: Default::default(),
    }
}

/// Keeps what it hears.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<String>, Mutex<Vec<Usage>>);

impl Heard {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn used(&self) -> Vec<Usage> {
        self.1.lock().unwrap().clone()
    }
}

impl OutputSink for Heard {
    fn printed(&self, _: OutputStream, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn used(&self, usage: Usage) {
        self.1.lock().unwrap().push(usage);
    }
}

/// The processes that this one has started and that are still there.
pub(crate) fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// The processes that this process has started.
pub(crate) fn children_of(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a process still runs; one that only waits for its parent to take notice does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

pub(crate) fn input(source: &Path, path: &str) -> meterbox_sandbox_client::InputFile {
    meterbox_sandbox_client::InputFile {
        source: source.to_owned(),
        path: path.to_owned(),
    }
}
