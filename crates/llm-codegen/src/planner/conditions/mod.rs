//! Conditions on rows: comparisons, values, missing cells.

mod comparisons;

use super::{
    lexicon,
    mention::{Mention, Target},
    plan::Comparison,
    schema::{ColumnId, Schema},
    spans::FoundSpan,
    text::TokenKind,
    words::Words,
};

/// A condition, its column not yet decided among a mention's targets.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The mention whose column is meant.
    pub(super) mention: usize,
    /// The column, where a value has decided it.
    pub(super) column: Option<ColumnId>,
    pub(super) test: Test,
    /// Where it stands in the question.
    pub(super) at: usize,
    pub(super) or_before: bool,
    /// Are its values set against each other, to be shown apart?
    pub(super) apart: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Compare(Comparison, f64),
    Between(f64, f64),
    OneOf(Vec<String>, bool),
    Contains(Vec<String>),
    Missing,
    Present,
    /// The span at this place of the question's spans.
    During(usize),
}

/// What reading the conditions left.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) found: Vec<Found>,
    /// Mentions that only serve a condition.
    pub(super) consumed: Vec<usize>,
    /// Values the data does not have.
    pub(super) unknown_values: Vec<String>,
    /// Conditions on an average or a total, which would have to hold for groups.
    pub(super) on_aggregates: Vec<String>,
    /// Things that rows are to be without, though no cell of a row says so.
    pub(super) absent: Vec<String>,
}

impl Conditions {
    /// Does one of them take this span of time?
    pub(super) fn uses(&self, span: usize) -> bool {
        self.found
            .iter()
            .any(|found| matches!(found.test, Test::During(used) if used == span))
    }
}

pub(super) fn find(
    words: &mut Words,
    mentions: &[Mention],
    spans: &[FoundSpan],
    schema: &Schema<'_>,
) -> Conditions {
    let mut reader = Reader {
        words,
        mentions,
        spans,
        schema,
        out: Conditions::default(),
    };
    for (index, mention) in mentions.iter().enumerate() {
        if mention.is_value() {
            reader.value(index);
        } else {
            reader.column(index);
        }
    }
    reader.number_first();
    reader.out.found.sort_by_key(|found| found.at);
    reader.connectives();
    reader.out
}

struct Reader<'a, 's> {
    words: &'a mut Words,
    mentions: &'a [Mention],
    spans: &'a [FoundSpan],
    schema: &'a Schema<'s>,
    out: Conditions,
}

impl Reader<'_, '_> {
    fn push(&mut self, mention: usize, test: Test) {
        let at = self.mentions[mention].start;
        self.out.found.push(Found {
            mention,
            column: None,
            test,
            at,
            or_before: false,
            apart: false,
        });
    }

    fn consume(&mut self, mention: usize) {
        if !self.out.consumed.contains(&mention) {
            self.out.consumed.push(mention);
        }
    }

    /// Skips "is", "that have", "values of"; tells whether there was one, and whether it was negated.
    fn copula(&self, mut at: usize) -> (usize, bool, bool) {
        let start = at;
        let mut negated = false;
        loop {
            match self.words.at(at) {
                "is" | "are" | "was" | "were" | "has" | "have" | "had" | "does" | "do" | "did" | "be"
                | "being" | "that" | "which" | "with" | "a" | "an" | "the" | "of" | "value" | "values"
                | "letter" | "in" => at += 1,
                "not" | "doesn" | "isn" | "wasn" | "aren" | "don" | "didn" | "weren" | "no" | "t" => {
                    negated |= self.words.at(at) != "t";
                    at += 1;
                }
                _ => return (at, at > start, negated),
            }
            if at > start + 6 {
                return (at, true, negated);
            }
        }
    }

    fn column(&mut self, index: usize) {
        let mention = &self.mentions[index];
        let Some(id) = mention.column() else { return };
        let (at, linked, negated) = self.copula(mention.end);
        let numeric = mention
            .columns()
            .any(|(id, _)| self.schema.columns[id].is_numeric());
        if self.letters(index) {
            return;
        }
        if let Some(span) = self.spans.iter().position(|span| {
            span.start >= mention.end
                && span.start <= at + 1
                && mention.columns().any(|(id, _)| self.schema.columns[id].is_time())
        }) && linked_dates(self.words, mention.end, self.spans[span].start)
        {
            let time = mention
                .columns()
                .map(|(id, _)| id)
                .find(|id| self.schema.columns[*id].is_time());
            self.push(index, Test::During(span));
            if let Some(found) = self.out.found.last_mut() {
                found.column = time;
            }
            // "orders shipped in March": the verb only says which date is meant.
            let last = &self.words.tokens[mention.end - 1];
            let verb = last.lower.ends_with("ed") || matches!(last.lower.as_str(), "due" | "paid" | "since");
            let counts = (0..mention.start).any(|at| {
                self.words.matches(at, &["how", "many"]) || self.words.matches(at, &["number", "of"])
            });
            if self.is_condition_clause(index) || (verb && counts) {
                self.consume(index);
            }
            return;
        }
        if numeric && self.sign(index, at, negated) {
            return;
        }
        let before = self.words.before(mention.start, 1);
        if matches!(before, "no" | "without") && self.is_elsewhere(mention) {
            let named = (mention.start..mention.end).map(|at| self.words.tokens[at].raw.clone());
            self.out.absent.extend(named);
        }
        if matches!(before, "no" | "without") && self.words.at(mention.end) != "than" {
            self.words.claim(mention.start - 1, mention.end);
            // No discount is a discount of zero.
            let number = self.schema.columns[id].is_measure();
            self.push(
                index,
                if number {
                    Test::Compare(Comparison::Equal, 0.0)
                } else {
                    Test::Missing
                },
            );
            self.consume(index);
            return;
        }
        if matches!(
            self.words.at(at),
            "null" | "empty" | "missing" | "blank" | "none" | "unknown" | "absent"
        ) {
            self.words.claim(mention.start, at + 1);
            self.push(index, if negated { Test::Present } else { Test::Missing });
            self.consume(index);
            return;
        }
        if numeric && let Some((test, end)) = self.comparison(at, negated) {
            self.words.claim(mention.start, end);
            self.push(index, test);
            self.consume_unless_asked(index);
            return;
        }
        if numeric && let Some((number, length)) = self.number_at(at) {
            let fits = linked || at == mention.end;
            if fits && self.words.is_free(at) && !self.spans.iter().any(|span| span.start == at) {
                self.words.claim(mention.start, at + length);
                let op = if negated {
                    Comparison::NotEqual
                } else {
                    Comparison::Equal
                };
                self.push(index, Test::Compare(op, number));
                self.consume(index);
                return;
            }
        }
        self.text_value(index, id, at, linked, negated);
    }

    /// "without orders": things of another table, whose absence no empty cell tells.
    fn is_elsewhere(&self, mention: &Mention) -> bool {
        let names_cells = mention.columns().any(|(id, _)| {
            let column = &self.schema.columns[id];
            column.profile.nulls > 0 || !column.is_identifier()
        });
        !names_cells || matches!(mention.best(), Target::Table(_))
    }

    /// "whose city is Atlantis", "status 'open'": text right after a column that is not a known value.
    fn text_value(&mut self, index: usize, id: ColumnId, at: usize, linked: bool, negated: bool) {
        let equal = self.words.phrase(
            at,
            &[
                "equal to",
                "equals to",
                "equals",
                "equal",
                "=",
                "==",
                "called",
                "named",
            ],
        );
        let unequal = self.words.phrase(at, &["!=", "<>", "other than"]);
        let place = at + equal.or(unequal).unwrap_or(0);
        let contains = self.words.phrase(
            at,
            &[
                "contains",
                "contain",
                "containing",
                "including",
                "includes",
                "like",
            ],
        );
        if let Some(length) = contains
            && let Some(token) = self
                .words
                .tokens
                .get(at + length)
                .filter(|token| token.kind == TokenKind::Quoted)
        {
            let text = token.raw.clone();
            self.words.claim(self.mentions[index].start, at + length + 1);
            self.push(index, Test::Contains(vec![text]));
            self.consume(index);
            return;
        }
        if self
            .mentions
            .iter()
            .any(|other| other.start <= place && place < other.end)
        {
            // A known value (or another column) stands there; values take their own way.
            return;
        }
        let Some(token) = self.words.tokens.get(place) else {
            return;
        };
        let said_so = equal.is_some() || unequal.is_some() || linked;
        let negated = negated || unequal.is_some();
        let quoted = token.kind == TokenKind::Quoted;
        let name_like = token.is_word() && token.is_capitalised() && said_so && self.words.is_free(place);
        if !(quoted || name_like) {
            return;
        }
        let column = &self.schema.columns[id];
        let text = token.raw.clone();
        let all_values_known = !column.profile.values.is_empty()
            && column.profile.distinct <= column.profile.values.len() as u64;
        if all_values_known || column.is_time() || (column.is_numeric() && text.parse::<f64>().is_err()) {
            self.out.unknown_values.push(text);
            return;
        }
        self.words.claim(self.mentions[index].start, place + 1);
        let test = match text.parse::<f64>() {
            Ok(number) if column.is_numeric() => Test::Compare(
                if negated {
                    Comparison::NotEqual
                } else {
                    Comparison::Equal
                },
                number,
            ),
            _ => Test::OneOf(vec![text], negated),
        };
        self.push(index, test);
        self.consume(index);
    }

    /// "who have the letters D or S in their first name"
    fn letters(&mut self, index: usize) -> bool {
        let mention = &self.mentions[index];
        let from = mention.start.saturating_sub(10);
        let Some(start) = (from..mention.start)
            .rev()
            .find(|&at| matches!(self.words.at(at), "letter" | "letters"))
        else {
            return false;
        };
        let mut letters = Vec::new();
        for at in start + 1..mention.start {
            let token = &self.words.tokens[at];
            match token.lower.as_str() {
                "or" | "," | "in" | "their" | "the" | "its" | "your" => {}
                _ if token.raw.chars().count() <= 3 || token.kind == TokenKind::Quoted => {
                    letters.push(token.raw.clone())
                }
                _ => return false,
            }
        }
        if letters.is_empty() {
            return false;
        }
        self.words.claim(start, mention.end);
        self.push(index, Test::Contains(letters));
        self.consume(index);
        true
    }

    fn value(&mut self, index: usize) {
        let mention = &self.mentions[index];
        let Target::Value(_, _) = mention.best() else {
            return;
        };
        let values: Vec<(ColumnId, String)> = mention
            .targets
            .iter()
            .filter_map(|(target, _)| match target {
                Target::Value(id, value) => Some((*id, value.clone())),
                _ => None,
            })
            .collect();
        let negated = self.negated_before(mention.start, index);
        // The column may be named just before ("whose status is open") or after ("open status").
        let shares = |other: &Mention| {
            other
                .columns()
                .any(|(id, _)| values.iter().any(|(own, _)| *own == id))
        };
        let mut owner = index;
        if index > 0 && !self.mentions[index - 1].is_value() && shares(&self.mentions[index - 1]) {
            let (reached, linked, _) = self.copula(self.mentions[index - 1].end);
            let equal = self.words.phrase(
                reached,
                &[
                    "equal to",
                    "equals to",
                    "equals",
                    "equal",
                    "=",
                    "==",
                    "other than",
                    "!=",
                    "called",
                    "named",
                ],
            );
            let reached = reached + equal.unwrap_or(0);
            let told_apart = linked || equal.is_some() || self.mentions[index - 1].end == mention.start;
            if reached >= mention.start && told_apart {
                owner = index - 1;
            }
        }
        if owner == index
            && let Some(next) = self.mentions.get(index + 1)
        {
            let adjoining = next.start == mention.end && !next.is_value() && shares(next);
            if adjoining {
                owner = index + 1;
            }
        }
        self.words.claim(mention.start, mention.end);
        let named = values
            .iter()
            .find(|(id, _)| owner == index || self.mentions[owner].columns().any(|(own, _)| own == *id));
        let (column, value) = named.unwrap_or(&values[0]).clone();
        let column = (owner != index).then_some(column);
        if owner != index {
            let extra = if owner > index {
                self.mentions[owner].end
            } else {
                mention.start
            };
            let (start, end) = (
                self.mentions[owner].start.min(mention.start),
                extra.max(mention.end),
            );
            self.words.claim(start, end);
            self.consume(owner);
        }
        self.consume(index);
        // "open or pending", "open, pending and paid"
        let same_list = self.out.found.last().is_some_and(|last| {
            let between = self
                .mentions
                .get(index.wrapping_sub(1))
                .map_or(0, |previous| previous.end);
            index > 0
                && matches!(last.test, Test::OneOf(..))
                && self.mentions[index - 1].is_value()
                && owner == index
                && (between..self.mentions[index].start).all(|at| {
                    matches!(
                        self.words.at(at),
                        "or" | "and"
                            | ","
                            | "nor"
                            | "in"
                            | "vs"
                            | "versus"
                            | "."
                            | "against"
                            | "compared"
                            | "to"
                            | "with"
                    )
                })
                && shared_column(&self.mentions[last.mention], &values)
        });
        if same_list {
            let joint = self.mentions[index - 1].end..self.mentions[index].start;
            let against = joint
                .into_iter()
                .any(|at| matches!(self.words.at(at), "vs" | "versus" | "against" | "compared"));
            if let Some(Found {
                test: Test::OneOf(list, _),
                apart,
                ..
            }) = self.out.found.last_mut()
            {
                list.push(value);
                *apart |= against;
            }
            if against {
                self.words
                    .claim(self.mentions[index - 1].end, self.mentions[index].start);
            }
            return;
        }
        let at = self.mentions[index].start;
        self.out.found.push(Found {
            mention: owner,
            column,
            test: Test::OneOf(vec![value], negated),
            at,
            or_before: false,
            apart: false,
        });
    }

    fn negated_before(&mut self, at: usize, index: usize) -> bool {
        let floor = if index > 0 {
            self.mentions[index - 1].end
        } else {
            0
        };
        let from = floor.max(at.saturating_sub(6));
        let found = (from..at).find(|&place| {
            matches!(
                self.words.at(place),
                "not"
                    | "except"
                    | "excluding"
                    | "without"
                    | "exclude"
                    | "isn"
                    | "doesn"
                    | "wasn"
                    | "aren"
                    | "!="
                    | "<>"
            ) || self.words.matches(place, &["other", "than"])
                || self.words.matches(place, &["apart", "from"])
        });
        if let Some(place) = found {
            self.words.claim(place, place + 1);
        }
        found.is_some()
    }

    /// Is the mention only there for its condition: "whose salary is above 10", not "average salary above 10"?
    fn is_condition_clause(&self, index: usize) -> bool {
        let start = self.mentions[index].start;
        let from = if index > 0 {
            self.mentions[index - 1].end
        } else {
            0
        };
        (from..start).any(|at| {
            matches!(
                self.words.at(at),
                "whose"
                    | "where"
                    | "with"
                    | "who"
                    | "that"
                    | "which"
                    | "and"
                    | "or"
                    | "for"
                    | "when"
                    | "if"
                    | "having"
                    | "was"
                    | "were"
                    | "a"
                    | "their"
            )
        }) && (from..start).all(|at| lexicon::aggregate(self.words.at(at)).is_none())
    }

    fn consume_unless_asked(&mut self, index: usize) {
        let start = self.mentions[index].start;
        let from = if index > 0 {
            self.mentions[index - 1].end
        } else {
            0
        };
        let aggregated = (from..start)
            .rev()
            .take(3)
            .any(|at| self.words.is_free(at) && lexicon::aggregate(self.words.at(at)).is_some());
        if aggregated {
            let mention = &self.mentions[index];
            let named = (mention.start..mention.end).map(|at| self.words.tokens[at].raw.clone());
            self.out.on_aggregates.extend(named);
        }
        let asked = aggregated || (from..start).any(|at| matches!(self.words.at(at), "by" | "per" | "each"));
        if !asked {
            self.consume(index);
        }
    }

    fn connectives(&mut self) {
        for place in 1..self.out.found.len() {
            let (from, to) = (self.out.found[place - 1].at, self.out.found[place].at);
            self.out.found[place].or_before = (from..to).any(|at| self.words.at(at) == "or");
        }
    }
}

fn shared_column(mention: &Mention, values: &[(ColumnId, String)]) -> bool {
    mention.targets.iter().any(|(target, _)| match target {
        Target::Value(id, _) | Target::Column(id) => values.iter().any(|(own, _)| own == id),
        _ => false,
    })
}

fn linked_dates(words: &Words, from: usize, to: usize) -> bool {
    (from..to).all(|at| lexicon::is_grammar(words.at(at)))
}
