//! A session of the fake sandbox: nothing runs, and everything is counted as in a real one.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::{Clock, SystemClock};

use crate::{
    Cell, FakeSandbox, Job, Outcome, OutputSink, Reply, SandboxError, Session, SessionEnd, SessionSetup,
    SessionUsage, Verdict,
};

/// Where a [`FakeSandbox`] plays its script, cell by cell.
pub(crate) struct FakeSession {
    sandbox: FakeSandbox,
    setup: SessionSetup,
    clock: SystemClock,
    born: Duration,
    idle_since: Duration,
    usage: SessionUsage,
    end: Option<SessionEnd>,
}

impl FakeSession {
    pub(crate) fn new(sandbox: FakeSandbox, setup: SessionSetup) -> Self {
        let clock = SystemClock::default();
        let born = clock.monotonic();
        Self {
            sandbox,
            setup,
            clock,
            born,
            idle_since: born,
            usage: SessionUsage::default(),
            end: None,
        }
    }

    fn waited(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.idle_since)
    }

    fn job(&self, cell: Cell, limits: crate::Limits) -> Job {
        Job {
            inputs: self.setup.inputs.clone(),
            tables: self.setup.tables.clone(),
            as_of: self.setup.as_of,
            seed: self.setup.seed,
            limits,
            artifacts_into: cell.artifacts_into,
            cancel: cell.cancel,
            ..Job::new(cell.program)
        }
    }

    fn count(&mut self, outcome: &Outcome) {
        let (running, used) = (&mut self.usage.running, outcome.usage);
        running.wall_ms += used.wall_ms;
        running.cpu_ms += used.cpu_ms;
        running.output_bytes += used.output_bytes;
        running.peak_memory_bytes = running.peak_memory_bytes.max(used.peak_memory_bytes);
    }
}

#[async_trait]
impl Session for FakeSession {
    async fn run(&mut self, cell: Cell, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        cell.check()?;
        if let Some(why) = self.end() {
            self.end = Some(why.clone());
            return Err(SandboxError::SessionEnded { why });
        }
        if cell.cancel.is_cancelled() {
            return Ok(Outcome::new(Verdict::Cancelled, FakeSandbox::report()));
        }
        let age = self.clock.monotonic().saturating_sub(self.born);
        let SessionSetup { limits, totals, .. } = &self.setup;
        let limits = match totals.left(limits, &cell.limits, &self.usage, age) {
            Ok(limits) => limits,
            Err(total) => {
                let why = SessionEnd::Spent(total);
                self.end = Some(why.clone());
                return Err(SandboxError::SessionEnded { why });
            }
        };
        self.usage.idle.wall_ms += u64::try_from(self.waited().as_millis()).unwrap_or(u64::MAX);
        self.usage.cells += 1;
        // What stands here is true only where this future is dropped.
        self.end = Some(SessionEnd::Dropped);
        let played = self.sandbox.play(self.job(cell, limits), output).await;
        self.idle_since = self.clock.monotonic();
        self.end = match &played {
            Ok(outcome) => {
                self.count(outcome);
                let raised = matches!(outcome.reply, Some(Reply::Error(_)));
                match &outcome.verdict {
                    Verdict::Exited { code: 0 } => None,
                    Verdict::Exited { .. } if raised => None,
                    verdict => Some(SessionEnd::Cell(verdict.clone())),
                }
            }
            Err(_) => Some(SessionEnd::Lost),
        };
        played
    }

    async fn close(&mut self) -> Result<SessionUsage, SandboxError> {
        self.end = Some(self.end().unwrap_or(SessionEnd::Closed));
        Ok(self.usage)
    }

    fn usage(&self) -> SessionUsage {
        self.usage
    }

    fn end(&self) -> Option<SessionEnd> {
        let waits_too_long = self.waited() > self.setup.totals.idle;
        self.end
            .clone()
            .or_else(|| waits_too_long.then_some(SessionEnd::Idle))
    }
}

impl fmt::Debug for FakeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSession")
            .field("usage", &self.usage)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
