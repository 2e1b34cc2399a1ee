//! The fake is a sandbox like any other.

use std::sync::Arc;

use meterbox_core::contract::Usage;
use meterbox_sandbox_client::{
    FakeRun, FakeSandbox, Job, OutputSink, OutputStream, Program, Sandbox, Verdict,
    conformance::{
        self, Subject,
        sessions::{self, CellSubject},
    },
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

fn knows_the_cells() -> FakeSandbox {
    let sandbox = FakeSandbox::new();
    sandbox.otherwise(|job: &Job| {
        let Program::Service { code, .. } = &job.program else {
            panic!("not of the suite")
        };
        let subject = CellSubject::ALL
            .into_iter()
            .find(|subject| subject.code() == code)
            .expect("of the suite");
        match subject {
            CellSubject::Keeps => FakeRun::replies("41"),
            CellSubject::Continues => FakeRun::replies("42"),
            CellSubject::Raises => FakeRun::raises("ValueError", "no such thing").at_line(2),
            CellSubject::Loops => FakeRun::hangs(),
            CellSubject::Exits => FakeRun::verdict(Verdict::Exited { code: 3 }),
        }
    });
    sandbox
}

#[tokio::test]
async fn sessions_conform() {
    sessions::all(&knows_the_cells()).await;
    let boxed: Box<dyn Sandbox> = Box::new(knows_the_cells());
    sessions::all(&boxed).await;
    let shared: Arc<dyn Sandbox> = Arc::new(knows_the_cells());
    sessions::all(&shared).await;
}

#[tokio::test]
async fn remembers_what_it_was_asked() {
    let sandbox = knows_the_suite();
    conformance::all(&sandbox).await;
    assert_eq!(sandbox.killed(), 1, "one run of the suite is dropped midway");
    assert!(sandbox.jobs().len() > 5);
}

#[tokio::test]
async fn tells_what_was_used_meanwhile() {
    #[derive(Default)]
    struct Told(std::sync::Mutex<Vec<Usage>>);
    impl OutputSink for Told {
        fn printed(&self, _: OutputStream, _: &str) {}
        fn used(&self, usage: Usage) {
            self.0.lock().expect("unpoisoned").push(usage);
        }
    }
    let usage = |wall_ms| Usage {
        wall_ms,
        ..Usage::default()
    };
    let sandbox = FakeSandbox::new();
    sandbox.next(
        FakeRun::replies("1")
            .using_meanwhile(usage(3))
            .using_meanwhile(usage(5)),
    );
    let program = Program::Analysis { code: String::new() };
    let told = Arc::new(Told::default());
    let run = sandbox.run(Job::new(program), Arc::<Told>::clone(&told)).await;
    assert!(run.is_ok());
    assert_eq!(*told.0.lock().expect("unpoisoned"), [usage(3), usage(5)]);
}
