//! The built-in planner: from a question to a program by rules alone, no model.
//!
//! ```text
//! question -> words -> mentions (of columns, tables, values) -> clauses, cues, conditions, spans
//!          -> one base table and what each mention means from there -> Plan -> pandas program
//! ```
//! A plan accounts for the question word by word. What it cannot account for it names: a word that may
//! change the answer makes it decline, any other lowers its confidence.

mod assemble;
mod beside;
mod choose;
mod clauses;
mod compile;
mod conditions;
mod cues;
mod doubts;
mod english;
mod kind;
mod lexicon;
mod lists;
mod mention;
mod names;
pub mod plan;
mod read;
mod reading;
mod schema;
mod spans;
mod suggest;
mod text;
mod trouble;
mod units;
mod words;

use async_trait::async_trait;
use meterbox_core::contract::{Reading, Source};

pub use plan::Plan;
use schema::Schema;
use trouble::Trouble;

use crate::{CodeGenerator, GenerateError, GenerateRequest, Generated, chat::CallGate};

/// What the planner calls itself in results.
pub const PLANNER: &str = "planner/1";

/// Writes programs by rules: always available, free of cost, and the same every time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Planner {
    _private: (),
}

impl Planner {
    /// The longest question it reads, in characters.
    pub const MAX_QUESTION: usize = 2_000;

    /// The planner. It keeps no state.
    pub fn new() -> Self {
        Self::default()
    }

    /// The program for a question, or why there is none.
    ///
    /// # Errors
    /// [`GenerateError::BadQuestion`] for an empty or overlong question, [`GenerateError::CannotAnswer`] naming the
    /// words that were not understood, [`GenerateError::Ambiguous`] where the data leaves more than one reading.
    pub fn write(&self, request: &GenerateRequest) -> Result<Generated, GenerateError> {
        let question = request.question.trim();
        check(question)?;
        let schema = Schema::new(&request.tables);
        let draft = read::read(question, &schema).map_err(|trouble| explain(trouble, &schema))?;
        if draft.plan.needs_today() && request.as_of.is_none() {
            let trouble = Trouble::cannot(
                "The data has no dates, so it is not clear what “today” is",
                Vec::new(),
            );
            return Err(explain(trouble, &schema));
        }
        let text = reading::reading(&draft.plan);
        let code = compile::compile(&draft.plan, &request.tables, &text);
        Ok(Generated {
            code,
            source: Source::Rules,
            generator: PLANNER.to_owned(),
            reading: Reading {
                text,
                assumptions: draft.assumptions,
                ignored: draft.ignored,
                as_of: request.as_of,
            },
            plan: serde_json::to_value(&draft.plan).ok(),
            confidence: draft.confidence,
            warnings: Vec::new(),
        })
    }

    /// Up to three questions this data can answer, each one tried.
    pub fn suggest(&self, tables: &[meterbox_core::contract::TableProfile]) -> Vec<String> {
        suggest::suggest(&Schema::new(tables))
    }
}

#[async_trait]
impl CodeGenerator for Planner {
    async fn generate(
        &self,
        request: &GenerateRequest,
        _: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        self.write(request)
    }
}

fn check(question: &str) -> Result<(), GenerateError> {
    let bad = |message: String| Err(GenerateError::BadQuestion { message });
    if !question.chars().any(char::is_alphanumeric) {
        return bad("The question is empty; ask something like “sales by region”.".to_owned());
    }
    // Bytes first: a count of characters would read all of an endless question.
    let overlong =
        question.len() > Planner::MAX_QUESTION * 4 || question.chars().count() > Planner::MAX_QUESTION;
    if overlong {
        return bad(format!(
            "The question is too long; keep it under {} characters.",
            Planner::MAX_QUESTION
        ));
    }
    Ok(())
}

fn explain(trouble: Trouble, schema: &Schema<'_>) -> GenerateError {
    match trouble {
        Trouble::CannotAnswer { message, words } => {
            let message = match words.as_slice() {
                [] => format!("{message}."),
                words => format!("{message}; not understood: {}.", words.join(", ")),
            };
            GenerateError::CannotAnswer {
                message,
                not_understood: words,
                suggestions: suggest::suggest(schema),
            }
        }
        Trouble::Ambiguous { message, suggestions } => GenerateError::Ambiguous {
            message: format!("{message}."),
            suggestions,
        },
    }
}
