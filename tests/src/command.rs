use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use meterbox_testkit::test_runtime;
use tempfile::TempDir;

use crate::settings::without_services;

const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A user of the command line with a folder of their own, where `meterbox` runs and keeps everything.
#[derive(Debug)]
pub struct Terminal {
    folder: TempDir,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said beside it: steps, notes, complaints.
    pub stderr: String,
}

impl Terminal {
    /// # Panics
    /// Where no temporary folder can be made or the tests have no Python.
    #[expect(
        clippy::new_without_default,
        reason = "it makes a folder, which a default should not"
    )]
    pub fn new() -> Self {
        test_runtime();
        Self {
            folder: TempDir::new().expect("a temporary folder can be made"),
        }
    }

    /// Writes a file into the working folder.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("the file can be written");
        path
    }

    /// The working folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `meterbox` with these arguments and settings, not started yet.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(crate::meterbox());
        without_services(&mut command)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("METERBOX_RUNTIME_DIR", meterbox_testkit::test_runtime_folder())
            .env("METERBOX_DATA_DIR", self.folder.path().join("kept"))
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs `meterbox` with these arguments.
    ///
    /// # Panics
    /// Where it cannot be started, hangs, or panics itself.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ended {
        self.run_with(arguments, &[])
    }

    /// Runs `meterbox` with these arguments and settings.
    ///
    /// # Panics
    /// Where it cannot be started, hangs, or panics itself.
    pub fn run_with<A: AsRef<OsStr>>(&self, arguments: &[A], settings: &[(&str, &str)]) -> Ended {
        let [stdout, stderr] = ["stdout.log", "stderr.log"].map(|name| self.folder.path().join(name));
        let create = |path| fs::File::create(path).expect("the log can be written");
        let mut process = self
            .command(arguments, settings)
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .expect("meterbox can be started");
        #[expect(
            clippy::disallowed_methods,
            reason = "a hanging program is a matter of real time"
        )]
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = process.try_wait().expect("the process can be watched") {
                break status;
            }
            if begun.elapsed() > LIMIT {
                let _ = process.kill();
                let _ = process.wait();
                panic!("meterbox hangs: {}", read(&stderr));
            }
            sleep(POLL);
        };
        let ended = Ended {
            code: status.code(),
            stdout: read(&stdout),
            stderr: read(&stderr),
        };
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        ended
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("the log can be read")).into_owned()
}
