//! Programs under the prelude, in the real sandbox: what they see, and how their answers leave.

mod common;

use common::Fixture;
use meterbox_sandbox_client::conformance::programs;

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_every_kind_arrive() {
    let fixture = Fixture::new();
    programs::answers_of_every_kind_arrive(&fixture.sandbox, fixture.inputs.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_cut_and_say_so() {
    let fixture = Fixture::new();
    programs::large_answers_are_cut_and_say_so(&fixture.sandbox, fixture.inputs.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_their_line() {
    let fixture = Fixture::new();
    programs::errors_name_their_line(&fixture.sandbox, fixture.inputs.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_breaks_its_tools_hurts_only_itself() {
    let fixture = Fixture::new();
    programs::a_program_that_breaks_its_tools_hurts_only_itself(&fixture.sandbox, fixture.inputs.path())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_are_specified_or_drawn() {
    let fixture = Fixture::new();
    programs::charts_are_specified_or_drawn(&fixture.sandbox, fixture.inputs.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_kept_once() {
    let fixture = Fixture::new();
    programs::pictures_are_kept_once(&fixture.sandbox, fixture.inputs.path()).await;
}
