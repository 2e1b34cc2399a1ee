use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{Packages, RuntimeError, lock::Lock};

/// Prints what is to be known of an interpreter; runs on every Python 3.
const PROBE: &str = "\
import json, os, platform, sys
print(json.dumps({
    'executable': os.path.realpath(sys.executable),
    'base_prefix': os.path.realpath(sys.base_prefix),
    'major': sys.version_info[0], 'minor': sys.version_info[1],
    'version': platform.python_version(),
    'platform': ' '.join([sys.platform, platform.machine(), platform.libc_ver()[0] or 'other libc']),
}))";

/// What the locked wheels are for, as the probe prints it.
const PLATFORMS: [&str; 2] = ["linux x86_64 glibc", "linux aarch64 glibc"];

/// A Python of this machine, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Interpreter {
    /// The real program: the name on `PATH` may be a shim.
    pub(super) executable: PathBuf,
    pub(super) base_prefix: PathBuf,
    major: u32,
    minor: u32,
    pub(super) version: String,
    platform: String,
}

impl Interpreter {
    /// The first Python on the search path that one of these locks is for, `python3` before its numbered siblings.
    pub(super) fn find(
        search_path: &OsStr,
        list: Packages,
        locks: &'static [Lock],
    ) -> Result<(Self, &'static Lock), RuntimeError> {
        let mut tried = Vec::new();
        for name in ["python3", "python3.13", "python3.12", "python3.11", "python3.14"] {
            for program in programs(search_path, name) {
                let Some(interpreter) = Self::ask(&program) else {
                    tried.push(format!("{} does not run", program.display()));
                    continue;
                };
                let lock = locks
                    .iter()
                    .find(|lock| lock.list == list && interpreter.is_for(lock));
                match lock {
                    Some(lock) if PLATFORMS.contains(&&*interpreter.platform) => {
                        return Ok((interpreter, lock));
                    }
                    Some(_) => {
                        return Err(RuntimeError::Platform {
                            found: interpreter.platform,
                        });
                    }
                    None => tried.push(format!("{} is {}", program.display(), interpreter.version)),
                }
            }
        }
        if tried.is_empty() {
            tried.push("there is no python3 on PATH".to_owned());
        }
        Err(RuntimeError::NoPython {
            tried: tried.join(", "),
        })
    }

    pub(super) fn is_for(&self, lock: &Lock) -> bool {
        self.major == 3 && self.minor == lock.minor
    }

    /// What it says of itself; `None` where it does not run.
    pub(super) fn ask(program: &Path) -> Option<Self> {
        let output = Command::new(program)
            .args(["-I", "-c", PROBE])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        if !output.status.success() {
            return None;
        }
        serde_json::from_slice(&output.stdout).ok()
    }
}

/// Every file of this name on the search path.
pub(super) fn programs(search_path: &OsStr, name: &str) -> Vec<PathBuf> {
    std::env::split_paths(search_path)
        .map(|folder| folder.join(name))
        .filter(|program| program.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{super::lock::SUPPORTED, *};

    fn find(folder: &Path) -> Result<(Interpreter, &'static Lock), RuntimeError> {
        Interpreter::find(folder.as_os_str(), Packages::Base, SUPPORTED)
    }

    fn fake(folder: &Path, name: &str, minor: u32, platform: &str) {
        let answer = format!(
            r#"{{"executable": "/x/{name}", "base_prefix": "/x", "major": 3, "minor": {minor}, "version": "3.{minor}.1", "platform": "{platform}"}}"#
        );
        let program = folder.join(name);
        fs::write(&program, format!("#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_first_supported_python_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let none = find(folder.path()).unwrap_err();
        assert!(none.to_string().contains("no python3 on PATH"), "{none}");

        fake(folder.path(), "python3", 9, "linux x86_64 glibc");
        let old = find(folder.path()).unwrap_err();
        assert!(old.to_string().contains("is 3.9.1"), "{old}");

        fake(folder.path(), "python3.12", 12, "linux x86_64 glibc");
        let (found, lock) = find(folder.path()).unwrap();
        assert_eq!((found.version.as_str(), lock.minor), ("3.12.1", 12));

        fake(folder.path(), "python3.12", 12, "linux aarch64 glibc");
        assert_eq!(find(folder.path()).unwrap().1.minor, 12);

        fake(folder.path(), "python3", 11, "linux armv7l glibc");
        let other = find(folder.path()).unwrap_err();
        assert!(matches!(other, RuntimeError::Platform { .. }), "{other}");
    }
}
