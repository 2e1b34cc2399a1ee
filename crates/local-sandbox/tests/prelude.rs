//! Programs under the prelude, in the real sandbox.

mod common;

use common::Fixture;
use meterbox_sandbox_client::conformance::programs;

#[tokio::test(flavor = "multi_thread")]
async fn programs_see_and_answer_what_they_should() {
    let fixture = Fixture::new();
    programs::all(&fixture.sandbox, fixture.inputs.path()).await;
}
