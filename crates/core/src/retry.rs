//! Whether and when to try again.

use std::time::Duration;

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

/// How long to wait between attempts: twice as long each time. Free of clocks and of chance, which are passed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never longer than this by itself.
    pub longest: Duration,
    /// What the other side asks for is heeded up to this.
    pub longest_wish: Duration,
}

impl Backoff {
    /// How long to wait after so many failures before this one: less up to a half by `jitter`, 0 to 255, so that many do
    /// not come back at once; and not less than the other side wished.
    pub fn wait(self, failures_before: u32, wish: Option<Duration>, jitter: u8) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures_before.min(16));
        let longest = doubled.min(self.longest);
        let less = longest
            .saturating_mul(jitter.into())
            .checked_div(512)
            .unwrap_or_default();
        let wait = longest.saturating_sub(less);
        wish.map_or(wait, |wish| wish.min(self.longest_wish).max(wait))
    }
}
