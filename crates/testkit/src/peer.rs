use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::cache::{cache_folder, fingerprint, required};

/// A Python that has the packages of this lock (a requirements file with hashes) and no others: installed on first
/// use, into the user's cache folder. `None` where that is not possible, which is said past the test harness.
///
/// # Panics
/// Instead of `None`, where `METERBOX_REQUIRE_PEERS=1`.
pub fn peer_python(name: &str, lock: &Path) -> Option<PathBuf> {
    required(name, located_or_installed(name, lock))
}

fn located_or_installed(name: &str, lock: &Path) -> Result<PathBuf, String> {
    let text = fs::read(lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let folder = cache_folder().join("meterbox-test/peers");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // One lock, one folder: an older one is left for whoever still has it.
    let place = folder.join(format!("{name}-{:016x}", fingerprint(&text)));
    let python = place.join("bin/python");
    let done = place.join("installed");
    let turn = fs::File::create(folder.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    turn.lock().map_err(|error| error.to_string())?;
    if done.exists() {
        return Ok(python);
    }
    // What an interrupted install left is begun anew.
    let _ = fs::remove_dir_all(&place);
    run(Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&place))?;
    run(Command::new("python3")
        .args(["-m", "pip", "--python"])
        .arg(&python)
        .args([
            "install",
            "-q",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "-r",
        ])
        .arg(lock))?;
    fs::write(&done, "").map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
