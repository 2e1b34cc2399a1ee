//! The question every error answers.

/// May the same call be made again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retryability {
    /// Never as it stands: the caller must change something first.
    Never,
    /// Yes, unchanged; nothing happened, or it happens at most once.
    Safe,
    /// Unknown whether it took effect: only with an idempotency key.
    WithIdempotencyKey,
}
