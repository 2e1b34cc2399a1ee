//! Short ways to sessions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use meterbox_sandbox_client::{
    Cell, Outcome, Program, Sandbox, SandboxError, Session, SessionEnd, SessionSetup,
};

use super::{Fixture, children, patience, placed};

pub(crate) fn setup() -> SessionSetup {
    SessionSetup::default()
}

pub(crate) async fn begin(fixture: &Fixture) -> Box<dyn Session> {
    fixture.sandbox.session(setup()).await.expect("a session")
}

pub(crate) fn cell(code: &str) -> Cell {
    Cell::new(Program::Service {
        code: placed(code),
        parameters: serde_json::Value::Null,
    })
}

pub(crate) async fn run(session: &mut dyn Session, code: &str) -> Outcome {
    session
        .run(cell(code), Arc::new(()))
        .await
        .expect("a session that goes on")
}

/// Why it has ended, as it says itself and to whoever wants another cell.
pub(crate) async fn why(session: &mut dyn Session) -> SessionEnd {
    match session.run(cell("reply(1)"), Arc::new(())).await {
        Err(SandboxError::SessionEnded { why }) => {
            assert_eq!(session.end().as_ref(), Some(&why));
            why
        }
        other => panic!("it has not ended: {other:?}"),
    }
}

/// The interpreter of the only sandbox there is. On a busy machine the last test's takes its time to go.
pub(crate) async fn zygote() -> i32 {
    let latest = Instant::now() + patience(Duration::from_secs(30));
    loop {
        match children()[..] {
            [zygote] => return zygote,
            ref several => assert!(Instant::now() < latest, "{several:?}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
