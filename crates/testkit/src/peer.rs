use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cache::{cache_folder, fingerprint, required, skipped},
    debian,
};

/// A Python that has the packages of this lock (a requirements file with hashes) and no others: installed on first
/// use, into the user's cache folder. `None` where that is not possible, which is said past the test harness.
///
/// # Panics
/// Instead of `None`, where `METERBOX_REQUIRE_PEERS=1`.
pub fn peer_python(name: &str, lock: &Path) -> Option<PathBuf> {
    required(name, python_with(name, "python3", lock))
}

/// As [`peer_python`], of this version (such as `3.13`). `None`, whatever is required, where the machine has no such
/// Python: the tests can install packages, and no interpreters.
///
/// # Panics
/// As [`peer_python`].
pub fn peer_python_of(version: &str, name: &str, lock: &Path) -> Option<PathBuf> {
    match interpreter(version) {
        Ok(python) => required(name, python_with(&format!("{name}-py{version}"), &python, lock)),
        Err(reason) => {
            skipped(name, &reason);
            None
        }
    }
}

/// A folder with the packages of this `package.json` and the `package-lock.json` beside it, for programs run by `node`
/// there: installed on first use, into the user's cache folder, without running any package's own scripts. `None`
/// where that is not possible, which is said past the test harness.
///
/// # Panics
/// Instead of `None`, where `METERBOX_REQUIRE_PEERS=1`.
pub fn peer_node(name: &str, package: &Path) -> Option<PathBuf> {
    required(name, node_with(name, package))
}

/// A folder with the packages of this lock for another Python to look into: installed on first use, for its version.
#[cfg(feature = "e2b")]
pub(crate) fn packages_for(python: &Path, name: &str, lock: &Path) -> Result<PathBuf, String> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    let said = Command::new(python).args(["-c", script]).output();
    let said = said.map_err(|error| format!("{}: {error}", python.display()))?;
    let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let peer = python_with(
        &format!("{name}-py{version}"),
        &python.display().to_string(),
        lock,
    )?;
    let home = peer.ancestors().nth(2).expect("it lies in a folder's bin");
    Ok(home.join(format!("lib/python{version}/site-packages")))
}

fn python_with(name: &str, interpreter: &str, lock: &Path) -> Result<PathBuf, String> {
    let text = fs::read(lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let place = installed_once(name, &text, |place| {
        run(Command::new(interpreter)
            .args(["-m", "venv", "--without-pip"])
            .arg(place))?;
        run(Command::new("python3")
            .args(["-m", "pip", "--python"])
            .arg(place.join("bin/python"))
            .args([
                "install",
                "-q",
                // The lock is complete: what a package says it needs besides is not wanted.
                "--no-deps",
                "--only-binary",
                ":all:",
                "--require-hashes",
                "-r",
            ])
            .arg(lock))
    })?;
    Ok(place.join("bin/python"))
}

/// One that starts and says that it is of this version.
fn interpreter(version: &str) -> Result<String, String> {
    let named = format!("python{version}");
    let script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)";
    // Where a version manager stands in front, the plain name may be there and not start.
    let managed = env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv/versions"));
    let managed = managed
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten();
    let managed = managed
        .flatten()
        .map(|entry| entry.path().join("bin/python3").display().to_string());
    std::iter::once(named.clone())
        .chain(managed)
        .find_map(|candidate| {
            let said = Command::new(candidate).args(["-c", script]).output().ok()?;
            let said = String::from_utf8(said.stdout).ok()?;
            let (found, path) = said.trim().split_once(' ')?;
            (found == version).then(|| path.to_owned())
        })
        .ok_or_else(|| format!("there is no {named}"))
}

fn node_with(name: &str, package: &Path) -> Result<PathBuf, String> {
    let files = ["package.json", "package-lock.json"];
    let mut text = Vec::new();
    for file in files {
        let path = package.with_file_name(file);
        text.extend(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    installed_once(name, &text, |place| {
        if Command::new("npm").arg("--version").output().is_err() {
            debian::install("npm");
        }
        fs::create_dir_all(place).map_err(|error| error.to_string())?;
        for file in files {
            fs::copy(package.with_file_name(file), place.join(file)).map_err(|error| error.to_string())?;
        }
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(place))
    })
}

/// A folder of its own for what this lock names, made once; others wait, also those of other processes.
fn installed_once(
    name: &str,
    lock: &[u8],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let folder = cache_folder().join("meterbox-test/peers");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // One lock, one folder: an older one is left for whoever still has it.
    let place = folder.join(format!("{name}-{:016x}", fingerprint(lock)));
    let done = place.join("installed");
    let turn = fs::File::create(folder.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    turn.lock().map_err(|error| error.to_string())?;
    if done.exists() {
        return Ok(place);
    }
    // What an interrupted install left is begun anew.
    let _ = fs::remove_dir_all(&place);
    install(&place)?;
    fs::write(&done, "").map_err(|error| error.to_string())?;
    Ok(place)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
