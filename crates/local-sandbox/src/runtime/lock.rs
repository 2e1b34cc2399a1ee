//! The locks: which wheels, by hash, for which Python.

use std::{collections::BTreeMap, fmt::Write};

use sha2::{Digest, Sha256};

const LOCKS: [(&str, &str); 4] = [
    ("3.11", include_str!("../../locks/base-3.11.txt")),
    ("3.12", include_str!("../../locks/base-3.12.txt")),
    ("3.13", include_str!("../../locks/base-3.13.txt")),
    ("3.14", include_str!("../../locks/base-3.14.txt")),
];

/// The lock for one minor version of Python.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock {
    pub(super) minor: &'static str,
    pub(super) text: &'static str,
}

impl Lock {
    pub(super) fn all() -> impl DoubleEndedIterator<Item = Self> {
        LOCKS.into_iter().map(|(minor, text)| Self { minor, text })
    }

    /// The lock for a full version such as `3.11.7`.
    pub(super) fn for_version(version: &str) -> Option<Self> {
        Self::all().find(|lock| version.strip_prefix(lock.minor).is_some_and(|rest| rest.starts_with('.')))
    }

    pub(super) fn supported() -> Vec<&'static str> {
        LOCKS.map(|(minor, _)| minor).to_vec()
    }

    /// SHA-256 of the lock, in hexadecimal.
    pub(super) fn hash(self) -> String {
        Sha256::digest(self.text).iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The runtime's folder name: a new lock gets a new folder.
    pub(super) fn folder_name(self) -> String {
        format!("{}-{}", self.minor, &self.hash()[..12])
    }

    /// Package names and versions, as the lock pins them.
    pub(super) fn packages(self) -> BTreeMap<String, String> {
        self.text
            .lines()
            .filter_map(|line| line.trim_end_matches(['\\', ' ']).split_once("=="))
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lock_pins_every_package_with_hashes_and_names_no_host() {
        for lock in Lock::all() {
            let packages = lock.packages();
            for name in ["pandas", "numpy", "pyarrow", "duckdb", "matplotlib", "openpyxl", "tzdata"] {
                assert!(packages.contains_key(name), "{name} in the lock for {}", lock.minor);
            }
            for entry in lock.text.split_inclusive('\n').filter(|line| !line.starts_with(' ')) {
                assert!(entry.contains("==") && entry.ends_with("\\\n"), "no hash after {entry:?}");
            }
            assert!(!lock.text.contains("://"), "the lock for {} names a host", lock.minor);
        }
    }

    #[test]
    fn locks_are_found_by_minor_version() {
        assert_eq!(Lock::for_version("3.11.7").map(|lock| lock.minor), Some("3.11"));
        assert_eq!(Lock::for_version("3.13.0rc1").map(|lock| lock.minor), Some("3.13"));
        for unsupported in ["3.10.9", "3.1", "3.110.1", "2.7.18", "", "3"] {
            assert!(Lock::for_version(unsupported).is_none(), "{unsupported}");
        }
    }
}
