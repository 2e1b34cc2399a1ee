//! A world to install in: wheels of a few bytes, an index that serves and counts them, and installers as processes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and an installer tells its test how far it is"
)]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use meterbox_local_sandbox::runtime::{InstallOptions, Packages, Runtime, RuntimeError, TestList};

/// Packages of the two lists. The last one is heavy.
pub(crate) const BASE: [&str; 4] = ["few", "less", "little", "scant"];
pub(crate) const FULL: [&str; 4] = ["heavy", "lots", "many", "some"];
const HEAVY_BYTES: usize = 8 << 20;
const TRIAL: &str = "import few, less; assert few.__name__ == 'few'";

/// Makes a wheel for each name in a folder and prints its SHA-256; `heavy` has bytes that do not pack.
const MAKE_WHEELS: &str = include_str!("make_wheels.py");
/// Serves a folder of wheels as an index does, without letting anybody keep them; prints the wheels it serves.
const SERVE: &str = include_str!("serve.py");

/// An index on the loopback, and the folder it serves.
pub(crate) struct Index {
    wheels: tempfile::TempDir,
    port: u16,
    served: Arc<Mutex<Vec<String>>>,
    process: Child,
}

impl Index {
    fn new(delay: Duration) -> (Self, Vec<(String, String)>) {
        let wheels = tempfile::tempdir().unwrap();
        let made = Command::new("python3")
            .args(["-I", "-c", MAKE_WHEELS])
            .arg(wheels.path())
            .arg(HEAVY_BYTES.to_string())
            .args(BASE.iter().chain(&FULL))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let hashes = String::from_utf8(made.stdout).unwrap();
        let hashes = hashes
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
            .collect();
        let mut process = Command::new("python3")
            .args(["-I", "-c", SERVE])
            .arg(wheels.path())
            .arg(delay.as_secs_f64().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&served);
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| keep.lock().unwrap().push(line))
        });
        let index = Self {
            wheels,
            port,
            served,
            process,
        };
        (index, hashes)
    }

    /// How many wheels were asked for.
    pub(crate) fn served(&self) -> usize {
        self.served.lock().unwrap().len()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.served.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.served.lock().unwrap().clear();
    }

    /// Another package of the same name and version.
    pub(crate) fn alter(&self, name: &str) {
        let path = self.wheels.path().join(format!("{name}-1.0-py3-none-any.whl"));
        let mut content = fs::read(&path).unwrap();
        let at = content.windows(2).position(|two| two == b"# ").unwrap();
        content[at] = b'!';
        fs::write(path, content).unwrap();
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An index, the lists of its packages, and a folder to install into.
pub(crate) struct World {
    pub(crate) index: Index,
    pub(crate) folder: PathBuf,
    lists: [String; 2],
    minor: u32,
    _kept: tempfile::TempDir,
}

impl World {
    /// Each download takes this long.
    pub(crate) fn new(delay: Duration) -> Self {
        let (index, hashes) = Index::new(delay);
        let list = |names: &[&str]| {
            hashes.iter().filter(|(name, _)| names.contains(&&**name)).fold(
                String::new(),
                |mut text, (name, hash)| {
                    writeln!(text, "{name}==1.0 \\\n    --hash=sha256:{hash}").unwrap();
                    text
                },
            )
        };
        let kept = tempfile::tempdir().unwrap();
        let asked = Command::new("python3")
            .args(["-I", "-c", "import sys; print(sys.version_info[1])"])
            .output()
            .unwrap();
        let folder = kept.path().join("runtime");
        fs::create_dir(&folder).unwrap();
        Self {
            index,
            folder,
            lists: [list(&BASE), list(&[&BASE[..], &FULL].concat())],
            minor: String::from_utf8(asked.stdout).unwrap().trim().parse().unwrap(),
            _kept: kept,
        }
    }

    pub(crate) fn list(&self) -> TestList {
        self.list_that_needs(1)
    }

    pub(crate) fn list_that_needs(&self, bytes: u64) -> TestList {
        let [base, full] = &self.lists;
        list_of(self.minor, bytes, base, full)
    }

    pub(crate) fn installer(&self, packages: Packages) -> Installer {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "installer", "--nocapture"]);
        let [base, full] = &self.lists;
        let port = self.index.port;
        command
            .env("INSTALL_INTO", &self.folder)
            .env("INSTALL_BASE", base)
            .env("INSTALL_FULL", full)
            .env("INSTALL_MINOR", self.minor.to_string())
            .env("INSTALL_PACKAGES", packages.name())
            // The index alone, and no memory of what it served.
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_INDEX_URL", format!("http://127.0.0.1:{port}/simple"))
            .env("PIP_NO_CACHE_DIR", "1")
            .env("PIP_RETRIES", "0")
            .env_remove("PIP_EXTRA_INDEX_URL")
            .env_remove("PIP_FIND_LINKS");
        Installer {
            command,
            wheels: self.index.wheels.path().to_owned(),
        }
    }

    /// What importing these in a runtime says.
    pub(crate) fn imports(&self, runtime: &Runtime, names: &str) -> String {
        let program = format!("import {names}; print(*[one.__name__ for one in ({names},)])");
        let output = Command::new(&runtime.python)
            .args(["-I", "-c", &program])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The file of a package.
    pub(crate) fn module(&self, runtime: &Runtime, name: &str) -> PathBuf {
        let packages = format!("lib/python3.{}/site-packages/{name}/__init__.py", self.minor);
        runtime.venv.join(packages)
    }
}

fn list_of(minor: u32, bytes: u64, base: &str, full: &str) -> TestList {
    TestList::new(
        minor,
        bytes,
        &[
            (Packages::Full, full.to_owned(), TRIAL.to_owned()),
            (Packages::Base, base.to_owned(), TRIAL.to_owned()),
        ],
    )
}

/// How an installer ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Installed,
    /// With an error of this name.
    Refused(String),
    Otherwise,
}

/// An installer that is a process of its own, not started yet.
pub(crate) struct Installer {
    command: Command,
    wheels: PathBuf,
}

impl Installer {
    pub(crate) fn offline(mut self) -> Self {
        self.command.env("INSTALL_WHEELHOUSE", &self.wheels);
        self
    }

    pub(crate) fn without_network(mut self) -> Self {
        // Nobody listens there.
        self.command
            .env("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
            .env("PIP_RETRIES", "1");
        self
    }

    /// A script with the installer's variables, in a mount namespace of its own.
    pub(crate) fn command_under(self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("SELF", self.command.get_program());
        let folder = self.command.get_envs().find(|(name, _)| *name == "INSTALL_INTO");
        command.env("FOLDER", folder.unwrap().1.unwrap());
        command
    }

    pub(crate) fn start(mut self) -> Running {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.command.spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Running {
            process,
            said,
            heard: String::new(),
        }
    }

    pub(crate) fn run(self) -> Ended {
        let (ended, said) = self.start().end();
        if ended == Ended::Otherwise {
            panic!("{said}");
        }
        ended
    }

    /// In the process that was started: what it is to do.
    pub(crate) fn ordered() -> Option<Order> {
        let text = |name: &str| std::env::var(name).ok();
        Some(Order {
            folder: text("INSTALL_INTO")?.into(),
            list: list_of(
                text("INSTALL_MINOR")?.parse().unwrap(),
                1,
                &text("INSTALL_BASE")?,
                &text("INSTALL_FULL")?,
            ),
            options: InstallOptions {
                packages: match &*text("INSTALL_PACKAGES")? {
                    "full" => Packages::Full,
                    _ => Packages::Base,
                },
                wheelhouse: text("INSTALL_WHEELHOUSE").map(PathBuf::from),
                search_path: std::env::var_os("PATH").unwrap(),
            },
        })
    }
}

/// What an installer's process is to do.
pub(crate) struct Order {
    folder: PathBuf,
    list: TestList,
    options: InstallOptions,
}

impl Order {
    pub(crate) fn obey(self) {
        let installed = self.list.install(&self.folder, &self.options, &mut |progress| {
            println!("{}", progress.message);
        });
        match installed {
            Ok(_) => println!("installed"),
            Err(error) => {
                println!("refused: {}", name(&error));
                panic!("{error}");
            }
        }
    }
}

fn name(error: &RuntimeError) -> String {
    let whole = format!("{error:?}");
    whole.split([' ', '(']).next().unwrap().to_owned()
}

/// An installer at work.
pub(crate) struct Running {
    process: Child,
    said: BufReader<ChildStdout>,
    heard: String,
}

impl Running {
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// Kills it and it alone: what it has started lives on, as after an accident.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until it says this.
    pub(crate) fn says(&mut self, words: &str) {
        while !self.heard.contains(words) {
            let more = self.said.read_line(&mut self.heard).unwrap();
            assert!(more > 0, "it said only: {}", self.heard);
        }
    }

    pub(crate) fn end(mut self) -> (Ended, String) {
        self.said.read_to_string(&mut self.heard).unwrap();
        let mut errors = String::new();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        self.process.wait().unwrap();
        let ended = match self.heard.split_once("refused: ") {
            Some((_, rest)) => Ended::Refused(rest.lines().next().unwrap_or_default().to_owned()),
            None if self.heard.contains("\ninstalled\n") => Ended::Installed,
            None => Ended::Otherwise,
        };
        (ended, self.heard + &errors)
    }
}
