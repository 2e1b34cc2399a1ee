//! What administration says on a terminal, and how its commands end.

use std::{io, process::ExitCode};

use meterbox_access::{AccessError, AccessErrorKind};
use meterbox_budget_engine::BudgetError;
use serde::Serialize;

use super::{exit, target::NoTarget, text};
use crate::{
    administration::{AdminError, RemoteError, RemoteProblem},
    wiring::StartError,
};

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Admin(AdminError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The call, or a file it names, is wrong.
    #[error("{0}")]
    Usage(String),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

pub(super) type Done = Result<ExitCode, Failed>;

/// What a command says, in words or as JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    pub(super) json: bool,
}

impl From<AdminError> for Failed {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Budget(error) => Self::Budget(error),
            error => Self::Admin(error),
        }
    }
}

impl From<NoTarget> for Failed {
    fn from(error: NoTarget) -> Self {
        match error {
            NoTarget::Start(error) => Self::Start(error),
            NoTarget::Admin(error) => error.into(),
        }
    }
}

impl Printer {
    /// The JSON of this, or else these words.
    pub(super) fn print<T: Serialize>(self, value: &T, words: impl FnOnce() -> String) -> Result<(), Failed> {
        if !self.json {
            text::say(&words());
            return Ok(());
        }
        let json = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        Ok(text::print_json(&json)?)
    }
}

/// Says why a command failed, where it did.
pub(super) fn ended(done: Done) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(Failed::Start(error)) => exit::refused_to_start(&error),
        Err(Failed::Usage(message)) => exit::usage(&message),
        // Whoever read it has seen enough (`| head`).
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failed::Output(error)) => {
            text::complain(&format!("the output cannot be written: {error}"));
            ExitCode::FAILURE
        }
        Err(Failed::Budget(error)) => of_budget(&error),
        Err(Failed::Admin(error)) => {
            text::complain(&error.to_string());
            of_administration(&error)
        }
    }
}

fn of_budget(error: &BudgetError) -> ExitCode {
    text::complain(&error.to_string());
    match error {
        BudgetError::NoBudget { scopes } => {
            let scope = scopes.first().map(ToString::to_string).unwrap_or_default();
            text::note(&format!("Define one: meterbox budget set {scope} 10"));
            exit::code_of_usage()
        }
        BudgetError::Invalid(_) => exit::code_of_usage(),
        BudgetError::Refused { .. } => ExitCode::from(exit::REFUSED),
        BudgetError::Stopped(_) => {
            text::note("`meterbox resume` lets spending go on.");
            ExitCode::from(exit::REFUSED)
        }
        BudgetError::Store(_) => ExitCode::from(exit::NO_SANDBOX),
        _ => ExitCode::from(exit::FAILED),
    }
}

fn of_administration(error: &AdminError) -> ExitCode {
    match error {
        AdminError::Access(error) => of_access(error),
        AdminError::Remote(RemoteError::Refused(problem)) => {
            text::note(&problem.hint);
            of_problem(problem)
        }
        AdminError::Remote(RemoteError::Unreachable { .. } | RemoteError::Strange { .. }) => {
            ExitCode::from(exit::NO_SANDBOX)
        }
        AdminError::Output(_) | AdminError::Interrupted | AdminError::Dataset(_) => ExitCode::FAILURE,
        _ => exit::code_of_usage(),
    }
}

fn of_access(error: &AccessError) -> ExitCode {
    match error.kind() {
        AccessErrorKind::Conflict => ExitCode::from(exit::FAILED),
        AccessErrorKind::Store => ExitCode::from(exit::NO_SANDBOX),
        _ => exit::code_of_usage(),
    }
}

/// As the same refusal ends at the data folder.
fn of_problem(problem: &RemoteProblem) -> ExitCode {
    match problem.status {
        402 => ExitCode::from(exit::REFUSED),
        409 => ExitCode::from(exit::FAILED),
        400..=499 => exit::code_of_usage(),
        _ => ExitCode::from(exit::NO_SANDBOX),
    }
}
