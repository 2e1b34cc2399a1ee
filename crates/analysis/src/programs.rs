//! The program: written, run, checked; and written again, with what was wrong with it.

use std::sync::Arc;

use meterbox_budget_engine::Hold;
use meterbox_core::contract::{
    AnswerDocument, ArtifactRef, Failure, FailureKind, PrivacyLevel, Source, Status, Step, TableProfile,
};
use meterbox_datasets::TypedDataset;
use meterbox_llm_codegen::{
    FailedProgram, GenerateError, GenerateRequest, Generated, Prefer, chat::ModelCard,
};
use meterbox_sandbox_client::{Job, Outcome, Program, prelude};
use serde_json::value::RawValue;
use tracing::{Instrument as _, Span};

use crate::{
    Ask,
    failure::{self, cancelled, no_program, reply_of},
    model_calls::ModelCalls,
    paid_run::Run,
    pipeline::{Analysis, Note, create_folder, input_files, media_type},
    spans,
};

/// How often a model's program is written again.
pub(crate) const REPAIRS: usize = 2;

/// Why an attempt at a program gave no answer.
enum Trouble {
    /// The program is at fault; another one may do.
    Program(FailedProgram, Failure),
    /// Nothing more to try.
    Final(Failure),
}

impl Trouble {
    fn failure(&self) -> &Failure {
        let (Self::Program(_, failure) | Self::Final(failure)) = self;
        failure
    }
}

impl Analysis {
    /// Answers with the caller's program, or with one that is written for the question.
    pub(crate) async fn answered(
        &mut self,
        hold: &Hold,
        data: &TypedDataset,
    ) -> Result<AnswerDocument, Failure> {
        let question = match &self.request.ask {
            Ask::Code(code) => {
                let code = code.clone();
                return self.run_and_check(hold, &code, data).await;
            }
            Ask::Question(question) => question.clone(),
        };
        let mut request = self.generate_request(hold, question, data).await?;
        let mut span = Span::none();
        let (failure, warnings) = loop {
            let warnings = self.result.warnings.len();
            let attempt = self.attempt(hold, &request, data);
            match attempt
                .instrument(std::mem::replace(&mut span, Span::none()))
                .await
            {
                Ok(document) => return Ok(document),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Program(failed, failure)) => {
                    let last = request.failed.last();
                    let is_repeated = last.is_some_and(|last| last.problem == failed.problem);
                    let is_last = is_repeated || request.failed.len() >= REPAIRS;
                    request.failed.push(failed);
                    if is_last {
                        break (failure, warnings);
                    }
                    request.traced = self.words.of_the_conversation(&request);
                    span = spans::repair(request.failed.len(), failure.kind);
                    self.forget_attempt(warnings);
                }
            }
        };
        let why = format!("the model's program did not work ({})", failure.message);
        let Some(other) = self.generator().fallback(&request, &why) else {
            return Err(failure);
        };
        let code = other.code.clone();
        self.forget_attempt(warnings);
        self.adopt(other);
        // What went wrong first says more than what a stopgap then did.
        self.run_and_check(hold, &code, data).await.map_err(|_| failure)
    }

    async fn attempt(
        &mut self,
        hold: &Hold,
        request: &GenerateRequest,
        data: &TypedDataset,
    ) -> Result<AnswerDocument, Trouble> {
        let generated = self.program(hold, request).await?;
        self.adopt(generated.clone());
        self.was_traced = request.traced;
        let checked = self.run_and_check(hold, &generated.code, data).await;
        let is_a_models = matches!(generated.source, Source::Model | Source::Saved);
        match checked {
            Ok(document) => {
                if is_a_models {
                    self.compare(hold, request, data).await;
                }
                if self.result.status == Status::Ok {
                    self.generator().keep(request, &generated).await;
                }
                Ok(document)
            }
            Err(failure) if is_a_models && is_the_programs(failure.kind) => {
                let failed = FailedProgram {
                    code: generated.code,
                    problem: failure.message.clone(),
                    quotes_data: true,
                };
                Err(Trouble::Program(failed, failure))
            }
            Err(failure) => Err(Trouble::Final(failure)),
        }
    }

    async fn generate_request(
        &mut self,
        hold: &Hold,
        question: String,
        data: &TypedDataset,
    ) -> Result<GenerateRequest, Failure> {
        let tables: Arc<[TableProfile]> = data.tables.clone().into();
        let mut request = GenerateRequest::new(question, tables, data.as_of);
        request.prefer = self.prefer();
        request.tenant = self.tenant();
        let Some(call) = self.generator().planned_call(&request) else {
            return Ok(request);
        };
        request.privacy = self.may_be_told(call.card);
        request.traced = self.words.of_the_conversation(&request);
        if request.prefer != Prefer::Rules {
            request.packages = Arc::new(self.capabilities(hold).await?.packages);
        }
        Ok(request)
    }

    /// What a model may be told of the data: what its owner said, or else more where it stays on this machine.
    pub(crate) fn may_be_told(&self, card: &ModelCard) -> PrivacyLevel {
        let default = if card.is_loopback {
            PrivacyLevel::Values
        } else {
            PrivacyLevel::default()
        };
        self.request.dataset.privacy().unwrap_or(default)
    }

    /// The organisation where there is one, or else the person.
    fn tenant(&self) -> String {
        let groups = &self.request.principal.groups;
        let organisation = groups.iter().find(|scope| scope.kind() == "org");
        organisation.unwrap_or(&self.request.principal.user).to_string()
    }

    /// Has a program written; calls of models are paid for as they go.
    async fn program(&mut self, hold: &Hold, request: &GenerateRequest) -> Result<Generated, Trouble> {
        let timer = self.start(Step::Program);
        self.result.attempts += 1;
        let before = self.result.cost;
        let (parts, generator) = (Arc::clone(&self.parts), Arc::clone(self.generator()));
        let span = spans::codegen();
        let calls = ModelCalls::new(&parts, hold, self.money_for_models(hold));
        let generated = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(cancelled()),
            generated = generator.generate(request, &calls).instrument(span.clone()) => Ok(generated),
            () = calls.until_stopped() => Err(self.stopped().await),
        };
        let made = calls.made();
        let written = match generated {
            Err(failure) => Err(Trouble::Final(failure)),
            Ok(Ok(generated)) => Ok(generated),
            Ok(Err(GenerateError::Rejected { code, problem })) => {
                let failure = failure::rejected_program(&problem);
                let failed = FailedProgram {
                    code,
                    problem,
                    quotes_data: false,
                };
                Err(Trouble::Program(failed, failure))
            }
            Ok(Err(error)) => Err(Trouble::Final(no_program(&error))),
        };
        spans::written(&span, written.as_ref().map_err(Trouble::failure), &made);
        drop(span);
        self.count(made);
        let note = Note {
            detail: written.as_ref().ok().map(|written| written.reading.text.clone()),
            cost: Some(self.result.cost.saturating_sub(before)),
        };
        let told = written
            .as_ref()
            .map(drop)
            .map_err(|trouble| trouble.failure().clone());
        let _ = self.end(timer, note, told);
        written
    }

    /// Makes a program the one of this analysis.
    fn adopt(&mut self, generated: Generated) {
        let result = &mut self.result;
        result.source = Some(generated.source);
        result.generator = Some(generated.generator);
        result.reading = Some(generated.reading);
        result.plan = generated.plan;
        result.code = Some(generated.code);
        result.warnings.extend(generated.warnings);
    }

    /// What an attempt left behind says nothing about the next one.
    fn forget_attempt(&mut self, warnings: usize) {
        self.result.warnings.truncate(warnings);
        self.result.output.clear();
        if !std::mem::take(&mut self.result.artifacts).is_empty() {
            let folder = self.parts.artifacts.join(self.result.id.to_string());
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    async fn run_and_check(
        &mut self,
        hold: &Hold,
        code: &str,
        data: &TypedDataset,
    ) -> Result<AnswerDocument, Failure> {
        let timer = self.start(Step::Run);
        let before = self.result.cost;
        let replied = self.run_program(hold, code, data).await;
        let note = Note {
            detail: None,
            cost: Some(self.result.cost.saturating_sub(before)),
        };
        let reply = self.end(timer, note, replied)?;
        self.check(&reply)
    }

    async fn run_program(
        &mut self,
        hold: &Hold,
        code: &str,
        data: &TypedDataset,
    ) -> Result<Box<RawValue>, Failure> {
        let artifacts_into = self.parts.artifacts.join(self.result.id.to_string());
        create_folder(&artifacts_into)?;
        let job = Job {
            portable_tables: self.portable_tables(hold, data).await?,
            artifacts_into: Some(artifacts_into),
            ..self.program_job(code, data)
        };
        let (outcome, limits) = self.run_in_sandbox(hold, Run::Program, job).await?;
        self.result.warnings.extend(data_warnings(code, &data.tables));
        self.keep_output(&outcome);
        reply_of(&outcome, &limits)
    }

    pub(crate) fn program_job(&self, code: &str, data: &TypedDataset) -> Job {
        Job {
            inputs: input_files(data.files.iter().chain(&data.originals).cloned()),
            tables: data.table_paths.clone(),
            as_of: data.as_of,
            limits: self.parts.program_limits.clone(),
            ..Job::new(Program::Analysis {
                code: code.to_owned(),
            })
        }
    }

    fn keep_output(&mut self, outcome: &Outcome) {
        self.result.output = match (outcome.stdout.is_empty(), outcome.stderr.is_empty()) {
            (_, true) => outcome.stdout.clone(),
            (true, false) => outcome.stderr.clone(),
            (false, false) => format!("{}\n{}", outcome.stdout, outcome.stderr),
        };
        self.result.artifacts = outcome
            .artifacts
            .iter()
            .map(|artifact| ArtifactRef {
                name: artifact.name.clone(),
                bytes: artifact.bytes,
                media_type: media_type(&artifact.name).to_owned(),
            })
            .collect();
        let rejected = outcome
            .rejected
            .iter()
            .map(|file| format!("file {} was not kept: {}", file.name, file.reason));
        self.result.warnings.extend(rejected);
    }

    fn check(&mut self, reply: &RawValue) -> Result<AnswerDocument, Failure> {
        let timer = self.start(Step::Check);
        let checked = prelude::read_answer(reply).map_err(|error| failure::bad_answer(&error));
        let document = self.end(timer, Note::default(), checked)?;
        let doubts = prelude::verify(&document);
        self.result.status = if doubts.is_empty() {
            Status::Ok
        } else {
            Status::Unverified
        };
        self.result.warnings.extend(document.warnings.iter().cloned());
        self.result.warnings.extend(doubts);
        self.result.answer.clone_from(&document.answer);
        self.result.charts.clone_from(&document.charts);
        Ok(document)
    }
}

/// Failures that another program might not have.
fn is_the_programs(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::ProgramError
            | FailureKind::BadAnswer
            | FailureKind::LimitWall
            | FailureKind::LimitCpu
            | FailureKind::LimitMemory
            | FailureKind::LimitOutput
    )
}

/// What is known to be wrong with the tables this program reads.
fn data_warnings(code: &str, tables: &[TableProfile]) -> Vec<String> {
    let words: std::collections::HashSet<&str> = code
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .collect();
    let is_read = |table: &&TableProfile| words.contains(table.name.as_str());
    let messages = tables.iter().filter(is_read).flat_map(|table| {
        table
            .warnings
            .iter()
            .map(move |warning| format!("{}: {}", table.name, warning.message))
    });
    messages.collect()
}
