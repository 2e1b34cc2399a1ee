//! Runtimes beside the one that is used: of earlier lists of packages, of a smaller one, of another Python.
//!
//! Whoever runs programs in a runtime holds a lock on its manifest. The kernel lets go of it with the process.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    OldRuntime, Packages, Runtime, RuntimeError, absolute, contents::Contents, install, lock::Lock, manifest,
    turn::Turn,
};

/// Kept by whoever runs programs in this environment. `None` where it is none of ours.
pub(crate) fn in_use(venv: &Path) -> Option<File> {
    let manifest = File::open(venv.parent()?.join(manifest::FILE)).ok()?;
    manifest.try_lock_shared().ok()?;
    Some(manifest)
}

/// All of them but the one that is used; where there is none, but those that could be.
pub(super) fn old(folder: &Path, locks: &'static [Lock]) -> Result<Vec<OldRuntime>, RuntimeError> {
    let folder = &absolute(folder)?;
    let kept: Vec<PathBuf> = match Runtime::locate_among(folder, locks) {
        Ok(Some(runtime)) => runtime.venv.parent().map(Path::to_owned).into_iter().collect(),
        _ => locks.iter().map(|lock| lock.home(folder)).collect(),
    };
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(|error| RuntimeError::io(folder, error))?,
    };
    for entry in entries {
        let home = entry.map_err(|error| RuntimeError::io(folder, error))?.path();
        if is_a_home(&home) && !kept.contains(&home) {
            let contents = Contents::of(&home).map_err(|error| RuntimeError::io(&home, error))?;
            found.push(OldRuntime {
                bytes: contents.bytes,
                in_use: lock_alone(&home).is_none(),
                home,
            });
        }
    }
    found.sort_by(|one, other| one.home.cmp(&other.home));
    Ok(found)
}

/// Removes those that nobody uses, and says which they all were.
pub(super) fn remove_old(folder: &Path, locks: &'static [Lock]) -> Result<Vec<OldRuntime>, RuntimeError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |source| RuntimeError::io(folder, source);
    let Some(_turn) = Turn::try_take(folder).map_err(failed)? else {
        return Err(RuntimeError::Busy {
            folder: folder.to_owned(),
        });
    };
    let mut found = old(folder, locks)?;
    for old in &mut found {
        let failed = |source| RuntimeError::io(&old.home, source);
        let lock = lock_alone(&old.home);
        old.in_use = lock.is_none();
        if old.in_use {
            continue;
        }
        // Whatever becomes of the rest, nobody uses half of it.
        let unfinished = install::unfinished(&old.home);
        fs::rename(&old.home, &unfinished).map_err(failed)?;
        fs::remove_dir_all(&unfinished).map_err(failed)?;
    }
    Ok(found)
}

/// `None` while somebody uses it. One that was never complete has no manifest, and nobody uses it.
fn lock_alone(home: &Path) -> Option<Option<File>> {
    match File::open(home.join(manifest::FILE)) {
        Ok(manifest) => manifest.try_lock().ok().map(|()| Some(manifest)),
        Err(_) => Some(None),
    }
}

/// By its name, as [`Lock::name`] makes it: whatever else lies there is not ours to take away.
fn is_a_home(path: &Path) -> bool {
    let is_ours = |name: &str| {
        let mut parts = name.splitn(3, '-');
        let list = parts.next().unwrap_or_default();
        let python = parts.next().unwrap_or_default();
        let hash = parts.next().unwrap_or_default();
        [Packages::Base, Packages::Full]
            .iter()
            .any(|known| known.name() == list)
            && python.starts_with("3.")
            && hash.len() == 12
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    path.is_dir()
        && path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_ours)
}
