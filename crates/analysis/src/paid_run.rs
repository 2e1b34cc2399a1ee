//! One run in the sandbox: within the hold, through the breaker, paid for as it goes.
//!
//! Before it begins its worst case is durable; while it goes on what it has used so far is drawn; when it ends that
//! is replaced by what it used in all. Wherever this breaks off, the ledger has what may have been used.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use meterbox_budget_engine::{BudgetError, Hold, Intent};
use meterbox_core::{
    Retryability, Usd,
    contract::{CostLine, Egress, Failure, Usage},
};
use meterbox_sandbox_client::{Job, Limits, Outcome, OutputSink, OutputStream, SandboxError, Sent, Verdict};
use tokio::sync::{mpsc::UnboundedSender, watch};
use tracing::{Instrument as _, Span};

use crate::{
    Event,
    failure::{self, cancelled, no_sandbox},
    model_calls::CallsMade,
    pipeline::Analysis,
    price::{RunPrice, total},
    spans,
};

/// How often a bill is written again where the ledger could not be reached, and the first pause between.
const BILLING_RETRIES: u32 = 3;
const BILLING_PAUSE: Duration = Duration::from_millis(50);

/// A run in the sandbox, in the order they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Run {
    Import,
    Look,
    Portable,
    Program,
    Comparison,
    Chart,
}

impl Run {
    /// Its name on the bill.
    fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Look => "look at the sandbox",
            Self::Portable => "import as CSV",
            Self::Program => "program",
            Self::Comparison => "comparison",
            Self::Chart => "chart",
        }
    }
}

impl Analysis {
    /// Runs a job and books what it used.
    pub(crate) async fn run_in_sandbox(
        &mut self,
        hold: &Hold,
        run: Run,
        job: Job,
    ) -> Result<(Outcome, Limits), Failure> {
        let source = self.result.source.filter(|_| run == Run::Program);
        let is_told = self
            .words
            .of_the_program(&self.request.ask, source, self.was_traced);
        let span = spans::tool(run.name(), &job.program, is_told);
        let ran = self.paid_run(hold, run, job).instrument(span.clone()).await;
        spans::ran(&span, ran.as_ref().map(|(outcome, _)| outcome), self.words);
        ran
    }

    async fn paid_run(&mut self, hold: &Hold, run: Run, job: Job) -> Result<(Outcome, Limits), Failure> {
        let price = self.price.of(run).clone();
        let limits = price
            .limits_within(&job.limits, self.money_for(hold, run))
            .ok_or_else(|| failure::hold_spent(run.name(), hold.amount()))?;
        // Waiting for a turn comes before the breaker's permit, so that nobody holds a probe while queueing.
        let _slot = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(cancelled()),
            slot = Arc::clone(&self.parts.slots).acquire_owned() => slot,
        };
        let permit = self
            .parts
            .breaker
            .permit(self.price.circuit(run))
            .map_err(|open| failure::breaker_open(&open))?;
        let worst_case = price.worst_case_line(run.name(), &limits);
        let intent = hold
            .intend(worst_case)
            .await
            .map_err(|error| failure::no_money(&error))?;

        let (used, meter) = Meter::new(&intent, run, price.clone(), limits.clone());
        // Whoever cancels the analysis cancels the run; so does the meter, when all spending is stopped.
        let stop = self.cancel.child_token();
        let job = Job {
            limits: limits.clone(),
            cancel: stop.clone(),
            ..job
        };
        let sent = Arc::<Mutex<Vec<Egress>>>::default();
        let output = Arc::new(Listener {
            events: self.events.clone(),
            used,
            sent: Arc::clone(&sent),
        });
        let ran = {
            let mut ran = pin!(price.sandbox.run(job, output));
            tokio::select! {
                biased;
                ran = &mut ran => ran,
                () = meter.until_stopped() => {
                    stop.cancel();
                    ran.await
                }
            }
        };
        self.result
            .egress
            .append(&mut sent.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = match ran {
            Ok(outcome) => outcome,
            Err(error) => {
                match failure::fault_class(&error) {
                    Some(fault) => permit.fail(fault),
                    None => permit.ignore(),
                }
                self.bill_failed_run(intent, run, &error, &limits).await;
                return Err(no_sandbox(&error));
            }
        };
        match outcome.verdict {
            // A run that was stopped says nothing about the sandbox.
            Verdict::Cancelled => permit.ignore(),
            _ => permit.succeed(),
        }
        let lines = price.bounded_lines(run.name(), &outcome.usage, &limits);
        self.bill(intent, lines, price.worst_case(&limits)).await;
        self.result.usage = added(self.result.usage, outcome.usage);
        // That of the program counts; a picture may have been drawn elsewhere.
        if run <= Run::Program || self.result.sandbox.is_none() {
            self.result.sandbox = Some(outcome.sandbox.clone());
        }
        if outcome.verdict == Verdict::Cancelled && !self.cancel.is_cancelled() {
            return Err(self.stopped().await);
        }
        Ok((outcome, limits))
    }

    /// What a run may cost: what is left of the hold, less the least that the runs after it need.
    fn money_for(&self, hold: &Hold, run: Run) -> Usd {
        let planned = self.planned_runs();
        let later = self.least_of(planned.iter().filter(|(later, _)| *later > run));
        self.left_of(hold).saturating_sub(later)
    }

    /// What calls of models may cost: what is left of the hold, less the least that the runs after them need.
    pub(crate) fn money_for_models(&self, hold: &Hold) -> Usd {
        let planned = self.planned_runs();
        let later = self.least_of(planned.iter().filter(|(later, _)| *later >= Run::Program));
        self.left_of(hold).saturating_sub(later)
    }

    fn left_of(&self, hold: &Hold) -> Usd {
        hold.amount()
            .saturating_sub(self.result.cost)
            .saturating_sub(self.unresolved)
    }

    /// Puts calls of a model on the bill.
    pub(crate) fn count(&mut self, made: CallsMade) {
        self.result.cost = self.result.cost.saturating_add(total(&made.lines));
        self.result.cost_lines.extend(made.lines);
        self.result.egress.extend(made.egress);
        self.unwritten.extend(made.unwritten);
        self.unresolved = self.unresolved.saturating_add(made.unresolved);
    }

    /// Why the run was stopped though nobody cancelled it.
    pub(crate) async fn stopped(&self) -> Failure {
        match self.parts.budget.stopped().await {
            Ok(Some(stop)) => failure::no_money(&BudgetError::Stopped(stop)),
            _ => cancelled(),
        }
    }

    /// Bills a run that the sandbox failed: nothing before its program began, what was measured where it was, and
    /// else the worst case, which stands for an intent that nobody resolves.
    async fn bill_failed_run(&mut self, intent: Intent<'_>, run: Run, error: &SandboxError, limits: &Limits) {
        let price = self.price.of(run);
        match error {
            SandboxError::Lost { usage: None, .. } => {
                let worst_case = price.worst_case(limits);
                self.unresolved = self.unresolved.saturating_add(worst_case);
                spans::billed_at_worst(&Span::current(), worst_case);
            }
            SandboxError::Lost {
                usage: Some(usage), ..
            } => {
                let lines = price.bounded_lines(run.name(), usage, limits);
                let worst_case = price.worst_case(limits);
                self.result.usage = added(self.result.usage, *usage);
                self.bill(intent, lines, worst_case).await;
            }
            _ => {
                let worst_case = price.worst_case(limits);
                self.bill(intent, Vec::new(), worst_case).await;
            }
        }
    }

    /// Replaces a worst case by what was used. A ledger that cannot be reached does not cost anybody the answer:
    /// the worst case, which is durable, then stands.
    async fn bill(&mut self, intent: Intent<'_>, lines: Vec<CostLine>, worst_case: Usd) {
        match resolve(&intent, &lines).await {
            Ok(()) => {
                spans::billed(&Span::current(), &lines);
                self.result.cost = self.result.cost.saturating_add(total(&lines));
                self.result.cost_lines.extend(lines);
            }
            Err(error) => {
                spans::billed_at_worst(&Span::current(), worst_case);
                tracing::error!(analysis = %self.result.id, %error, "a bill was not written");
                self.unresolved = self.unresolved.saturating_add(worst_case);
                self.unwritten.push(format!(
                    "the bill of a run could not be written, so it counts at its worst case: {error}"
                ));
            }
        }
    }
}

/// Draws what a run has used so far, while it goes on.
struct Meter<'intent> {
    intent: &'intent Intent<'intent>,
    run: Run,
    price: RunPrice,
    limits: Limits,
    used: watch::Receiver<Usage>,
}

impl<'intent> Meter<'intent> {
    fn new(
        intent: &'intent Intent<'intent>,
        run: Run,
        price: RunPrice,
        limits: Limits,
    ) -> (watch::Sender<Usage>, Self) {
        let (tell, used) = watch::channel(Usage::default());
        let meter = Self {
            intent,
            run,
            price,
            limits,
            used,
        };
        (tell, meter)
    }

    /// Draws until somebody stops all spending. A ledger that cannot be reached now has the worst case already.
    async fn until_stopped(mut self) {
        let mut booked = self.lines(&Usage::default());
        while self.used.changed().await.is_ok() {
            let used = *self.used.borrow_and_update();
            let lines = self.lines(&used);
            let more = beyond(&lines, &booked);
            if more.is_empty() {
                continue;
            }
            match self.intent.meter(more).await {
                Ok(status) if status.stopped => return,
                Ok(_) => booked = lines,
                Err(error) => tracing::debug!(%error, "a run was not metered for a moment"),
            }
        }
        // The run has ended, or cannot be measured from here.
        std::future::pending().await
    }

    fn lines(&self, used: &Usage) -> Vec<CostLine> {
        self.price.bounded_lines(self.run.name(), used, &self.limits)
    }
}

/// The lines that come on top of those booked, which are of the same kinds in the same order.
fn beyond(lines: &[CostLine], booked: &[CostLine]) -> Vec<CostLine> {
    let more = lines.iter().zip(booked).map(|(line, booked)| CostLine {
        quantity: line.quantity.saturating_sub(booked.quantity),
        amount: line.amount.saturating_sub(booked.amount),
        ..line.clone()
    });
    more.filter(|line| !line.amount.is_zero()).collect()
}

/// Writes a bill, again where the ledger could not be reached: an intent is resolved once, however often.
pub(crate) async fn resolve(intent: &Intent<'_>, lines: &[CostLine]) -> Result<(), BudgetError> {
    let mut pause = BILLING_PAUSE;
    for _ in 0..BILLING_RETRIES {
        match intent.resolve(lines.to_vec()).await {
            Err(error) if error.retryability() != Retryability::Never => tokio::time::sleep(pause).await,
            resolved => return resolved.map(drop),
        }
        pause = pause.saturating_mul(4);
    }
    intent.resolve(lines.to_vec()).await.map(drop)
}

/// Passes what a program prints to whoever follows the analysis, and what it uses to its meter.
struct Listener {
    events: UnboundedSender<Event>,
    used: watch::Sender<Usage>,
    sent: Arc<Mutex<Vec<Egress>>>,
}

impl OutputSink for Listener {
    fn printed(&self, stream: OutputStream, text: &str) {
        let _ = self.events.send(Event::Output {
            stream,
            text: text.to_owned(),
        });
    }

    fn used(&self, usage: Usage) {
        self.used.send_replace(usage);
    }

    fn sent(&self, sent: Sent) {
        let egress = Egress {
            to: sent.to,
            purpose: sent.name,
            bytes: sent.bytes,
            sha256: sent.sha256,
            body: sent.body,
        };
        let mut all = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(egress);
    }
}

fn added(left: Usage, right: Usage) -> Usage {
    Usage {
        wall_ms: left.wall_ms.saturating_add(right.wall_ms),
        cpu_ms: left.cpu_ms.saturating_add(right.cpu_ms),
        peak_memory_bytes: left.peak_memory_bytes.max(right.peak_memory_bytes),
        output_bytes: left.output_bytes.saturating_add(right.output_bytes),
    }
}
