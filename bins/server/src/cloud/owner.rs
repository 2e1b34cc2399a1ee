//! Who made a machine in a cloud: a process, which holds a file locked as long as it lives, so that the next one knows which
//! machines nobody will end any more.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::CloudError;

const FOLDER: &str = "cloud";
const INSTALLATION: &str = "installation";

/// This process. Gone, and its name with it, when it is dropped or dies.
#[derive(Debug)]
pub(super) struct Owner {
    folder: PathBuf,
    installation: String,
    name: String,
    _alive: File,
}

impl Owner {
    /// A new name for this process on this data folder.
    ///
    /// # Errors
    /// [`CloudError::Owner`] where the folder cannot be written.
    pub(super) fn new(data_dir: &Path) -> Result<Self, CloudError> {
        let folder = data_dir.join(FOLDER);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CloudError::Owner { path, source }
        };
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let written = folder.join(INSTALLATION);
        let installation = installation(&folder, &written).map_err(failed(&written))?;
        let name = Uuid::new_v4().simple().to_string();
        let path = folder.join(&name);
        let alive = locked(&folder, &path).map_err(failed(&path))?;
        Ok(Self {
            folder,
            installation,
            name,
            _alive: alive,
        })
    }

    /// The data folder's name, the same for all its processes.
    pub(super) fn installation(&self) -> &str {
        &self.installation
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the files of those that are gone, once their machines are.
    pub(super) fn forget_those_gone(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter(|name| self.is_gone(name)) {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    /// Has this process of the data folder died? One that nobody can tell of is not said to have.
    pub(super) fn is_gone(&self, owner: &str) -> bool {
        // What a machine says is no path.
        if owner.len() != self.name.len() || !owner.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return false;
        }
        let path = self.folder.join(owner);
        match File::open(&path) {
            // Its file goes with it, where it ends in peace.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(file) => match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join(&self.name));
    }
}

/// A new file, locked before it has its name: else whoever tidied up in that moment would take its owner for dead.
fn locked(folder: &Path, path: &Path) -> io::Result<File> {
    let unnamed = tempfile::NamedTempFile::new_in(folder)?;
    unnamed.as_file().lock()?;
    Ok(unnamed.persist_noclobber(path)?)
}

/// Written once; two processes at once end with one.
fn installation(folder: &Path, written: &Path) -> io::Result<String> {
    if !written.exists() {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, Uuid::new_v4().simple().to_string().as_bytes())?;
        match file.persist_noclobber(written) {
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            kept => drop(kept.map_err(|error| error.error)?),
        }
    }
    fs::read_to_string(written).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_known_to_live_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = Owner::new(folder.path()).unwrap();
        let second = Owner::new(folder.path()).unwrap();
        assert_eq!(first.installation(), second.installation());
        assert_ne!(first.name(), second.name());
        let name = second.name().to_owned();
        assert!(!first.is_gone(&name));
        drop(second);
        assert!(first.is_gone(&name));
        // One that was killed leaves its file, and nobody holds it.
        let killed = "0".repeat(name.len());
        fs::write(folder.path().join(FOLDER).join(&killed), "").unwrap();
        assert!(first.is_gone(&killed));
        first.forget_those_gone();
        let left: Vec<_> = fs::read_dir(folder.path().join(FOLDER)).unwrap().collect();
        assert_eq!(left.len(), 2, "the installation's name and the first owner");
        for odd in ["", "../installation", INSTALLATION, "not-a-name"] {
            assert!(!first.is_gone(odd), "{odd:?}");
        }
    }

    /// Whoever begins while others tidy up stays alive for all of them.
    #[test]
    fn an_owner_that_begins_is_never_taken_for_dead() {
        let folder = tempfile::tempdir().unwrap();
        let first = Owner::new(folder.path()).unwrap();
        std::thread::scope(|threads| {
            let (over, is_over) = std::sync::mpsc::channel::<()>();
            let first = &first;
            threads.spawn(move || {
                while is_over.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    first.forget_those_gone();
                }
            });
            for _ in 0..2_000 {
                let begun = Owner::new(folder.path()).unwrap();
                assert!(folder.path().join(FOLDER).join(begun.name()).exists());
                assert!(!first.is_gone(begun.name()));
            }
            drop(over);
        });
    }
}
