//! The official JavaScript client sends what ours does.

#[path = "common/requests.rs"]
#[allow(unreachable_pub, missing_docs, reason = "shared with another package")]
mod requests;

use std::path::Path;

use meterbox_testkit::peer_node;
use tokio::process::Command;

#[tokio::test]
async fn our_requests_say_what_the_official_client_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/postgrest-js");
    let Some(place) = peer_node("postgrest-js", &folder.join("package.json")) else {
        return;
    };
    // Beside its packages, where node looks for them.
    let script = place.join("requests.mjs");
    std::fs::copy(folder.join("requests.mjs"), &script).unwrap();
    let recorder = requests::recorder().await;
    let ran = Command::new("node")
        .arg(&script)
        .args([&recorder.url(), requests::KEY, requests::TOKEN])
        .output()
        .await
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let theirs: Vec<_> = recorder
        .heard()
        .iter()
        .map(|request| requests::said(request))
        .collect();
    let ours = requests::ours().await;
    assert_eq!(ours.len(), theirs.len());
    for (mut ours, mut theirs) in ours.into_iter().zip(theirs) {
        // Theirs names the columns of an insert once more; ours asks for no rows back, which is what servers do anyway.
        theirs.query.retain(|(key, _)| key != "columns");
        ours.prefer.remove("return=minimal");
        assert_eq!(ours, theirs);
    }
}
