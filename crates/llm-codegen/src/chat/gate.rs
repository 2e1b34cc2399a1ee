use async_trait::async_trait;
use meterbox_core::Retryability;

use super::{ChatError, ChatReply, ModelCard, Outgoing};

/// Stands between a generator and what its calls cost: asked before each request, told after it.
///
/// A generator knows no budget. It says how much a call may use, is told how much output it may ask for, and reports
/// what came of it.
#[async_trait]
pub trait CallGate: Send + Sync {
    /// May this call be made, and with which output cap?
    ///
    /// # Errors
    /// [`Declined`], in words for a person.
    async fn admit(&self, call: &PlannedCall<'_>) -> Result<Box<dyn CallPermit + '_>, Declined>;
}

/// Leave for one call. Dropped without [`settle`](Self::settle), the call counts as made and its cost as unknown.
#[async_trait]
pub trait CallPermit: Send + Sync {
    /// The most output tokens the call may ask for: at least the plan's least, at most what it wanted.
    fn output_cap(&self) -> u64;

    /// These bytes are about to leave.
    fn sending(&mut self, outgoing: &Outgoing);

    /// What came of it.
    async fn settle(self: Box<Self>, outcome: Result<&ChatReply, &ChatError>);
}

/// A call that a generator would like to make.
#[derive(Debug, Clone, Copy)]
pub struct PlannedCall<'a> {
    /// Of which model.
    pub card: &'a ModelCard,
    /// What for, such as `program` or `repair`.
    pub purpose: &'a str,
    /// Input tokens, at most.
    pub input_tokens: u64,
    /// The output cap it would like.
    pub wanted_output: u64,
    /// The least output cap it is worth making with.
    pub least_output: u64,
}

/// A call that may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Declined {
    /// Why, in a sentence.
    pub message: String,
    /// Its kind.
    pub kind: DeclinedKind,
    /// May it be asked for again?
    pub retryability: Retryability,
    /// When, where that is known.
    pub retry_after: Option<std::time::Duration>,
}

/// The kinds of [`Declined`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeclinedKind {
    /// There is no money for it.
    Money,
    /// The provider failed several times in a row and is given time.
    Paused,
    /// Nobody knows what it would cost.
    Unpriced,
    /// Whoever counts cannot be reached.
    Unavailable,
}

/// Lets every call pass with all the output it wants: for tools and tests where nobody counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmetered;

#[async_trait]
impl CallGate for Unmetered {
    async fn admit(&self, call: &PlannedCall<'_>) -> Result<Box<dyn CallPermit + '_>, Declined> {
        Ok(Box::new(Wanted(call.wanted_output)))
    }
}

struct Wanted(u64);

#[async_trait]
impl CallPermit for Wanted {
    fn output_cap(&self) -> u64 {
        self.0
    }

    fn sending(&mut self, _: &Outgoing) {}

    async fn settle(self: Box<Self>, _: Result<&ChatReply, &ChatError>) {}
}
