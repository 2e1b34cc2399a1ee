//! What an embedded sandbox does for honest programs, and what it does when things around it die.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Fixture, Heard, children, children_of, service, value};
use meterbox_sandbox_client::{
    InputFile, Job, Program, Sandbox, SandboxErrorKind, Verdict, conformance,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_prints_and_answers() {
    let fixture = Fixture::new();
    let outcome = fixture
        .run(Job::new(Program::Analysis {
            code: "print('hi'); result=1".to_owned(),
        }))
        .await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
    assert_eq!(outcome.stdout, "hi\n");
    assert!(outcome.reply.is_some());
    assert_eq!((outcome.sandbox.provider.as_str(), outcome.sandbox.tier.as_str()), ("local", "ns"));
}
