use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use futures_util::FutureExt as _;
use meterbox_sandbox_client::{Job, Program, Sandbox as _, SandboxError, SessionSetup};

use super::{LocalSandbox, runtime::*};

fn sandbox() -> LocalSandbox {
    let runtime = Runtime {
        python: "python".into(),
        base_prefix: "prefix".into(),
        venv: "venv".into(),
        font_cache: "fonts".into(),
        version: String::new(),
        list: Packages::default(),
        packages: Default::default(),
    };
    LocalSandbox::builder(runtime).build().unwrap()
}

#[test]
fn every_call_names_the_system_and_what_to_use_instead() {
    let refused = |error| match error {
        SandboxError::Unavailable { missing, fix } => format!("{missing}; {fix}"),
        other => panic!("{other}"),
    };
    let job = Job::new(Program::Analysis {
        code: "result = 1".to_owned(),
    });
    let ran = sandbox().run(job, Arc::new(())).now_or_never().unwrap();
    let begun = sandbox().session(SessionSetup::default()).now_or_never().unwrap();
    let asked = sandbox().capabilities().now_or_never().unwrap();
    let [check] = &sandbox().diagnose().now_or_never().unwrap().checks[..] else {
        panic!("one check")
    };
    let installed = Runtime::install(Path::new("nowhere"), &InstallOptions::default(), &mut |_| {
        panic!("nothing is begun")
    });
    for said in [
        refused(ran.unwrap_err()),
        refused(begun.unwrap_err()),
        refused(asked.unwrap_err()),
        format!("{}; {}", check.found, check.fix.as_deref().unwrap()),
        installed.unwrap_err().to_string(),
    ] {
        for word in [
            std::env::consts::OS,
            std::env::consts::ARCH,
            "virtual machine",
            "E2B",
        ] {
            assert!(said.contains(word), "{said}");
        }
    }
    assert!(!check.ok);
}

#[test]
fn there_is_no_runtime_and_what_lies_in_its_folder_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("runtime");
    assert_eq!(Runtime::locate(&home).unwrap(), None);
    assert_eq!(Runtime::status(&home), RuntimeStatus::Absent);
    assert!(!Runtime::remove(&home).unwrap());
    assert!(Runtime::old(&home).unwrap().is_empty() && Runtime::remove_old(&home).unwrap().is_empty());
    fs::create_dir(&home).unwrap();
    assert!(Runtime::remove(&home).unwrap() && !home.exists());
}

/// Whoever compiles against the crate on Linux can do so elsewhere: what is public is the same, but for the reasons of an
/// error that cannot be had.
#[test]
fn the_surface_is_the_same_everywhere() {
    let sandbox = (public(&["sandbox.rs"]), public(&["elsewhere/mod.rs"]));
    assert_eq!(sandbox.0, sandbox.1);
    let here: Vec<String> = fs::read_dir(source().join("runtime"))
        .unwrap()
        .map(|entry| format!("runtime/{}", entry.unwrap().file_name().display()))
        // Of this crate's own tests.
        .filter(|file| file != "runtime/test_list.rs")
        .collect();
    let here = public(&here.iter().map(String::as_str).collect::<Vec<_>>());
    let elsewhere = public(&["elsewhere/runtime.rs", "runtime/types.rs"]);
    assert!(here.len() > 20, "{here:?}");
    assert_eq!(here, elsewhere);
}

fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// Public items, methods, fields with their types, and names of variants; not what is for tests.
fn public(files: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(source().join(file)).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let (mut for_tests, mut in_enum) = (false, false);
        for line in text.lines() {
            for_tests |= line.contains("test-guards");
            in_enum &= line != "}";
            let variant = line
                .strip_prefix("    ")
                .filter(|line| line.starts_with(char::is_uppercase));
            if let Some(item) = line.trim_start().strip_prefix("pub ") {
                if !for_tests && !item.starts_with("use ") && !item.starts_with("mod ") {
                    found.insert(name(item));
                }
                for_tests = false;
                in_enum = item.starts_with("enum ") && !item.contains("Error");
            } else if let Some(variant) = variant.filter(|_| in_enum) {
                found.insert(name(variant));
            }
        }
    }
    found
}

/// `fn name` of a method, `name: Type` of a field, `struct Name` or `enum Name`, and `Name` of a variant.
fn name(item: &str) -> String {
    match item.split_once(['(', '<', '{']) {
        Some((head, _)) if !head.contains(':') => head.trim().to_owned(),
        _ => item.trim_end_matches(',').to_owned(),
    }
}
