//! Which words of a question speak of which columns, tables and values.

use super::{
    lexicon,
    schema::{ColumnId, Schema, TableId},
    text::{Token, TokenKind},
};

/// Words of a question that name something of the data.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    pub(super) start: usize,
    /// One past the last word.
    pub(super) end: usize,
    /// What is meant, likeliest first.
    pub(super) targets: Vec<(Target, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Column(ColumnId),
    Table(TableId),
    Value(ColumnId, String),
    Revenue,
}

impl Mention {
    pub(super) fn column(&self) -> Option<ColumnId> {
        self.targets.iter().find_map(|(target, _)| match target {
            Target::Column(id) => Some(*id),
            _ => None,
        })
    }

    pub(super) fn best(&self) -> &Target {
        &self.targets[0].0
    }

    pub(super) fn score(&self) -> f64 {
        self.targets[0].1
    }

    pub(super) fn is_value(&self) -> bool {
        matches!(self.best(), Target::Value(..))
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = (ColumnId, f64)> {
        self.targets.iter().filter_map(|(target, score)| match target {
            Target::Column(id) => Some((*id, *score)),
            _ => None,
        })
    }
}

const LONGEST: usize = 7;
const WEAKEST: f64 = 0.68;
/// Targets this close to the best are kept, for other parts of the question to decide.
const CLOSE: f64 = 0.17;

/// Finds mentions among the words that are still free, the longest and surest first.
pub(super) fn find(tokens: &[Token], free: impl Fn(usize) -> bool, schema: &Schema<'_>) -> Vec<Mention> {
    let mut found: Vec<(f64, Mention)> = Vec::new();
    for start in 0..tokens.len() {
        for end in start + 1..=(start + LONGEST).min(tokens.len()) {
            if !(start..end).all(&free) || !may_span(&tokens[start..end]) {
                continue;
            }
            if let Some(mention) = match_span(tokens, start, end, schema) {
                let content = tokens[start..end]
                    .iter()
                    .filter(|token| !lexicon::is_grammar(&token.lower))
                    .count();
                let weight = mention.score() * (content.max(1) as f64) + 0.01 * mention.score();
                found.push((weight, mention));
            }
        }
    }
    found.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then(a.1.start.cmp(&b.1.start))
            .then(a.1.end.cmp(&b.1.end))
    });
    let mut taken = vec![false; tokens.len()];
    let mut mentions = Vec::new();
    for (_, mention) in found {
        if taken[mention.start..mention.end].iter().any(|taken| *taken) {
            continue;
        }
        taken[mention.start..mention.end].fill(true);
        mentions.push(mention);
    }
    mentions.sort_by_key(|mention| mention.start);
    absorb_generic(mentions, tokens)
}

/// "decor type" where there is only `decor`: a word that says little belongs to the name before it.
fn absorb_generic(mentions: Vec<Mention>, tokens: &[Token]) -> Vec<Mention> {
    let mut kept: Vec<Mention> = Vec::with_capacity(mentions.len());
    for mention in mentions {
        let generic = tokens[mention.start..mention.end]
            .iter()
            .all(|token| lexicon::is_generic(&token.stem));
        match kept.last_mut() {
            Some(last) if generic && mention.score() < 0.9 && last.end == mention.start => {
                last.end = mention.end
            }
            _ => kept.push(mention),
        }
    }
    kept
}

/// Are these a column's words, one after the other, but for grammar?
fn same_order(words: &[&str], column: &[String]) -> bool {
    let own: Vec<&str> = column
        .iter()
        .map(String::as_str)
        .filter(|word| !lexicon::is_grammar(word))
        .collect();
    own == words
}

fn may_span(span: &[Token]) -> bool {
    const JOINING: &[&str] = &["of", "the", "in", "for", "to", "a", "on", "at"];
    if span.len() == 1 {
        let time_word = matches!(
            span[0].lower.as_str(),
            "since" | "before" | "after" | "until" | "till" | "last" | "this"
        );
        return !span[0].is_punctuation() && !lexicon::is_grammar(&span[0].lower) && !time_word;
    }
    let edge =
        |token: &Token| !lexicon::is_grammar(&token.lower) || token.lower == "is" || token.lower == "to";
    let on_hand = span[0].lower == "on" && span[1].lower == "hand";
    (edge(&span[0]) || on_hand)
        && edge(&span[span.len() - 1])
        && span.iter().all(|token| {
            !token.is_punctuation()
                && token.kind != TokenKind::Quoted
                && (!lexicon::is_grammar(&token.lower)
                    || JOINING.contains(&token.lower.as_str())
                    || token.lower == "is")
        })
}

fn match_span(tokens: &[Token], start: usize, end: usize, schema: &Schema<'_>) -> Option<Mention> {
    let span = &tokens[start..end];
    let mut targets: Vec<(Target, f64)> = Vec::new();
    let compact: String = span.iter().map(|token| token.stem.as_str()).collect();
    let quoted = span.len() == 1 && span[0].kind == TokenKind::Quoted;
    targets.extend(value_targets(tokens, start, end, &compact, schema));
    let plain: Vec<&str> = span
        .iter()
        .filter(|token| !lexicon::is_grammar(&token.lower))
        .map(|token| token.stem.as_str())
        .collect();
    let next = tokens.get(end).map_or("", |token| token.lower.as_str());
    // "number of", "total", "average" at the head say what to do with what follows.
    let head_is_cue = span.len() > 1
        && matches!(span[0].lower.as_str(), "number" | "numbers" | "count" | "amount")
        && span[1].lower == "of";
    let softer = matches!(
        span[0].lower.as_str(),
        "amount" | "date" | "dates" | "value" | "values"
    ) && next != "of";
    let grammar_edge =
        lexicon::is_grammar(&span[0].lower) || lexicon::is_grammar(&span[span.len() - 1].lower);
    let counted_out = start > 0
        && matches!(
            tokens[start - 1].lower.as_str(),
            "per" | "each" | "every" | "an" | "any"
        );
    let thing = counted_out && span[0].lower == "order";
    let cue_alone =
        head_is_cue || grammar_edge || (span.len() == 1 && is_cue(&span[0].lower) && !softer && !thing);
    let quoted_words = if quoted {
        super::text::name_words(&span[0].raw)
    } else {
        Vec::new()
    };
    let words: Vec<&str> = if quoted {
        quoted_words.iter().map(String::as_str).collect()
    } else {
        plain
    };
    if !words.is_empty() && (span.iter().any(Token::is_word) || quoted) {
        let compact_words = if quoted { words.concat() } else { compact };
        for (id, column) in schema.columns.iter().enumerate() {
            let score = if column.compact == compact_words {
                1.0
            } else if head_is_cue && same_order(&words, &column.words) {
                0.99
            } else if cue_alone {
                continue;
            } else {
                name_score(&words, &column.words, &schema.table_words[column.table])
            };
            if score >= WEAKEST {
                targets.push((Target::Column(id), score));
            }
        }
        if !cue_alone {
            for (id, table_words) in schema.table_words.iter().enumerate() {
                let score = table_score(&words, table_words);
                if score >= WEAKEST {
                    targets.push((Target::Table(id), score));
                }
            }
        }
        let names_revenue = words.iter().any(|word| lexicon::is_revenue_word(word))
            && words
                .iter()
                .all(|word| lexicon::is_revenue_word(word) || matches!(*word, "amount" | "value" | "figure"));
        if names_revenue
            && !targets
                .iter()
                .any(|(target, score)| matches!(target, Target::Column(_)) && *score > 0.8)
        {
            let (named, amount) = revenue_columns(schema);
            if let Some(id) = named {
                targets.push((Target::Column(id), 0.95));
            } else if schema.revenue().is_some() {
                targets.push((Target::Revenue, 0.95));
            } else if let Some(id) = amount {
                targets.push((Target::Column(id), 0.9));
            }
        }
    }
    // "how many rows": those of the only table.
    let counted = start > 1
        && matches!(
            (tokens[start - 2].lower.as_str(), tokens[start - 1].lower.as_str()),
            ("how", "many") | ("number", "of")
        );
    let rows = span.len() == 1 && matches!(span[0].stem.as_str(), "row" | "record" | "entry");
    if rows && counted && schema.tables.len() == 1 && targets.is_empty() {
        targets.push((Target::Table(0), 0.9));
    }
    // "joined in 2024": the date at which the row began.
    if span.len() == 1 && targets.is_empty() && lexicon::is_beginning(&span[0].lower) {
        let began = |id: &ColumnId| {
            let column = &schema.columns[*id];
            column.is_time()
                && column.has_word(&[
                    "since",
                    "joined",
                    "join",
                    "signup",
                    "registered",
                    "registration",
                    "enrolled",
                    "created",
                ])
        };
        targets.extend(
            (0..schema.columns.len())
                .filter(began)
                .map(|id| (Target::Column(id), 0.9)),
        );
    }
    targets.sort_by(|a, b| b.1.total_cmp(&a.1));
    let best = targets.first()?.1;
    targets.retain(|(_, score)| *score >= best - CLOSE);
    Some(Mention { start, end, targets })
}

/// Columns that hold what a sale brought: one that is called so, and one of amounts.
fn revenue_columns(schema: &Schema<'_>) -> (Option<ColumnId>, Option<ColumnId>) {
    let holds = |wanted: &[&str]| {
        schema.columns.iter().position(|column| {
            column.is_measure()
                && column.has_word(wanted)
                && !column.has_word(&["cost", "discount", "tax", "quantity", "count", "number", "price"])
        })
    };
    (
        holds(&["revenue", "sale", "turnover"]),
        holds(&["amount", "total"]),
    )
}

/// Words that say what to do with what follows; alone they are only columns of exactly that name.
fn is_cue(word: &str) -> bool {
    lexicon::aggregate(word).is_some()
        || lexicon::grain(word).is_some()
        || matches!(
            word,
            "number"
                | "numbers"
                | "count"
                | "counts"
                | "amount"
                | "order"
                | "rank"
                | "ranking"
                | "value"
                | "values"
                | "share"
        )
        || lexicon::is_courtesy(word)
}

fn value_targets(
    tokens: &[Token],
    start: usize,
    end: usize,
    compact: &str,
    schema: &Schema<'_>,
) -> Vec<(Target, f64)> {
    let span = &tokens[start..end];
    let quoted = span.len() == 1 && span[0].kind == TokenKind::Quoted;
    let key = if quoted {
        super::text::name_words(&span[0].raw).concat()
    } else {
        compact.to_owned()
    };
    let number = span.len() == 1 && matches!(span[0].kind, TokenKind::Number(_) | TokenKind::Date(_));
    if number || key.is_empty() {
        return Vec::new();
    }
    let short = key.chars().count() <= 2 && !quoted;
    if short && !span[0].raw.chars().all(char::is_uppercase) {
        return Vec::new();
    }
    if span.len() == 1
        && !quoted
        && (is_cue(&span[0].lower) || lexicon::is_grammar(&span[0].lower))
        && !span[0].is_capitalised()
    {
        return Vec::new();
    }
    let Some(hits) = schema.values.get(&key) else {
        return Vec::new();
    };
    let written_alike = |value: &str| span.len() == 1 && span[0].raw == value;
    hits.iter()
        .map(|(id, value)| {
            let score = if quoted {
                1.1
            } else if short {
                0.8
            } else if written_alike(value) && start > 0 {
                0.99
            } else {
                0.96
            };
            (Target::Value(*id, (*value).to_owned()), score)
        })
        .collect()
}

/// How well words name a column of a table, 0 to 1.
fn name_score(words: &[&str], column: &[String], table: &[String]) -> f64 {
    let weight = |word: &str| -> f64 {
        match () {
            () if column.len() == 1 => 1.0,
            () if table.iter().any(|own| own == word) => 0.3,
            () if lexicon::is_grammar(word) => 0.2,
            () if lexicon::is_generic(word) => 0.45,
            () => 1.0,
        }
    };
    let whole: f64 = column.iter().map(|word| weight(word)).sum();
    let mut used = vec![false; column.len()];
    let (mut quality, mut covered) = (0.0, 0.0);
    for word in words {
        let best = (0..column.len())
            .filter(|at| !used[*at])
            .map(|at| (at, word_score(word, &column[at])))
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        match best {
            Some((at, score)) if score > 0.0 => {
                used[at] = true;
                quality += score;
                covered += weight(&column[at]);
            }
            _ if table.iter().any(|own| word_score(word, own) > 0.84) => quality += 0.97,
            _ => return 0.0,
        }
    }
    if covered == 0.0 || whole == 0.0 {
        return 0.0;
    }
    quality / (words.len() as f64) * (0.6 + 0.4 * covered / whole)
}

fn table_score(words: &[&str], table: &[String]) -> f64 {
    let Some(head) = table.last() else { return 0.0 };
    if !words
        .iter()
        .all(|word| table.iter().any(|own| word_score(word, own) > 0.84))
    {
        return 0.0;
    }
    if words.len() == table.len() {
        return 0.98;
    }
    if words.iter().any(|word| word_score(word, head) > 0.84) {
        0.88
    } else {
        0.0
    }
}

/// A word without the ending that makes it a verb's form or a doer.
fn root(word: &str) -> &str {
    ["ing", "ion", "ed", "er", "or", "e"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending))
        .unwrap_or(word)
}

/// How alike two words are: the same, synonyms, an abbreviation, a slip of the pen; 0 to 1.
fn word_score(asked: &str, named: &str) -> f64 {
    const SAME_ENOUGH: f64 = 0.83;
    if asked == named {
        return 1.0;
    }
    if lexicon::canonical(asked) == lexicon::canonical(named) {
        return 0.95;
    }
    let (shorter, longer) = if asked.len() < named.len() {
        (asked, named)
    } else {
        (named, asked)
    };
    if shorter.chars().count() >= 3 && longer.starts_with(shorter) && shorter == named {
        return 0.86;
    }
    let (asked_root, named_root) = (root(asked), root(named));
    if asked_root == named_root && asked_root.chars().count() >= 4 {
        return 0.88;
    }
    // official / officials, invoice / invoiced, own / owned: the same root with an ending.
    let ending = longer.strip_prefix(shorter).unwrap_or("");
    if shorter.chars().count() >= 4 && matches!(ending, "d" | "ed" | "ing" | "er" | "r" | "ly" | "al") {
        return 0.9;
    }
    if shorter.chars().count() >= 5 && strsim::normalized_damerau_levenshtein(asked, named) >= SAME_ENOUGH {
        return 0.86;
    }
    0.0
}
