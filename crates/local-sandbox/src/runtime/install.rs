use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    InstallOptions, Packages, Phase, Progress, Runtime, RuntimeError, contents::Contents, error::free_bytes,
    installer::Installer, interpreter::Interpreter, lock::Lock, manifest::Manifest, step::Step, turn::Turn,
};

/// How many wheels are fetched before they count as fetched: each time pip takes half a second to start.
const BATCH: usize = 4;
/// Ends the name of a folder that is made or taken away, and never used.
const UNFINISHED: &str = ".new";
/// Wheels of an installation that is not finished.
const DOWNLOADS: &str = "downloads";

pub(super) fn install(
    folder: &Path,
    options: &InstallOptions,
    locks: &'static [Lock],
    progress: &mut dyn FnMut(Progress),
) -> Result<Runtime, RuntimeError> {
    let mut tell = |phase, done, message: &str| {
        progress(Progress {
            phase,
            done,
            message: message.to_owned(),
        })
    };
    tell(Phase::Find, 0.0, "looking for Python");
    let (interpreter, lock) = Interpreter::find(&options.search_path, options.packages, locks)?;
    let installer = Installer::find(&interpreter, &options.search_path)?;

    let turn = Turn::take(folder, || {
        tell(
            Phase::Wait,
            0.0,
            "waiting for another installation into this folder",
        );
    })
    .map_err(at(folder))?;
    remove_unfinished(folder).map_err(at(folder))?;
    // Whoever was waited for may have done it all.
    if let Some(there) = already(folder, lock, locks) {
        let _ = fs::remove_dir_all(folder.join(DOWNLOADS));
        return Ok(there);
    }
    require_room(folder, lock.bytes)?;
    let work = Work {
        folder,
        made: folder.join(lock.name() + UNFINISHED),
        home: lock.home(folder),
        lock,
        options,
        turn: &turn,
    };
    let made = work.make(interpreter, &installer, &mut tell);
    if made.is_err() {
        // Gives back the room; what was downloaded stays for the next attempt.
        let _ = fs::remove_dir_all(&work.made);
    }
    made?;
    tell(Phase::SelfTest, 1.0, "ready");
    let checked = Manifest::check(folder, lock);
    checked.map_err(|unusable| RuntimeError::damaged(work.home.clone(), unusable.reason(), lock))
}

/// What the folder of a runtime is called while it is taken away; the next installation does the rest.
pub(super) fn unfinished(home: &Path) -> PathBuf {
    let mut name = home.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// What was to be installed into this folder, where that began and did not end.
pub(super) fn broken_off(folder: &Path) -> Option<Packages> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let left: Vec<_> = names
        .filter(|name| name == DOWNLOADS || name.ends_with(UNFINISHED))
        .collect();
    let is_full = left.iter().any(|name| name.starts_with(Packages::Full.name()));
    let list = if is_full { Packages::Full } else { Packages::Base };
    (!left.is_empty()).then_some(list)
}

/// The runtime that has all of this, if it is installed and whole.
fn already(folder: &Path, lock: &Lock, locks: &[Lock]) -> Option<Runtime> {
    let enough = |other: &&Lock| {
        other.minor == lock.minor && (other.list == lock.list || other.list == Packages::Full)
    };
    locks
        .iter()
        .filter(enough)
        .find_map(|lock| Manifest::check(folder, lock).ok())
}

/// What installations that were broken off have left, apart from their downloads.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn require_room(folder: &Path, needed: u64) -> Result<(), RuntimeError> {
    let downloads = folder.join(DOWNLOADS);
    let there = if downloads.exists() {
        Contents::of(&downloads).map_err(at(&downloads))?.bytes
    } else {
        0
    };
    let needed = needed.saturating_sub(there);
    let free = free_bytes(folder).map_err(at(folder))?;
    if free < needed {
        return Err(RuntimeError::no_room(folder, Some(needed)));
    }
    Ok(())
}

/// One installation: made beside its place, tried out, and put there in one step.
struct Work<'a> {
    folder: &'a Path,
    made: PathBuf,
    home: PathBuf,
    lock: &'static Lock,
    options: &'a InstallOptions,
    turn: &'a Turn,
}

impl Work<'_> {
    fn make(
        &self,
        interpreter: Interpreter,
        installer: &Installer,
        tell: &mut impl FnMut(Phase, f64, &str),
    ) -> Result<(), RuntimeError> {
        let about = format!("making an environment of Python {}", interpreter.version);
        tell(Phase::Environment, 0.02, &about);
        self.environment(&interpreter)?;
        let wheels = self.wheels(&interpreter, installer, tell)?;
        let doing = match &wheels {
            Some(_) => "unpacking packages",
            None => "downloading and unpacking packages",
        };
        tell(Phase::Packages, 0.65, doing);
        self.unpack(&interpreter, installer, wheels.as_deref(), tell)?;
        tell(Phase::Bytecode, 0.8, "compiling");
        self.compile()?;
        tell(Phase::SelfTest, 0.92, "trying the packages out");
        self.try_out()?;
        self.finish(interpreter)
    }

    fn environment(&self, interpreter: &Interpreter) -> Result<(), RuntimeError> {
        for folder in [&self.made, &self.temporary()] {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        let mut command = Command::new(&interpreter.executable);
        // Without pip it needs no package beyond the standard library, and is done in a moment.
        command
            .args(["-I", "-m", "venv", "--without-pip", "--symlinks"])
            .arg(self.made.join("venv"));
        let step = self.step(
            "making the environment",
            "`apt install python3-venv`, or another Python",
        );
        step.run(command, |_| ())
    }

    /// The folder that all wheels are in now; `None` where the installer fetches them while it installs.
    fn wheels(
        &self,
        interpreter: &Interpreter,
        installer: &Installer,
        tell: &mut impl FnMut(Phase, f64, &str),
    ) -> Result<Option<PathBuf>, RuntimeError> {
        if let Some(wheelhouse) = &self.options.wheelhouse {
            return Ok(Some(wheelhouse.clone()));
        }
        let downloads = self.folder.join(DOWNLOADS);
        fs::create_dir_all(&downloads).map_err(at(&downloads))?;
        let requirements: Vec<_> = self.lock.requirements().collect();
        let (all, mut collected) = (requirements.len(), 0_usize);
        let list = self.made.join("batch.txt");
        let step = self.step("downloading the packages", NETWORK);
        for batch in requirements.chunks(BATCH) {
            let Some(command) = installer.download(interpreter, &list, &downloads) else {
                return Ok(None);
            };
            fs::write(&list, batch.concat()).map_err(at(&list))?;
            step.run(self.here(command), |line| {
                let Some(package) = line.strip_prefix("Collecting ") else {
                    return;
                };
                collected = (collected + 1).min(all);
                let share = collected as f64 / all as f64;
                let name = package.split(['=', ' ']).next().unwrap_or(package);
                tell(
                    Phase::Packages,
                    0.05 + 0.6 * share,
                    &format!("downloading {name} ({collected} of {all})"),
                );
            })?;
        }
        fs::remove_file(&list).map_err(at(&list))?;
        Ok(Some(downloads))
    }

    fn unpack(
        &self,
        interpreter: &Interpreter,
        installer: &Installer,
        wheels: Option<&Path>,
        tell: &mut impl FnMut(Phase, f64, &str),
    ) -> Result<(), RuntimeError> {
        let list = self.made.join("packages.txt");
        fs::write(&list, self.lock.text()).map_err(at(&list))?;
        let fix = if self.options.wheelhouse.is_some() {
            "put every wheel of the list into the wheelhouse"
        } else {
            NETWORK
        };
        let mut command = installer.install(interpreter, &self.python(), &list, wheels);
        installer.keep_downloads(&mut command, &self.folder.join(DOWNLOADS));
        let step = self.step("installing the packages", fix);
        step.run(self.here(command), |line| {
            if line.starts_with("Installing") {
                tell(Phase::Packages, 0.7, "unpacking packages");
            }
        })
    }

    fn compile(&self) -> Result<(), RuntimeError> {
        let mut command = Command::new(self.python());
        // Stale bytecode must not be written later: the environment is read-only for programs.
        command.args(["-m", "compileall", "-q", "-j", "2"]);
        command.args(["--invalidation-mode", "unchecked-hash"]);
        // The packages' own tests are nobody's, and nearly half of all.
        command.args(["-x", "site-packages/.+/tests/"]);
        // Tracebacks name the place that the files will have.
        command.arg("-s").arg(&self.made).arg("-p").arg(&self.home);
        command.arg(self.made.join("venv/lib"));
        match self.step("compiling the packages", "").run(command, |_| ()) {
            Err(full @ RuntimeError::NoRoom { .. }) => Err(full),
            // A file that does not compile is one for another Python, and nobody's loss.
            _ => Ok(()),
        }
    }

    fn try_out(&self) -> Result<(), RuntimeError> {
        let fonts = self.made.join("matplotlib");
        fs::create_dir_all(&fonts).map_err(at(&fonts))?;
        let mut command = Command::new(self.python());
        command
            .args(["-I", "-c", &self.lock.trial()])
            .env("MPLCONFIGDIR", &fonts);
        let step = self.step(
            "trying the packages out",
            "remove the runtime and install it again",
        );
        step.run(self.here(command), |_| ())
    }

    /// From here on it is used.
    fn finish(&self, interpreter: Interpreter) -> Result<(), RuntimeError> {
        let failed = at(&self.made);
        fs::remove_dir_all(self.temporary()).map_err(&failed)?;
        remove_scripts(&self.made.join("venv/bin")).map_err(&failed)?;
        open_to_everybody(&self.made).map_err(&failed)?;
        let manifest = Manifest::new(&self.made, &self.home, self.lock, interpreter).map_err(&failed)?;
        manifest.write(&self.made).map_err(&failed)?;
        if self.home.exists() {
            // What was there is damaged; it goes in the same step.
            renameat_with(CWD, &self.made, CWD, &self.home, RenameFlags::EXCHANGE)
                .map_err(|error| at(&self.home)(error.into()))?;
            let _ = fs::remove_dir_all(&self.made);
        } else {
            fs::rename(&self.made, &self.home).map_err(at(&self.home))?;
        }
        let _ = fs::remove_dir_all(self.folder.join(DOWNLOADS));
        Ok(())
    }

    fn step(&self, name: &'static str, fix: &'static str) -> Step<'_> {
        Step {
            name,
            fix,
            folder: self.folder,
            turn: self.turn,
        }
    }

    fn python(&self) -> PathBuf {
        self.made.join("venv/bin/python")
    }

    /// On the disk that was looked at.
    fn temporary(&self) -> PathBuf {
        self.made.join("tmp")
    }

    fn here(&self, mut command: Command) -> Command {
        command.env("TMPDIR", self.temporary());
        command
    }
}

const NETWORK: &str = "check the network and pip's configuration, then try again, which goes on where this ended; \
                       offline, use --wheelhouse DIR";

/// Scripts name the place where they were made, and programs cannot start others anyway.
fn remove_scripts(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("python") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A sandbox started by root runs as another user, who must be able to read all of this.
fn open_to_everybody(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        allow(&folder, 0o755)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                allow(&entry.path(), 0o644)?;
            }
        }
    }
    Ok(())
}

fn allow(path: &Path, bits: u32) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & bits == bits {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode | bits))
}

fn at(path: &Path) -> impl Fn(io::Error) -> RuntimeError + '_ {
    move |source| RuntimeError::io(path, source)
}
