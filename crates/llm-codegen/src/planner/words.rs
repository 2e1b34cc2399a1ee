//! A question being read: its tokens, and which of them are already accounted for.

use super::{lexicon, text::Token};

#[derive(Debug)]
pub(super) struct Words {
    pub(super) tokens: Vec<Token>,
    used: Vec<bool>,
}

impl Words {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        let used = vec![false; tokens.len()];
        Self { tokens, used }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The word at a place, in lower case; empty beyond the ends.
    pub(super) fn at(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.lower.as_str())
    }

    /// The word so many places before.
    pub(super) fn before(&self, at: usize, back: usize) -> &str {
        at.checked_sub(back).map_or("", |at| self.at(at))
    }

    pub(super) fn is_free(&self, at: usize) -> bool {
        self.used.get(at).is_some_and(|used| !used)
    }

    pub(super) fn claim(&mut self, start: usize, end: usize) {
        let end = end.min(self.used.len());
        if start < end {
            self.used[start..end].fill(true);
        }
    }

    pub(super) fn matches(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(offset, word)| self.at(at + offset) == *word)
    }

    /// How many of the phrase's words stand here; the longest of several phrases.
    pub(super) fn phrase(&self, at: usize, phrases: &[&str]) -> Option<usize> {
        phrases
            .iter()
            .map(|phrase| phrase.split(' ').collect::<Vec<_>>())
            .filter(|words| self.matches(at, words))
            .map(|words| words.len())
            .max()
    }

    /// Content words nobody accounted for, as written.
    pub(super) fn unexplained(&self) -> Vec<String> {
        (0..self.len())
            .filter(|&at| self.is_free(at) && self.is_content(at))
            .map(|at| self.tokens[at].raw.clone())
            .collect()
    }

    /// Content words in all that are accounted for.
    pub(super) fn explained(&self) -> usize {
        (0..self.len())
            .filter(|&at| !self.is_free(at) && self.is_content(at))
            .count()
    }

    fn is_content(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        if token.is_punctuation() {
            return matches!(
                token.lower.as_str(),
                ">" | "<" | ">=" | "<=" | "=" | "!=" | "<>" | "=="
            );
        }
        !lexicon::is_grammar(&token.lower) && !lexicon::is_courtesy(&token.lower)
    }
}
