use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use super::{
    InstallOptions, Runtime, RuntimeError, installer::Installer, interpreter::Interpreter, manifest::Manifest,
};

/// Imports everything once and uses what is most likely to be broken. Fills the font cache on the way, with
/// matplotlib's own fonts only: those of the machine are not there inside a sandbox.
const SELF_TEST: &str = "\
import glob, io, os, tempfile, duckdb, matplotlib, numpy, openpyxl, pandas, pyarrow
matplotlib.use('Agg')
from matplotlib import font_manager as fonts
every_font = fonts.findSystemFonts
fonts.findSystemFonts = lambda folders=None, fontext='ttf': every_font(folders, fontext) if folders else []
[cache] = glob.glob(os.path.join(matplotlib.get_cachedir(), 'fontlist*.json'))
fonts.json_dump(fonts.FontManager(), cache)
import matplotlib.pyplot as plt
frame = pandas.DataFrame({'a': [1, 2, 3]})
with tempfile.NamedTemporaryFile(suffix='.parquet') as file:
    frame.to_parquet(file.name)
    assert pandas.read_parquet(file.name)['a'].sum() == 6
assert duckdb.sql('select 41 + 1').fetchall() == [(42,)]
figure, axes = plt.subplots()
axes.bar(['x', 'y'], [1, 2])
figure.savefig(io.BytesIO(), format='png')";

const KEPT_LINES: usize = 12;

/// The phases of an installation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Finding a Python and something that installs packages.
    Find,
    /// Making the environment.
    Environment,
    /// Downloading and installing the packages.
    Packages,
    /// Compiling them.
    Bytecode,
    /// Importing and using them once.
    SelfTest,
}

/// How far an installation is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// How much of the whole is done, from 0 to 1.
    pub done: f64,
    /// What is happening, in a few words.
    pub message: String,
}

pub(super) fn install(
    folder: &Path,
    options: &InstallOptions,
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
    let (interpreter, lock) = Interpreter::find(&options.search_path)?;
    let installer = Installer::find(&interpreter, &options.search_path)?;

    fs::create_dir_all(folder).map_err(at(folder))?;
    // Held until the end: a second installation waits, and then finds the first one's work.
    let _turn = turn(folder, &mut tell)?;
    let home = lock.home(folder);
    if let Ok(manifest) = Manifest::read(&home, lock) {
        return Ok(manifest.runtime());
    }

    tell(
        Phase::Environment,
        0.02,
        &format!("making an environment of Python {}", interpreter.version),
    );
    make_environment(&interpreter, &home)?;
    let lock_file = home.join("packages.txt");
    fs::write(&lock_file, lock.text()).map_err(at(&lock_file))?;

    let python = home.join("venv/bin/python");
    let command = installer.command(&interpreter, &python, &lock_file, options);
    let packages = lock.packages().count();
    install_packages(command, packages, options, &mut tell)?;

    tell(Phase::Bytecode, 0.85, "compiling");
    // Stale bytecode must not be written later: the environment is read-only for programs.
    let compile = [
        "-m",
        "compileall",
        "-q",
        "-j",
        "2",
        "--invalidation-mode",
        "unchecked-hash",
    ];
    let libraries = home.join("venv/lib");
    let mut compiling = Command::new(&python);
    compiling.args(compile).arg(&libraries);
    // A file of a package's test suite that does not compile is nobody's loss.
    let _ = finished("compiling the packages", "", compiling);

    tell(Phase::SelfTest, 0.92, "trying the packages out");
    let fonts = home.join("matplotlib");
    fs::create_dir_all(&fonts).map_err(at(&fonts))?;
    let mut testing = Command::new(&python);
    testing.args(["-I", "-c", SELF_TEST]).env("MPLCONFIGDIR", &fonts);
    finished(
        "trying the packages out",
        "remove the runtime and install it again",
        testing,
    )?;

    open_to_everybody(&home).map_err(at(&home))?;
    let manifest =
        Manifest::new(&home, lock, interpreter.base_prefix, interpreter.version).map_err(at(&home))?;
    manifest.write().map_err(at(&home))?;
    tell(Phase::SelfTest, 1.0, "ready");
    Ok(manifest.runtime())
}

fn turn(folder: &Path, tell: &mut impl FnMut(Phase, f64, &str)) -> Result<File, RuntimeError> {
    let path = folder.join("install.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(at(&path))?;
    if file.try_lock().is_err() {
        tell(Phase::Find, 0.0, "waiting for another installation");
        file.lock().map_err(at(&path))?;
    }
    Ok(file)
}

fn make_environment(interpreter: &Interpreter, home: &Path) -> Result<(), RuntimeError> {
    fs::create_dir_all(home).map_err(at(home))?;
    let mut command = Command::new(&interpreter.executable);
    // Without pip it needs no package beyond the standard library, and is done in a moment.
    command
        .args(["-I", "-m", "venv", "--without-pip", "--symlinks", "--clear"])
        .arg(home.join("venv"));
    finished(
        "making the environment",
        "`apt install python3-venv`, or another Python",
        command,
    )
}

fn install_packages(
    mut command: Command,
    packages: usize,
    options: &InstallOptions,
    tell: &mut impl FnMut(Phase, f64, &str),
) -> Result<(), RuntimeError> {
    let fix = if options.wheelhouse.is_some() {
        "put every wheel of the list into the wheelhouse"
    } else {
        "check the network and pip's configuration, then try again; offline, use --wheelhouse DIR"
    };
    let failed = |output: String| RuntimeError::Step {
        step: "installing the packages",
        output,
        fix,
    };
    tell(Phase::Packages, 0.05, "downloading packages");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let stderr = child.stderr.take();
    let errors = thread::spawn(move || last_lines(stderr));

    let mut collected = 0_usize;
    let mut printed = Vec::new();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).lines())
        .map_while(Result::ok)
    {
        if let Some(package) = line.strip_prefix("Collecting ") {
            collected += 1;
            let name = package.split(['=', ' ']).next().unwrap_or(package);
            let share = collected.min(packages) as f64 / packages.max(1) as f64;
            tell(
                Phase::Packages,
                0.05 + 0.6 * share,
                &format!("downloading {name} ({collected} of {packages})"),
            );
        } else if line.starts_with("Installing") {
            tell(Phase::Packages, 0.7, "unpacking packages");
        }
        printed.push(line);
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let errors = errors.join().unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    let output = if errors.is_empty() {
        kept(printed.iter().map(String::as_str))
    } else {
        errors
    };
    Err(failed(output))
}

fn finished(step: &'static str, fix: &'static str, mut command: Command) -> Result<(), RuntimeError> {
    let failed = |output| RuntimeError::Step { step, output, fix };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(failed(kept(String::from_utf8_lossy(&printed).lines())))
}

fn last_lines(stream: Option<impl Read>) -> String {
    let mut text = Vec::new();
    if let Some(mut stream) = stream {
        // What was read so far is worth showing even if the rest cannot be.
        let _ = stream.read_to_end(&mut text);
    }
    kept(String::from_utf8_lossy(&text).lines())
}

fn kept<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<_> = lines.filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
}

/// A sandbox started by root runs as another user, who must be able to read all of this.
fn open_to_everybody(folder: &Path) -> std::io::Result<()> {
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

fn allow(path: &Path, bits: u32) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & bits == bits {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode | bits))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> RuntimeError + '_ {
    move |source| RuntimeError::Io {
        path: path.to_owned(),
        source,
    }
}
