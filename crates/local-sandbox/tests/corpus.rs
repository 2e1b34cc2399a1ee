//! Ordinary programs, each a file under `corpus/` whose first line says its answer. That they run shows that the list
//! of system calls, the folders and the limits leave what analysis needs. Those of `corpus/full/` use the packages of the
//! full list.
//!
//! `METERBOX_PYTHONS`, a list of folders as in `PATH`, has them all run under the Python of each folder too.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::future_not_send,
    reason = "a test that cannot go on fails; the sandbox lives in real time, and a test holds its turn on its thread"
)]

mod common;

use std::{
    future::ready,
    path::{Path, PathBuf},
};

use common::{
    Fixture, full_runtime, input,
    machine::{self, Host},
    runtime, service,
};
use futures_util::{StreamExt as _, stream};
use meterbox_local_sandbox::runtime::{InstallOptions, Packages, Runtime};
use meterbox_sandbox_client::{Job, Reply, Verdict};

/// So many run side by side.
const AT_ONCE: usize = 2;
const ORDERS: &str =
    "day,who,amount\n2025-01-03,ana,30.5\n2025-01-20,bo,30\n2025-02-01,ana,25\n2025-02-11,ana,15\n";
const BASE: (&str, &str, usize) = ("ordinary_programs_have_the_right_answers", "tests/corpus", 35);
const FULL: (&str, &str, usize) = (
    "programs_with_the_full_list_have_the_right_answers",
    "tests/corpus/full",
    16,
);

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_programs_have_the_right_answers() {
    all_are_right(runtime(), BASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_with_the_full_list_have_the_right_answers() {
    all_are_right(full_runtime(), FULL).await;
}

#[test]
fn programs_with_the_full_list_run_in_the_other_tiers() {
    in_the_other_tiers(&full_runtime(), FULL.0);
}

/// Only where other Pythons are named.
#[tokio::test(flavor = "multi_thread")]
async fn they_run_under_each_python_that_is_named() {
    let Some(pythons) = std::env::var_os("METERBOX_PYTHONS") else {
        return;
    };
    for python in std::env::split_paths(&pythons) {
        for (packages, corpus) in [(Packages::Base, BASE), (Packages::Full, FULL)] {
            let runtime = installed(&python, packages);
            all_are_right(runtime.clone(), corpus).await;
            in_the_other_tiers(&runtime, corpus.0);
        }
    }
}

/// Beside the runtime that all tests share, in a folder of its own for each version.
fn installed(python: &Path, packages: Packages) -> Runtime {
    let name = format!("{}-{packages}", python.display().to_string().replace('/', "-"));
    let folder = meterbox_testkit::test_runtime_folder()
        .join("pythons")
        .join(name.trim_start_matches('-'));
    let options = InstallOptions {
        packages,
        search_path: python.into(),
        ..InstallOptions::default()
    };
    Runtime::install(&folder, &options, &mut |_| {}).unwrap()
}

async fn all_are_right(runtime: Runtime, (_, folder, least): (&str, &str, usize)) {
    let fixture = Fixture::of(runtime, |builder| builder);
    let orders = fixture.input("orders.csv", ORDERS);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    assert!(paths.len() >= least, "only {} programs", paths.len());
    let one = async |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let code = std::fs::read_to_string(&path).unwrap();
        let answer = code
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# answer: "));
        let answer: serde_json::Value =
            serde_json::from_str(answer.unwrap_or_else(|| panic!("{name}"))).unwrap();
        let job = Job {
            inputs: vec![input(&orders, "orders.csv")],
            ..service(&code)
        };
        let outcome = fixture.run(job).await;
        let found = match &outcome.reply {
            Some(Reply::Value(value)) => serde_json::from_str(value.get()).unwrap(),
            _ => serde_json::Value::Null,
        };
        let right = outcome.verdict == (Verdict::Exited { code: 0 }) && found == answer;
        (!right).then(|| format!("{name}: {outcome:#?}"))
    };
    let wrong = stream::iter(paths.into_iter().map(one)).buffer_unordered(AT_ONCE);
    let wrong: Vec<String> = wrong.filter_map(ready).collect().await;
    assert!(wrong.is_empty(), "{} programs: {}", wrong.len(), wrong.join("\n"));
}

/// Runs a test of this binary again on poorer machines, which only root can make.
fn in_the_other_tiers(runtime: &Runtime, name: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tests = std::env::current_exe().unwrap();
    for (host, tier) in [
        (Host::Without("container"), "landlock"),
        (Host::Without("container,landlock"), "seccomp"),
    ] {
        let ran = machine::as_nobody(runtime, &tests, &[name], host, &[("METERBOX_TEST_TIER", tier)]);
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
