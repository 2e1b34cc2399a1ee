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
