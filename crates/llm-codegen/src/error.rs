use std::time::Duration;

use meterbox_core::Retryability;

/// Why there is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The question could not be mapped to the data.
    #[error("{message}")]
    CannotAnswer {
        /// Why, in a sentence.
        message: String,
        /// Words of the question that were not understood.
        not_understood: Vec<String>,
        /// Up to three questions that can be answered on this data.
        suggestions: Vec<String>,
    },
    /// The question can be read in more than one way.
    #[error("{message}")]
    Ambiguous {
        /// What is unclear, in a sentence.
        message: String,
        /// The question, put in ways that are clear.
        suggestions: Vec<String>,
    },
    /// The question is empty or too long.
    #[error("{message}")]
    BadQuestion {
        /// What is wrong and what to do, in a sentence.
        message: String,
    },
}

impl GenerateError {
    /// May the same question be asked again unchanged?
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::CannotAnswer { .. } | Self::Ambiguous { .. } | Self::BadQuestion { .. } => {
                Retryability::Never
            }
        }
    }

    /// How long to wait first, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        None
    }
}
