//! Plans a file of questions: one JSON request a line in (`question`, `tables`, `as_of`), one outcome a line out.
//!
//! `tables` names a key of the first file, which maps it to the profiles of its tables.

use std::{collections::HashMap, env, error::Error, fs, io::Write as _, sync::Arc};

use meterbox_core::contract::TableProfile;
use meterbox_llm_codegen::{GenerateError, GenerateRequest, Planner};

#[derive(serde::Deserialize)]
struct Line {
    question: String,
    tables: String,
    #[serde(default)]
    as_of: Option<meterbox_core::Date>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [profiles, questions] = arguments.as_slice() else {
        return Err("usage: plan_batch PROFILES.json QUESTIONS.jsonl > OUTCOMES.jsonl".into());
    };
    let profiles: HashMap<String, Vec<TableProfile>> = serde_json::from_str(&fs::read_to_string(profiles)?)?;
    let profiles: HashMap<String, Arc<[TableProfile]>> = profiles
        .into_iter()
        .map(|(name, tables)| (name, tables.into()))
        .collect();
    let planner = Planner::new();
    let mut out = std::io::stdout().lock();
    for line in fs::read_to_string(questions)?.lines() {
        let line: Line = serde_json::from_str(line)?;
        let tables = profiles.get(&line.tables).ok_or("no such tables")?;
        let request = GenerateRequest::new(line.question, Arc::clone(tables), line.as_of);
        let outcome = match planner.write(&request) {
            Ok(written) => serde_json::json!({
                "code": written.code, "confidence": written.confidence, "reading": written.reading, "plan": written.plan,
            }),
            Err(error @ GenerateError::CannotAnswer { .. }) => {
                let GenerateError::CannotAnswer {
                    not_understood,
                    suggestions,
                    ..
                } = &error
                else {
                    continue;
                };
                serde_json::json!({ "declined": error.to_string(), "words": not_understood, "suggestions": suggestions })
            }
            Err(error) => serde_json::json!({ "declined": error.to_string() }),
        };
        writeln!(out, "{outcome}")?;
    }
    Ok(())
}
