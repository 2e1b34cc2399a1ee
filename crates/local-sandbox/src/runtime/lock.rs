use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// The lists of packages, each for one minor version of Python 3, oldest first.
pub(super) const SUPPORTED: &[Lock] = &[
    Lock {
        minor: 11,
        text: include_str!("../../locks/base-py3.11.txt"),
    },
    Lock {
        minor: 12,
        text: include_str!("../../locks/base-py3.12.txt"),
    },
    Lock {
        minor: 13,
        text: include_str!("../../locks/base-py3.13.txt"),
    },
    Lock {
        minor: 14,
        text: include_str!("../../locks/base-py3.14.txt"),
    },
];

/// Which wheels, by hash, make the runtime for one minor version of Python 3.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) minor: u32,
    text: &'static str,
}

impl Lock {
    /// The lock for Python 3.`minor`.
    pub(super) fn of(minor: u32) -> Option<&'static Self> {
        SUPPORTED.iter().find(|lock| lock.minor == minor)
    }

    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    /// SHA-256 of the list, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        Sha256::digest(self.text)
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }

    /// Where a runtime of this lock lives below the runtime folder.
    pub(super) fn home(&self, folder: &Path) -> PathBuf {
        folder.join(format!("3.{}-{}", self.minor, &self.hash()[..12]))
    }

    /// Names and versions of the packages.
    pub(super) fn packages(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.text
            .lines()
            .filter_map(|line| line.trim_end_matches(['\\', ' ']).split_once("=="))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_lock_pins_every_package_by_hash_and_names_no_host() {
        for lock in SUPPORTED {
            let packages: BTreeMap<_, _> = lock.packages().collect();
            for name in [
                "pandas",
                "numpy",
                "pyarrow",
                "duckdb",
                "matplotlib",
                "openpyxl",
                "tzdata",
            ] {
                assert!(packages.contains_key(name), "{name} for 3.{}", lock.minor);
            }
            let mut lines = lock.text().lines().peekable();
            while let Some(line) = lines.next() {
                if !line.starts_with(' ') {
                    assert!(line.contains("=="), "{line:?} for 3.{}", lock.minor);
                    let next = lines.peek().copied().unwrap_or_default();
                    assert!(
                        next.trim_start().starts_with("--hash=sha256:"),
                        "{line} has no hash"
                    );
                }
            }
            assert!(
                !lock.text().contains("://"),
                "the lock for 3.{} names a host",
                lock.minor
            );
        }
    }

    #[test]
    fn only_locked_versions_are_supported() {
        assert_eq!(Lock::of(13).map(|lock| lock.minor), Some(13));
        assert!(Lock::of(10).is_none() && Lock::of(1).is_none() && Lock::of(110).is_none());
    }

    #[test]
    fn another_lock_lives_in_another_folder() {
        let homes: Vec<_> = SUPPORTED.iter().map(|lock| lock.home(Path::new("/r"))).collect();
        assert!(homes.iter().all(|home| home.parent() == Some(Path::new("/r"))));
        assert!(homes.windows(2).all(|pair| pair[0] != pair[1]), "{homes:?}");
    }
}
