use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Runtime, contents::Contents, interpreter::Interpreter, lock::Lock};

pub(super) const FILE: &str = "manifest.json";

/// What a complete runtime is; written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    lock: String,
    home: PathBuf,
    interpreter: PathBuf,
    /// The interpreter's file when it was last asked for its version.
    interpreter_file: FileMark,
    base_prefix: PathBuf,
    version: String,
    contents: Contents,
    packages: BTreeMap<String, String>,
}

/// Tells that a file is most likely the one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct FileMark {
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// Why a runtime cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Nothing is there.
    Absent,
    /// It was never complete.
    Unfinished,
    /// The interpreter it was made for is not there any more.
    Stale(String),
    /// It was complete, and is not what it was.
    Damaged(String),
}

impl Unusable {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Absent => "it is gone".to_owned(),
            Self::Unfinished => "the installation was not finished".to_owned(),
            Self::Stale(reason) | Self::Damaged(reason) => reason,
        }
    }
}

impl Manifest {
    /// The manifest of what was just made in `made` and will be at `home`.
    pub(super) fn new(made: &Path, home: &Path, lock: &Lock, interpreter: Interpreter) -> io::Result<Self> {
        // The one behind the environment: a Python that is itself in an environment makes others of its own base.
        let program = fs::canonicalize(made.join("venv/bin/python"))?;
        let packages = lock
            .packages()
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect();
        Ok(Self {
            lock: lock.hash(),
            home: home.to_owned(),
            interpreter_file: FileMark::of(&program)?,
            interpreter: program,
            base_prefix: interpreter.base_prefix,
            version: interpreter.version,
            contents: Contents::of(&made.join("venv"))?,
            packages,
        })
    }

    /// Makes what is in this folder complete.
    pub(super) fn write(&self, made: &Path) -> io::Result<()> {
        let unfinished = made.join("manifest.new");
        fs::write(&unfinished, serde_json::to_vec_pretty(self)?)?;
        fs::rename(unfinished, made.join(FILE))
    }

    /// The runtime of this lock, if it is complete and all that it was when it was installed.
    pub(super) fn check(folder: &Path, lock: &Lock) -> Result<Runtime, Unusable> {
        let home = lock.home(folder);
        if !home.exists() {
            return Err(Unusable::Absent);
        }
        let manifest = Self::read(&home, lock)?;
        let version = manifest.current_version(lock)?;
        let found = Contents::of(&home.join("venv")).map_err(|error| Unusable::Damaged(error.to_string()))?;
        match manifest.contents.difference(&found) {
            Some(reason) => Err(Unusable::Damaged(reason)),
            None => Ok(manifest.runtime(lock, version)),
        }
    }

    fn read(home: &Path, lock: &Lock) -> Result<Self, Unusable> {
        let text = fs::read(home.join(FILE)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::Unfinished,
            _ => Unusable::Damaged(format!("its manifest cannot be read: {error}")),
        })?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| Unusable::Damaged(format!("its manifest cannot be read: {error}")))?;
        if manifest.lock != lock.hash() {
            let reason = "it was installed from another list of packages";
            return Err(Unusable::Damaged(reason.to_owned()));
        }
        if manifest.home != home {
            let reason = format!("it was moved here from {}", manifest.home.display());
            return Err(Unusable::Damaged(reason));
        }
        Ok(manifest)
    }

    /// The version of the interpreter as it is now. Another patch of the same minor version has the same bytecode
    /// and the same binary interface; distributions bring them in between.
    fn current_version(&self, lock: &Lock) -> Result<String, Unusable> {
        let path = self.interpreter.display();
        let stale =
            |what: String| Unusable::Stale(format!("it was made for Python {}, {what}", self.version));
        let linked = fs::canonicalize(self.home.join("venv/bin/python"));
        if linked.is_ok_and(|linked| linked != self.interpreter) {
            let reason = format!("its Python is not {path}, for which it was made");
            return Err(Unusable::Damaged(reason));
        }
        let mark = FileMark::of(&self.interpreter).map_err(|_| stale(format!("and {path} is gone")))?;
        if mark == self.interpreter_file {
            return Ok(self.version.clone());
        }
        match Interpreter::ask(&self.interpreter) {
            Some(now) if now.is_for(lock) => Ok(now.version),
            Some(now) => Err(stale(format!("and {path} is Python {} now", now.version))),
            None => Err(stale(format!("and {path} does not run any more"))),
        }
    }

    fn runtime(&self, lock: &Lock, version: String) -> Runtime {
        let venv = self.home.join("venv");
        Runtime {
            python: venv.join("bin/python"),
            base_prefix: self.base_prefix.clone(),
            font_cache: self.home.join("matplotlib"),
            venv,
            version,
            list: lock.list,
            packages: self.packages.clone(),
        }
    }
}

impl FileMark {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::metadata(path)?;
        Ok(Self {
            bytes: data.len(),
            seconds: data.mtime(),
            nanoseconds: data.mtime_nsec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{super::lock::SUPPORTED, *};

    /// A complete runtime, as far as a manifest tells, whose Python says what it is told to.
    struct Made {
        folder: tempfile::TempDir,
        lock: &'static Lock,
    }

    impl Made {
        fn new() -> Self {
            let made = Self {
                folder: tempfile::tempdir().unwrap(),
                lock: SUPPORTED.iter().find(|lock| lock.minor == 11).unwrap(),
            };
            made.python_is("3.11.2");
            let venv = made.home().join("venv");
            fs::create_dir_all(venv.join("bin")).unwrap();
            symlink(made.python(), venv.join("bin/python")).unwrap();
            fs::write(venv.join("pandas.py"), "1").unwrap();
            made
        }

        fn complete() -> Self {
            let made = Self::new();
            let (home, interpreter) = (made.home(), Interpreter::ask(&made.python()).unwrap());
            let manifest = Manifest::new(&home, &home, made.lock, interpreter).unwrap();
            manifest.write(&home).unwrap();
            made
        }

        fn home(&self) -> PathBuf {
            self.lock.home(self.folder.path())
        }

        fn python(&self) -> PathBuf {
            self.folder.path().join("python3.11")
        }

        fn python_is(&self, version: &str) {
            let minor = version.split('.').nth(1).unwrap();
            let answer = format!(
                r#"{{"executable": "/x", "base_prefix": "/x", "major": 3, "minor": {minor}, "version": "{version}", "platform": "x"}}"#
            );
            // Another file, as an upgrade brings it.
            let new = self.folder.path().join("new");
            fs::write(&new, format!("#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(new, self.python()).unwrap();
        }

        fn check(&self) -> Result<Runtime, Unusable> {
            Manifest::check(self.folder.path(), self.lock)
        }

        fn damage(&self) -> String {
            match self.check() {
                Err(Unusable::Damaged(reason)) => reason,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn only_what_is_complete_and_in_place_is_used() {
        let made = Made::new();
        assert_eq!(made.check(), Err(Unusable::Unfinished));
        let made = Made::complete();
        assert_eq!(made.check().unwrap().version, "3.11.2");
        let other = SUPPORTED.iter().find(|lock| lock.minor == 12).unwrap();
        assert_eq!(Manifest::check(made.folder.path(), other), Err(Unusable::Absent));
        fs::rename(made.home(), other.home(made.folder.path())).unwrap();
        let reason = Manifest::check(made.folder.path(), other).unwrap_err().reason();
        assert!(reason.contains("another list"), "{reason}");
        assert_eq!(made.check(), Err(Unusable::Absent));

        let elsewhere = tempfile::tempdir().unwrap();
        let home = made.lock.home(elsewhere.path());
        fs::rename(other.home(made.folder.path()), &home).unwrap();
        let reason = Manifest::check(elsewhere.path(), made.lock).unwrap_err().reason();
        assert!(reason.contains("moved here"), "{reason}");
    }

    #[test]
    fn what_was_changed_is_not_used() {
        let made = Made::complete();
        let file = made.home().join("venv/pandas.py");
        fs::write(&file, "12").unwrap();
        assert!(made.damage().contains("not the ones"));
        fs::remove_file(&file).unwrap();
        assert_eq!(made.damage(), "1 of its 2 files are missing");
        fs::write(&file, "1").unwrap();
        assert!(made.check().is_ok());
        let manifest = made.home().join(FILE);
        fs::write(manifest, "{}").unwrap();
        assert!(made.damage().contains("cannot be read"));
    }

    #[test]
    fn a_newer_patch_of_its_python_serves_and_another_minor_version_does_not() {
        let made = Made::complete();
        made.python_is("3.11.10");
        assert_eq!(made.check().unwrap().version, "3.11.10");
        made.python_is("3.12.1");
        let Err(Unusable::Stale(reason)) = made.check() else {
            panic!("{:?}", made.check())
        };
        assert!(
            reason.contains("made for Python 3.11.2") && reason.contains("Python 3.12.1 now"),
            "{reason}"
        );
        fs::remove_file(made.python()).unwrap();
        let reason = made.check().unwrap_err().reason();
        assert!(reason.contains("is gone"), "{reason}");
        made.python_is("3.11.2");
        let linked = made.home().join("venv/bin/python");
        fs::remove_file(&linked).unwrap();
        symlink("/bin/sh", linked).unwrap();
        assert!(made.damage().contains("for which it was made"));
    }
}
