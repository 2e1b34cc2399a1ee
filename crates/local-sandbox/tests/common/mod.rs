//! What the tests share: a sandbox, its inputs, and short ways to run programs.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use meterbox_local_sandbox::{LocalSandbox, LocalSandboxBuilder, runtime::Runtime};
use meterbox_sandbox_client::{Job, Outcome, OutputSink, OutputStream, Program, Reply, Sandbox};

/// A sandbox and the folder its jobs take their inputs from.
pub struct Fixture {
    pub sandbox: LocalSandbox,
    pub inputs: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(change: impl FnOnce(LocalSandboxBuilder) -> LocalSandboxBuilder) -> Self {
        let inputs = readable_folder();
        let builder = LocalSandbox::builder(runtime()).inputs_root(inputs.path());
        Self {
            sandbox: change(builder).build().expect("a sandbox"),
            inputs,
        }
    }

    /// Puts a file among the inputs.
    pub fn input(&self, name: &str, content: &str) -> PathBuf {
        let path = self.inputs.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub async fn run(&self, job: Job) -> Outcome {
        self.sandbox.run(job, Arc::new(())).await.expect("a working sandbox")
    }

    /// Runs a program and takes its reply's value.
    pub async fn value(&self, code: &str) -> serde_json::Value {
        value(&self.run(service(code)).await)
    }
}

/// A folder that the sandbox's own user can enter: a temporary folder is closed to others.
pub fn readable_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

pub fn service(code: &str) -> Job {
    Job::new(Program::Service {
        code: code.to_owned(),
        parameters: serde_json::Value::Null,
    })
}

pub fn value(outcome: &Outcome) -> serde_json::Value {
    let Some(Reply::Value(value)) = &outcome.reply else {
        panic!("no value: {outcome:#?}")
    };
    serde_json::from_str(value.get()).unwrap()
}

/// The runtime named by `METERBOX_TEST_VENV`.
pub fn runtime() -> Runtime {
    let venv = PathBuf::from(std::env::var_os("METERBOX_TEST_VENV").expect("METERBOX_TEST_VENV"));
    let python = venv.join("bin/python");
    let asked = std::process::Command::new(&python)
        .args(["-I", "-c", "import sys; print(sys.base_prefix)"])
        .output()
        .unwrap();
    let base_prefix = PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim());
    Runtime {
        python,
        base_prefix,
        font_cache: venv.join("fonts"),
        venv,
        version: String::new(),
        packages: Default::default(),
    }
}

/// Keeps what it hears.
#[derive(Debug, Default)]
pub struct Heard(Mutex<String>);

impl Heard {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl OutputSink for Heard {
    fn printed(&self, _: OutputStream, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

/// The processes that this one has started and that are still there.
pub fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>())
        .collect()
}

/// The processes that this process has started.
pub fn children_of(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
