//! Exit codes, part of the contract: 0 answered, 2 usage, 3 unverified, 4 failed, 5 refused, 6 no sandbox,
//! 7 provider, 130 cancelled.

use std::process::ExitCode;

use meterbox_core::contract::{AnalysisResult, FailureKind, Status};

use super::text;
use crate::wiring::StartError;

const USAGE: u8 = 2;
/// Something did what it was asked, and what it found is not well.
pub(crate) const FAILED: u8 = 4;
/// A budget does not cover it.
pub(crate) const REFUSED: u8 = 5;
/// There is no sandbox, or no ledger.
pub(crate) const NO_SANDBOX: u8 = 6;

/// The exit code of a result.
pub(crate) fn code(result: &AnalysisResult) -> u8 {
    match result.status {
        Status::Ok => 0,
        Status::Unverified => 3,
        Status::Cancelled | Status::Interrupted => 130,
        Status::Refused => REFUSED,
        _ => result
            .failure
            .as_ref()
            .map_or(FAILED, |failure| code_of_failure(failure.kind)),
    }
}

fn code_of_failure(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::BadRequest => USAGE,
        FailureKind::Budget | FailureKind::Rate | FailureKind::Concurrency => REFUSED,
        FailureKind::SandboxUnavailable | FailureKind::LedgerUnavailable | FailureKind::BreakerOpen => {
            NO_SANDBOX
        }
        FailureKind::ProviderAuth
        | FailureKind::ProviderRate
        | FailureKind::ProviderQuota
        | FailureKind::ContentFilter
        | FailureKind::Truncated
        | FailureKind::ContextTooLong
        | FailureKind::ProviderDown => 7,
        FailureKind::Cancelled | FailureKind::Interrupted => 130,
        _ => FAILED,
    }
}

/// Says why nothing was begun.
pub(crate) fn refused_to_start(error: &StartError) -> ExitCode {
    let failure = error.failure();
    text::complain(&failure.message);
    text::note(&failure.hint);
    ExitCode::from(code_of_failure(failure.kind))
}

/// Says that the analysis ended with the service.
pub(crate) fn interrupted(message: &str) -> ExitCode {
    text::complain(message);
    ExitCode::from(130)
}

/// Says what is wrong with the call.
pub(crate) fn usage(message: &str) -> ExitCode {
    text::complain(message);
    code_of_usage()
}

/// The call was wrong, and that is said already.
pub(crate) fn code_of_usage() -> ExitCode {
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use meterbox_core::{AnalysisId, Scope, Timestamp, contract::Failure};

    use super::*;

    #[test]
    fn every_kind_of_end_has_its_code() {
        let now = Timestamp::UNIX_EPOCH;
        let mut result = AnalysisResult::begun(AnalysisId::new(now), Scope::new("user", "ana").unwrap(), now);
        result.status = Status::Ok;
        assert_eq!(code(&result), 0);
        for (kind, expected) in [
            (FailureKind::ProgramError, 4),
            (FailureKind::CannotAnswer, 4),
            (FailureKind::BadData, 4),
            (FailureKind::SandboxUnavailable, 6),
            (FailureKind::BreakerOpen, 6),
            (FailureKind::ProviderDown, 7),
        ] {
            result.status = Status::Failed;
            result.failure = Some(Failure::new(kind, "m", "h"));
            assert_eq!(code(&result), expected, "{kind:?}");
        }
        result.status = Status::Refused;
        assert_eq!(code(&result), 5);
        result.status = Status::Cancelled;
        assert_eq!(code(&result), 130);
    }
}
