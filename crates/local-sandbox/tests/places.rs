//! A runtime and its data may lie anywhere on the machine, also where programs have folders of their own.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::future_not_send,
    reason = "a test that cannot go on fails; the sandbox lives in real time, and a test holds its turn on its thread"
)]

mod common;

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use common::{
    Fixture, given, input,
    machine::{self, Host},
    value,
};
use meterbox_local_sandbox::Tier;
use meterbox_sandbox_client::{Job, Program};

const PROGRAM: &str = r#"
import json.tool, os, sys, tempfile
import of_the_runtime
from of_the_runtime import late

beside = os.path.dirname(os.path.dirname(parameters["venv"]))
try:
    seen = open(beside + "/of_others.txt").read()
except OSError:
    seen = "nothing"
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x")
    mine = [os.path.basename(file.name)] == os.listdir(tempfile.gettempdir())
try:
    open(of_the_runtime.__file__, "w")
except OSError:
    late.FACTS.append("is read-only")
reply([late.FACTS, open(data_dir + "/orders.csv").read(), mine, seen])
"#;

/// A Python without packages but one, and a file of somebody else's near it.
fn venv_in(folder: &Path) -> std::path::PathBuf {
    let venv = folder.join("deep/venv");
    let made = Command::new("python3")
        .args(["-I", "-m", "venv", "--without-pip", "--symlinks"])
        .arg(&venv)
        .status();
    assert!(made.unwrap().success());
    let [libraries] = &*std::fs::read_dir(venv.join("lib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect::<Vec<_>>()
    else {
        panic!("one version in {venv:?}")
    };
    let package = libraries.join("site-packages/of_the_runtime");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(package.join("__init__.py"), "").unwrap();
    std::fs::write(package.join("late.py"), "FACTS = ['found']").unwrap();
    std::fs::write(folder.join("of_others.txt"), "a secret").unwrap();
    venv
}

fn folder_in(parent: &Path) -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_finds_its_runtime_where_its_own_folders_are() {
    // In another process, where that has made one.
    if let Some(venv) = std::env::var_os("METERBOX_TEST_VENV") {
        return is_found(Path::new(&venv)).await;
    }
    for parent in ["/tmp", "/dev/shm"] {
        if tempfile::tempfile_in(parent).is_ok() {
            let folder = folder_in(Path::new(parent));
            is_found(&venv_in(folder.path())).await;
        }
    }
}

#[test]
fn so_it_does_in_the_other_tiers() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder_in(Path::new("/tmp"));
    let runtime = given(venv_in(folder.path()));
    let tests = std::env::current_exe().unwrap();
    for (host, tier) in [
        (Host::Whole, "ns"),
        (Host::Without("container"), "landlock"),
        (Host::Without("container,landlock"), "seccomp"),
    ] {
        let name = "a_program_finds_its_runtime_where_its_own_folders_are";
        let ran = machine::as_nobody(&runtime, &tests, &[name], host, &[("METERBOX_TEST_TIER", tier)]);
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(
            ran.status.success() && out.contains("1 passed"),
            "{tier}: {out}\n{err}"
        );
    }
}

async fn is_found(venv: &Path) {
    let fixture = Fixture::of(given(venv.to_owned()), |builder| builder);
    let orders = fixture.input("orders.csv", "a\n1\n");
    let job = Job {
        inputs: vec![input(&orders, "orders.csv")],
        ..Job::new(Program::Service {
            code: PROGRAM.to_owned(),
            parameters: serde_json::json!({ "venv": venv }),
        })
    };
    let found = value(&fixture.run(job).await);
    // The filter alone leaves files to their rights.
    let alone = common::tier() == Some(Tier::Seccomp);
    let of_others = if alone { "a secret" } else { "nothing" };
    assert_eq!(
        found,
        serde_json::json!([["found", "is read-only"], "a\n1\n", true, of_others]),
        "{venv:?}"
    );
}
