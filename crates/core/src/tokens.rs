use serde::{Deserialize, Serialize};

/// The tokens of a call, in the counting of OpenAI: cached and cache-write tokens are part of the input, reasoning is
/// part of the output. (Anthropic counts cache reads and writes beside the input: add them.)
///
/// What a server reports is charged as it is, also where the parts are more than the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenUsage {
    /// All input tokens.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cached: u64,
    /// Input tokens written to a cache, for the shortest time it is offered.
    pub cache_write: u64,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h: u64,
    /// All output tokens.
    pub output: u64,
    /// Output tokens that were spent on reasoning.
    pub reasoning: u64,
}

impl TokenUsage {
    /// Input that neither came from a cache nor went to one.
    pub fn plain_input(&self) -> u64 {
        self.input
            .saturating_sub(self.cached)
            .saturating_sub(self.cache_write)
            .saturating_sub(self.cache_write_1h)
    }

    /// All input, also where the parts are more than the whole: by this a long-context price is chosen.
    pub fn context(&self) -> u64 {
        let parts = self
            .cached
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_1h);
        self.input.max(parts)
    }
}
