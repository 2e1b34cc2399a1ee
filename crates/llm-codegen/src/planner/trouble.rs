//! Why a question has no plan.

/// What stands in the way, before suggestions are added.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trouble {
    CannotAnswer {
        message: String,
        words: Vec<String>,
    },
    Ambiguous {
        message: String,
        suggestions: Vec<String>,
    },
}

impl Trouble {
    pub(super) fn cannot(message: impl Into<String>, words: Vec<String>) -> Self {
        Self::CannotAnswer {
            message: message.into(),
            words,
        }
    }
}
