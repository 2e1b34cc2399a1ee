use std::{fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_core::{
    Date,
    contract::{Reading, Source, TableProfile},
};

use crate::GenerateError;

/// Writes an analysis program for a question.
#[async_trait]
pub trait CodeGenerator: Send + Sync + fmt::Debug + 'static {
    /// A program that answers the question on these tables.
    ///
    /// # Errors
    /// [`GenerateError`]: the question could not be mapped to the data, or the generator itself failed.
    async fn generate(&self, request: &GenerateRequest) -> Result<Generated, GenerateError>;
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
    /// From 0 to 1: the share of the question's content words that the reading accounts for.
    pub confidence: f64,
}

#[async_trait]
impl<G: CodeGenerator + ?Sized> CodeGenerator for Arc<G> {
    async fn generate(&self, request: &GenerateRequest) -> Result<Generated, GenerateError> {
        (**self).generate(request).await
    }
}

#[async_trait]
impl<G: CodeGenerator + ?Sized> CodeGenerator for Box<G> {
    async fn generate(&self, request: &GenerateRequest) -> Result<Generated, GenerateError> {
        (**self).generate(request).await
    }
}
