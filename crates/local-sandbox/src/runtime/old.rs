//! Runtimes beside the one that is used: of earlier lists of packages, of a smaller one, of another Python.
//!
//! Whoever runs programs in a runtime holds a lock on its manifest. The kernel lets go of it with the process.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    OldRuntime, Packages, Runtime, RuntimeError, absolute,
    contents::Contents,
    install,
    lock::Lock,
    manifest,
    turn::{self, Turn},
};

/// Kept by whoever runs programs in this environment. `None` where it is none of ours, or is gone. Waits for whoever removes
/// it or asks about it.
pub(crate) fn in_use(venv: &Path) -> Option<File> {
    let path = venv.parent()?.join(manifest::FILE);
    let manifest = File::open(&path).ok()?;
    manifest.lock_shared().ok()?;
    turn::is_at(&manifest, &path).then_some(manifest)
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
        // There is one where an earlier removal was broken off.
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::rename(&old.home, &unfinished).map_err(failed)?;
        fs::remove_dir_all(&unfinished).map_err(failed)?;
    }
    Ok(found)
}

/// `None` while somebody uses it, or where that cannot be found out. One that was never complete has no manifest, and nobody
/// uses it.
fn lock_alone(home: &Path) -> Option<Option<File>> {
    match File::open(home.join(manifest::FILE)) {
        Ok(manifest) => manifest.try_lock().ok().map(|()| Some(manifest)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}

/// A folder of its name, as [`Lock::name`] makes it: whatever else lies there, links too, is not ours to take away.
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
    fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
        && path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_ours)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, sync::mpsc, thread, time::Duration};

    use super::*;

    const NAME: &str = "base-3.11-0123456789ab";

    fn home(folder: &Path) -> PathBuf {
        let home = folder.join(NAME);
        fs::create_dir(&home).unwrap();
        fs::write(home.join(manifest::FILE), "{}").unwrap();
        home
    }

    #[test]
    fn what_cannot_be_asked_about_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let manifest = home.join(manifest::FILE);
        fs::remove_file(&manifest).unwrap();
        // To open it fails, as it does for a process that has no descriptors left.
        symlink(&manifest, &manifest).unwrap();
        let found = remove_old(folder.path(), &[]).unwrap();
        assert!(found[0].in_use && home.exists(), "{found:?}");
    }

    #[test]
    fn a_removal_that_was_broken_off_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let half = install::unfinished(&home);
        fs::create_dir(&half).unwrap();
        fs::write(half.join("left"), "").unwrap();
        let found = remove_old(folder.path(), &[]).unwrap();
        assert!(found.len() == 1 && !home.exists() && !half.exists(), "{found:?}");
    }

    #[test]
    fn a_link_is_none_of_ours() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let there = home(elsewhere.path());
        symlink(&there, folder.path().join(NAME)).unwrap();
        assert_eq!(remove_old(folder.path(), &[]).unwrap(), []);
        assert!(there.exists() && folder.path().join(NAME).exists());
    }

    /// Begins to use it while somebody else holds it alone.
    fn beginning(home: &Path) -> mpsc::Receiver<Option<File>> {
        let (begun, user) = mpsc::channel();
        let venv = home.join("venv");
        thread::spawn(move || begun.send(in_use(&venv)).unwrap());
        let early = user.recv_timeout(Duration::from_millis(100));
        assert!(early.is_err(), "it did not wait: {early:?}");
        user
    }

    #[test]
    fn who_begins_while_somebody_asks_has_it_too() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let asking = lock_alone(&home).unwrap();
        let user = beginning(&home);
        drop(asking);
        let user = user.recv().unwrap();
        assert!(user.is_some() && lock_alone(&home).is_none());
    }

    #[test]
    fn who_begins_while_it_is_removed_has_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let removing = lock_alone(&home).unwrap();
        let user = beginning(&home);
        fs::remove_dir_all(&home).unwrap();
        drop(removing);
        assert!(user.recv().unwrap().is_none());
    }
}
