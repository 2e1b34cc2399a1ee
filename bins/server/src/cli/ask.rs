//! `meterbox ask` and `meterbox run`: one analysis, shown on the terminal.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use meterbox_analysis::{Ask, Event, Interrupted, Prefer, Request, Running};
use meterbox_core::{
    AnalysisId, Clock, SystemClock, Usd,
    contract::{AnalysisResult, Answer, Failure, PrivacyLevel, Source, Status},
};
use meterbox_datasets::Dataset;

use super::{AnalysisArgs, exit, runtime, steps, table, target, text};
use crate::{
    settings::Settings,
    telemetry,
    wiring::{Meterbox, StartError, local_user},
    writer::Writer,
};

/// How long a command that is done waits for the store of results.
const DELIVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// The question, such as "top 5 products by revenue"
    question: String,

    /// Who writes the program: whoever is known to be right at the least cost, rules alone, or a model
    #[arg(long, value_enum, default_value_t, value_name = "WHO")]
    by: Writer,

    /// What of this data may leave the machine, from now on: 0 nothing, 1 its shape, 2 also frequent values that are not
    /// personal, 3 also sample rows, and the files to a cloud sandbox where one is chosen
    #[arg(long, value_name = "LEVEL", value_parser = privacy_level)]
    privacy: Option<PrivacyLevel>,

    #[command(flatten)]
    analysis: AnalysisArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The script: it reads `tables["name"]` or files under /data, and sets `result`
    script: PathBuf,

    #[command(flatten)]
    analysis: AnalysisArgs,
}

fn privacy_level(text: &str) -> Result<PrivacyLevel, String> {
    let number: u8 = text.parse().map_err(|_| "0, 1, 2 and 3 are levels".to_owned())?;
    PrivacyLevel::try_from(number).map_err(|error| error.to_string())
}

pub(super) async fn ask(args: AskArgs, settings: &Settings) -> ExitCode {
    if matches!(args.by, Writer::Model) && settings.config.model.is_none() {
        return exit::usage("--by model needs a model; set OPENAI_API_KEY or the like, see .env.example");
    }
    let wish = Wish {
        ask: Ask::Question(args.question),
        prefer: args.by.into(),
        privacy: args.privacy,
    };
    analyse(wish, &args.analysis, settings).await
}

pub(super) async fn run(args: RunArgs, settings: &Settings) -> ExitCode {
    let script = args.script.display();
    match std::fs::read(&args.script).map(String::from_utf8) {
        Ok(Ok(code)) => {
            let wish = Wish {
                ask: Ask::Code(code),
                prefer: Prefer::default(),
                privacy: None,
            };
            analyse(wish, &args.analysis, settings).await
        }
        Ok(Err(_)) => exit::usage(&format!("{script} is not UTF-8 text; save it as UTF-8")),
        Err(error) => exit::usage(&format!("{script} cannot be read: {error}; check the path")),
    }
}

/// What is wanted, and how.
struct Wish {
    ask: Ask,
    prefer: Prefer,
    privacy: Option<PrivacyLevel>,
}

async fn analyse(wish: Wish, args: &AnalysisArgs, settings: &Settings) -> ExitCode {
    let (meterbox, dataset) = match open(args, wish.privacy, settings).await {
        Ok(opened) => opened,
        Err(error) => return not_begun(&wish.ask, args, &error),
    };
    let Wish { ask, prefer, .. } = wish;
    let request = Request {
        ask,
        dataset,
        principal: meterbox.local_user.clone(),
        max_cost: args.max_cost,
        chart_png: true,
        prefer,
    };
    let root = telemetry::command_root(&request.principal, &request.ask);
    let running = match root.in_scope(|| meterbox.analyst.start(request)) {
        Ok(running) => running,
        Err(error) => return exit::usage(&error.to_string()),
    };
    drop(root);
    let followed = follow(running, !args.quiet).await;
    meterbox.analyst.shut_down().await;
    meterbox.notice_thresholds().await;
    let waiting = meterbox.results.flush(DELIVERY).await;
    if waiting > 0 && !args.quiet {
        text::note(&format!(
            "{waiting} results wait for their store and are delivered later; `meterbox results status` says why."
        ));
    }
    let result = match followed {
        Ok(result) => result,
        Err(error) => return exit::interrupted(&error.to_string()),
    };
    show(&result, args, &meterbox.analyst.artifacts_of(result.id))
}

async fn open(
    args: &AnalysisArgs,
    privacy: Option<PrivacyLevel>,
    settings: &Settings,
) -> Result<(Meterbox, Dataset), StartError> {
    let python = runtime::ready(settings, !args.quiet)?;
    let meterbox = Meterbox::open(settings, python).await?;
    let catalog = meterbox.analyst.catalog();
    let dataset = catalog.add(&args.data)?;
    if let Some(level) = privacy {
        // What may leave is somebody's decision, and noted as one.
        let administration = target::open_folder(settings).await?;
        administration.set_privacy(catalog, &dataset, level).await?;
    }
    Ok((meterbox, dataset))
}

/// With `--json` there is one document on standard output even where the data was of no use, so that scripts read
/// one shape. Only a call that is wrong in itself has none.
fn not_begun(ask: &Ask, args: &AnalysisArgs, error: &StartError) -> ExitCode {
    let now = SystemClock::default().now();
    let Ok(user) = local_user() else {
        return exit::refused_to_start(error);
    };
    let mut result = AnalysisResult::begun(AnalysisId::new(now), user, now);
    match ask {
        Ask::Question(question) => result.question = Some(question.clone()),
        Ask::Code(code) => result.code = Some(code.clone()),
    }
    result.status = Status::Failed;
    result.finished_at = Some(now);
    result.failure = Some(error.failure());
    show(&result, args, Path::new(""))
}

/// Shows steps until the end; Ctrl-C cancels, and what was used so far is charged.
async fn follow(mut running: Running, shows_steps: bool) -> Result<AnalysisResult, Interrupted> {
    let cancel = running.canceller();
    let on_interrupt = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    while let Some(event) = running.next_event().await {
        if let (Event::Step(step), true) = (event, shows_steps) {
            steps::show(&step);
        }
    }
    on_interrupt.abort();
    running.result().await
}

fn show(result: &AnalysisResult, args: &AnalysisArgs, artifacts: &Path) -> ExitCode {
    if args.show_code {
        let code = result.code.as_deref().unwrap_or("there is no program");
        text::note(&format!("\n{}\n", code.trim_end()));
    }
    if !result.output.is_empty() && !args.quiet {
        text::note(&format!("\nThe program printed:\n{}", result.output.trim_end()));
    }
    if args.json {
        let printed = serde_json::to_string_pretty(result)
            .map_err(io::Error::from)
            .and_then(|json| text::print_json(&json));
        if printed.is_err() {
            // Whoever read standard output has gone; there is nobody left to tell.
            return ExitCode::FAILURE;
        }
    } else if let Some(answer) = &result.answer {
        show_answer(answer, result, args.quiet);
    }
    if let Some(failure) = &result.failure {
        show_failure(failure);
    }
    if !args.quiet {
        show_provenance(result, artifacts);
    }
    ExitCode::from(exit::code(result))
}

fn show_answer(answer: &Answer, result: &AnalysisResult, quiet: bool) {
    if !quiet {
        text::note("");
    }
    text::say(&table::render(answer));
    if result.status == Status::Unverified {
        text::note("This answer could not be verified; see the notes.");
    }
}

fn show_failure(failure: &Failure) {
    text::complain(&failure.message);
    if !failure.not_understood.is_empty() {
        text::note(&format!("Not understood: {}", failure.not_understood.join(", ")));
    }
    if !failure.suggestions.is_empty() {
        text::note("Questions this data can answer:");
        for suggestion in &failure.suggestions {
            text::note(&format!("  {suggestion}"));
        }
    }
    text::note(&failure.hint);
    if let Some(seconds) = failure.retry_after {
        text::note(&format!("Try again in {seconds:.0} s."));
    }
}

fn show_provenance(result: &AnalysisResult, artifacts: &Path) {
    text::note("");
    if let Some(reading) = &result.reading {
        text::note(&format!("Reading   {}", reading.text));
        for assumption in &reading.assumptions {
            text::note(&format!("Assumed   {assumption}"));
        }
        if let Some(today) = reading.as_of {
            text::note(&format!("Today     means {today}, the last day of the data"));
        }
        if !reading.ignored.is_empty() {
            text::note(&format!("Ignored   {}", reading.ignored.join(", ")));
        }
    }
    for warning in &result.warnings {
        text::note(&format!("Note      {warning}"));
    }
    for artifact in &result.artifacts {
        let path = artifacts.join(&artifact.name);
        let label = if artifact.media_type == "image/png" {
            "Chart"
        } else {
            "File"
        };
        text::note(&format!("{label:<9} {}", path.display()));
    }
    for sent in &result.egress {
        text::note(&format!(
            "Sent      {} bytes to {} ({})",
            sent.bytes, sent.to, sent.purpose
        ));
    }
    if let Some(source) = result.source {
        let generator = result
            .generator
            .as_ref()
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        text::note(&format!("Source    {}{generator}", source_name(source)));
    }
    text::note(&format!("Cost      {}{}", result.cost, left(result.remaining)));
}

fn left(remaining: Option<Usd>) -> String {
    remaining
        .map(|remaining| format!(", {remaining} left this month"))
        .unwrap_or_default()
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Rules => "rules, no model",
        Source::Model => "model",
        Source::Saved => "saved program",
        Source::Code => "your program",
        _ => "unknown",
    }
}
