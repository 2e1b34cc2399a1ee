//! The installed Python runtime, as the sandbox will use it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use meterbox_local_sandbox::runtime::{InstallOptions, Runtime, RuntimeStatus};
use meterbox_testkit::{test_runtime, test_runtime_folder};

#[test]
fn it_runs_what_the_lock_names() {
    let runtime = test_runtime();
    let program = "import duckdb, numpy, pandas, sys\n\
                   print(sys.base_prefix, sys.version.split()[0])\n\
                   print(duckdb.__version__, numpy.__version__, pandas.__version__)";
    let output = Command::new(&runtime.python)
        .args(["-I", "-c", program])
        .env_clear()
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let packages = &runtime.packages;
    let wanted = format!(
        "{} {}\n{} {} {}\n",
        runtime.base_prefix.display(),
        runtime.version,
        packages["duckdb"],
        packages["numpy"],
        packages["pandas"]
    );
    assert_eq!(printed, wanted, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn it_is_found_again_and_installing_again_changes_nothing() {
    let runtime = test_runtime();
    let folder = test_runtime_folder();
    assert_eq!(Runtime::locate(&folder).unwrap(), Some(runtime.clone()));
    assert_eq!(Runtime::status(&folder), RuntimeStatus::Ready(runtime.clone()));

    let path = std::env::var_os("PATH").unwrap();
    let options = InstallOptions {
        search_path: path,
        ..InstallOptions::default()
    };
    let again = Runtime::install(&folder, &options, &mut |_| {}).unwrap();
    assert_eq!(again, runtime);
}

#[test]
fn every_user_can_read_it() {
    let runtime = test_runtime();
    let home = runtime.venv.parent().unwrap();
    let closed = closed_to_others(home);
    assert!(closed.is_empty(), "{closed:?}");
}

#[test]
fn programs_find_bytecode_and_fonts_that_are_there_in_a_sandbox() {
    let runtime = test_runtime();
    let fonts: Vec<_> = fs::read_dir(&runtime.font_cache)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let cache = fonts
        .iter()
        .find(|path| path.extension().is_some_and(|kind| kind == "json"))
        .expect("a font cache");
    let cache: serde_json::Value = serde_json::from_slice(&fs::read(cache).unwrap()).unwrap();
    let fonts = cache["ttflist"].as_array().unwrap();
    assert!(!fonts.is_empty());
    for font in fonts {
        let path = Path::new(font["fname"].as_str().unwrap());
        assert!(
            path.is_relative() || path.starts_with(&runtime.venv),
            "{path:?} is a font of this machine"
        );
    }

    let program = "import importlib.util, os, pandas\n\
                   print(os.path.exists(importlib.util.cache_from_source(pandas.__file__)))";
    let output = Command::new(&runtime.python)
        .args(["-I", "-B", "-c", program])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "True");
}

#[test]
fn a_wheelhouse_without_the_wheels_is_an_error_that_says_so_and_leaves_nothing_usable() {
    let folder = tempfile::tempdir().unwrap();
    let wheelhouse = tempfile::tempdir().unwrap();
    let options = InstallOptions {
        search_path: std::env::var_os("PATH").unwrap(),
        wheelhouse: Some(wheelhouse.path().to_owned()),
        ..InstallOptions::default()
    };
    let mut last = 0.0;
    let refused = Runtime::install(folder.path(), &options, &mut |progress| {
        assert!(progress.done >= last, "{progress:?}");
        last = progress.done;
    });
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("into the wheelhouse"), "{message}");
    assert_eq!(Runtime::locate(folder.path()).unwrap(), None);
    assert_eq!(Runtime::status(folder.path()), RuntimeStatus::Absent);
    assert!(Runtime::remove(folder.path()).unwrap());
    assert_eq!(Runtime::status(folder.path()), RuntimeStatus::Absent);
}

fn closed_to_others(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut closed = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let data = path.symlink_metadata().expect("its mode");
            let needed = if data.is_dir() { 0o005 } else { 0o004 };
            if !data.is_symlink() && data.permissions().mode() & needed != needed {
                closed.push(path.clone());
            }
            if data.is_dir() {
                folders.push(path);
            }
        }
    }
    closed
}
