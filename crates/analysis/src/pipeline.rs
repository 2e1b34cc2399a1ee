//! One question followed through: hold, import, program, run, check, chart, settle, store. How one run in the
//! sandbox is paid for is in [`paid_run`](crate::paid_run).
//!
//! Each step is a method; [`follow`] is the order. Whatever happens after the hold, the money is settled
//! and the result is stored, in that order, before the task ends.

use std::{path::Path, sync::Arc, time::Duration};

use meterbox_budget_engine::Hold;
use meterbox_core::{
    AnalysisId, Usd,
    contract::{
        AnalysisResult, AnswerDocument, ArtifactRef, DatasetRef, Failure, FailureKind, PrivacyLevel, Source,
        Status, Step, StepEvent, StepState, StepTiming,
    },
};
use meterbox_datasets::TypedDataset;
use meterbox_sandbox_client::{InputFile, Job, Limits, Program, prelude};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{
    Ask, Event, Request,
    analyst::Parts,
    failure::{self, cancelled, reply_of},
    paid_run::Run,
    places::RunPrices,
    spans::{self, Words},
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
    let (root, words) = (Span::current(), Words::of(&request, parts.traces_content));
    let analysis = Analysis::begin(parts, id, request, events, cancel);
    spans::begun(&root, &analysis.request, &analysis.result, words);
    let result = analysis.carried_out().await;
    spans::ended(&root, &result, words);
    result
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
    /// Which words spans may have in them.
    pub(crate) words: Words,
    /// Was the conversation told that the program is from?
    pub(crate) was_traced: bool,
    /// What computing costs; the same from beginning to end.
    pub(crate) price: RunPrices,
    /// As long as budgets are so nearly spent that only a few go on at once.
    pub(crate) turn: Turn,
    pub(crate) without_chart: bool,
    /// What was to be set aside.
    pub(crate) wanted_hold: Usd,
    /// Budgets are so nearly spent that no model is asked any more.
    pub(crate) without_model: bool,
    /// A soft cap asks for the cheaper model.
    pub(crate) cheaper: bool,
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
    async fn carried_out(mut self) -> AnalysisResult {
        if let Err(refusal) = self.may_leave() {
            return self.refuse(refusal);
        }
        let held = match self.hold().await {
            Ok(hold) => hold,
            Err(refusal) => return self.refuse(refusal),
        };
        let ended = self.answer(&held).await;
        self.settle(held).await;
        self.conclude(ended);
        self.store().await;
        self.result
    }

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
            words: Words::of(&request, parts.traces_content),
            was_traced: false,
            price: parts.places.at(result.created_at),
            turn: Turn::default(),
            without_chart: false,
            wanted_hold: Usd::ZERO,
            without_model: false,
            cheaper: false,
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
        let span = spans::settle();
        let settling = hold.settle().instrument(span.clone());
        let settled = settling.await.map_err(|error| failure::no_money(&error));
        self.turn = Turn::default();
        if let Ok(settlement) = &settled {
            // The ledger's word counts, also where it booked a worst case.
            self.result.cost = settlement.drawn;
            self.result
                .cost_lines
                .extend(settlement.estimated.iter().cloned());
        }
        let tightest = self.parts.budget.tightest(&self.request.principal.scopes()).await;
        self.result.remaining = tightest.ok().map(|status| status.remaining);
        spans::settled(&span, settled.as_ref(), self.result.remaining);
        drop(span);
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
