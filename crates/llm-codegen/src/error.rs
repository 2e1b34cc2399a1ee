use std::time::Duration;

use meterbox_core::Retryability;

use crate::chat::{ChatError, Declined};

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
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
    /// A model wrote something that is no program to run. Ask again with it in [`GenerateRequest::failed`].
    ///
    /// [`GenerateRequest::failed`]: crate::GenerateRequest::failed
    #[error("the model's program was not run: {problem}")]
    Rejected {
        /// The program; or the reply, where no program was found in it.
        code: String,
        /// What is wrong with it, in sentences.
        problem: String,
    },
    /// A call of a model was not admitted.
    #[error(transparent)]
    Declined(#[from] Declined),
    /// The model gave no usable reply.
    #[error(transparent)]
    Model(#[from] ChatError),
}

impl GenerateError {
    /// May the same question be asked again unchanged?
    pub fn retryability(&self) -> Retryability {
        match self {
            Self::CannotAnswer { .. } | Self::Ambiguous { .. } | Self::BadQuestion { .. } => {
                Retryability::Never
            }
            Self::Rejected { .. } => Retryability::Safe,
            Self::Declined(declined) => declined.retryability,
            Self::Model(error) => error.retryability(),
        }
    }

    /// How long to wait first, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Declined(declined) => declined.retry_after,
            Self::Model(error) => error.retry_after(),
            _ => None,
        }
    }
}
