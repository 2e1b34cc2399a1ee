//! What an analysis tells whoever traces it: see [`meterbox_core::telemetry`].
//!
//! Words of people, programs and data are told only where the analyst was told to, and then as far as the dataset's
//! privacy level lets a model elsewhere know them: a collector is elsewhere, also one on this machine, which passes on.

use std::collections::BTreeMap;

use meterbox_budget_engine::Settlement;
use meterbox_core::{
    Usd,
    contract::{AnalysisResult, CostLine, Failure, FailureKind, PrivacyLevel, Source, Status},
    telemetry::{self as attribute, SANDBOX_TOOL, TARGET, bounded, count, span},
};
use meterbox_llm_codegen::{GenerateRequest, Generated};
use meterbox_price_book::Component;
use meterbox_sandbox_client::{Outcome, Program, Reply, Verdict};
use tracing::{Span, field::Empty};

use crate::{Ask, Request, model_calls::CallsMade, price::total};

/// Which words may be told of one analysis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// As far as this; `None` for none at all.
    level: Option<PrivacyLevel>,
}

impl Words {
    pub(crate) fn of(request: &Request, are_told: bool) -> Self {
        let level = request.dataset.privacy().unwrap_or_default();
        Self {
            level: (are_told && level > PrivacyLevel::Nothing).then_some(level),
        }
    }

    /// What the caller wrote, which has nothing of the data that the caller did not put there.
    fn of_the_caller(self) -> bool {
        self.level.is_some()
    }

    /// What comes of the data itself.
    fn of_the_data(self) -> bool {
        self.level == Some(PrivacyLevel::Samples)
    }

    /// A conversation that was put together at the request's level. What went wrong with a program may quote any cell.
    pub(crate) fn of_the_conversation(self, request: &GenerateRequest) -> bool {
        let has_no_more = self.level.is_some_and(|level| request.privacy <= level);
        self.of_the_data() || (has_no_more && request.failed.is_empty())
    }
}

/// Tells the span an analysis was begun in what it is.
pub(crate) fn begun(root: &Span, request: &Request, result: &AnalysisResult, words: Words) {
    if root.is_disabled() {
        return;
    }
    let scopes: Vec<_> = request
        .principal
        .scopes()
        .iter()
        .map(ToString::to_string)
        .collect();
    root.record(attribute::ANALYSIS_ID, result.id.to_string());
    root.record(attribute::BUDGET_SCOPE, scopes.join(","));
    if words.of_the_caller() {
        let (Ask::Question(asked) | Ask::Code(asked)) = &request.ask;
        root.record(attribute::INPUT, bounded(asked));
    }
}

/// Tells the span an analysis was begun in how it ended.
pub(crate) fn ended(root: &Span, result: &AnalysisResult, words: Words) {
    if root.is_disabled() {
        return;
    }
    root.record(attribute::ANALYSIS_STATUS, name_of(&result.status));
    root.record(attribute::ANALYSIS_COST, result.cost.nanos());
    if let Some(source) = &result.source {
        root.record(attribute::ANALYSIS_SOURCE, name_of(source));
    }
    let level = match result.status {
        Status::Ok => "DEFAULT",
        Status::Failed => "ERROR",
        _ => "WARNING",
    };
    root.record(attribute::LEVEL, level);
    if let Some(failure) = &result.failure {
        if result.status == Status::Failed {
            fail(root, &name_of(&failure.kind));
        } else {
            root.record(attribute::ERROR_TYPE, name_of(&failure.kind));
        }
        if words.of_the_data() {
            root.record(attribute::STATUS_MESSAGE, bounded(&failure.message));
        }
    }
    if let Some(answer) = result.answer.as_ref().filter(|_| words.of_the_data()) {
        let answer = serde_json::to_string(answer).unwrap_or_default();
        root.record(attribute::OUTPUT, bounded(&answer));
    }
}

pub(crate) fn reserve() -> Span {
    tracing::info_span!(
        target: TARGET,
        span::RESERVE,
        { attribute::OBSERVATION_TYPE } = "guardrail",
        { attribute::BUDGET_WANTED } = Empty,
        { attribute::BUDGET_RESERVED } = Empty,
        { attribute::BUDGET_REMAINING } = Empty,
        { attribute::BUDGET_DEGRADED } = Empty,
        { attribute::LEVEL } = Empty,
        { attribute::ERROR_TYPE } = Empty,
        { attribute::OTEL_STATUS } = Empty,
        { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
    )
}

/// Tells what was set aside, which is less than wanted, or for less, where it `is_degraded`.
pub(crate) fn reserved(span: &Span, amount: Usd, remaining: Option<Usd>, is_degraded: bool) {
    span.record(attribute::BUDGET_RESERVED, amount.nanos());
    span.record(attribute::BUDGET_DEGRADED, is_degraded);
    if let Some(remaining) = remaining {
        span.record(attribute::BUDGET_REMAINING, remaining.nanos());
    }
    if is_degraded {
        span.record(attribute::LEVEL, "WARNING");
    }
}

pub(crate) fn refused(span: &Span, failure: &Failure) {
    span.record(attribute::BUDGET_RESERVED, 0_i64);
    if let Some(short) = &failure.budget {
        span.record(attribute::BUDGET_REMAINING, short.remaining.nanos());
    }
    span.record(attribute::LEVEL, "ERROR");
    fail(span, &name_of(&failure.kind));
}

pub(crate) fn settle() -> Span {
    tracing::info_span!(
        target: TARGET,
        span::SETTLE,
        { attribute::OBSERVATION_TYPE } = "guardrail",
        { attribute::BUDGET_RESERVED } = Empty,
        { attribute::BUDGET_ACTUAL } = Empty,
        { attribute::BUDGET_ESTIMATED } = Empty,
        { attribute::BUDGET_REMAINING } = Empty,
        { attribute::LEVEL } = Empty,
        { attribute::ERROR_TYPE } = Empty,
        { attribute::OTEL_STATUS } = Empty,
        { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
    )
}

pub(crate) fn settled(span: &Span, settled: Result<&Settlement, &Failure>, remaining: Option<Usd>) {
    if let Some(remaining) = remaining {
        span.record(attribute::BUDGET_REMAINING, remaining.nanos());
    }
    match settled {
        Ok(settlement) => {
            span.record(attribute::BUDGET_RESERVED, settlement.held.nanos());
            span.record(attribute::BUDGET_ACTUAL, settlement.drawn.nanos());
            span.record(attribute::BUDGET_ESTIMATED, total(&settlement.estimated).nanos());
            if !settlement.estimated.is_empty() || !settlement.overdrawn.is_zero() {
                span.record(attribute::LEVEL, "WARNING");
            }
        }
        Err(failure) => {
            span.record(attribute::LEVEL, "ERROR");
            fail(span, &name_of(&failure.kind));
        }
    }
}

pub(crate) fn codegen() -> Span {
    tracing::info_span!(
        target: TARGET,
        span::CODEGEN,
        { attribute::OBSERVATION_TYPE } = "chain",
        { attribute::CODEGEN_ATTEMPTS } = Empty,
        { attribute::CODEGEN_CACHE_HIT } = Empty,
        { attribute::PROMPT_VERSION } = Empty,
        { attribute::ANALYSIS_SOURCE } = Empty,
        { attribute::LEVEL } = Empty,
        { attribute::ERROR_TYPE } = Empty,
        { attribute::OTEL_STATUS } = Empty,
        { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
    )
}

pub(crate) fn written(span: &Span, written: Result<&Generated, &Failure>, calls: &CallsMade) {
    span.record(attribute::CODEGEN_ATTEMPTS, count(calls.sent));
    match written {
        Ok(generated) => {
            span.record(attribute::CODEGEN_CACHE_HIT, generated.source == Source::Saved);
            span.record(attribute::ANALYSIS_SOURCE, name_of(&generated.source));
        }
        Err(failure) => {
            span.record(attribute::LEVEL, "WARNING");
            fail(span, &name_of(&failure.kind));
        }
    }
}

/// A further attempt, after this many and for this reason.
pub(crate) fn repair(number: usize, reason: FailureKind) -> Span {
    tracing::info_span!(
        target: TARGET,
        span::REPAIR,
        { attribute::OBSERVATION_TYPE } = "chain",
        { attribute::REPAIR_NUMBER } = count(number),
        { attribute::REPAIR_REASON } = name_of(&reason),
    )
}

/// A run of this program, which is a caller's or else a generator's.
pub(crate) fn tool(purpose: &str, program: &Program, is_told: bool) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        span::EXECUTE_TOOL,
        { attribute::OTEL_NAME } = format!("{} {SANDBOX_TOOL}", span::EXECUTE_TOOL),
        { attribute::OBSERVATION_TYPE } = "tool",
        { attribute::OPERATION } = "execute_tool",
        { attribute::TOOL_NAME } = SANDBOX_TOOL,
        { attribute::RUN_PURPOSE } = purpose,
        { attribute::RUN_WALL_MS } = Empty,
        { attribute::RUN_CPU_MS } = Empty,
        { attribute::RUN_OUTPUT_BYTES } = Empty,
        { attribute::RUN_EXIT } = Empty,
        { attribute::COST_DETAILS } = Empty,
        { attribute::COST_ESTIMATED } = Empty,
        { attribute::PRICE_BOOK } = Empty,
        { attribute::TOOL_ARGUMENTS } = Empty,
        { attribute::TOOL_RESULT } = Empty,
        { attribute::LEVEL } = Empty,
        { attribute::ERROR_TYPE } = Empty,
        { attribute::OTEL_STATUS } = Empty,
        { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
    );
    if let (Program::Analysis { code }, true) = (program, is_told) {
        span.record(attribute::TOOL_ARGUMENTS, bounded(code));
    }
    span
}

impl Words {
    /// May the program of an analysis be told?
    pub(crate) fn of_the_program(self, ask: &Ask, source: Option<Source>, was_traced: bool) -> bool {
        match (ask, source) {
            (Ask::Code(_), _) => self.of_the_caller(),
            (_, Some(Source::Model)) => was_traced,
            // Rules put values of the data into a program, and nobody knows what a kept one was written with.
            _ => self.of_the_data(),
        }
    }
}

pub(crate) fn ran(span: &Span, ran: Result<&Outcome, &Failure>, words: Words) {
    if span.is_disabled() {
        return;
    }
    let outcome = match ran {
        Ok(outcome) => outcome,
        Err(failure) => {
            let kind = name_of(&failure.kind);
            span.record(attribute::RUN_EXIT, &kind);
            span.record(attribute::LEVEL, "ERROR");
            return fail(span, &kind);
        }
    };
    span.record(attribute::RUN_WALL_MS, count(outcome.usage.wall_ms));
    span.record(attribute::RUN_CPU_MS, count(outcome.usage.cpu_ms));
    span.record(attribute::RUN_OUTPUT_BYTES, count(outcome.usage.output_bytes));
    let reason = exit_reason(outcome);
    span.record(attribute::RUN_EXIT, reason);
    if reason != "exited" {
        span.record(attribute::LEVEL, "ERROR");
        fail(span, reason);
    }
    if let (Some(Reply::Value(value)), true) = (&outcome.reply, words.of_the_data()) {
        span.record(attribute::TOOL_RESULT, bounded(value.get()));
    }
}

fn exit_reason(outcome: &Outcome) -> &'static str {
    match (&outcome.verdict, &outcome.reply) {
        (Verdict::Exited { .. }, Some(Reply::Value(_))) => "exited",
        (Verdict::Exited { .. }, Some(Reply::Error(_))) => "raised",
        (Verdict::Exited { .. }, _) => "no_reply",
        (Verdict::Signalled { .. }, _) => "signalled",
        (Verdict::WallLimit, _) => "limit_wall",
        (Verdict::CpuLimit, _) => "limit_cpu",
        (Verdict::MemoryLimit, _) => "limit_memory",
        (Verdict::OutputLimit, _) => "limit_output",
        (Verdict::BrokenReply { .. }, _) => "broken_reply",
        (Verdict::Cancelled, _) => "cancelled",
        _ => "unknown",
    }
}

/// Tells a span its lines on the bill.
pub(crate) fn billed(span: &Span, lines: &[CostLine]) {
    if span.is_disabled() {
        return;
    }
    let mut details: BTreeMap<&str, Usd> = BTreeMap::new();
    for line in lines {
        let part = details.entry(part_of(line)).or_default();
        *part = part.saturating_add(line.amount);
    }
    details.insert("total", total(lines));
    span.record(attribute::COST_DETAILS, json_of(&details));
    span.record(attribute::COST_ESTIMATED, false);
    if let Some(tag) = lines.iter().find_map(|line| line.price.as_ref()) {
        span.record(attribute::PRICE_BOOK, tag.book());
    }
}

/// Tells a span that its worst case stands.
pub(crate) fn billed_at_worst(span: &Span, worst_case: Usd) {
    let details: BTreeMap<_, _> = [("total", worst_case)].into();
    span.record(attribute::COST_DETAILS, json_of(&details));
    span.record(attribute::COST_ESTIMATED, true);
}

/// Tells a call's span that it was given up before its end.
pub(crate) fn call_cancelled(span: &Span) {
    span.record(attribute::LEVEL, "WARNING");
    fail(span, &name_of(&FailureKind::Cancelled));
}

/// Under which of Langfuse's names a line is added up.
fn part_of(line: &CostLine) -> &'static str {
    let Some((_, part)) = line.item.rsplit_once(' ').filter(|_| line.unit == "tokens") else {
        return "compute";
    };
    let names = [
        (Component::Input, "input"),
        (Component::Cached, "input_cached_tokens"),
        (Component::CacheWrite, "input_cache_creation"),
        (Component::CacheWrite1h, "input_cache_creation"),
        (Component::Output, "output"),
        (Component::Reasoning, "output_reasoning_tokens"),
    ];
    let found = names.iter().find(|(component, _)| component.as_str() == part);
    found.map_or("other", |(_, name)| name)
}

fn fail(span: &Span, kind: &str) {
    span.record(attribute::ERROR_TYPE, kind);
    span.record(attribute::OTEL_STATUS, "error");
    span.record(attribute::OTEL_STATUS_DESCRIPTION, kind);
}

/// The contract's own name of a kind or a status.
fn name_of(kind: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(kind).unwrap_or_default();
    name.as_str().unwrap_or("unknown").to_owned()
}

fn json_of(details: &BTreeMap<&str, Usd>) -> String {
    // Amounts are numbers and always serialise.
    serde_json::to_string(details).unwrap_or_default()
}
