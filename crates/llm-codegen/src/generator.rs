use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_core::{
    Date,
    contract::{PrivacyLevel, Reading, Source, TableProfile},
};

use crate::{
    GenerateError,
    chat::{CallGate, PlannedCall},
};

/// Writes an analysis program for a question.
#[async_trait]
pub trait CodeGenerator: Send + Sync + fmt::Debug + 'static {
    /// A program that answers the question on these tables. Models are called only as far as `calls` admits it.
    ///
    /// # Errors
    /// [`GenerateError`]: the question could not be mapped to the data, a program was written that cannot be run as it
    /// is, or the generator itself failed.
    ///
    /// # Cancel safety
    /// Dropping the future ends a call of a model; its permit is dropped with it, so that its cost counts as unknown.
    async fn generate(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<Generated, GenerateError>;

    /// The dearest call it would make for this request; `None` where it calls no model. Without tables in the request,
    /// that of the longest prompt it would ever send.
    fn planned_call(&self, request: &GenerateRequest) -> Option<PlannedCall<'_>> {
        let _ = request;
        None
    }

    /// A program by other means than the one that failed, labelled with why; `None` where there is none.
    fn fallback(&self, request: &GenerateRequest, why: &str) -> Option<Generated> {
        let _ = (request, why);
        None
    }

    /// A program of other means that should come to the same figure, to compare; `None` where none is certain enough.
    fn second_opinion(&self, request: &GenerateRequest) -> Option<Generated> {
        let _ = request;
        None
    }

    /// Told that a program ran and answered: it may be used again for the same question.
    async fn keep(&self, request: &GenerateRequest, generated: &Generated) {
        let _ = (request, generated);
    }
}

/// What a generator is told.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// The question, in plain language.
    pub question: String,
    /// The tables there are.
    pub tables: Arc<[TableProfile]>,
    /// What "today" means for this data.
    pub as_of: Option<Date>,
    /// What of the tables a model may be told.
    pub privacy: PrivacyLevel,
    /// Importable packages of the sandbox and their versions.
    pub packages: Arc<BTreeMap<String, String>>,
    /// Whose question it is: what is kept for one tenant is never used for another.
    pub tenant: String,
    /// Who should write the program.
    pub prefer: Prefer,
    /// Programs that were written for this question before, and why they are none; the last one last.
    pub failed: Vec<FailedProgram>,
    /// May spans have the conversation with a model in them, as [`privacy`](Self::privacy) allows it?
    pub traced: bool,
}

/// Who should write a program, where there is a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Prefer {
    /// Whoever is known to be right at the least cost.
    #[default]
    Any,
    /// Rules alone: nothing is asked of a model.
    Rules,
    /// A model, also where rules have an answer.
    Model,
}

/// A program that did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedProgram {
    /// The program; or the reply, where no program was found in it.
    pub code: String,
    /// What is wrong with it, in sentences.
    pub problem: String,
    /// Was it run, so that the problem may quote what it met in the data? Below privacy level 3 a model is then told only
    /// such words of it as cannot come from there.
    pub quotes_data: bool,
}

impl GenerateRequest {
    /// A first try at a question, for nobody in particular.
    pub fn new(question: impl Into<String>, tables: Arc<[TableProfile]>, as_of: Option<Date>) -> Self {
        Self {
            question: question.into(),
            tables,
            as_of,
            privacy: PrivacyLevel::default(),
            packages: Arc::default(),
            tenant: String::new(),
            prefer: Prefer::default(),
            failed: Vec::new(),
            traced: false,
        }
    }
}

/// A program and how the question was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Python source for the answer contract.
    pub code: String,
    /// Who wrote it.
    pub source: Source,
    /// What wrote it, with its version, such as `planner/1`.
    pub generator: String,
    /// How the question was understood.
    pub reading: Reading,
    /// The typed plan behind the program, if there is one, as JSON.
    pub plan: Option<serde_json::Value>,
    /// From 0 to 1: the share of the question's content words that the reading accounts for. Of a model's program
    /// nobody knows; it is 0.
    pub confidence: f64,
    /// What a reader should know of how it came about.
    pub warnings: Vec<String>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<G: CodeGenerator + ?Sized> CodeGenerator for Arc<G> {
    async fn generate(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        (**self).generate(request, calls).await
    }

    fn planned_call(&self, request: &GenerateRequest) -> Option<PlannedCall<'_>> {
        (**self).planned_call(request)
    }

    fn fallback(&self, request: &GenerateRequest, why: &str) -> Option<Generated> {
        (**self).fallback(request, why)
    }

    fn second_opinion(&self, request: &GenerateRequest) -> Option<Generated> {
        (**self).second_opinion(request)
    }

    async fn keep(&self, request: &GenerateRequest, generated: &Generated) {
        (**self).keep(request, generated).await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<G: CodeGenerator + ?Sized> CodeGenerator for Box<G> {
    async fn generate(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        (**self).generate(request, calls).await
    }

    fn planned_call(&self, request: &GenerateRequest) -> Option<PlannedCall<'_>> {
        (**self).planned_call(request)
    }

    fn fallback(&self, request: &GenerateRequest, why: &str) -> Option<Generated> {
        (**self).fallback(request, why)
    }

    fn second_opinion(&self, request: &GenerateRequest) -> Option<Generated> {
        (**self).second_opinion(request)
    }

    async fn keep(&self, request: &GenerateRequest, generated: &Generated) {
        (**self).keep(request, generated).await;
    }
}
