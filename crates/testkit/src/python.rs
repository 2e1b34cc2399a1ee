#[cfg(feature = "e2b")]
use std::process::Command;
use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use meterbox_local_sandbox::runtime::{InstallOptions, Packages, Runtime};

use crate::cache::{cache_folder, set};

/// The Python runtime that all tests of this user share, installed on first use.
///
/// It lives in `METERBOX_TEST_RUNTIME` or, where that is not set, in `meterbox-test/runtime` below the user's
/// cache folder. The first test that needs it installs it, which takes a minute and the network; others wait,
/// also those of other processes.
///
/// # Panics
/// If it cannot be installed; the message says what is missing.
pub fn test_runtime() -> Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| locate_or_install(&test_runtime_folder(), Packages::Base))
        .clone()
}

/// The same with the full list of packages, beside [`test_runtime`]; it takes a minute more and 750 MB.
///
/// # Panics
/// If it cannot be installed; the message says what is missing.
pub fn full_test_runtime() -> Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| locate_or_install(&test_runtime_folder().join("full"), Packages::Full))
        .clone()
}

/// Where [`test_runtime`] is: the folder to hand to a program under test.
///
/// # Panics
/// If none of `METERBOX_TEST_RUNTIME`, `XDG_CACHE_HOME` and `HOME` is set.
pub fn test_runtime_folder() -> PathBuf {
    if let Some(folder) = set("METERBOX_TEST_RUNTIME") {
        return folder;
    }
    cache_folder().join("meterbox-test/runtime")
}

#[cfg(feature = "e2b")]
/// An interpreter, as a program of another sandbox than ours needs it.
#[derive(Debug, Clone)]
pub(crate) struct TestPython {
    /// Where `python3` is.
    pub(crate) folder: PathBuf,
    /// Folders it needs to see.
    pub(crate) visible: Vec<PathBuf>,
    file: PathBuf,
}

#[cfg(feature = "e2b")]
pub(crate) fn test_python() -> &'static TestPython {
    static PYTHON: OnceLock<TestPython> = OnceLock::new();
    PYTHON.get_or_init(|| TestPython::at(&test_runtime().python))
}

#[cfg(feature = "e2b")]
impl TestPython {
    /// That of this path.
    pub(crate) fn at(python: &Path) -> Self {
        let script = "import sys; print(sys.prefix); print(sys.base_prefix)";
        let said = Command::new(python).args(["-c", script]).output();
        let said = String::from_utf8(said.expect("Python runs").stdout).expect("paths are UTF-8");
        Self {
            folder: python.parent().expect("it lies in a folder").to_owned(),
            visible: said.lines().map(PathBuf::from).collect(),
            file: python.to_owned(),
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

fn locate_or_install(folder: &Path, packages: Packages) -> Runtime {
    if let Ok(Some(runtime)) = Runtime::locate(folder) {
        return runtime;
    }
    let options = InstallOptions {
        packages,
        search_path: env::var_os("PATH").unwrap_or_default(),
        ..InstallOptions::default()
    };
    match Runtime::install(folder, &options, &mut |_| {}) {
        Ok(runtime) => runtime,
        Err(error) => panic!("the tests have no Python: {error}"),
    }
}
