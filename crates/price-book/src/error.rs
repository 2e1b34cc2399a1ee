use std::path::PathBuf;

use meterbox_core::{Retryability, Timestamp};

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The book does not know the model, and has no price to fall back on.
    #[error(
        "the price book has no price of the model {model:?}{}; add it to your price book, or give a fallback price there",
        meant(nearest.as_deref())
    )]
    UnknownModel {
        /// The name asked for, cut to a sensible length.
        model: String,
        /// A name in the book that looks like it.
        nearest: Option<String>,
    },
    /// The book does not know the unit.
    #[error("the price book has no price of {unit:?}; add it to your price book")]
    UnknownUnit {
        /// The name asked for, cut to a sensible length.
        unit: String,
    },
    /// The first price of the book begins later.
    #[error("the price book has no price of {name} at {at}: its first begins on {begins}")]
    NotYet {
        /// Of what.
        name: String,
        /// The moment asked for.
        at: Timestamp,
        /// The day the first price begins.
        begins: String,
    },
    /// The model is not offered on these terms.
    #[error("the price book has no price of {model} on the terms {asked}; it has {known}")]
    UnknownTerms {
        /// Which model.
        model: String,
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
}

/// The kinds of [`PriceError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PriceErrorKind {
    /// Not in the book.
    Unknown,
    /// In the book, but not for that moment.
    NotYet,
    /// In the book, but not on these terms.
    Terms,
}

impl PriceError {
    /// The kind, for decisions.
    pub fn kind(&self) -> PriceErrorKind {
        match self {
            Self::UnknownModel { .. } | Self::UnknownUnit { .. } => PriceErrorKind::Unknown,
            Self::NotYet { .. } => PriceErrorKind::NotYet,
            Self::UnknownTerms { .. } => PriceErrorKind::Terms,
        }
    }

    /// A book says tomorrow what it says today.
    pub fn retryability(&self) -> Retryability {
        Retryability::Never
    }
}

/// Why a text is no price book.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The file cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Neither TOML nor JSON, or with fields a price book does not have.
    #[error("{place}: {message}")]
    Syntax {
        /// Which file, or what else the text is.
        place: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// It makes no sense.
    #[error("{place}: {entry}: {message}")]
    Sense {
        /// Which file, or what else the text is.
        place: String,
        /// Which entry.
        entry: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
}

impl BookError {
    /// Somebody has to change the file.
    pub fn retryability(&self) -> Retryability {
        Retryability::Never
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}
