//! The double is right if the official SDKs, unmodified, work with it.

use std::path::{Path, PathBuf};

use meterbox_testkit::{E2B_KEY, E2bDouble, peer_node, peer_python};

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_sdk_works_with_the_double() {
    python_sdk("e2b_sdk.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_sdk_sees_what_code_shows_and_what_becomes_of_it() {
    python_sdk("e2b_code.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_javascript_sdk_works_with_the_double() {
    javascript_sdk("e2b_sdk.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_javascript_sdk_sees_what_code_shows_and_what_becomes_of_it() {
    javascript_sdk("e2b_code.mjs").await;
}

async fn python_sdk(script: &str) {
    let Some(python) = peer_python("e2b-sdk", &peers().join("e2b-sdk.txt")) else {
        return;
    };
    let mut command = tokio::process::Command::new(python);
    command.arg(peers().join(script));
    all_as_expected(command).await;
}

async fn javascript_sdk(script: &str) {
    let Some(packages) = peer_node("e2b-sdk-js", &peers().join("e2b-sdk-js/package.json")) else {
        return;
    };
    // Packages are looked for from where a script lies.
    let beside_packages = packages.join(script);
    std::fs::copy(peers().join(script), &beside_packages).expect("the cache folder can be written");
    let mut command = tokio::process::Command::new("node");
    command.arg(beside_packages);
    all_as_expected(command).await;
}

async fn all_as_expected(mut program: tokio::process::Command) {
    let double = E2bDouble::start().await;
    let output = program
        .env("E2B_API_KEY", E2B_KEY)
        .env("E2B_API_URL", double.url())
        .env("E2B_SANDBOX_URL", double.url())
        .output()
        .await
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("all as expected"),
        "{said}\n{complained}\n{:#?}",
        double.requests()
    );
    assert!(double.running().is_empty(), "it ends what it made");
}
