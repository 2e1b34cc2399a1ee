use super::ModelCall;

const CHARACTERS_A_TOKEN: usize = 4;

/// What a [`ModelDouble`](super::ModelDouble) answers. Where nothing else is said, it counts a token for four
/// characters, and output ends at the cap of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAnswer {
    pub(super) text: String,
    refusal: Option<String>,
    finish: Option<Ending>,
    input: Option<u64>,
    output: Option<u64>,
    cached: u64,
    cache_write: u64,
    reasoning: u64,
    has_usage: bool,
    model: Option<String>,
    tier: Option<String>,
}

/// How a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    CutOff,
    Filtered,
    Named(String),
}

/// An answer, as it is given to a call.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) refusal: Option<String>,
    pub(super) ending: Ending,
    pub(super) usage: Option<Used>,
    pub(super) model: String,
    pub(super) tier: Option<String>,
}

/// In the counting of OpenAI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) cache_write: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

impl ModelAnswer {
    /// This text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            refusal: None,
            finish: None,
            input: None,
            output: None,
            cached: 0,
            cache_write: 0,
            reasoning: 0,
            has_usage: true,
            model: None,
            tier: None,
        }
    }

    /// The model declines, in these words.
    pub fn refusal(words: impl Into<String>) -> Self {
        let mut answer = Self::text("");
        answer.refusal = Some(words.into());
        answer
    }

    /// It used so many tokens: input with what came from and went to a cache, output with reasoning.
    #[must_use]
    pub fn using(mut self, input: u64, output: u64) -> Self {
        (self.input, self.output) = (Some(input), Some(output));
        self
    }

    /// So many input tokens came from a cache.
    #[must_use]
    pub fn cached(mut self, tokens: u64) -> Self {
        self.cached = tokens;
        self
    }

    /// So many input tokens went to a cache.
    #[must_use]
    pub fn cache_write(mut self, tokens: u64) -> Self {
        self.cache_write = tokens;
        self
    }

    /// So many output tokens were spent on reasoning first.
    #[must_use]
    pub fn reasoning(mut self, tokens: u64) -> Self {
        self.reasoning = tokens;
        self
    }

    /// Nothing is said about usage.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.has_usage = false;
        self
    }

    /// It says that this model answered.
    #[must_use]
    pub fn by_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// It says that this service tier was used.
    #[must_use]
    pub fn in_tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// The content filter stopped it.
    #[must_use]
    pub fn filtered(mut self) -> Self {
        self.finish = Some(Ending::Filtered);
        self
    }

    /// It ended for the reason of this name.
    #[must_use]
    pub fn finishing(mut self, reason: impl Into<String>) -> Self {
        self.finish = Some(Ending::Named(reason.into()));
        self
    }

    pub(super) fn given(self, call: &ModelCall, model: &str) -> Given {
        let spoken = self.refusal.as_ref().unwrap_or(&self.text);
        let wanted = self.output.unwrap_or_else(|| tokens(spoken) + self.reasoning);
        let cap = call.output_cap().unwrap_or(u64::MAX);
        let is_cut = wanted > cap && self.finish.is_none();
        let text = match is_cut {
            true => beginning(&self.text, cap.saturating_sub(self.reasoning)),
            false => self.text,
        };
        let used = Used {
            input: self.input.unwrap_or_else(|| tokens(&call.prompt()) + 3),
            cached: self.cached,
            cache_write: self.cache_write,
            output: wanted.min(cap),
            reasoning: self.reasoning.min(cap),
        };
        let plain = if is_cut { Ending::CutOff } else { Ending::Complete };
        Given {
            text,
            refusal: self.refusal,
            ending: self.finish.unwrap_or(plain),
            usage: self.has_usage.then_some(used),
            model: self.model.unwrap_or_else(|| model.to_owned()),
            tier: self.tier,
        }
    }
}

fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(CHARACTERS_A_TOKEN) as u64
}

fn beginning(text: &str, tokens: u64) -> String {
    let characters = usize::try_from(tokens)
        .unwrap_or(usize::MAX)
        .saturating_mul(CHARACTERS_A_TOKEN);
    text.chars().take(characters).collect()
}
