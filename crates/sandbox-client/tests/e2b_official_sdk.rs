//! The double is right if the official SDK, unmodified, works with it.

use std::path::Path;

use meterbox_testkit::{E2B_KEY, E2bDouble, peer_python};

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_sdk_works_with_the_double() {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let Some(python) = peer_python("e2b-sdk", &peers.join("e2b-sdk.txt")) else {
        return;
    };
    let double = E2bDouble::start().await;
    let output = tokio::process::Command::new(python)
        .arg(peers.join("e2b_sdk.py"))
        .env("E2B_API_KEY", E2B_KEY)
        .env("E2B_API_URL", double.url())
        .env("E2B_SANDBOX_URL", double.url())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("all as expected"),
        "{said}\n{complained}\n{:#?}",
        double.requests()
    );
}
