//! How many input tokens a request has, at most, before anybody is asked.

use tiktoken_rs::{
    bpe_for_tokenizer,
    tokenizer::{Tokenizer, get_tokenizer},
};

use super::{Api, family::family};
use crate::chat::ChatRequest;

/// In letters. Texts with longer words are cut for counting: the time that merging takes grows with their square.
const LONGEST_WORD: usize = 200;
/// A cut may save a token or two, so each is paid for.
const FOR_A_CUT: u64 = 4;

/// How a model's tokens are counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counting {
    /// By the model's own tokenizer.
    Exact(Tokenizer),
    /// By another, generously: words count this much, in percent.
    Estimate(u64),
}

/// Of models whose tokenizer is their own affair.
const OTHERS: Counting = Counting::Estimate(135);
/// Claude's tokenizer of 2026 makes up to a third more of a text than the one before.
const CLAUDE: Counting = Counting::Estimate(165);

impl Counting {
    pub(super) fn of(model: &str, api: Api) -> Self {
        let is_of_openai = family(model).is_some_and(|family| family.is_of_openai);
        if api == Api::Messages || model.to_ascii_lowercase().contains("claude") {
            return CLAUDE;
        }
        if !is_of_openai {
            return OTHERS;
        }
        let name = model
            .rsplit('/')
            .next()
            .unwrap_or(model)
            .replace("gpt-35", "gpt-3.5");
        // Models that are newer than the tokenizer's list have had the same one for years.
        Self::Exact(get_tokenizer(&name).unwrap_or(Tokenizer::O200kBase))
    }

    pub(super) fn count(self, request: &ChatRequest) -> u64 {
        let schema = request.schema.as_ref().map(|schema| schema.schema.to_string());
        let texts = [Some(request.instructions.as_str()), schema.as_deref()]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .chain(request.messages.iter().map(|message| message.text.as_str()));
        texts.fold(self.framing(), |sum, text| {
            sum.saturating_add(self.count_text(text))
                .saturating_add(self.of_a_message())
        })
    }

    fn count_text(self, text: &str) -> u64 {
        match self {
            Self::Exact(tokenizer) => tokens(tokenizer, text),
            Self::Estimate(percent) => estimate(text, percent),
        }
    }

    /// Roles and separators: 3 to 4 with models of OpenAI, up to about 20 in templates of others.
    fn of_a_message(self) -> u64 {
        match self {
            Self::Exact(_) => 5,
            Self::Estimate(_) => 20,
        }
    }

    /// What a conversation has besides its messages: the beginning of the reply, or a system text that the template
    /// brings where there is none.
    fn framing(self) -> u64 {
        match self {
            Self::Exact(_) => 8,
            Self::Estimate(_) => 40,
        }
    }
}

/// More than other tokenizers make of a text. Their words are shorter than those of o200k, in capitals above all; many
/// of them know only single digits; they join fewer signs and line breaks; and what is not ASCII may be single bytes to
/// them.
fn estimate(text: &str, percent: u64) -> u64 {
    let words = tokens(Tokenizer::O200kBase, text)
        .saturating_mul(percent)
        .div_ceil(100);
    let capitals = text.bytes().filter(u8::is_ascii_uppercase).count() as u64;
    let digits = text.bytes().filter(u8::is_ascii_digit).count() as u64;
    let signs = text.bytes().filter(u8::is_ascii_punctuation).count() as u64;
    let breaks = text.bytes().filter(u8::is_ascii_control).count() as u64;
    let beyond_ascii = text.bytes().filter(|byte| !byte.is_ascii()).count() as u64;
    words
        .saturating_add(digits.saturating_mul(2).div_ceil(3))
        .saturating_add(signs.div_ceil(4))
        .saturating_add(capitals.div_ceil(3))
        .saturating_add(breaks)
        // Short texts have no average.
        .saturating_add(if text.is_empty() { 0 } else { 2 })
        .saturating_add(beyond_ascii)
}

fn tokens(tokenizer: Tokenizer, text: &str) -> u64 {
    let Ok(vocabulary) = bpe_for_tokenizer(tokenizer) else {
        // No tokenizer makes more tokens than there are bytes.
        return text.len() as u64;
    };
    let count = |piece: &str| vocabulary.count_ordinary(piece) as u64;
    if !has_long_word(text) {
        return count(text);
    }
    pieces(text).fold(0, |sum: u64, piece| {
        let for_its_cut = if sum > 0 { FOR_A_CUT } else { 0 };
        sum.saturating_add(count(piece)).saturating_add(for_its_cut)
    })
}

/// A run of white space counts as a word, too.
fn has_long_word(text: &str) -> bool {
    let (mut length, mut was_space) = (0, false);
    text.chars().any(|letter| {
        let is_space = letter.is_whitespace();
        length = if is_space == was_space { length + 1 } else { 1 };
        was_space = is_space;
        length > LONGEST_WORD
    })
}

/// The text in parts of bounded length, none of which ends inside a letter.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .nth(LONGEST_WORD)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::{Message, ReplySchema, Role};

    fn asking(text: &str) -> ChatRequest {
        ChatRequest {
            instructions: "Answer in Python.".to_owned(),
            messages: vec![Message {
                role: Role::User,
                text: text.to_owned(),
            }],
            output_cap: 100,
            schema: None,
        }
    }

    #[test]
    fn models_of_openai_are_counted_by_their_own_tokenizer() {
        for (model, expected) in [
            ("gpt-5-mini", Tokenizer::O200kBase),
            ("gpt-9", Tokenizer::O200kBase),
            ("gpt-4o", Tokenizer::O200kBase),
            ("gpt-4", Tokenizer::Cl100kBase),
            ("gpt-35-turbo", Tokenizer::Cl100kBase),
            ("o3", Tokenizer::O200kBase),
        ] {
            let Counting::Exact(found) = Counting::of(model, Api::ChatCompletions) else {
                panic!("{model} is estimated")
            };
            assert_eq!(found, expected, "{model}");
        }
        for model in ["analyst", "claude-sonnet-4-5", "llama-3.3-70b", "gpt-oss-20b"] {
            assert!(
                matches!(Counting::of(model, Api::ChatCompletions), Counting::Estimate(_)),
                "{model}"
            );
        }
        // By tiktoken: 11 and 4 tokens, and 7 + 2 of framing, as OpenAI's cookbook counts it.
        let request = asking("What was the revenue of each region in 2025?");
        let counted = Counting::of("gpt-4o", Api::ChatCompletions).count(&request);
        assert!((11 + 4 + 9..=40).contains(&counted), "{counted}");
    }

    #[test]
    fn a_schema_counts_and_special_tokens_are_texts() {
        let mut request = asking("<|endoftext|>");
        let without = Counting::of("gpt-4o", Api::ChatCompletions).count(&request);
        assert!(Counting::of("gpt-4o", Api::ChatCompletions).count(&asking("")) + 3 < without);
        request.schema = Some(ReplySchema {
            name: "program".to_owned(),
            schema: serde_json::json!({ "type": "object", "properties": { "code": { "type": "string" } } }),
        });
        assert!(Counting::of("gpt-4o", Api::ChatCompletions).count(&request) > without + 10);
    }

    /// Merged whole, each of these would take minutes.
    #[test]
    fn long_words_are_counted_in_bounded_time() {
        for letter in ["a", " ", "\n", "ß", "="] {
            let word = letter.repeat(1 << 16);
            assert!(CLAUDE.count(&asking(&word)) > 1 << 10, "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn cutting_never_makes_a_text_cheaper(text in "([a-zäß0-9.,✓]{150,300} ?){1,10}") {
            let whole = bpe_for_tokenizer(Tokenizer::O200kBase).expect("compiled in").count_ordinary(&text) as u64;
            prop_assert!(tokens(Tokenizer::O200kBase, &text) >= whole);
            prop_assert!(estimate(&text, 135) <= text.len() as u64 * 4);
        }
    }
}
