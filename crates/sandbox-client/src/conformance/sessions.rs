//! What every session does, whoever wrote its sandbox.

use std::{sync::Arc, time::Duration};

use crate::{
    Cell, InputFile, Job, Limits, Outcome, Program, Reply, Sandbox, SandboxError, SandboxErrorKind, Session,
    SessionEnd, SessionSetup, SessionTotal, SessionTotals, Verdict,
};

/// The cells of this suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellSubject {
    /// Keeps the number 41 under a name, and replies with it.
    Keeps,
    /// Replies with one more than the number that was kept.
    Continues,
    /// Raises a `ValueError` saying `no such thing`.
    Raises,
    /// Never ends.
    Loops,
    /// Ends its process with exit code 3 and no reply.
    Exits,
}

impl CellSubject {
    /// Every cell.
    pub const ALL: [Self; 5] = [
        Self::Keeps,
        Self::Continues,
        Self::Raises,
        Self::Loops,
        Self::Exits,
    ];

    /// Its source.
    pub fn code(self) -> &'static str {
        match self {
            Self::Keeps => "kept = 41\nreply(kept)",
            Self::Continues => "kept += 1\nreply(kept)",
            Self::Raises => "kept\nraise ValueError('no such thing')",
            Self::Loops => "while kept:\n    pass",
            Self::Exits => "import os\nkept and os._exit(3)",
        }
    }

    fn cell(self) -> Cell {
        Cell::new(Program::Service {
            code: self.code().to_owned(),
            parameters: serde_json::Value::Null,
        })
    }
}

/// Every property, one after the other.
///
/// # Panics
/// Where a property does not hold.
pub async fn all(sandbox: &dyn Sandbox) {
    let offered = sandbox.capabilities().await.expect("a working sandbox").sessions;
    assert!(offered, "this sandbox says that it has no sessions");
    builds_on_what_was(sandbox).await;
    outlives_an_error(sandbox).await;
    ends_with_a_cell_that_is_cancelled(sandbox).await;
    ends_with_a_cell_that_ends_its_process(sandbox).await;
    ends_with_a_cell_that_is_dropped(sandbox).await;
    counts_what_its_cells_use(sandbox).await;
    stops_at_its_totals(sandbox).await;
    ends_when_nobody_uses_it(sandbox).await;
    begins_nothing_that_was_cancelled_before(sandbox).await;
    refuses_what_cannot_be_run(sandbox).await;
}

/// Of a sandbox without sessions: it says so before, and again when it is asked for one.
///
/// # Panics
/// Where it does not.
pub async fn none(sandbox: &dyn Sandbox) {
    let offered = sandbox.capabilities().await.expect("a working sandbox").sessions;
    let refused = sandbox.session(SessionSetup::default()).await;
    let kind = refused.expect_err("no sessions here").kind();
    assert!(!offered && kind == SandboxErrorKind::Unsupported, "{kind:?}");
}

async fn begin(sandbox: &dyn Sandbox, totals: SessionTotals) -> Box<dyn Session> {
    let setup = SessionSetup {
        totals,
        ..SessionSetup::default()
    };
    let mut session = sandbox.session(setup).await.expect("a session");
    let kept = run(&mut *session, CellSubject::Keeps).await;
    assert_eq!((number(&kept), session.end()), (41, None));
    session
}

async fn run(session: &mut dyn Session, subject: CellSubject) -> Outcome {
    session
        .run(subject.cell(), Arc::new(()))
        .await
        .expect("a session that goes on")
}

fn number(outcome: &Outcome) -> i64 {
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:?}");
    let Some(Reply::Value(value)) = &outcome.reply else {
        panic!("no reply: {outcome:?}")
    };
    serde_json::from_str(value.get()).expect("a number")
}

/// It has ended for this reason, says so to everybody, and closing it changes nothing.
async fn has_ended(session: &mut dyn Session, why: &SessionEnd) {
    assert_eq!(session.end().as_ref(), Some(why));
    for _ in 0..2 {
        let refused = session.run(CellSubject::Continues.cell(), Arc::new(())).await;
        let error = refused.expect_err("it has ended");
        assert!(error.to_string().contains(&why.to_string()), "{error}");
        assert!(matches!(error, SandboxError::SessionEnded { why: said } if said == *why));
        session.close().await.expect("it is gone");
    }
}

async fn builds_on_what_was(sandbox: &dyn Sandbox) {
    let mut session = begin(sandbox, SessionTotals::default()).await;
    assert_eq!(number(&run(&mut *session, CellSubject::Continues).await), 42);
    // Another one knows nothing of it.
    let mut other = begin(sandbox, SessionTotals::default()).await;
    assert_eq!(number(&run(&mut *other, CellSubject::Continues).await), 42);
    session.close().await.expect("it is gone");
    has_ended(&mut *session, &SessionEnd::Closed).await;
    let mut boxed: Box<Box<dyn Session>> = Box::new(other);
    boxed.close().await.expect("it is gone");
    has_ended(&mut boxed, &SessionEnd::Closed).await;
}

async fn outlives_an_error(sandbox: &dyn Sandbox) {
    let mut session = begin(sandbox, SessionTotals::default()).await;
    let raised = run(&mut *session, CellSubject::Raises).await;
    assert_eq!(raised.verdict, Verdict::Exited { code: 1 });
    let Some(Reply::Error(error)) = raised.reply else {
        panic!("no error: {raised:?}")
    };
    assert_eq!(
        (error.kind.as_str(), error.message.as_str()),
        ("ValueError", "no such thing")
    );
    assert_eq!((error.line, session.end()), (Some(2), None));
    assert_eq!(number(&run(&mut *session, CellSubject::Continues).await), 42);
}

async fn ends_with_a_cell_that_is_cancelled(sandbox: &dyn Sandbox) {
    let mut session = begin(sandbox, SessionTotals::default()).await;
    let cell = CellSubject::Loops.cell();
    let cancel = cell.cancel.clone();
    let (outcome, ()) = tokio::join!(session.run(cell, Arc::new(())), async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    assert_eq!(outcome.expect("an outcome").verdict, Verdict::Cancelled);
    has_ended(&mut *session, &SessionEnd::Cell(Verdict::Cancelled)).await;
}

async fn ends_with_a_cell_that_ends_its_process(sandbox: &dyn Sandbox) {
    let mut session = begin(sandbox, SessionTotals::default()).await;
    let outcome = run(&mut *session, CellSubject::Exits).await;
    let exited = Verdict::Exited { code: 3 };
    assert_eq!((&outcome.verdict, outcome.reply.is_none()), (&exited, true));
    has_ended(&mut *session, &SessionEnd::Cell(exited)).await;
}

async fn ends_with_a_cell_that_is_dropped(sandbox: &dyn Sandbox) {
    let mut session = begin(sandbox, SessionTotals::default()).await;
    let dropped =
        tokio::time::timeout(Duration::from_millis(50), run(&mut *session, CellSubject::Loops)).await;
    assert!(dropped.is_err(), "an endless cell ended");
    has_ended(&mut *session, &SessionEnd::Dropped).await;
}

async fn counts_what_its_cells_use(sandbox: &dyn Sandbox) {
    let setup = SessionSetup::default();
    let most = setup.totals.worst_usage(&setup.limits);
    let mut session = sandbox.session(setup).await.expect("a session");
    assert_eq!(session.usage().cells, 0);
    let mut used = Vec::new();
    for subject in [CellSubject::Keeps, CellSubject::Raises, CellSubject::Continues] {
        used.push(run(&mut *session, subject).await.usage);
    }
    let usage = session.close().await.expect("it is gone");
    assert_eq!((usage, usage.cells), (session.usage(), 3));
    let sum = |of: fn(&meterbox_core::contract::Usage) -> u64| used.iter().map(of).sum::<u64>();
    assert_eq!(usage.running.wall_ms, sum(|usage| usage.wall_ms));
    assert_eq!(usage.running.cpu_ms, sum(|usage| usage.cpu_ms));
    assert_eq!(usage.running.output_bytes, sum(|usage| usage.output_bytes));
    let peak = used.iter().map(|usage| usage.peak_memory_bytes).max();
    assert_eq!(Some(usage.running.peak_memory_bytes), peak);
    assert!(usage.running.wall_ms <= most.running.wall_ms && usage.running.cpu_ms <= most.running.cpu_ms);
    assert!(usage.idle.wall_ms <= most.idle.wall_ms);
}

async fn stops_at_its_totals(sandbox: &dyn Sandbox) {
    let mut session = begin(
        sandbox,
        SessionTotals {
            cells: 2,
            ..SessionTotals::default()
        },
    )
    .await;
    run(&mut *session, CellSubject::Continues).await;
    let refused = session.run(CellSubject::Continues.cell(), Arc::new(())).await;
    refused.expect_err("there were two");
    has_ended(&mut *session, &SessionEnd::Spent(SessionTotal::Cells)).await;
}

async fn ends_when_nobody_uses_it(sandbox: &dyn Sandbox) {
    let setup = SessionSetup {
        totals: SessionTotals {
            idle: Duration::from_millis(200),
            ..SessionTotals::default()
        },
        ..SessionSetup::default()
    };
    let mut session = sandbox.session(setup).await.expect("a session");
    for _ in 0..100 {
        if session.end().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    has_ended(&mut *session, &SessionEnd::Idle).await;
}

async fn begins_nothing_that_was_cancelled_before(sandbox: &dyn Sandbox) {
    let mut session = begin(sandbox, SessionTotals::default()).await;
    let before = session.usage().cells;
    let cell = CellSubject::Loops.cell();
    cell.cancel.cancel();
    let outcome = session.run(cell, Arc::new(())).await.expect("an outcome");
    assert_eq!(outcome.verdict, Verdict::Cancelled);
    assert_eq!((session.usage().cells, session.end()), (before, None));
    assert_eq!(number(&run(&mut *session, CellSubject::Continues).await), 42);
}

async fn refuses_what_cannot_be_run(sandbox: &dyn Sandbox) {
    let missing = InputFile {
        source: "/nonexistent/orders.csv".into(),
        path: "orders.csv".into(),
    };
    let setup = SessionSetup {
        inputs: vec![missing.clone()],
        ..SessionSetup::default()
    };
    let error = sandbox.session(setup).await.expect_err("there is no such file");
    assert_eq!(error.kind(), SandboxErrorKind::BadJob);
    assert!(error.to_string().contains("orders.csv"), "{error}");

    let mut session = begin(sandbox, SessionTotals::default()).await;
    let nowhere = Cell {
        artifacts_into: Some("/nonexistent".into()),
        ..CellSubject::Continues.cell()
    };
    let error = session
        .run(nowhere, Arc::new(()))
        .await
        .expect_err("no such folder");
    assert_eq!((error.kind(), session.end()), (SandboxErrorKind::BadJob, None));
    let late = Job {
        inputs: vec![missing],
        limits: Limits::default(),
        ..Job::new(CellSubject::Continues.cell().program)
    };
    let error = Cell::try_from(late).expect_err("a session gets no more data");
    assert_eq!(error.kind(), SandboxErrorKind::BadJob);
    assert_eq!(number(&run(&mut *session, CellSubject::Continues).await), 42);
}
