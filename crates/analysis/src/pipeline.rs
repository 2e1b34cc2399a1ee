//! One question followed through: hold, import, program, run, check, chart, settle, store. How one run in the
//! sandbox is paid for is in [`paid_run`](crate::paid_run).
//!
//! Each step is a method; [`follow`] is the order. Whatever happens after the hold, the money is settled
//! and the result is stored, in that order, before the task ends.

use std::{path::Path, sync::Arc, time::Duration};

use meterbox_budget_engine::{BudgetError, Hold, HoldRequest, Offer};
use meterbox_core::{
    AnalysisId, Scope, Usd,
    contract::{
        AnalysisResult, AnswerDocument, ArtifactRef, DatasetRef, Failure, FailureKind, PrivacyLevel, Source,
        Status, Step, StepEvent, StepState, StepTiming,
    },
};
use meterbox_datasets::TypedDataset;
use meterbox_llm_codegen::{GenerateRequest, Prefer, chat::PlannedCall};
use meterbox_sandbox_client::{InputFile, Job, Limits, Program, prelude};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::{
    Ask, Event, Request,
    analyst::Parts,
    failure::{self, cancelled, reply_of},
    paid_run::Run,
    places::RunPrices,
    programs::REPAIRS,
    squeeze::Turn,
};

/// Runs the whole analysis. Never fails: what goes wrong is part of the result.
pub(crate) async fn follow(
    parts: Arc<Parts>,
    id: AnalysisId,
    request: Request,
    events: UnboundedSender<Event>,
    cancel: CancellationToken,
) -> AnalysisResult {
    let mut analysis = Analysis::begin(parts, id, request, events, cancel);
    if let Err(refusal) = analysis.may_leave() {
        return analysis.refuse(refusal);
    }
    let held = match analysis.hold().await {
        Ok(hold) => hold,
        Err(refusal) => return analysis.refuse(refusal),
    };
    let ended = analysis.answer(&held).await;
    analysis.settle(held).await;
    analysis.conclude(ended);
    analysis.store().await;
    analysis.result
}

/// Types a dataset and charges for it. Nothing is asked, so nothing is stored.
pub(crate) async fn prepare(
    parts: Arc<Parts>,
    id: AnalysisId,
    request: Request,
    cancel: CancellationToken,
) -> Result<TypedDataset, Failure> {
    let (unheard, _) = unbounded_channel();
    let mut analysis = Analysis::begin(parts, id, request, unheard, cancel);
    let held = analysis.hold().await?;
    let typed = analysis.typed_data(&held).await;
    analysis.settle(held).await;
    typed
}

pub(crate) struct Analysis {
    pub(crate) parts: Arc<Parts>,
    pub(crate) request: Request,
    pub(crate) result: AnalysisResult,
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) cancel: CancellationToken,
    /// What computing costs; the same from beginning to end.
    pub(crate) price: RunPrices,
    /// As long as budgets are so nearly spent that only a few go on at once.
    turn: Turn,
    without_chart: bool,
    /// Budgets are so nearly spent that no model is asked any more.
    without_model: bool,
    /// Worst cases of what nobody knows the cost of.
    pub(crate) unresolved: Usd,
    /// Bills that could not be written, in words for a reader. Kept apart: they count whatever became of an attempt.
    pub(crate) unwritten: Vec<String>,
}

pub(crate) struct Timer {
    step: Step,
    started: Duration,
}

/// What a step says about itself when it ends.
#[derive(Default)]
pub(crate) struct Note {
    pub(crate) detail: Option<String>,
    pub(crate) cost: Option<Usd>,
}

impl Analysis {
    fn begin(
        parts: Arc<Parts>,
        id: AnalysisId,
        request: Request,
        events: UnboundedSender<Event>,
        cancel: CancellationToken,
    ) -> Self {
        let mut result = AnalysisResult::begun(id, request.principal.user.clone(), parts.clock.now());
        result.datasets = vec![DatasetRef {
            name: request.dataset.name().to_owned(),
            version: request.dataset.version().to_owned(),
        }];
        match &request.ask {
            Ask::Question(question) => result.question = Some(question.clone()),
            Ask::Code(code) => {
                result.code = Some(code.clone());
                result.source = Some(Source::Code);
            }
        }
        Self {
            price: parts.places.at(result.created_at),
            turn: Turn::default(),
            without_chart: false,
            without_model: false,
            unresolved: Usd::ZERO,
            unwritten: Vec::new(),
            parts,
            request,
            result,
            events,
            cancel,
        }
    }

    /// Programs elsewhere are given the files, which the data's owner has to have allowed.
    fn may_leave(&self) -> Result<(), Failure> {
        let level = self.request.dataset.privacy().unwrap_or_default();
        if self.price.are_elsewhere() && level < PrivacyLevel::Samples {
            return Err(failure::may_not_leave(self.request.dataset.name(), level));
        }
        Ok(())
    }

    /// Sets the worst case aside, or as much of it as there is.
    async fn hold(&mut self) -> Result<Hold, Failure> {
        let timer = self.start(Step::Hold);
        let held = self.place_hold().await;
        let note = match &held {
            Ok(hold) => Note {
                detail: Some(format!("up to {}", hold.amount())),
                cost: None,
            },
            Err(_) => Note::default(),
        };
        self.end(timer, note, held)
    }

    /// Does what the budgets' soft caps ask for: leaves the picture out, waits for a turn. What cannot be advised is
    /// refused by the hold, in its own words.
    async fn heed_soft_caps(&mut self) -> Result<(), Failure> {
        let scopes = self.scopes();
        let mut advice = match self.parts.budget.advise(&scopes, &self.ways()).await {
            Ok(advice) => advice,
            Err(refusal) => {
                // What is kept for cheap answers may still pay for one, without what it can do without.
                if matches!(refusal, BudgetError::Refused { .. }) {
                    self.leave_the_picture_out();
                }
                return Ok(());
            }
        };
        if advice.swapped {
            self.leave_the_model_out("the budget is nearly spent, so this was answered without a model");
        }
        if advice.features_off && self.wants_chart() {
            self.leave_the_picture_out();
            // Checked again: with less to do there may be room for more at once.
            let again = self.parts.budget.advise(&scopes, &self.ways()).await;
            advice = again.unwrap_or(advice);
        }
        self.turn = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(cancelled()),
            turn = self.parts.squeeze.turn(advice.squeezed) => turn,
        };
        Ok(())
    }

    fn leave_the_model_out(&mut self, told: &str) {
        if self.planned_call().is_some() {
            self.without_model = true;
            self.result.warnings.push(told.to_owned());
        }
    }

    fn leave_the_picture_out(&mut self) {
        if self.wants_chart() {
            self.without_chart = true;
            let told = "the budget is nearly spent, so the picture of the chart was left out";
            self.result.warnings.push(told.to_owned());
        }
    }

    /// The ways to answer: with a model where there is one, by rules, or with the least that is worth beginning; the
    /// worst case of each is what would be set aside.
    fn ways(&self) -> Vec<Offer> {
        let runs = self.planned_runs();
        let way = |name: &str, worst_case| Offer {
            name: name.to_owned(),
            cost: worst_case,
            worst_case,
        };
        let mut ways = Vec::new();
        if let Some((name, calls)) = self.worst_case_of_calls() {
            let worst_case = self.worst_case_of(&self.tried_again(&runs)).saturating_add(calls);
            ways.push(way(&name, worst_case.min(self.cap())));
        }
        ways.push(way("rules", self.worst_case_of(&runs).min(self.cap())));
        ways.push(way("the least", self.least_of(&runs)));
        ways
    }

    /// Who should write the program, as far as money lets it be chosen.
    pub(crate) fn prefer(&self) -> Prefer {
        if self.without_model {
            Prefer::Rules
        } else {
            self.request.prefer
        }
    }

    /// The dearest call of a model for this question, with the tables as far as they are known.
    pub(crate) fn planned_call(&self) -> Option<PlannedCall<'_>> {
        let Ask::Question(question) = &self.request.ask else {
            return None;
        };
        if self.prefer() == Prefer::Rules {
            return None;
        }
        let typed = self.request.dataset.typed();
        let tables = typed.map(|typed| typed.tables).unwrap_or_default();
        let mut request = GenerateRequest::new(question, tables.into(), None);
        let generator = &self.parts.generator;
        // Nothing is counted without tables.
        let anything = GenerateRequest::new("", Arc::default(), None);
        request.privacy = self.may_be_told(generator.planned_call(&anything)?.card);
        generator.planned_call(&request)
    }

    /// The model, and what its calls cost at most: one for the program and one for each repair.
    fn worst_case_of_calls(&self) -> Option<(String, Usd)> {
        let call = self.planned_call()?;
        let price = self
            .parts
            .model_prices
            .of(call.card, self.result.created_at)
            .ok()?;
        let one = price.worst_case(call.input_tokens, call.wanted_output).ok()?;
        let all = (0..=REPAIRS).fold(Usd::ZERO, |sum, _| sum.saturating_add(one));
        Some((call.card.model.clone(), all))
    }

    /// The runs, with the program's once more for each repair.
    fn tried_again(&self, runs: &[(Run, Limits)]) -> Vec<(Run, Limits)> {
        let programs = runs.iter().filter(|(run, _)| *run == Run::Program);
        let again = programs.cycle().take(REPAIRS).cloned();
        runs.iter().cloned().chain(again).collect()
    }

    fn worst_case_of(&self, runs: &[(Run, Limits)]) -> Usd {
        runs.iter().fold(Usd::ZERO, |sum, (run, limits)| {
            sum.saturating_add(self.price.of(*run).worst_case(limits))
        })
    }

    /// The most that this analysis may cost.
    fn cap(&self) -> Usd {
        let most = self.parts.max_cost;
        self.request.max_cost.map_or(most, |asked| asked.min(most))
    }

    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let scopes = self.request.principal.scopes().into_iter();
        scopes.chain(self.parts.global.clone()).collect()
    }

    async fn place_hold(&mut self) -> Result<Hold, Failure> {
        self.heed_soft_caps().await?;
        let runs = self.planned_runs();
        let worst_case = match self.worst_case_of_calls() {
            Some((_, calls)) => self.worst_case_of(&self.tried_again(&runs)).saturating_add(calls),
            None => self.worst_case_of(&runs),
        };
        let least = self.least_of(&runs);
        let cap = self.cap();
        if cap < least {
            return Err(failure::cap_too_small(cap, least));
        }
        // A small remainder gets a smaller request: each run's limits follow from the hold.
        let request = HoldRequest::new(self.scopes(), worst_case.min(cap), "analysis")
            .or_at_least(least)
            .idempotency_key(format!("analysis {}", self.result.id));
        let budget = &self.parts.budget;
        let held = match budget.hold(request.clone()).await {
            // What is kept of a budget for cheap answers is for these.
            Err(BudgetError::Refused { .. }) if self.request.ask.is_cheap() => {
                let held = budget.hold(request.degraded()).await;
                if held.is_ok() {
                    self.without_model = true;
                    let told =
                        "the budget is spent; this answer is paid from the part kept for cheap answers";
                    self.result.warnings.push(told.to_owned());
                }
                held
            }
            held => held,
        };
        let mut hold = held.map_err(|error| failure::no_money(&error))?;
        hold.keep_alive();
        self.result.hold = hold.amount();
        Ok(hold)
    }

    pub(crate) fn planned_runs(&self) -> Vec<(Run, Limits)> {
        let mut runs = Vec::new();
        if self.request.dataset.typed().is_none() {
            runs.push((Run::Import, Limits::for_import()));
        }
        if self.needs_look() {
            runs.push((Run::Look, Self::limits_of_a_look()));
        }
        if self.needs_portable_tables() {
            runs.push((Run::Portable, Limits::for_import()));
        }
        runs.push((Run::Program, self.parts.program_limits.clone()));
        if self.wants_chart() {
            runs.push((Run::Chart, self.parts.program_limits.clone()));
        }
        runs
    }

    pub(crate) fn wants_chart(&self) -> bool {
        self.request.chart_png && !self.without_chart
    }

    /// The money without which these runs are not worth starting.
    pub(crate) fn least_of<'a>(&self, runs: impl IntoIterator<Item = &'a (Run, Limits)>) -> Usd {
        runs.into_iter().fold(Usd::ZERO, |sum, (run, limits)| {
            sum.saturating_add(self.price.of(*run).least(limits))
        })
    }

    async fn answer(&mut self, hold: &Hold) -> Result<(), Failure> {
        let data = self.typed_data(hold).await?;
        let document = self.answered(hold, &data).await?;
        if self.wants_chart() && !document.charts.is_empty() {
            self.chart(hold, &document).await;
        }
        Ok(())
    }

    /// The dataset as typed tables; typed now, in the sandbox, if this version of it never was.
    pub(crate) async fn typed_data(&mut self, hold: &Hold) -> Result<TypedDataset, Failure> {
        if let Some(typed) = self.request.dataset.typed() {
            return Ok(typed);
        }
        let timer = self.start(Step::Import);
        let before = self.result.cost;
        let typed = self.import_once(hold).await;
        let detail = typed.as_ref().ok().map(|typed| {
            let rows: u64 = typed.tables.iter().map(|table| table.rows).sum();
            format!("{} tables, {rows} rows", typed.tables.len())
        });
        let note = Note {
            detail,
            cost: Some(self.result.cost.saturating_sub(before)),
        };
        self.end(timer, note, typed)
    }

    /// One import at a time: whoever waited for the same dataset finds it typed and pays nothing.
    async fn import_once(&mut self, hold: &Hold) -> Result<TypedDataset, Failure> {
        let _turn = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(cancelled()),
            turn = Arc::clone(&self.parts.imports).lock_owned() => turn,
        };
        match self.request.dataset.typed() {
            Some(typed) => Ok(typed),
            None => self.import(hold).await,
        }
    }

    async fn import(&mut self, hold: &Hold) -> Result<TypedDataset, Failure> {
        let import = self.parts.catalog.import_request(&self.request.dataset);
        let folder = self
            .parts
            .catalog
            .scratch_folder()
            .map_err(|error| failure::bad_data(&error))?;
        let program = Program::Service {
            code: import.program.to_owned(),
            parameters: import.parameters,
        };
        let job = Job {
            inputs: input_files(import.inputs),
            limits: Limits::for_import(),
            artifacts_into: Some(folder.path().to_owned()),
            ..Job::new(program)
        };
        let (outcome, limits) = self.run_in_sandbox(hold, Run::Import, job).await?;
        let reply = reply_of(&outcome, &limits)?;
        let artifacts: Vec<_> = outcome
            .artifacts
            .into_iter()
            .map(|artifact| (artifact.name, artifact.path))
            .collect();
        self.parts
            .catalog
            .record_import(&self.request.dataset, &reply, &artifacts)
            .map_err(|error| failure::bad_data(&error))
    }

    /// Draws the first chart. An answer without its picture is still an answer, so nothing fails here.
    pub(crate) async fn chart(&mut self, hold: &Hold, document: &AnswerDocument) {
        let timer = self.start(Step::Chart);
        let before = self.result.cost;
        let drawn = self.draw_chart(hold, document).await;
        let note = Note {
            detail: drawn.as_ref().ok().map(|artifact| artifact.name.clone()),
            cost: Some(self.result.cost.saturating_sub(before)),
        };
        match self.end(timer, note, drawn) {
            Ok(artifact) => self.result.artifacts.push(artifact),
            Err(failure) => self
                .result
                .warnings
                .push(format!("the chart was not drawn: {}", failure.message)),
        }
    }

    async fn draw_chart(&mut self, hold: &Hold, document: &AnswerDocument) -> Result<ArtifactRef, Failure> {
        let parameters = serde_json::json!({ "document": document, "index": 0 });
        let program = Program::Service {
            code: prelude::CHART_RENDERER.to_owned(),
            parameters,
        };
        // Collected apart: the program may have left a file of the same name.
        let folder = self.parts.artifacts.join(self.result.id.to_string());
        let apart = folder.join(".chart");
        create_folder(&apart)?;
        let job = Job {
            limits: self.parts.program_limits.clone(),
            artifacts_into: Some(apart.clone()),
            ..Job::new(program)
        };
        let (outcome, limits) = self.run_in_sandbox(hold, Run::Chart, job).await?;
        reply_of(&outcome, &limits)?;
        let artifact = outcome.artifacts.first().ok_or_else(|| {
            Failure::new(
                FailureKind::BadAnswer,
                "the chart program left no picture",
                "Ask again.",
            )
        })?;
        let name = self.free_name(&artifact.name);
        let kept = std::fs::rename(&artifact.path, folder.join(&name));
        // Empty by now; a leftover hides nothing.
        let _ = std::fs::remove_dir(&apart);
        kept.map_err(|error| not_kept(&error))?;
        Ok(ArtifactRef {
            media_type: media_type(&name).to_owned(),
            name,
            bytes: artifact.bytes,
        })
    }

    /// This name, or one like it that no file of this analysis has.
    fn free_name(&self, name: &str) -> String {
        let taken = |name: &str| self.result.artifacts.iter().any(|artifact| artifact.name == name);
        let numbered = (2..).map(|number| format!("{number}-{name}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    async fn settle(&mut self, hold: Hold) {
        let timer = self.start(Step::Settle);
        let cost = self.result.cost;
        let settled = hold.settle().await.map_err(|error| failure::no_money(&error));
        self.turn = Turn::default();
        if let Ok(settlement) = &settled {
            // The ledger's word counts, also where it booked a worst case.
            self.result.cost = settlement.drawn;
            self.result
                .cost_lines
                .extend(settlement.estimated.iter().cloned());
        }
        if let Err(failure) = self.end(
            timer,
            Note {
                detail: None,
                cost: Some(cost),
            },
            settled,
        ) {
            // The hold expires by itself and is then settled at what was drawn: nothing is lost.
            tracing::error!(analysis = %self.result.id, message = failure.message, "settling failed");
            self.result.cost = cost.saturating_add(self.unresolved);
        }
        self.result.warnings.append(&mut self.unwritten);
        let tightest = self.parts.budget.tightest(&self.request.principal.scopes()).await;
        self.result.remaining = tightest.ok().map(|status| status.remaining);
    }

    fn conclude(&mut self, ended: Result<(), Failure>) {
        self.result.finished_at = Some(self.parts.clock.now());
        let Err(failure) = ended else { return };
        self.result.status = match failure.kind {
            FailureKind::Cancelled => Status::Cancelled,
            FailureKind::Budget if self.result.cost.is_zero() => Status::Refused,
            _ => Status::Failed,
        };
        self.result.failure = Some(failure);
    }

    /// A refusal before anything began: nothing was charged, and nothing is stored.
    fn refuse(mut self, refusal: Failure) -> AnalysisResult {
        self.conclude(Err(refusal));
        self.result
    }

    async fn store(&mut self) {
        let timer = self.start(Step::Store);
        let stored = self
            .parts
            .results
            .save(&self.result)
            .await
            .map_err(|error| failure::not_stored(&error));
        if let Err(failure) = self.end(timer, Note::default(), stored) {
            // The person still gets the answer.
            self.result.warnings.push(failure.message);
        }
    }

    pub(crate) fn start(&mut self, step: Step) -> Timer {
        self.tell(StepEvent {
            step,
            state: StepState::Started,
            detail: None,
            elapsed_ms: None,
            cost: None,
        });
        Timer {
            step,
            started: self.parts.clock.monotonic(),
        }
    }

    pub(crate) fn end<T>(
        &mut self,
        timer: Timer,
        note: Note,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let elapsed = self.parts.clock.monotonic().saturating_sub(timer.started);
        let elapsed_ms = elapsed.as_secs_f64() * 1e3;
        self.result.timings.push(StepTiming {
            step: timer.step,
            elapsed_ms,
        });
        let (state, detail) = match &outcome {
            Ok(_) => (StepState::Done, note.detail),
            Err(failure) => (StepState::Failed, Some(failure.message.clone())),
        };
        let cost = note.cost.filter(|cost| !cost.is_zero());
        self.tell(StepEvent {
            step: timer.step,
            state,
            detail,
            elapsed_ms: Some(elapsed_ms),
            cost,
        });
        outcome
    }

    fn tell(&self, event: StepEvent) {
        // Nobody need listen.
        let _ = self.events.send(Event::Step(event));
    }
}

pub(crate) fn input_files(files: impl IntoIterator<Item = (std::path::PathBuf, String)>) -> Vec<InputFile> {
    files
        .into_iter()
        .map(|(source, path)| InputFile { source, path })
        .collect()
}

pub(crate) fn create_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| not_kept(&error))
}

fn not_kept(error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::SandboxUnavailable,
        format!("the files of this analysis cannot be kept: {error}"),
        "Make room in the data folder, or choose another one.",
    )
}

pub(crate) fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("png") => "image/png",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}
