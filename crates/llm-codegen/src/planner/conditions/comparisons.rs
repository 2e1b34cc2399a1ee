//! Numbers compared with columns.

use super::{Reader, Test};
use crate::planner::{plan::Comparison, schema::ColumnId, words::Words};

impl Reader<'_, '_> {
    pub(super) fn number_at(&self, at: usize) -> Option<(f64, usize)> {
        let currency = usize::from(matches!(self.words.at(at), "$" | "€" | "£"));
        let number = self.words.tokens.get(at + currency)?.number()?;
        Some((number, currency + 1))
    }

    pub(super) fn comparison(&self, at: usize, negated: bool) -> Option<(Test, usize)> {
        let words = &*self.words;
        if let Some(length) = words.phrase(
            at,
            &[
                "between",
                "in the range of",
                "within the range of",
                "range of",
                "ranging from",
                "from",
                "ranges from",
            ],
        ) {
            let (low, first) = self
                .number_at(at + length)
                .filter(|_| words.is_free(at + length))?;
            let joint = at + length + first;
            if !matches!(words.at(joint), "and" | "to") {
                return None;
            }
            let (high, second) = self.number_at(joint + 1)?;
            return Some((Test::Between(low.min(high), low.max(high)), joint + 1 + second));
        }
        let (op, length) = operator(words, at)?;
        let op = if negated { opposite(op) } else { op };
        let (number, size) = self.number_at(at + length)?;
        Some((Test::Compare(op, number), at + length + size))
    }

    /// "negative profit", "whose profit is positive"; tells whether it was said.
    pub(super) fn sign(&mut self, index: usize, after: usize, negated: bool) -> bool {
        let start = self.mentions[index].start;
        let sign = |word: &str| match word {
            "negative" => Some(Comparison::Below),
            "positive" => Some(Comparison::Above),
            _ => None,
        };
        let (op, from, to) = match (sign(self.words.before(start, 1)), sign(self.words.at(after))) {
            (Some(op), _) => (op, start - 1, start),
            (None, Some(op)) => (op, after, after + 1),
            (None, None) => return false,
        };
        self.words.claim(from, to);
        self.words.claim(start, self.mentions[index].end);
        self.push(index, Test::Compare(if negated { opposite(op) } else { op }, 0.0));
        self.consume_unless_asked(index);
        true
    }

    /// "more than 30 points", "older than 40": the number stands before its column, or names it by itself.
    pub(super) fn number_first(&mut self) {
        let mut at = 0;
        while at < self.words.len() {
            let here = at;
            at += 1;
            if !self.words.is_free(here) {
                continue;
            }
            let Some((op, length)) = operator(self.words, here) else {
                continue;
            };
            let Some((number, size)) = self.number_at(here + length) else {
                continue;
            };
            let end = here + length + size;
            let after = (0..self.mentions.len()).find(|&index| {
                let start = self.mentions[index].start;
                (start == end || (start == end + 1 && matches!(self.words.at(end), "of" | "in")))
                    && self.numeric(index).is_some()
            });
            let before = (0..self.mentions.len()).rev().find(|&index| {
                self.mentions[index].end <= here
                    && here - self.mentions[index].end <= 3
                    && self.numeric(index).is_some()
            });
            let chosen = match (after, before) {
                (Some(after), _) => after,
                (None, Some(before)) => before,
                (None, None) => continue,
            };
            self.words.claim(here, end);
            self.push(chosen, Test::Compare(op, number));
            if Some(chosen) == after {
                self.words.claim(end, self.mentions[chosen].end);
            }
            if Some(chosen) == after {
                self.consume(chosen);
            } else {
                self.consume_unless_asked(chosen);
            }
        }
    }

    pub(super) fn numeric(&self, index: usize) -> Option<ColumnId> {
        self.mentions[index]
            .columns()
            .map(|(id, _)| id)
            .find(|id| self.schema.columns[*id].is_numeric())
    }
}

fn operator(words: &Words, at: usize) -> Option<(Comparison, usize)> {
    const TABLE: &[(Comparison, &[&str])] = &[
        (
            Comparison::AtLeast,
            &[
                "at least",
                "no less than",
                "not less than",
                ">=",
                "greater than or equal to",
                "equal or above",
                "or above",
                "minimum of",
            ],
        ),
        (
            Comparison::AtMost,
            &[
                "at most",
                "no more than",
                "not more than",
                "<=",
                "less than or equal to",
                "up to",
                "maximum of",
            ],
        ),
        (
            Comparison::Above,
            &[
                "above",
                "over",
                "more than",
                "greater than",
                "higher than",
                "larger than",
                "bigger than",
                "older than",
                "exceed",
                "exceeds",
                "exceeding",
                ">",
                "longer than",
                "more expensive than",
                "taller than",
                "heavier than",
                "bigger then",
            ],
        ),
        (
            Comparison::Below,
            &[
                "below",
                "under",
                "less than",
                "lower than",
                "smaller than",
                "fewer than",
                "younger than",
                "<",
                "shorter than",
                "cheaper than",
                "lighter than",
            ],
        ),
        (Comparison::NotEqual, &["!=", "<>", "not equal to", "other than"]),
        (
            Comparison::Equal,
            &["equal to", "equals to", "equals", "equal", "=", "==", "exactly"],
        ),
    ];
    TABLE
        .iter()
        .filter_map(|(op, phrases)| words.phrase(at, phrases).map(|length| (*op, length)))
        .max_by_key(|(_, length)| *length)
}

fn opposite(op: Comparison) -> Comparison {
    match op {
        Comparison::Above => Comparison::AtMost,
        Comparison::AtLeast => Comparison::Below,
        Comparison::Below => Comparison::AtLeast,
        Comparison::AtMost => Comparison::Above,
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
    }
}
