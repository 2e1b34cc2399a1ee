//! The tiers: which one a machine gives, what it then promises, and what is said where that is too little. Poor machines
//! are made of this one; only root can make them.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]

mod common;

use std::sync::Arc;

use common::{
    Fixture, input,
    machine::{self, Host},
    runtime, service, value,
};
use meterbox_local_sandbox::Tier;
use meterbox_sandbox_client::{Job, Program, Reply, Sandbox, SandboxError, Verdict};

const CONTAINER: Host = Host::Without("container");
const OLD_CONTAINER: Host = Host::Without("container,landlock");

/// Runs `here` on such a machine.
fn on(host: Host, least: &str, expected: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tests = std::env::current_exe().unwrap();
    let variables = [
        ("METERBOX_TEST_LEAST", least),
        ("METERBOX_TEST_EXPECTED", expected),
    ];
    passes(
        machine::as_nobody(&runtime(), &tests, &["here"], host, &variables),
        1,
    );
}

/// Runs tests of another binary again in this tier.
fn again(host: Host, tier: &str, binary: &str, names: &[&str]) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tests = std::env::current_exe().unwrap();
    let binary = machine::newest(tests.parent().unwrap(), binary);
    let variables = [("METERBOX_TEST_TIER", tier)];
    passes(
        machine::as_nobody(&runtime(), &binary, names, host, &variables),
        names.len(),
    );
}

fn passes(ran: std::process::Output, count: usize) {
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(
        ran.status.success() && out.contains(&format!("{count} passed")),
        "{out}\n{err}"
    );
}

#[test]
fn a_whole_machine_gives_namespaces() {
    on(Host::Whole, "seccomp", "ns");
}

#[test]
fn the_old_clone_serves_where_the_new_one_is_hidden() {
    on(Host::Without("clone3"), "ns", "ns");
}

#[test]
fn namespaces_hold_without_landlock() {
    on(Host::Without("landlock"), "ns", "ns without landlock");
}

#[test]
fn a_masked_proc_is_done_without() {
    on(Host::MaskedProc, "ns", "ns");
}

#[test]
fn without_user_namespaces_there_is_landlock() {
    on(Host::NoUserNamespaces, "landlock", "landlock");
    on(Host::NoUserNamespaces, "ns", "refused max_user_namespaces");
}

#[test]
fn a_container_gives_landlock() {
    on(CONTAINER, "landlock", "landlock");
    on(CONTAINER, "ns", "refused seccomp=unconfined");
}

#[test]
fn seccomp_alone_is_used_only_where_it_is_asked_for() {
    on(OLD_CONTAINER, "landlock", "refused lsm=");
    on(OLD_CONTAINER, "seccomp", "seccomp");
}

#[test]
fn control_groups_are_refused_by_name() {
    on(Host::Whole, "ns+cg", "refused control group");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_namespaces_the_machines_control_groups_have_no_names() {
    let fixture = Fixture::new();
    let groups = "reply(sorted({line.split(':', 2)[2] for line in open('/proc/self/cgroup')}))";
    assert_eq!(fixture.value(groups).await, serde_json::json!(["/\n"]));
}

#[test]
fn hostile_programs_are_contained_by_landlock() {
    again(
        Host::NoUserNamespaces,
        "landlock",
        "hostile",
        &["every_program_is_contained"],
    );
}

#[test]
fn ordinary_programs_run_behind_landlock() {
    again(
        CONTAINER,
        "landlock",
        "corpus",
        &["ordinary_programs_have_the_right_answers"],
    );
}

#[test]
fn ordinary_programs_run_behind_the_filter_alone() {
    again(
        OLD_CONTAINER,
        "seccomp",
        "corpus",
        &["ordinary_programs_have_the_right_answers"],
    );
}

#[test]
fn sessions_hold_behind_landlock() {
    again(
        Host::NoUserNamespaces,
        "landlock",
        "hostile_sessions",
        &[
            "every_session_is_contained",
            "no_file_changes_while_it_is_collected",
        ],
    );
}

#[test]
fn sessions_hold_behind_the_filter_alone() {
    again(
        OLD_CONTAINER,
        "seccomp",
        "sessions",
        &[
            "does_what_every_session_does",
            "files_are_collected_when_they_are_new",
        ],
    );
}

/// Looks at the machine that another test has made.
#[tokio::test(flavor = "multi_thread")]
async fn here() {
    let (Ok(least), Ok(expected)) = (
        std::env::var("METERBOX_TEST_LEAST"),
        std::env::var("METERBOX_TEST_EXPECTED"),
    ) else {
        return;
    };
    let least: Tier = least.parse().unwrap();
    let fixture = Fixture::with(|builder| builder.min_tier(least).ready(1));
    let diagnosis = fixture.sandbox.diagnose().await;
    if let Some(fix) = expected.strip_prefix("refused ") {
        let refused = fixture.sandbox.run(service("reply(1)"), Arc::new(())).await;
        let Err(SandboxError::Unavailable { missing, fix: said }) = refused else {
            panic!("{refused:?}")
        };
        assert!(
            missing.contains(least.name()) && said.contains(fix),
            "{missing}: {said}"
        );
        assert!(!diagnosis.is_ok(), "{diagnosis:?}");
        return;
    }
    let bad: Vec<_> = diagnosis.checks.iter().filter(|check| !check.ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let orders = fixture.input("orders.csv", "a\n7\n");
    fixture.input("secret.csv", "not for this run");
    let artifacts = tempfile::tempdir().unwrap();
    let job = || Job {
        inputs: vec![input(&orders, "deep/orders.csv")],
        artifacts_into: Some(artifacts.path().to_owned()),
        ..service(PROGRAM)
    };
    let (tier, guards) = expected.split_once(' ').unwrap_or((&expected, ""));
    for _ in 0..3 {
        let outcome = fixture.run(job()).await;
        assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
        let mut found = value(&outcome);
        let (others, denied) = (found["others"].take(), found["denied"].take());
        assert_eq!(found["data"], "a\n7\n");
        // Alone, the filter leaves the machine's files to their rights, and the report says so.
        let alone = tier == "seccomp";
        assert_eq!(others, alone, "{others}");
        assert_eq!(denied, if alone { 4 } else { 5 });
        let mode = std::os::unix::fs::PermissionsExt::mode(&orders.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o644, "a program changed the rights of its input");
        assert_eq!(outcome.artifacts.len(), 1, "{outcome:#?}");
        let report = &outcome.sandbox;
        assert_eq!(report.tier, tier);
        let filesystem = &report.guarantees["filesystem"];
        let locked = !guards.contains("without landlock") && tier != "seccomp";
        assert_eq!(filesystem.contains("Landlock"), locked, "{filesystem}");
        std::fs::remove_file(artifacts.path().join(&outcome.artifacts[0].name)).unwrap();
    }
    assert_eq!(fixture.sandbox.capabilities().await.unwrap().sandbox.tier, tier);
    let by_name = |name: &str| Job {
        inputs: vec![input(&orders, "deep/orders.csv")],
        ..Job::new(Program::Service {
            code: name.to_owned(),
            parameters: serde_json::Value::Null,
        })
    };
    for name in [
        "reply(open('/data/deep/orders.csv').read())",
        "import duckdb\nreply(str(duckdb.sql(\"SELECT * FROM '/data/deep/orders.csv'\")))",
    ] {
        match fixture.run(by_name(name)).await.reply {
            Some(Reply::Value(_)) => assert_eq!(tier, "ns", "{name}"),
            Some(Reply::Error(error)) => {
                assert!(
                    tier != "ns" && error.message.contains("use `data_dir`"),
                    "{error:?}"
                );
            }
            None => panic!("{name}: no reply"),
        }
    }
    let by_variable = by_name("reply(open(f'{data_dir}/deep/orders.csv').read())");
    assert_eq!(value(&fixture.run(by_variable).await), "a\n7\n");
    drop(fixture);
}

const PROGRAM: &str = r#"
import os, socket, subprocess, tempfile, threading

with open("kept.txt", "w") as file:
    file.write("kept")
with tempfile.TemporaryFile() as file:
    file.write(b"x")
denied = []
for attempt in (
    os.fork,
    lambda: subprocess.run(["true"]),
    lambda: socket.socket(),
    lambda: os.kill(os.getppid() or 2, 0),
    lambda: open(data_dir + "/other.csv", "w"),
):
    try:
        attempt()
    except OSError:
        denied.append(attempt)
thread = threading.Thread(target=list)
thread.start()
thread.join()
others = False
try:
    os.chmod(data_dir + "/deep/orders.csv", 0o600)
except OSError:
    pass
try:
    others = bool(open("/etc/passwd").read())
except OSError:
    pass
content = open(data_dir + "/deep/orders.csv").read()
reply({"data": content, "denied": len(denied), "others": others})
"#;
