//! The fake is a sandbox like any other.

use std::sync::Arc;

use meterbox_sandbox_client::{
    FakeRun, FakeSandbox, Job, Program, Sandbox, Verdict,
    conformance::{self, Subject},
};

fn knows_the_suite() -> FakeSandbox {
    let sandbox = FakeSandbox::new();
    sandbox.otherwise(|job: &Job| {
        let Program::Service { code, parameters } = &job.program else {
            panic!("not of the suite")
        };
        let subject = Subject::ALL
            .into_iter()
            .find(|subject| subject.code() == code)
            .expect("of the suite");
        match subject {
            Subject::Echoes => FakeRun::replies(&parameters.to_string()),
            Subject::Raises => FakeRun::raises("ValueError", "no such thing").at_line(2),
            Subject::Prints => FakeRun::replies("null").printing("heard\n"),
            Subject::Loops => FakeRun::hangs(),
            Subject::Exits => FakeRun::verdict(Verdict::Exited { code: 3 }),
        }
    });
    sandbox
}

#[tokio::test]
async fn conforms() {
    conformance::all(&knows_the_suite()).await;
}

#[tokio::test]
async fn conforms_boxed_and_shared() {
    let boxed: Box<dyn Sandbox> = Box::new(knows_the_suite());
    conformance::all(&boxed).await;
    let shared: Arc<dyn Sandbox> = Arc::new(knows_the_suite());
    conformance::all(&shared).await;
}

#[tokio::test]
async fn remembers_what_it_was_asked() {
    let sandbox = knows_the_suite();
    conformance::all(&sandbox).await;
    assert_eq!(sandbox.killed(), 1, "one run of the suite is dropped midway");
    assert!(sandbox.jobs().len() > 5);
}
