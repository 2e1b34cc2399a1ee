//! Spans of time beside each other: "2024 and 2025", "this month vs last month".
//!
//! Their rows count together, or each span's for itself. Where something else may be meant, the question is declined: an answer
//! about other days than those that were asked for looks as good as the right one.

use std::ops::Range;

use super::{
    plan::{Grain, Span},
    spans::{FoundSpan, months_of},
    trouble::Trouble,
    words::Words,
};

/// How a span stands beside the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// "March and May", "March or May": their rows together.
    Together,
    /// "March against May": each for itself.
    Against,
}

/// Joins those that stand beside each other, and gives months without a year that of their neighbours.
pub(super) fn join(words: &mut Words, found: &mut [FoundSpan]) -> Result<(), Trouble> {
    refuse_half_ranges(words, found)?;
    let mut joints = Vec::new();
    for place in 1..found.len() {
        let between = found[place - 1].end..found[place].start;
        if let Some(word) = between.clone().find(|at| excludes(words.at(*at))) {
            return Err(unclear(words, word));
        }
        let (before, after) = (&found[place - 1].span, &found[place].span);
        let may_stand_beside = before.is_closed() && after.is_closed() || before.is_apart_from(after);
        if let Some(joint) = joint(words, between.clone()).filter(|_| may_stand_beside) {
            found[place].joint = Some(joint);
            joints.push(between);
        }
    }
    if joints.is_empty() {
        return Ok(());
    }
    refuse_doubtful_words(words, &joints)?;
    share_years(found)?;
    for at in joints.into_iter().flatten() {
        if is_joint(words.at(at)) {
            words.claim(at, at + 1);
        }
    }
    Ok(())
}

pub(super) fn is_comparison(words: &Words) -> bool {
    (0..words.len()).any(|at| {
        matches!(
            words.at(at),
            "compare" | "compared" | "comparison" | "comparing" | "ratio" | "difference"
        )
    })
}

pub(super) fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "or" | "," | "&" | "plus" | "with") || is_against(word)
}

fn is_against(word: &str) -> bool {
    matches!(word, "vs" | "versus" | "against" | "compared" | "than")
}

/// What stands between two spans, where that sets them beside each other.
fn joint(words: &Words, between: Range<usize>) -> Option<Joint> {
    let is_comparison = is_comparison(words);
    let joins = |at: usize| is_joint(words.at(at)) || is_comparison && words.at(at) == "to";
    if !between.clone().any(joins) {
        return None;
    }
    let is_against_said = between.clone().any(|at| is_against(words.at(at)));
    let is_said_before = |at: usize| (0..between.start).any(|before| words.at(before) == words.at(at));
    let mut others = between.clone().filter(|at| {
        let is_grammar = matches!(words.at(*at), "in" | "the" | "of" | "for" | "to" | "it" | "was");
        !(joins(*at) || is_grammar || is_against_said && is_comparative(words.at(*at)))
    });
    let (first, rest) = (others.next(), others.all(is_said_before));
    if !(rest && first.is_none_or(is_said_before)) {
        return None;
    }
    // "revenue in March and revenue in May" are two numbers.
    let against = is_against_said || is_comparison || first.is_some();
    Some(if against { Joint::Against } else { Joint::Together })
}

fn is_comparative(word: &str) -> bool {
    matches!(
        word,
        "higher"
            | "lower"
            | "more"
            | "less"
            | "better"
            | "worse"
            | "greater"
            | "larger"
            | "smaller"
            | "bigger"
            | "fewer"
    )
}

fn excludes(word: &str) -> bool {
    matches!(
        word,
        "no" | "not"
            | "none"
            | "without"
            | "never"
            | "except"
            | "excluding"
            | "exclude"
            | "excludes"
            | "other"
            | "rather"
            | "outside"
            | "neither"
            | "nor"
            | "but"
    )
}

/// Beside spans that are joined, these may turn what is meant: "not in March and April", "in both years", "the same month".
fn refuse_doubtful_words(words: &Words, joints: &[Range<usize>]) -> Result<(), Trouble> {
    let is_doubtful = |word: &str| excludes(word) || matches!(word, "both" | "same");
    if let Some(at) = (0..words.len()).find(|at| is_doubtful(words.at(*at))) {
        return Err(unclear(words, at));
    }
    // "was revenue higher in 2025 than in 2024" is one of two numbers; "products that sold more than" asks for products.
    let asks_whether = matches!(
        words.at(0),
        "was" | "were" | "is" | "are" | "did" | "do" | "does" | "has" | "have" | "had"
    );
    let than = joints
        .iter()
        .cloned()
        .flatten()
        .find(|at| words.at(*at) == "than");
    match than {
        Some(at) if !asks_whether => Err(unclear(words, at)),
        _ => Ok(()),
    }
}

/// "between March and May", "from March until now", "last year to date": a range of which only one end was read.
fn refuse_half_ranges(words: &Words, found: &[FoundSpan]) -> Result<(), Trouble> {
    let begins = |at: usize| found.iter().any(|found| found.start == at);
    for span in found {
        let goes_on = match words.at(span.end) {
            "until" | "till" | "through" => true,
            "to" => {
                let to_now = matches!(words.at(span.end + 1), "date" | "now" | "today" | "present");
                to_now || begins(span.end + 1) && !is_comparison(words)
            }
            "and" => words.before(span.start, 1) == "between" && !is_comparison(words),
            _ => false,
        };
        if goes_on {
            return Err(Trouble::cannot(
                "It is not clear where that time begins and ends; name both, with their years",
                vec![words.tokens[span.end].raw.clone()],
            ));
        }
    }
    Ok(())
}

fn unclear(words: &Words, at: usize) -> Trouble {
    let word = words.tokens[at].raw.clone();
    let message = format!("With “{word}” it is not clear which of these times are meant; ask for each alone");
    Trouble::cannot(message, vec![word])
}

/// What a span is of a year.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// All of it.
    Whole,
    /// From a month of it, in a year where one is named.
    Months {
        first: i8,
        year: Option<Year>,
    },
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Year {
    Named(i16),
    /// So many before the present one.
    Before(u8),
}

fn part(span: &Span) -> Part {
    match span {
        Span::Calendar {
            unit: Grain::Year, ..
        } => Part::Whole,
        Span::NamedMonth { month } => Part::Months {
            first: *month,
            year: None,
        },
        Span::NamedQuarter { quarter } => Part::Months {
            first: quarter * 3 - 2,
            year: None,
        },
        Span::MonthOf { month, years } => Part::Months {
            first: *month,
            year: Some(Year::Before(*years)),
        },
        Span::QuarterOf { quarter, years } => Part::Months {
            first: quarter * 3 - 2,
            year: Some(Year::Before(*years)),
        },
        Span::Dates {
            from: Some(from),
            until: Some(until),
        } => {
            let last = until.yesterday().unwrap_or(*until);
            let is_whole = from.day_of_year() == 1 && last.month() == 12 && last.day() == 31;
            match from.year() == last.year() {
                true if is_whole => Part::Whole,
                true => Part::Months {
                    first: from.month(),
                    year: Some(Year::Named(from.year())),
                },
                false => Part::Other,
            }
        }
        _ => Part::Other,
    }
}

/// "January and February 2025", "Q1 and Q2 of last year": one year is named for all, and they run forward in it.
fn share_years(found: &mut [FoundSpan]) -> Result<(), Trouble> {
    for place in (1..found.len()).rev() {
        share_year(found, place)?;
    }
    for place in 1..found.len() {
        share_year(found, place)?;
    }
    Ok(())
}

fn share_year(found: &mut [FoundSpan], place: usize) -> Result<(), Trouble> {
    if found[place].joint.is_none() {
        return Ok(());
    }
    let year_unclear = || {
        Err(Trouble::cannot(
            "It is not clear in which year each of these times lies; name it for each",
            Vec::new(),
        ))
    };
    let (without, year) = match (part(&found[place - 1].span), part(&found[place].span)) {
        // "March 2024 and 2025", "March vs last year"
        (Part::Months { .. }, Part::Whole) | (Part::Whole, Part::Months { year: None, .. }) => {
            return year_unclear();
        }
        (
            Part::Months { first, year: None },
            Part::Months {
                first: next,
                year: Some(year),
            },
        ) if first <= next => (place - 1, year),
        (
            Part::Months {
                first,
                year: Some(year),
            },
            Part::Months {
                first: next,
                year: None,
            },
        ) if first <= next => (place, year),
        (Part::Months { year: None, .. }, Part::Months { year: Some(_), .. })
        | (Part::Months { year: Some(_), .. }, Part::Months { year: None, .. }) => return year_unclear(),
        _ => return Ok(()),
    };
    if let Some(span) = in_year(&found[without].span, year) {
        found[without].span = span;
        found[without].assumption = None;
    }
    Ok(())
}

fn in_year(span: &Span, year: Year) -> Option<Span> {
    Some(match (span, year) {
        (Span::NamedMonth { month }, Year::Before(years)) => Span::MonthOf { month: *month, years },
        (Span::NamedQuarter { quarter }, Year::Before(years)) => Span::QuarterOf {
            quarter: *quarter,
            years,
        },
        (span, Year::Named(year)) => {
            let (from, until) = months_of(span.months()?, year)?;
            Span::Dates {
                from: Some(from),
                until: Some(until),
            }
        }
        _ => return None,
    })
}
