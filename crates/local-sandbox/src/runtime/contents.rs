//! What lies in a runtime's environment: enough to notice that something of it is gone, came or changed its length.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lock::hex;

/// Every file's path and length. No times of change: copying an image of a machine alters those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    files: u64,
    pub(super) bytes: u64,
    /// SHA-256 over all paths and lengths.
    digest: String,
}

impl Contents {
    /// Looks at every file below this folder; of 20,000 that takes some 50 milliseconds.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next)? {
                let entry = entry?;
                let data = entry.metadata()?;
                if data.is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push((relative(&entry.path(), folder), data.len()));
                }
            }
        }
        found.sort_unstable();
        let mut digest = Sha256::new();
        for (path, length) in &found {
            digest.update(path.as_os_str().as_bytes());
            digest.update([0]);
            digest.update(length.to_le_bytes());
        }
        Ok(Self {
            files: found.len() as u64,
            bytes: found.iter().map(|(_, length)| length).sum(),
            digest: hex(&digest.finalize()),
        })
    }

    /// What became of it, where `found` is something else.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        if self == found {
            return None;
        }
        Some(if found.files < self.files {
            format!(
                "{} of its {} files are missing",
                self.files - found.files,
                self.files
            )
        } else if found.files > self.files {
            format!(
                "{} files came to the {} that were installed",
                found.files - self.files,
                self.files
            )
        } else {
            "some of its files are not the ones that were installed".to_owned()
        })
    }
}

fn relative(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_came_or_changed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::create_dir(file("deep")).unwrap();
        fs::write(file("deep/a"), "12").unwrap();
        fs::write(file("b"), "345").unwrap();
        let whole = Contents::of(folder.path()).unwrap();
        let now = || whole.difference(&Contents::of(folder.path()).unwrap());
        assert_eq!((whole.files, whole.bytes, now()), (2, 5, None));

        fs::write(file("b"), "3456").unwrap();
        assert!(now().unwrap().contains("not the ones"));
        fs::write(file("b"), "345").unwrap();
        assert_eq!(now(), None);
        fs::rename(file("deep/a"), file("deep/c")).unwrap();
        assert!(now().unwrap().contains("not the ones"));
        fs::remove_file(file("deep/c")).unwrap();
        assert_eq!(now().unwrap(), "1 of its 2 files are missing");
        for name in ["deep/a", "c"] {
            fs::write(file(name), "12").unwrap();
        }
        assert_eq!(now().unwrap(), "1 files came to the 2 that were installed");
    }
}
