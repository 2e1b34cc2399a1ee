//! A list of packages of a test's own: installing all of analysis takes too long to break it off a hundred times.

use std::path::Path;

use super::{
    InstallOptions, OldRuntime, Packages, Progress, Runtime, RuntimeError, absolute, install, lock::Lock, old,
};

/// Stands for one of the lists that are compiled in, base or full.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct TestList(&'static [Lock]);

impl TestList {
    /// Lists for this minor version of Python: text, and a program that tries the packages out. `bytes` have to be
    /// free.
    pub fn new(minor: u32, bytes: u64, lists: &[(Packages, String, String)]) -> Self {
        let keep = |text: &String| -> &'static str { String::leak(text.clone()) };
        let locks: Vec<_> = lists
            .iter()
            .map(|(list, text, trial)| Lock::of_a_test(minor, *list, bytes, keep(text), keep(trial)))
            .collect();
        Self(Vec::leak(locks))
    }

    /// As [`Runtime::install`].
    pub fn install(
        self,
        folder: &Path,
        options: &InstallOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Runtime, RuntimeError> {
        install::install(&absolute(folder)?, options, self.0, progress)
    }

    /// As [`Runtime::old`].
    pub fn old(self, folder: &Path) -> Result<Vec<OldRuntime>, RuntimeError> {
        old::old(folder, self.0)
    }

    /// As [`Runtime::remove_old`].
    pub fn remove_old(self, folder: &Path) -> Result<Vec<OldRuntime>, RuntimeError> {
        old::remove_old(folder, self.0)
    }

    /// As [`Runtime::locate`].
    pub fn locate(self, folder: &Path) -> Result<Option<Runtime>, RuntimeError> {
        Runtime::locate_among(folder, self.0)
    }
}
