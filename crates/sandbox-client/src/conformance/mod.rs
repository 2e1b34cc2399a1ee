//! What every [`Sandbox`] does, whoever wrote it. A back end's tests call [`all`] on itself, on its `Box`
//! and on its `Arc`; and so [`sessions::all`] where it has sessions, [`sessions::none`] where it has not.
//!
//! The programs are real Python; a fake has to know them by heart (see [`Subject`]).

pub mod programs;
pub mod sessions;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    Capabilities, InputFile, Job, Limits, Outcome, OutputSink, OutputStream, Program, Reply, Sandbox,
    SandboxErrorKind, Verdict,
};

/// The programs of this suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Replies with its parameters.
    Echoes,
    /// Raises a `ValueError` saying `no such thing` on line 2.
    Raises,
    /// Prints `heard` and then replies with `null`.
    Prints,
    /// Never ends.
    Loops,
    /// Ends with exit code 3 and no reply.
    Exits,
}

impl Subject {
    /// Every program.
    pub const ALL: [Self; 5] = [Self::Echoes, Self::Raises, Self::Prints, Self::Loops, Self::Exits];

    /// Its source.
    pub fn code(self) -> &'static str {
        match self {
            Self::Echoes => "reply(parameters)",
            Self::Raises => "\nraise ValueError('no such thing')",
            Self::Prints => "print('heard', flush=True)\nreply(None)",
            Self::Loops => "while True:\n    pass",
            Self::Exits => "import os\nos._exit(3)",
        }
    }

    fn job(self) -> Job {
        let parameters = serde_json::json!({ "whole": 3, "text": "a \"b\" ü", "list": [null, true] });
        Job::new(Program::Service {
            code: self.code().to_owned(),
            parameters,
        })
    }
}

/// Every property, one after the other.
///
/// # Panics
/// Where a property does not hold.
pub async fn all(sandbox: &dyn Sandbox) {
    says_what_it_offers(sandbox).await;
    hands_back_a_reply(sandbox).await;
    hands_back_an_error(sandbox).await;
    streams_output(sandbox).await;
    reports_an_exit_without_reply(sandbox).await;
    ends_on_cancel(sandbox).await;
    survives_a_dropped_run(sandbox).await;
    refuses_a_missing_input(sandbox).await;
    bills_no_more_than_its_worst_case(sandbox).await;
}

async fn says_what_it_offers(sandbox: &dyn Sandbox) {
    let Capabilities {
        python,
        sandbox: report,
        ..
    } = sandbox.capabilities().await.expect("a working sandbox");
    assert!(!python.is_empty() && !report.provider.is_empty() && !report.tier.is_empty());
}

async fn run(sandbox: &dyn Sandbox, job: Job) -> Outcome {
    sandbox.run(job, Arc::new(())).await.expect("a working sandbox")
}

async fn hands_back_a_reply(sandbox: &dyn Sandbox) {
    let job = Subject::Echoes.job();
    let Program::Service { parameters, .. } = job.program.clone() else {
        unreachable!("a service program")
    };
    let outcome = run(sandbox, job).await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 });
    let Some(Reply::Value(value)) = outcome.reply else {
        panic!("no reply: {outcome:?}")
    };
    let value: serde_json::Value = serde_json::from_str(value.get()).expect("JSON");
    assert_eq!(value, parameters);
}

async fn hands_back_an_error(sandbox: &dyn Sandbox) {
    let outcome = run(sandbox, Subject::Raises.job()).await;
    let Some(Reply::Error(error)) = outcome.reply else {
        panic!("no error: {outcome:?}")
    };
    assert_eq!(
        (error.kind.as_str(), error.message.as_str()),
        ("ValueError", "no such thing")
    );
    assert_eq!(error.line, Some(2));
}

async fn streams_output(sandbox: &dyn Sandbox) {
    let heard = Arc::new(Heard::default());
    let outcome = sandbox
        .run(Subject::Prints.job(), Arc::<Heard>::clone(&heard))
        .await
        .expect("a working sandbox");
    assert_eq!(outcome.stdout.trim(), "heard");
    assert_eq!(heard.0.lock().expect("unpoisoned").trim(), "heard");
}

async fn reports_an_exit_without_reply(sandbox: &dyn Sandbox) {
    let outcome = run(sandbox, Subject::Exits.job()).await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 3 });
    assert!(outcome.reply.is_none());
}

async fn ends_on_cancel(sandbox: &dyn Sandbox) {
    let job = Subject::Loops.job();
    let cancel = job.cancel.clone();
    let (outcome, ()) = tokio::join!(run(sandbox, job), async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    assert_eq!(outcome.verdict, Verdict::Cancelled);
}

async fn survives_a_dropped_run(sandbox: &dyn Sandbox) {
    let dropped = tokio::time::timeout(Duration::from_millis(50), run(sandbox, Subject::Loops.job())).await;
    assert!(dropped.is_err(), "an endless program ended");
    hands_back_a_reply(sandbox).await;
}

async fn refuses_a_missing_input(sandbox: &dyn Sandbox) {
    let mut job = Subject::Echoes.job();
    job.inputs = vec![InputFile {
        source: "/nonexistent/orders.csv".into(),
        path: "orders.csv".into(),
    }];
    let error = sandbox
        .run(job, Arc::new(()))
        .await
        .expect_err("there is no such file");
    assert_eq!(error.kind(), SandboxErrorKind::BadJob);
    assert!(error.to_string().contains("orders.csv"), "{error}");
}

async fn bills_no_more_than_its_worst_case(sandbox: &dyn Sandbox) {
    let job = Subject::Echoes.job();
    let most = sandbox.worst_usage(&job.limits);
    let used = run(sandbox, job).await.usage;
    assert!(
        used.wall_ms <= most.wall_ms
            && used.cpu_ms <= most.cpu_ms
            && used.peak_memory_bytes <= most.peak_memory_bytes
            && used.output_bytes <= most.output_bytes,
        "{used:?} is more than {most:?}"
    );
    let mut before = sandbox.worst_usage(&Limits {
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        ..Limits::default()
    });
    for seconds in [1, 10, 100_000] {
        let time = Duration::from_secs(seconds);
        let longer = Limits {
            wall: time,
            cpu: time,
            ..Limits::default()
        };
        let most = sandbox.worst_usage(&longer);
        assert!(
            u128::from(most.wall_ms) >= time.as_millis(),
            "{most:?} for {time:?}"
        );
        assert!(most.wall_ms >= before.wall_ms && most.cpu_ms >= before.cpu_ms);
        before = most;
    }
}

#[derive(Default)]
struct Heard(Mutex<String>);

impl OutputSink for Heard {
    fn printed(&self, _: OutputStream, text: &str) {
        self.0.lock().expect("unpoisoned").push_str(text);
    }
}
