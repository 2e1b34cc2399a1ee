use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Runtime, lock::Lock};

const FILE: &str = "manifest.json";

/// What a complete runtime is; written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    lock: String,
    home: PathBuf,
    base_prefix: PathBuf,
    version: String,
    files: u64,
    packages: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of what was just installed.
    pub(super) fn new(home: &Path, lock: &Lock, base_prefix: PathBuf, version: String) -> io::Result<Self> {
        let packages = lock
            .packages()
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect();
        let files = count_files(&home.join("venv"))?;
        Ok(Self {
            lock: lock.hash(),
            home: home.to_owned(),
            base_prefix,
            version,
            files,
            packages,
        })
    }

    /// Makes the runtime complete.
    pub(super) fn write(&self) -> io::Result<()> {
        let unfinished = self.home.join("manifest.new");
        fs::write(&unfinished, serde_json::to_vec_pretty(self)?)?;
        fs::rename(unfinished, self.home.join(FILE))
    }

    /// Reads a manifest that fits this lock and place; otherwise says why not.
    pub(super) fn read(home: &Path, lock: &Lock) -> Result<Self, String> {
        let text = fs::read(home.join(FILE)).map_err(|_| "the installation was not finished".to_owned())?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| format!("its manifest cannot be read: {error}"))?;
        if manifest.lock != lock.hash() {
            return Err("it was installed from another list of packages".to_owned());
        }
        if manifest.home != home {
            return Err(format!("it was moved here from {}", manifest.home.display()));
        }
        if !manifest.runtime().python.exists() {
            return Err("the Python it was made from is gone".to_owned());
        }
        Ok(manifest)
    }

    /// The same, if no file has gone missing since.
    pub(super) fn checked(self) -> Result<Self, String> {
        let found = count_files(&self.home.join("venv")).map_err(|error| error.to_string())?;
        if found < self.files {
            return Err(format!(
                "{} of its {} files are missing",
                self.files - found,
                self.files
            ));
        }
        Ok(self)
    }

    pub(super) fn runtime(&self) -> Runtime {
        let venv = self.home.join("venv");
        Runtime {
            python: venv.join("bin/python"),
            base_prefix: self.base_prefix.clone(),
            font_cache: self.home.join("matplotlib"),
            venv,
            version: self.version.clone(),
            packages: self.packages.clone(),
        }
    }
}

fn count_files(folder: &Path) -> io::Result<u64> {
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_complete_and_in_place_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::of(11).unwrap();
        let home = lock.home(folder.path());
        fs::create_dir_all(home.join("venv/bin")).unwrap();
        assert_eq!(
            Manifest::read(&home, lock).unwrap_err(),
            "the installation was not finished"
        );

        fs::write(home.join("venv/bin/python"), "").unwrap();
        let manifest = Manifest::new(&home, lock, "/usr".into(), "3.11.2".into()).unwrap();
        manifest.write().unwrap();
        assert_eq!(Manifest::read(&home, lock).unwrap(), manifest);
        assert!(
            Manifest::read(&home, Lock::of(12).unwrap())
                .unwrap_err()
                .contains("another list")
        );

        let moved = folder.path().join("moved");
        fs::rename(&home, &moved).unwrap();
        assert!(Manifest::read(&moved, lock).unwrap_err().contains("moved here"));
        fs::rename(&moved, &home).unwrap();

        fs::remove_file(home.join("venv/bin/python")).unwrap();
        assert!(Manifest::read(&home, lock).unwrap_err().contains("is gone"));
        assert!(manifest.checked().unwrap_err().contains("1 of its 1 files"));
    }
}
