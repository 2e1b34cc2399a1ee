//! What the parts refuse, as problems.

use meterbox_access::{AccessError, AccessErrorKind};
use meterbox_analysis::RequestError;
use meterbox_budget_engine::{BudgetError, BudgetErrorKind};

use super::{
    Problem,
    body::{NO_DATA, SEE_DOCUMENT},
};
use crate::administration::AdminError;

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = format!("{}.", sentence(&error.to_string()));
        match error {
            RequestError::EmptyQuestion | RequestError::LongQuestion { .. } => {
                Self::bad_request("query", detail, "Ask one question in a sentence or a few words.")
            }
            RequestError::LongCode { .. } => Self::too_large(detail, NO_DATA),
            RequestError::EmptyCode | RequestError::BinaryCode => {
                Self::bad_request("code", detail, "Send the source of a Python program.")
            }
            RequestError::ShuttingDown => Self::unavailable(detail, "Ask again once Meterbox is back."),
            _ => Self::bad_request("query", detail, "Change the request and send it again."),
        }
    }
}

impl From<BudgetError> for Problem {
    fn from(error: BudgetError) -> Self {
        let detail = format!("{}.", sentence(&error.to_string()));
        match error.kind() {
            BudgetErrorKind::NoBudget | BudgetErrorKind::UnknownHold => {
                Self::not_found(detail, "GET /api/budget lists the budgets there are.")
            }
            BudgetErrorKind::Invalid => Self::bad_request("body", detail, SEE_DOCUMENT),
            BudgetErrorKind::Store => Self::unavailable(
                detail,
                "Make the data folder readable and writable, then try again.",
            ),
            _ => Self::conflict(detail, "Look at GET /api/budget, then try again."),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let detail = format!("{}.", sentence(&error.to_string()));
        match error.kind() {
            AccessErrorKind::Denied => Self::unauthenticated(detail),
            AccessErrorKind::UnknownKey => Self::not_found(detail, "GET /api/keys lists those there are."),
            AccessErrorKind::Conflict => {
                Self::conflict(detail, "GET /api/keys lists the keys and their states.")
            }
            AccessErrorKind::Invalid => Self::bad_request("body", detail, SEE_DOCUMENT),
            _ => Self::unavailable(
                detail,
                "Make the data folder readable and writable, then try again.",
            ),
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let detail = format!("{}.", sentence(&error.to_string()));
        match error {
            AdminError::Budget(error) => error.into(),
            AdminError::Access(error) => error.into(),
            AdminError::Invalid { field, .. } => Self::bad_request(field, detail, SEE_DOCUMENT),
            AdminError::MadeBySetting { .. } => Self::conflict(detail, "PUT /api/budget sets the limit."),
            _ => Self::unavailable(detail, "Try again."),
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
