//! `meterbox eval`: the planner measured on questions with known answers.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use indicatif::ProgressBar;
use meterbox_analysis::{Analyst, Ask, Principal, Request};
use meterbox_core::contract::Answer;
use meterbox_datasets::{Dataset, TypedDataset};
use meterbox_llm_codegen::{
    Generated, Planner,
    eval::{self, EvalReport, Question},
    model::Proof,
};

use super::{exit, runtime, text};
use crate::{
    results::ResultsPlace,
    settings::Settings,
    wiring::{Meterbox, StartError},
};

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// A folder with questions.jsonl and the tables it names
    folder: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Write what was answered wrongly to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    misses: Option<PathBuf>,

    /// Write how often each kind of plan was right to this file
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,

    /// Ask only this many questions, spread evenly over the file
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
}

pub(super) async fn eval(args: EvalArgs, settings: &Settings) -> ExitCode {
    let path = args.folder.join("questions.jsonl");
    let read = fs::read_to_string(&path).map_err(|error| error.to_string());
    let questions = match read.and_then(|text| eval::parse(&text).map_err(|error| error.to_string())) {
        Ok(questions) => sampled(questions, args.sample),
        Err(error) => return exit::usage(&format!("{} cannot be used: {error}", path.display())),
    };
    let report = match measure(&args, questions, settings).await {
        Ok(report) => report,
        Err(error) => return exit::refused_to_start(&error),
    };
    if !args.json {
        text::say(&report.to_string());
        return ExitCode::SUCCESS;
    }
    match serde_json::to_string_pretty(&report)
        .map_err(std::io::Error::from)
        .and_then(|json| text::print_json(&json))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn sampled(questions: Vec<Question>, wanted: Option<usize>) -> Vec<Question> {
    let step = wanted.map_or(1, |wanted| questions.len().div_ceil(wanted.max(1)).max(1));
    questions.into_iter().step_by(step).collect()
}

async fn measure(
    args: &EvalArgs,
    questions: Vec<Question>,
    settings: &Settings,
) -> Result<EvalReport, StartError> {
    let python = runtime::ready(settings, true)?;
    // A house of its own: thousands of answers are nobody's history and nobody's bill.
    let folder = tempfile::tempdir().map_err(|source| StartError::Folder {
        folder: std::env::temp_dir(),
        source,
    })?;
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        results: ResultsPlace::Here,
        ..settings.clone()
    };
    let meterbox = Meterbox::open(&settings, python).await?;
    let bench = Bench {
        analyst: meterbox.analyst,
        user: meterbox.local_user,
    };

    let tables = bench.typed_tables(args, &questions).await?;
    let progress = ProgressBar::new(questions.len() as u64);
    let mut answers: HashMap<(String, String), Option<Answer>> = HashMap::new();
    let mut misses = Vec::new();
    let report = eval::evaluate(
        &Planner::default(),
        &questions,
        |question| {
            let typed = &tables[&question.file].1;
            (Arc::from(typed.tables.clone()), typed.as_of)
        },
        async |question: &Question, generated: &Generated| {
            progress.inc(1);
            let key = (question.file.clone(), generated.code.clone());
            if !answers.contains_key(&key) {
                let answer = bench.run(&tables[&question.file].0, &generated.code).await;
                answers.insert(key.clone(), answer);
            }
            let answer = answers[&key].clone();
            if !answer
                .as_ref()
                .is_some_and(|answer| eval::matches(answer, &question.gold))
            {
                misses.push(miss(question, generated, answer.as_ref()));
            }
            answer
        },
    )
    .await;
    let proof = Proof::from(&report).to_string();
    for (path, text) in [(&args.misses, misses.concat()), (&args.proof, proof)] {
        let Some(path) = path else { continue };
        fs::write(path, text).map_err(|source| StartError::Folder {
            folder: path.clone(),
            source,
        })?;
    }
    progress.finish_and_clear();
    bench.analyst.shut_down().await;
    Ok(report)
}

/// A wrong answer beside the right one, as a line of JSON.
fn miss(question: &Question, generated: &Generated, answer: Option<&Answer>) -> String {
    let line = serde_json::json!({
        "id": question.id,
        "question": question.question,
        "reading": generated.reading.text,
        "confidence": generated.confidence,
        "answer": answer,
        "gold": question.gold,
    });
    format!("{line}\n")
}

struct Bench {
    analyst: Analyst,
    user: Principal,
}

impl Bench {
    async fn typed_tables(
        &self,
        args: &EvalArgs,
        questions: &[Question],
    ) -> Result<HashMap<String, (Dataset, TypedDataset)>, StartError> {
        let files: BTreeSet<_> = questions.iter().map(|question| &question.file).collect();
        let mut tables = HashMap::new();
        for file in files {
            let dataset = self.analyst.catalog().add(&[args.folder.join(file)])?;
            let typed = self
                .analyst
                .prepare(dataset.clone(), self.user.clone())
                .await
                .map_err(StartError::Import)?;
            tables.insert(file.clone(), (dataset, typed));
        }
        Ok(tables)
    }

    async fn run(&self, dataset: &Dataset, code: &str) -> Option<Answer> {
        let request = Request::new(Ask::Code(code.to_owned()), dataset.clone(), self.user.clone());
        self.analyst.start(request).ok()?.result().await.ok()?.answer
    }
}
