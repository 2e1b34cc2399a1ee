//! Folders for runs on a machine where they have no root of their own.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use rustix::process::geteuid;
use tempfile::TempDir;

/// A folder of the user that programs run as, closed to others. Removed with all that is in it when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: String,
    folder: Option<TempDir>,
    uid: u32,
    gid: u32,
}

impl Folder {
    /// Among the machine's temporary files.
    pub(crate) fn new(uid: u32, gid: u32) -> io::Result<Self> {
        Self::within(&std::env::temp_dir(), uid, gid)
    }

    fn within(parent: &Path, uid: u32, gid: u32) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("meterbox-").tempdir_in(parent)?;
        let path = folder.path().canonicalize()?;
        let path = path.into_os_string().into_string().map_err(|path| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is not UTF-8", path.display()),
            )
        })?;
        let made = Self {
            path,
            folder: Some(folder),
            uid,
            gid,
        };
        made.hand_over(Path::new(&made.path))?;
        Ok(made)
    }

    /// For one run: `scratch`, `tmp`, and `data` with a link to each of these files.
    pub(crate) fn for_run(&self, inputs: &[(String, &str)]) -> io::Result<Self> {
        let run = Self::within(Path::new(&self.path), self.uid, self.gid)?;
        for name in ["scratch", "tmp", "data"] {
            run.make(&Path::new(&run.path).join(name))?;
        }
        for (source, path) in inputs {
            let link = Path::new(&run.path).join("data").join(path);
            let folders = Path::new(path)
                .ancestors()
                .skip(1)
                .filter(|part| !part.as_os_str().is_empty());
            let mut folders: Vec<_> = folders
                .map(|part| Path::new(&run.path).join("data").join(part))
                .collect();
            folders.reverse();
            for folder in folders.iter().filter(|folder| !folder.is_dir()) {
                run.make(folder)?;
            }
            symlink(source, link)?;
        }
        Ok(run)
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn make(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        self.hand_over(path)
    }

    fn hand_over(&self, path: &Path) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        if geteuid().is_root() {
            chown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        if fs::remove_dir_all(folder.path()).is_err() {
            // A program may have closed folders of its own to itself.
            open_folders(folder.path());
            if let Err(error) = folder.close() {
                tracing::warn!(%error, "a run's folder could not be removed");
            }
        }
    }
}

fn open_folders(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links are not followed: their own kind is asked for.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_folders(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_its_files_and_leaves_nothing() {
        let (uid, gid) = (geteuid().as_raw(), rustix::process::getegid().as_raw());
        let base = Folder::new(uid, gid).unwrap();
        let inputs = [
            ("/etc/hostname".to_owned(), "deep/er/a.csv"),
            ("/etc/hostname".to_owned(), "b.csv"),
        ];
        let run = base.for_run(&inputs).unwrap();
        for (_, path) in inputs {
            let link = Path::new(run.path()).join("data").join(path);
            assert_eq!(fs::read_link(link).unwrap(), Path::new("/etc/hostname"));
        }
        let closed = Path::new(run.path()).join("scratch/closed");
        fs::create_dir_all(closed.join("inner")).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        let path = run.path().to_owned();
        drop(run);
        assert!(!Path::new(&path).exists());
        let base_path = base.path().to_owned();
        drop(base);
        assert!(!Path::new(&base_path).exists());
    }
}
