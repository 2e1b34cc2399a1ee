use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::cache_folder;

/// A folder with the Python packages of a requirements file, installed once per version of that file. Put it
/// on `PYTHONPATH`.
///
/// # Errors
/// What is missing, in a sentence.
///
/// # Panics
/// Where the requirements cannot be read or the cache folder cannot be written.
pub fn python_packages(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let wanted = fs::read_to_string(requirements).expect("the requirements can be read");
    let folder = cache_folder(name);
    let marker = folder.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
        .arg(&folder)
        .arg("--requirement")
        .arg(requirements)
        .output()
        .map_err(|_| "there is no python3".to_owned())?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("python3 cannot install {name}: {reason}"));
    }
    fs::write(&marker, wanted).expect("the cache folder is writable");
    Ok(folder)
}

/// A folder with the `node_modules` of the package and its lock in this folder, installed once per version of that
/// lock. No script of a package is run.
///
/// # Errors
/// What is missing, in a sentence.
///
/// # Panics
/// Where the lock cannot be read or the cache folder cannot be written.
pub(crate) fn node_packages(name: &str, described_in: &Path) -> Result<PathBuf, String> {
    let lock = described_in.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).expect("the lock can be read");
    let folder = cache_folder(name);
    let marker = folder.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    for file in ["package.json", "package-lock.json"] {
        fs::copy(described_in.join(file), folder.join(file)).expect("the cache folder is writable");
    }
    let install = || {
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output()
    };
    let output = install().or_else(|_| {
        debian_packages(&["npm"]);
        install()
    });
    let output = output.map_err(|_| "there is no npm; install it (Debian's package npm)".to_owned())?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("npm cannot install {name}: {reason}"));
    }
    fs::write(&marker, wanted).expect("the cache folder is writable");
    Ok(folder)
}

/// Installs packages of Debian, where this is root on one; what fails shows as a missing program.
pub(crate) fn debian_packages(names: &[&str]) {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    if !is_root {
        return;
    }
    let _ = Command::new("apt-get").arg("update").output();
    let _ = Command::new("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output();
}
