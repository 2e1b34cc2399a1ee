use std::{fs, path::Path, path::PathBuf, process::Command};

use crate::{
    cache::{cache_folder, fingerprint, required},
    debian,
};

/// A folder with the packages of this `package.json` and the `package-lock.json` beside it, installed by `npm ci` on
/// first use into the user's cache folder, without running scripts of packages. `None` where that is not possible, which
/// is said past the test harness.
///
/// # Panics
/// Instead of `None`, where `METERBOX_REQUIRE_PEERS=1`.
pub fn peer_node(name: &str, package: &Path) -> Option<PathBuf> {
    required(name, located_or_installed(name, package))
}

fn located_or_installed(name: &str, package: &Path) -> Result<PathBuf, String> {
    let lock = package.with_file_name("package-lock.json");
    let text = fs::read(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let folder = cache_folder().join("meterbox-test/peers");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let place = folder.join(format!("{name}-{:016x}", fingerprint(&text)));
    let done = place.join("installed");
    let turn = fs::File::create(folder.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    turn.lock().map_err(|error| error.to_string())?;
    if Command::new("npm").arg("--version").output().is_err() {
        debian::install("npm");
    }
    if done.exists() {
        return Ok(place);
    }
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    for (file, as_name) in [(package, "package.json"), (&*lock, "package-lock.json")] {
        fs::copy(file, place.join(as_name)).map_err(|error| error.to_string())?;
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&place)
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    fs::write(&done, "").map_err(|error| error.to_string())?;
    Ok(place)
}
