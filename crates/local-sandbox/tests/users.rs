//! The same for whoever runs it: root whose home is closed to others, and a plain user.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::{os::unix::fs::PermissionsExt, process::Command};

use common::{
    Fixture, given,
    machine::{self, Host},
    runtime,
};
use meterbox_local_sandbox::Tier;
use meterbox_sandbox_client::{Sandbox, SandboxError};

#[tokio::test(flavor = "multi_thread")]
async fn programs_never_run_as_the_machines_root() {
    let fixture = Fixture::new();
    let mapped = fixture
        .value("reply(open('/proc/self/uid_map').read().split()[1])")
        .await;
    let ours = rustix::process::geteuid();
    let outside = if ours.is_root() { 61184 } else { ours.as_raw() };
    // Seen from inside, the outer id is the one of the zygote's namespace.
    assert_eq!(mapped, outside.to_string());
}

#[test]
fn root_with_a_closed_home_has_its_runtime_and_inputs_there() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let inputs = home.path().join("data");
    std::fs::create_dir(&inputs).unwrap();
    std::fs::set_permissions(&inputs, std::fs::Permissions::from_mode(0o755)).unwrap();
    let source = inputs.join("orders.csv");
    std::fs::write(&source, "a\n1\n").unwrap();
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o644)).unwrap();
    let threads = tokio::runtime::Runtime::new().unwrap();
    let value = threads.block_on(async {
        let fixture = Fixture::with(|builder| builder.inputs_root(&inputs));
        let job = meterbox_sandbox_client::Job {
            inputs: vec![common::input(&source, "orders.csv")],
            ..common::service("reply(open('/data/orders.csv').read())")
        };
        common::value(&fixture.run(job).await)
    });
    assert_eq!(value, "a\n1\n");
}

/// Without a root of its own the sandbox's user has to get to the runtime by itself.
#[test]
fn a_runtime_in_a_closed_home_is_refused_by_name_where_there_are_no_namespaces() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let venv = home.path().join("runtime/venv");
    let made = Command::new("python3")
        .args(["-I", "-m", "venv", "--without-pip", "--symlinks"])
        .arg(&venv)
        .status();
    assert!(made.unwrap().success());
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let threads = tokio::runtime::Runtime::new().unwrap();
    let refused = threads.block_on(async {
        let fixture = Fixture::of(given(venv), |builder| builder.only_tier(Tier::Landlock));
        fixture.sandbox.capabilities().await
    });
    let Err(SandboxError::Unavailable { missing, fix }) = refused else {
        panic!("{refused:?}")
    };
    let named = format!("{} is closed to user 61184", home.path().display());
    assert!(missing.contains(&named), "{missing}");
    assert!(fix.contains("a folder that everybody may enter"), "{fix}");
}

/// Runs the other test files' core again as a plain user, in a mount namespace of its own where the
/// folders above the runtime are open to everybody.
#[test]
fn a_plain_user_is_as_safe() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let runtime = runtime();
    let tests = std::env::current_exe().unwrap();
    let siblings = tests.parent().unwrap();
    for (binary, names) in [
        ("hostile", &["every_program_is_contained"][..]),
        (
            "behaviour",
            &[
                "a_program_prints_and_answers",
                "inputs_are_read_and_files_collected",
                "the_machine_is_diagnosed",
            ],
        ),
        ("hostile_sessions", &["every_session_is_contained"]),
        ("pool", &["a_zygote_that_is_stuck_loses_no_run"]),
        ("users", &["programs_never_run_as_the_machines_root"]),
    ] {
        let executable = machine::newest(siblings, binary);
        let ran = machine::as_nobody(&runtime, &executable, names, Host::Whole, &[]);
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(ran.status.success(), "{binary}: {out}\n{err}");
        assert!(
            out.contains(&format!("{} passed", names.len())),
            "{binary}: {out}"
        );
    }
}

/// Looks at a machine that the next test has made poor.
#[tokio::test]
async fn refused() {
    let Ok(fix) = std::env::var("METERBOX_TEST_EXPECTED_FIX") else {
        return;
    };
    let fixture = Fixture::new();
    let refused = fixture
        .sandbox
        .run(common::service("reply(1)"), std::sync::Arc::new(()))
        .await;
    let Err(SandboxError::Unavailable { missing, fix: said }) = refused else {
        panic!("{refused:?}")
    };
    assert!(said.contains(&fix), "{missing}: {said}");
    let diagnosis = fixture.sandbox.diagnose().await;
    assert!(!diagnosis.is_ok(), "{diagnosis:?}");
}

#[test]
fn a_poor_machine_is_refused_with_the_fix() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Inside a user namespace that allows no more of them, without rights; and as a root that is none.
    let forbidden = "echo 0 > /proc/sys/user/max_user_namespaces; \
                     exec setpriv --bounding-set=-all --inh-caps=-all \"$0\" --exact refused";
    let alone = "exec \"$0\" --exact refused";
    for (script, fix) in [(forbidden, "max_user_namespaces"), (alone, "plain user")] {
        let ran = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .env("METERBOX_TEST_EXPECTED_FIX", fix)
            .env("METERBOX_TEST_VENV", runtime().venv)
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(
            ran.status.success() && out.contains("1 passed"),
            "{fix}: {out}\n{err}"
        );
    }
}
