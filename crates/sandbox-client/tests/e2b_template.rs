//! The template that ships is one that E2B's own package can build, with the packages of the local runtime.

use std::path::Path;

use meterbox_sandbox_client::e2b::MachineSize;
use meterbox_testkit::peer_python;
use serde_json::Value;

#[test]
fn the_template_has_the_packages_of_the_local_runtime() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(python) = peer_python("e2b-sdk", &here.join("tests/peers/e2b-sdk.txt")) else {
        return;
    };
    let repository = here.join("../..");
    let output = std::process::Command::new(python)
        .arg(repository.join("deploy/e2b-template/build.py"))
        .arg("--json")
        .output()
        .expect("it starts");
    let complained = String::from_utf8_lossy(&output.stderr);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{complained}"));
    let template = &plan["template"];
    assert_eq!(template["fromImage"], "python:3.13-slim");
    let steps = template["steps"].as_array().expect("steps");
    let step = |kind: &str| {
        let of_kind = steps.iter().find(|step| step["type"] == kind);
        of_kind.unwrap_or_else(|| panic!("no {kind} in {steps:?}"))
    };
    // Taken from where the runtime's own installer has it; that it is there, E2B's package has checked by hashing it.
    let copy = step("COPY");
    assert_eq!(copy["args"][0], "base-py3.13.txt");
    assert_eq!(copy["filesHash"].as_str().map(str::len), Some(64), "{copy}");
    let lock = std::fs::read_to_string(repository.join("crates/local-sandbox/locks/base-py3.13.txt"))
        .expect("the lock is there");
    for package in [
        "pandas==2.3.3",
        "numpy==2.3.5",
        "pyarrow==",
        "duckdb==",
        "matplotlib==",
    ] {
        assert!(lock.contains(package), "{package}");
    }
    let install = step("RUN")["args"][0].as_str().expect("a command");
    let to = copy["args"][1].as_str().expect("a path");
    for part in ["--require-hashes", "--only-binary :all:", to] {
        assert!(install.contains(part), "{install}");
    }
    // What Meterbox takes for granted where nothing is set.
    let size = MachineSize::default();
    assert_eq!(
        (&plan["processors"], &plan["memory_mib"]),
        (&size.processors.into(), &size.memory_mib.into())
    );
}
