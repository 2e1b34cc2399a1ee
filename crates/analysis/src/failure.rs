//! From what went wrong inside to what a person is told: a kind, a sentence, one next step.

use meterbox_budget_engine::BudgetError;
use meterbox_circuit_breaker::{CircuitOpen, FaultClass};
use meterbox_core::{
    Usd,
    contract::{Failure, FailureKind, PrivacyLevel, ShortBudget},
};
use meterbox_datasets::{DatasetError, DatasetErrorKind};
use meterbox_llm_codegen::{
    GenerateError,
    chat::{ChatError, ChatErrorKind, Declined, DeclinedKind},
};
use meterbox_results_store::ResultsError;
use meterbox_sandbox_client::{
    Limits, Outcome, ProgramError, Reply, SandboxError, SandboxErrorKind, Verdict, prelude::BadAnswer,
};

/// What a run's end means, or `Ok` with its reply.
pub(crate) fn reply_of(
    outcome: &Outcome,
    limits: &Limits,
) -> Result<Box<serde_json::value::RawValue>, Failure> {
    match (&outcome.verdict, &outcome.reply) {
        (Verdict::Exited { .. }, Some(Reply::Value(value))) => Ok(value.clone()),
        (Verdict::Exited { .. }, Some(Reply::Error(error))) => Err(raised(error, limits)),
        (Verdict::Exited { code }, None) => Err(Failure::new(
            FailureKind::ProgramError,
            format!("the program ended with exit code {code} before it handed back a result"),
            "Let the program run to its end and set `result`; do not call exit.",
        )),
        (Verdict::Signalled { signal }, _) => Err(Failure::new(
            FailureKind::ProgramError,
            format!("the program crashed ({})", signal_name(*signal)),
            "Simplify the program; it crashed inside a library.",
        )),
        (Verdict::WallLimit, _) => Err(Failure::new(
            FailureKind::LimitWall,
            format!("the program did not finish within {} s", limits.wall.as_secs()),
            "Ask for less data at once, or allow a higher cost.",
        )),
        (Verdict::CpuLimit, _) => Err(Failure::new(
            FailureKind::LimitCpu,
            format!(
                "the program used more than {} s of processor time",
                limits.cpu.as_secs()
            ),
            "Ask for less data at once, or allow a higher cost.",
        )),
        (Verdict::MemoryLimit, _) => Err(out_of_memory(limits)),
        (Verdict::OutputLimit, _) => Err(Failure::new(
            FailureKind::LimitOutput,
            format!(
                "the program printed or returned more than {} KiB",
                limits.output_bytes / 1024
            ),
            "Return a summary instead of printing rows.",
        )),
        (Verdict::BrokenReply { reason }, _) => Err(Failure::new(
            FailureKind::BadAnswer,
            format!("the program's result could not be read: {reason}"),
            "Set `result` to a table, a number or a text, and leave the rest to Meterbox.",
        )),
        (Verdict::Cancelled, _) => Err(cancelled()),
        _ => Err(Failure::new(
            FailureKind::ProgramError,
            "the program ended in an unknown way",
            "Ask again; if it stays, run `meterbox doctor`.",
        )),
    }
}

fn raised(error: &ProgramError, limits: &Limits) -> Failure {
    // The class is the program's own claim; it only chooses the words, never the bill.
    if error.kind == "MemoryError" {
        return out_of_memory(limits);
    }
    let place = error
        .line
        .map(|line| format!(" (line {line})"))
        .unwrap_or_default();
    Failure::new(
        FailureKind::ProgramError,
        format!("the program raised {}{place}: {}", error.kind, error.message),
        "Look at the program and its output, change it or the question, and run it again.",
    )
}

fn out_of_memory(limits: &Limits) -> Failure {
    Failure::new(
        FailureKind::LimitMemory,
        format!(
            "the program needed more than {} MiB of memory",
            limits.memory_bytes >> 20
        ),
        "Ask for fewer columns or rows at once.",
    )
}

pub(crate) fn cancelled() -> Failure {
    Failure::new(
        FailureKind::Cancelled,
        "the analysis was cancelled",
        "Ask again when you like.",
    )
}

pub(crate) fn no_program(error: &GenerateError) -> Failure {
    match error {
        GenerateError::CannotAnswer {
            message,
            not_understood,
            suggestions,
        } => {
            let mut failure = Failure::new(
                FailureKind::CannotAnswer,
                message,
                "Put it in the words of the data's columns, or try one of the suggested questions.",
            );
            failure.not_understood.clone_from(not_understood);
            failure.suggestions.clone_from(suggestions);
            failure
        }
        GenerateError::Ambiguous { message, suggestions } => {
            let mut failure = Failure::new(
                FailureKind::Ambiguous,
                message,
                "Choose one of the readings, or say which you mean.",
            );
            failure.suggestions.clone_from(suggestions);
            failure
        }
        GenerateError::Declined(declined) => declined_call(declined),
        GenerateError::Model(error) => no_reply(error),
        GenerateError::Rejected { problem, .. } => rejected_program(problem),
        other => Failure::new(
            FailureKind::BadRequest,
            other.to_string(),
            "Change the question and ask again.",
        ),
    }
}

/// A model's program that was not run.
pub(crate) fn rejected_program(problem: &str) -> Failure {
    Failure::new(
        FailureKind::ProgramError,
        format!("the model's program was not run: {problem}"),
        "Put the question differently, in the words of the data's columns.",
    )
}

fn declined_call(declined: &Declined) -> Failure {
    let (kind, hint) = match declined.kind {
        DeclinedKind::Money => (
            FailureKind::Budget,
            "Allow a higher cost, or wait until the budget starts afresh.",
        ),
        DeclinedKind::Paused => (FailureKind::ProviderDown, "Wait, then ask again."),
        DeclinedKind::Unpriced => (
            FailureKind::BadRequest,
            "Add the model to your price book, or say which model it costs as much as.",
        ),
        _ => (
            FailureKind::LedgerUnavailable,
            "Make the data folder writable and try again.",
        ),
    };
    Failure::new(kind, &declined.message, hint).retry_after(declined.retry_after)
}

fn no_reply(error: &ChatError) -> Failure {
    let (kind, hint) = match error.kind() {
        ChatErrorKind::Auth => (
            FailureKind::ProviderAuth,
            "Set the provider's key anew; `meterbox doctor --online` checks it.",
        ),
        ChatErrorKind::DeploymentMissing => (
            FailureKind::ProviderAuth,
            "Set the name of a model or deployment that the provider has.",
        ),
        ChatErrorKind::Rate => (FailureKind::ProviderRate, "Wait, then ask again."),
        ChatErrorKind::Quota => (
            FailureKind::ProviderQuota,
            "Raise the account's limit with the provider.",
        ),
        ChatErrorKind::ContentFilter => (
            FailureKind::ContentFilter,
            "Put the question differently; the provider's content filter stopped it.",
        ),
        ChatErrorKind::ContextTooLong => (FailureKind::ContextTooLong, "Ask on fewer files at once."),
        ChatErrorKind::Truncated => (
            FailureKind::Truncated,
            "Allow a higher cost, so that the reply may be longer, or ask for less at once.",
        ),
        ChatErrorKind::Refusal => (FailureKind::CannotAnswer, "Put the question differently."),
        _ => (FailureKind::ProviderDown, "Wait, then ask again."),
    };
    Failure::new(kind, error.to_string(), hint).retry_after(error.retry_after())
}

pub(crate) fn no_sandbox(error: &SandboxError) -> Failure {
    let hint = match error {
        SandboxError::Unavailable { fix, .. } => fix.clone(),
        SandboxError::BadJob { .. } => "Add the data again; its files have changed or are gone.".to_owned(),
        _ => "Ask again; if it stays, run `meterbox doctor`.".to_owned(),
    };
    let kind = match error.kind() {
        // Asking again cannot help.
        SandboxErrorKind::BadJob => FailureKind::BadData,
        _ => FailureKind::SandboxUnavailable,
    };
    Failure::new(kind, error.to_string(), hint).retry_after(error.retry_after())
}

/// A cloud sandbox is given the files, and this data's are to stay.
pub(crate) fn may_not_leave(dataset: &str, level: PrivacyLevel) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!(
            "programs run in a cloud sandbox, which is given the files, and {dataset} is at privacy level {level}: they \
             stay here"
        ),
        "Allow it for this data (privacy level 3), or run programs on this machine (METERBOX_SANDBOX=local).",
    )
}

/// Which failures of the sandbox are its own, and so count against its circuit.
pub(crate) fn fault_class(error: &SandboxError) -> Option<FaultClass> {
    match error.kind() {
        SandboxErrorKind::Platform | SandboxErrorKind::Lost | SandboxErrorKind::Unavailable => {
            Some(FaultClass::Platform)
        }
        _ => None,
    }
}

pub(crate) fn breaker_open(open: &CircuitOpen) -> Failure {
    Failure::new(
        FailureKind::BreakerOpen,
        "the sandbox failed several times in a row and is given time to recover",
        "Wait, then ask again; `meterbox doctor` says what is wrong with the sandbox.",
    )
    .retry_after(Some(open.retry_after()))
}

pub(crate) fn no_money(error: &BudgetError) -> Failure {
    let (kind, hint) = match error {
        BudgetError::Refused { .. } => (
            FailureKind::Budget,
            "Wait until the budget starts afresh, or raise it.",
        ),
        BudgetError::NoBudget { .. } => (
            FailureKind::Budget,
            "Define a budget first; nothing is spent without one.",
        ),
        BudgetError::Stopped(_) => (
            FailureKind::Budget,
            "Ask whoever runs Meterbox; `meterbox resume` lets spending go on.",
        ),
        BudgetError::HoldTooSmall { .. } => (FailureKind::Budget, "Allow a higher cost."),
        _ => (
            FailureKind::LedgerUnavailable,
            "Make the data folder writable and try again.",
        ),
    };
    let mut failure = Failure::new(kind, error.to_string(), hint).retry_after(error.retry_after());
    if let BudgetError::Refused {
        scope,
        limit,
        remaining,
        resets_at,
        ..
    } = error
    {
        failure.budget = Some(Box::new(ShortBudget {
            scope: scope.clone(),
            limit: *limit,
            remaining: *remaining,
            resets_at: *resets_at,
        }));
    }
    failure
}

/// What the caller or the operator allows does not cover even a second.
pub(crate) fn cap_too_small(cap: Usd, least: Usd) -> Failure {
    Failure::new(
        FailureKind::Budget,
        format!("this may cost {cap} at most, which does not cover one second of computing"),
        format!("Allow at least {least}."),
    )
}

/// What is left of the hold does not cover even a second.
pub(crate) fn hold_spent(purpose: &str, hold: Usd) -> Failure {
    Failure::new(
        FailureKind::Budget,
        format!("the {hold} this analysis may cost do not cover the {purpose}"),
        "Allow a higher cost.",
    )
}

pub(crate) fn bad_data(error: &DatasetError) -> Failure {
    let kind = match error.kind() {
        DatasetErrorKind::BadData => FailureKind::BadData,
        // The data is not at fault where our own folder or import failed.
        _ => FailureKind::SandboxUnavailable,
    };
    Failure::new(kind, error.to_string(), error.hint())
}

pub(crate) fn bad_answer(error: &BadAnswer) -> Failure {
    Failure::new(
        FailureKind::BadAnswer,
        format!("the program's result breaks the answer contract: {error}"),
        "Set `result` to a table, a number, a text, or a dict of these.",
    )
}

pub(crate) fn not_stored(error: &ResultsError) -> Failure {
    Failure::new(
        FailureKind::LedgerUnavailable,
        format!("this answer was not kept in the history: {error}"),
        "Run `meterbox doctor --online`; the answer itself is complete.",
    )
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT, it gave up",
        7 => "SIGBUS, a bad memory access",
        8 => "SIGFPE, a bad calculation",
        9 => "SIGKILL",
        11 => "SIGSEGV, a bad memory access",
        31 => "SIGSYS, a forbidden system call",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
