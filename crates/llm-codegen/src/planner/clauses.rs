//! Parts of a question that speak of the picture, the order and the length of the answer.

use meterbox_core::contract::ChartKind;

use super::{lexicon, words::Words};

/// "sorted by the y axis from high to low".
#[derive(Debug, Clone)]
pub(super) struct SortClause {
    /// The words that say by what, as places in the question.
    pub(super) target: std::ops::Range<usize>,
    pub(super) descending: bool,
}

/// The chart a question asks for.
pub(super) fn chart(words: &mut Words) -> Option<ChartKind> {
    let mut chart = None;
    for at in 0..words.len() {
        if !words.is_free(at) {
            continue;
        }
        let next_is_picture = matches!(
            words.at(at + 1),
            "chart" | "charts" | "graph" | "graphs" | "plot" | "plots" | "diagram" | "figure"
        );
        let (kind, length) = match words.at(at) {
            "stacked" | "stack" if words.at(at + 1).starts_with("bar") => (ChartKind::StackedBar, 2),
            "grouped" | "grouping" | "multi" if matches!(words.at(at + 1), "line" | "lines") => {
                (ChartKind::Line, 2)
            }
            "grouped" | "grouping" if words.at(at + 1) == "scatter" => (ChartKind::Scatter, 2),
            "grouped" | "grouping" if words.at(at + 1) == "bar" => (ChartKind::StackedBar, 2),
            "bar" | "column" if next_is_picture => (ChartKind::Bar, 1),
            "line" | "lines" if next_is_picture || words.before(at, 1) == "trend" => (ChartKind::Line, 1),
            "area" if next_is_picture => (ChartKind::Area, 1),
            "pie" | "donut" => (ChartKind::Pie, 1),
            "scatter" | "scatterplot" => (ChartKind::Scatter, 1),
            "histogram" => (ChartKind::Bar, 1),
            _ => continue,
        };
        let picture = matches!(
            words.at(at + length),
            "chart" | "charts" | "graph" | "graphs" | "plot" | "plots" | "diagram" | "figure"
        );
        words.claim(at, at + length + usize::from(picture));
        if chart != Some(ChartKind::StackedBar) {
            chart = Some(kind);
        }
    }
    for at in 0..words.len() {
        if matches!(words.at(at), "x" | "y") && words.at(at + 1) == "axis" {
            words.claim(at, at + 2);
        }
        if words.at(at) == "axis" && matches!(words.at(at + 1), "x" | "y") {
            words.claim(at, at + 2);
        }
    }
    chart
}

fn direction(words: &Words, at: usize) -> Option<(bool, usize)> {
    const UP: &[&str] = &[
        "ascending",
        "asc",
        "ascend",
        "low to high",
        "lowest first",
        "smallest first",
        "oldest first",
        "earliest first",
        "lowest to highest",
        "small to large",
        "smallest to largest",
        "least to most",
        "alphabetical",
        "alphabetically",
        "a to z",
        "alphabetic",
        "increasing",
        "oldest to newest",
        "asending",
    ];
    const DOWN: &[&str] = &[
        "descending",
        "desc",
        "descend",
        "high to low",
        "highest first",
        "largest first",
        "biggest first",
        "newest first",
        "latest first",
        "highest to lowest",
        "large to small",
        "largest to smallest",
        "most to least",
        "z to a",
        "decreasing",
        "newest to oldest",
        "reverse alphabetical",
        "decending",
        "desending",
    ];
    let up = words.phrase(at, UP).map(|length| (false, length));
    up.or_else(|| words.phrase(at, DOWN).map(|length| (true, length)))
}

/// Finds and accounts for the clause that says how to order.
pub(super) fn sort(words: &mut Words) -> Option<SortClause> {
    let mut clause = None;
    let mut at = 0;
    while at < words.len() {
        let Some((descending, length)) = direction(words, at) else {
            at += 1;
            continue;
        };
        let mut end = at + length;
        if matches!(words.at(end), "order" | "manner" | "sequence") {
            end += 1;
        }
        let verb = sort_verb_before(words, at);
        let mut target = match verb {
            Some(verb) => verb + 1..at,
            None => at..at,
        };
        // "in ascending order of the number of rooms", "descending by the names"
        if matches!(words.at(end), "of" | "by" | "on" | "according" | "for")
            && (verb.is_none() || names_nothing(words, &target))
        {
            let stop = (end..words.len())
                .find(|&at| {
                    words.tokens[at].is_punctuation()
                        || matches!(words.at(at), "with" | "using" | "in" | "as")
                })
                .unwrap_or(words.len());
            if words.at(end) != "for" && stop - end <= 12 {
                target = end + 1..stop;
                end = stop;
            }
        }
        let start = verb
            .unwrap_or_else(|| at - usize::from(matches!(words.before(at, 1), "in" | "from" | "by")).min(at));
        words.claim(start.min(target.start), end);
        clause = Some(SortClause { target, descending });
        at = end.max(at + 1);
    }
    clause.or_else(|| undirected(words))
}

/// "ordered by year", without a direction: smallest first.
fn undirected(words: &mut Words) -> Option<SortClause> {
    let at = (1..words.len()).find(|&at| {
        words.is_free(at)
            && matches!(
                words.at(at),
                "sorted" | "sort" | "ordered" | "order" | "rank" | "ranked"
            )
            && !matches!(words.before(at, 1), "per" | "each" | "every")
            && words.at(at + 1) == "by"
    })?;
    let end = (at + 2..words.len())
        .find(|&place| {
            words.tokens[place].is_punctuation()
                || !words.is_free(place)
                || matches!(
                    words.at(place),
                    "with" | "using" | "in" | "as" | "and" | "for" | "by"
                )
        })
        .unwrap_or(words.len());
    words.claim(at, end);
    Some(SortClause {
        target: at + 2..end,
        descending: false,
    })
}

fn names_nothing(words: &Words, range: &std::ops::Range<usize>) -> bool {
    range.clone().all(|at| {
        lexicon::is_grammar(words.at(at)) || matches!(words.at(at), "result" | "results" | "order" | "them")
    })
}

fn sort_verb_before(words: &Words, at: usize) -> Option<usize> {
    const FARTHEST: usize = 14;
    let from = at.saturating_sub(FARTHEST);
    let found = (from..at).rev().find(|&place| {
        let after_boundary = place > 0
            && (words.tokens[place - 1].is_punctuation()
                || matches!(
                    words.before(place, 1),
                    "and" | "to" | "you" | "please" | "then" | "also" | "chart" | "graph" | "plot"
                ));
        match words.at(place) {
            "sort" | "sorted" | "sorting" | "rank" | "ranked" | "ranking" | "arrange" | "arranged"
            | "ordered" | "ordering" => true,
            "order" => !direction_near(words, place),
            "list" | "show" | "display" => after_boundary,
            _ => false,
        }
    })?;
    // A full stop between the verb and the direction separates them.
    (found..at)
        .all(|place| !matches!(words.at(place), "." | "?" | ";"))
        .then_some(found)
}

/// Is this "order" the one of "ascending order"?
fn direction_near(words: &Words, order: usize) -> bool {
    order > 0 && direction(words, order - 1).is_some()
        || (3..=3).any(|back| {
            order >= back && direction(words, order - back).is_some_and(|(_, length)| length == back)
        })
}

/// "top 5", "the 3 best", "bottom ten".
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) count: u32,
    pub(super) descending: bool,
    /// False where the question names no number.
    pub(super) counted: bool,
    pub(super) at: usize,
}

const DEFAULT_TOP: u32 = 10;

pub(super) fn limit(words: &mut Words) -> Option<Limit> {
    let number = |words: &Words, at: usize| -> Option<u32> {
        let token = words.tokens.get(at)?;
        let number = token.whole_number().and_then(|number| u32::try_from(number).ok());
        number
            .or_else(|| lexicon::number_word(&token.lower))
            .filter(|count| (1..=100_000).contains(count))
    };
    for at in 0..words.len() {
        if !words.is_free(at) {
            continue;
        }
        let sold = matches!(
            (words.at(at), words.at(at + 1)),
            ("most" | "least", "sold" | "selling")
        );
        let ranked = sold.then(|| (words.at(at) == "most", true));
        let Some((descending, vague)) = ranked.or_else(|| extreme(words.at(at))) else {
            continue;
        };
        let selling = usize::from(matches!(
            words.at(at + 1),
            "selling" | "sellers" | "performing" | "seller" | "ranked" | "sold"
        ));
        if let Some(count) = number(words, at + 1) {
            words.claim(at, at + 2);
            // "top 3 lowest prices" asks for the low end.
            let low = matches!(
                words.at(at + 2),
                "lowest" | "smallest" | "least" | "fewest" | "worst"
            );
            let descending = descending && !low;
            return Some(Limit {
                count,
                descending,
                counted: true,
                at,
            });
        }
        if at > 0
            && words.is_free(at - 1)
            && let Some(count) = number(words, at - 1)
        {
            words.claim(at - 1, at + 1 + selling);
            return Some(Limit {
                count,
                descending,
                counted: true,
                at,
            });
        }
        if matches!(words.at(at), "top" | "bottom") || (vague && selling == 1) {
            words.claim(at, at + 1 + selling);
            let one = words.at(at) != "top"
                && words.at(at) != "bottom"
                && at <= 4
                && !words.at(at + 1 + selling).ends_with('s');
            let count = if one { 1 } else { DEFAULT_TOP };
            return Some(Limit {
                count,
                descending,
                counted: one,
                at,
            });
        }
    }
    None
}

/// Does the word ask for one end of a ranking, and which? Vague words do not say of what.
fn extreme(word: &str) -> Option<(bool, bool)> {
    Some(match word {
        "top" | "best" | "biggest" | "largest" | "highest" | "greatest" => (true, word == "best"),
        "bottom" | "worst" | "smallest" | "lowest" => (false, word == "worst"),
        _ => return None,
    })
}

/// A word for something the planner does not do.
pub(super) fn beyond(words: &Words) -> Vec<String> {
    (0..words.len())
        .filter(|&at| words.is_free(at) && words.tokens[at].is_word() && lexicon::is_beyond(words.at(at)))
        .map(|at| words.tokens[at].raw.clone())
        .collect()
}
