//! The names of spans and their attributes: what is told of an analysis to whoever traces it, in one place.
//!
//! Crates tell it as `tracing` spans of [`TARGET`]; nothing is told where no subscriber takes them. The names are those
//! of OpenTelemetry's conventions (general ones of 1.42; `gen_ai.*` of the repository they moved to, where they are
//! still "development") and of Langfuse's OTLP endpoint. What has no name there begins with `meterbox.`.
//!
//! Amounts of money are whole nano-dollars (`..._nano_usd`), but for [`COST_DETAILS`], which Langfuse reads: JSON with
//! exact decimal numbers of dollars. Words of people, programs and data are in the attributes of [`CONTENT`] alone.

/// The target of every span told here.
pub const TARGET: &str = "meterbox::telemetry";

/// The names of spans.
pub mod span {
    /// A question or program over HTTP, from its request to its end.
    pub const EXECUTE: &str = "POST /api/execute";
    /// A question at the command line.
    pub const ASK: &str = "meterbox ask";
    /// A program at the command line.
    pub const RUN: &str = "meterbox run";
    /// Typing a dataset before anybody asks.
    pub const PREPARE: &str = "prepare";
    /// Setting the worst case aside.
    pub const RESERVE: &str = "budget.reserve";
    /// Booking what was used.
    pub const SETTLE: &str = "budget.settle";
    /// Having a program written.
    pub const CODEGEN: &str = "codegen";
    /// One call of a model, however it ends. Its name goes on with the model's.
    pub const CHAT: &str = "chat";
    /// Reading a model's program before it is run.
    pub const CHECK: &str = "code.check";
    /// One run in a sandbox. Its name goes on with [`SANDBOX_TOOL`](super::SANDBOX_TOOL).
    pub const EXECUTE_TOOL: &str = "execute_tool";
    /// A program written and run again, with what was wrong.
    pub const REPAIR: &str = "repair";
    /// Something of a budget that somebody should hear of.
    pub const BUDGET_EVENT: &str = "budget.event";
}

/// The name of sandboxes among a model's tools.
pub const SANDBOX_TOOL: &str = "python_sandbox";

// Of `tracing-opentelemetry`: they become parts of the span itself.
/// The span's name, where it is not the same for all.
pub const OTEL_NAME: &str = "otel.name";
/// `server`, `client` or `internal`.
pub const OTEL_KIND: &str = "otel.kind";
/// `ok` or `error`.
pub const OTEL_STATUS: &str = "otel.status_code";
/// Why the status is an error: a kind, never a sentence.
pub const OTEL_STATUS_DESCRIPTION: &str = "otel.status_description";

// On every span.
/// Who asked: the scope of a person or service.
pub const USER: &str = "user.id";
/// What belongs together for whoever looks at it.
pub const SESSION: &str = "session.id";
/// The name of the whole trace.
pub const TRACE_NAME: &str = "langfuse.trace.name";
/// What traces are found by: an array of texts.
pub const TRACE_TAGS: &str = "langfuse.trace.tags";

// Of the whole analysis, on its first span.
/// The analysis's id.
pub const ANALYSIS_ID: &str = "langfuse.trace.metadata.analysis_id";
/// The scopes whose budgets pay, with commas between.
pub const BUDGET_SCOPE: &str = "langfuse.trace.metadata.budget_scope";
/// How the analysis ended, as its result says.
pub const ANALYSIS_STATUS: &str = "meterbox.analysis.status";
/// Who wrote the program: rules, a model, nobody anew, or the caller.
pub const ANALYSIS_SOURCE: &str = "meterbox.analysis.source";
/// What the analysis cost, as the ledger says.
pub const ANALYSIS_COST: &str = "meterbox.analysis.cost_nano_usd";

// Langfuse's words for a span.
/// `guardrail`, `chain`, `generation`, `tool`, `event`, `span`.
pub const OBSERVATION_TYPE: &str = "langfuse.observation.type";
/// `DEFAULT`, `WARNING` or `ERROR`.
pub const LEVEL: &str = "langfuse.observation.level";
/// A text beside the level: a kind, or in [`CONTENT`] a sentence.
pub const STATUS_MESSAGE: &str = "langfuse.observation.status_message";
/// What something cost: a JSON object of dollars, of which `total` is all of it.
pub const COST_DETAILS: &str = "langfuse.observation.cost_details";
/// By which price book.
pub const PRICE_BOOK: &str = "langfuse.observation.metadata.price_book";
/// What went in.
pub const INPUT: &str = "langfuse.observation.input";
/// What came out.
pub const OUTPUT: &str = "langfuse.observation.output";

// HTTP.
/// The request's method.
pub const HTTP_METHOD: &str = "http.request.method";
/// The route it took.
pub const HTTP_ROUTE: &str = "http.route";
/// The status it was answered with.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The path it named.
pub const URL_PATH: &str = "url.path";
/// The host that was called.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port that was called.
pub const SERVER_PORT: &str = "server.port";
/// Which error it was.
pub const ERROR_TYPE: &str = "error.type";

// Budgets.
/// What was asked for.
pub const BUDGET_WANTED: &str = "meterbox.budget.wanted_nano_usd";
/// What was set aside.
pub const BUDGET_RESERVED: &str = "meterbox.budget.reserved_nano_usd";
/// What was used.
pub const BUDGET_ACTUAL: &str = "meterbox.budget.actual_nano_usd";
/// How much of that is a worst case, since nobody knows.
pub const BUDGET_ESTIMATED: &str = "meterbox.budget.estimated_nano_usd";
/// What the tightest budget has left.
pub const BUDGET_REMAINING: &str = "meterbox.budget.remaining_nano_usd";
/// Is it less than was asked for, or done by cheaper means?
pub const BUDGET_DEGRADED: &str = "meterbox.budget.degraded";
/// Which event.
pub const EVENT_TYPE: &str = "meterbox.budget.event.type";
/// The event's id.
pub const EVENT_ID: &str = "meterbox.budget.event.id";
/// Of which budget.
pub const EVENT_SCOPE: &str = "meterbox.budget.event.scope";
/// The rung of the ladder that was reached.
pub const EVENT_RUNG: &str = "meterbox.budget.event.rung";
/// What was spent then.
pub const EVENT_SPENT: &str = "meterbox.budget.event.spent_nano_usd";
/// The limit then, or what was to be expected.
pub const EVENT_LIMIT: &str = "meterbox.budget.event.limit_nano_usd";

// Programs.
/// Calls of models that were made.
pub const CODEGEN_ATTEMPTS: &str = "meterbox.codegen.attempts";
/// Was a program used again?
pub const CODEGEN_CACHE_HIT: &str = "meterbox.codegen.cache_hit";
/// The version of the prompt.
pub const PROMPT_VERSION: &str = "meterbox.codegen.prompt_version";
/// The rules a program broke: an array of texts.
pub const CHECK_RULES: &str = "meterbox.code_check.failed_rules";
/// How often a program was written before.
pub const REPAIR_NUMBER: &str = "meterbox.repair.number";
/// What the program before ended with.
pub const REPAIR_REASON: &str = "meterbox.repair.reason";

// Calls of models.
/// Always `chat` here, and `execute_tool` of a sandbox.
pub const OPERATION: &str = "gen_ai.operation.name";
/// Whose model.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model that was asked for; of Azure, the deployment.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The output cap.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// `json` or `text`.
pub const OUTPUT_TYPE: &str = "gen_ai.output.type";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// The reply's id.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// Why the reply ended: an array of texts.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// All input tokens.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Of them, those from a cache.
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Of them, those that went to a cache.
pub const CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// All output tokens.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Of them, those of reasoning.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// Calls that were made for the same program before.
pub const RETRY_INDEX: &str = "meterbox.chat.retry_index";
/// Is the cost a worst case, since nobody knows?
pub const COST_ESTIMATED: &str = "meterbox.cost.estimated";
/// The conversation that was sent, as JSON.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What holds for the whole conversation, as JSON.
pub const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// The reply, as JSON.
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// `input` or `output`, of a metric.
pub const TOKEN_TYPE: &str = "gen_ai.token.type";

// Runs in a sandbox.
/// The tool.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// The program, or what it is given.
pub const TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
/// What the program said.
pub const TOOL_RESULT: &str = "gen_ai.tool.call.result";
/// What the run was for, such as `program` or `import`.
pub const RUN_PURPOSE: &str = "meterbox.sandbox.run";
/// Wall-clock time, in milliseconds.
pub const RUN_WALL_MS: &str = "meterbox.sandbox.wall_ms";
/// Processor time, in milliseconds.
pub const RUN_CPU_MS: &str = "meterbox.sandbox.cpu_ms";
/// Bytes of output.
pub const RUN_OUTPUT_BYTES: &str = "meterbox.sandbox.output_bytes";
/// How it ended.
pub const RUN_EXIT: &str = "meterbox.sandbox.exit_reason";

/// The attributes that words of people, programs and data may be in, where that is allowed.
pub const CONTENT: [&str; 7] = [
    INPUT,
    OUTPUT,
    INPUT_MESSAGES,
    SYSTEM_INSTRUCTIONS,
    OUTPUT_MESSAGES,
    TOOL_ARGUMENTS,
    TOOL_RESULT,
];

/// The attributes that are arrays of texts. A field of `tracing` cannot be one, so there they are JSON.
pub const ARRAYS: [&str; 3] = [TRACE_TAGS, FINISH_REASONS, CHECK_RULES];

/// The longest text of content that is told, in bytes: what Langfuse takes of many spans at once.
pub const LONGEST_CONTENT: usize = 16 * 1024;

/// A text as it may be told: no longer than [`LONGEST_CONTENT`].
pub fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_CONTENT))
        .unwrap_or_default()
}

/// A number as it may be told: `tracing-opentelemetry` makes texts of those without a sign.
pub fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "é".repeat(LONGEST_CONTENT);
        let cut = bounded(&long);
        assert_eq!(cut.len(), LONGEST_CONTENT);
        assert!(long.starts_with(cut));
        assert_eq!(bounded(&format!("a{long}")).len(), LONGEST_CONTENT - 1);
        assert_eq!(bounded("short"), "short");
    }
}
