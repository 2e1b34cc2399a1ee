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

/// Words that leave something out.
const EXCLUSIONS: &[&str] = &[
    "no",
    "not",
    "none",
    "without",
    "never",
    "except",
    "excluding",
    "exclude",
    "excludes",
    "other",
    "rather",
    "outside",
    "neither",
    "nor",
    "but",
];
/// Words that set one time against another, whatever else stands between.
const AGAINST: &[&str] = &["vs", "versus", "against", "compared", "than"];
/// Words that may turn what several times mean together: "in both years", "the same month".
const DOUBTFUL: &[&str] = &[
    "both",
    "same",
    "respectively",
    "separately",
    "individually",
    "apart",
];
const COMPARISONS: &[&str] = &[
    "compare",
    "compared",
    "comparison",
    "comparing",
    "ratio",
    "difference",
];
const COMPARATIVES: &[&str] = &[
    "higher", "lower", "more", "less", "better", "worse", "greater", "larger", "smaller", "bigger", "fewer",
];
/// With these, what is compared may be groups and not times.
const GROUPING: &[&str] = &[
    "by",
    "per",
    "each",
    "every",
    "daily",
    "weekly",
    "monthly",
    "quarterly",
    "yearly",
    "trend",
];
const LITTLE_WORDS: &[&str] = &["in", "the", "of", "for", "to", "it", "was", "during"];

/// Joins those that stand beside each other, accounts for the words that join them, and gives months without a year that of
/// their neighbours. Declines where something else may be meant.
pub(super) fn join(words: &mut Words, found: &mut Vec<FoundSpan>) -> Result<(), Trouble> {
    refuse_half_ranges(words, found)?;
    let mut joints = Vec::new();
    for place in 1..found.len() {
        let between = found[place - 1].end..found[place].start;
        if let Some(at) = first_of(words, between.clone(), EXCLUSIONS) {
            return Err(unclear(words, at));
        }
        let Some(joint) = joint(words, between.clone())? else {
            continue;
        };
        let (before, after) = (&found[place - 1].span, &found[place].span);
        match [before.is_closed(), after.is_closed()] {
            [true, true] => {}
            // "before March or after May"
            [false, false] if before.is_apart_from(after) => {}
            // "after March and before May" is one time.
            [false, false] if joint == Joint::Together => continue,
            _ => return Err(unclear(words, between.start)),
        }
        found[place].joint = Some(joint);
        joints.push(between);
    }
    refuse_changes(words, found)?;
    if joints.is_empty() {
        name_years(words, found);
        return Ok(());
    }
    refuse_doubtful_words(words, found, &joints)?;
    share_years(found)?;
    for at in joints.into_iter().flatten() {
        if is_joint(words.at(at)) {
            words.claim(at, at + 1);
        }
    }
    Ok(())
}

pub(super) fn is_comparison(words: &Words) -> bool {
    first_of(words, 0..words.len(), COMPARISONS).is_some()
}

/// "to" joins as well where two times are compared; everywhere else it makes a range.
pub(super) fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "or" | "," | "&" | "plus" | "with") || AGAINST.contains(&word)
}

fn first_of(words: &Words, mut range: Range<usize>, list: &[&str]) -> Option<usize> {
    range.find(|at| list.contains(&words.at(*at)))
}

/// How what stands between two spans sets them beside each other; `None` where it does not.
fn joint(words: &Words, between: Range<usize>) -> Result<Option<Joint>, Trouble> {
    let is_comparison = is_comparison(words);
    let joins = |at: usize| is_joint(words.at(at)) || is_comparison && words.at(at) == "to";
    let Some(at) = between.clone().find(|at| joins(*at)) else {
        return Ok(None);
    };
    let is_against = first_of(words, between.clone(), AGAINST).is_some();
    let content: Vec<usize> = between
        .clone()
        .filter(|at| !joins(*at) && !LITTLE_WORDS.contains(&words.at(*at)))
        .filter(|at| !(is_against && COMPARATIVES.contains(&words.at(*at))))
        .collect();
    let is_repeated = |at: &usize| (0..between.start).any(|before| words.at(before) == words.at(*at));
    if !content.iter().all(is_repeated) {
        return Ok(None);
    }
    if is_comparison && !is_against && words.at(at) != "with" {
        // "compare coffee and tea in March and April", "compare revenue by city March to May"
        let is_outside = |at: &usize| !between.contains(at);
        let another = (0..words.len())
            .filter(is_outside)
            .any(|at| matches!(words.at(at), "and" | "or"));
        if another || first_of(words, 0..words.len(), GROUPING).is_some() {
            return Err(unclear(words, at));
        }
    }
    // "revenue in March and revenue in May" are two numbers.
    let apart = is_against || is_comparison || !content.is_empty();
    Ok(Some(if apart { Joint::Against } else { Joint::Together }))
}

fn refuse_doubtful_words(words: &Words, found: &[FoundSpan], joints: &[Range<usize>]) -> Result<(), Trouble> {
    let all = 0..words.len();
    let doubtful =
        first_of(words, all.clone(), EXCLUSIONS).or_else(|| first_of(words, all.clone(), DOUBTFUL));
    // "for each of 2024 and 2025", "in 2024 and 2025 each"
    let each = all.clone().find(|at| {
        let is_alone = words.at(at + 1) == "of" || found.last().is_some_and(|last| last.end == *at);
        words.at(*at) == "each" && is_alone
    });
    if let Some(at) = doubtful.or(each) {
        return Err(unclear(words, at));
    }
    let kinds = |joint| found.iter().any(|found| found.joint == Some(joint));
    let Some(at) = joints.first().map(|between| between.start) else {
        return Ok(());
    };
    // "March vs April and May"
    if kinds(Joint::Together) && kinds(Joint::Against) {
        return Err(unclear(words, at));
    }
    // "was revenue higher in March or April"
    let asks_which = all
        .clone()
        .any(|at| COMPARATIVES.contains(&words.at(at)) && words.at(at + 1) != "than");
    if kinds(Joint::Together) && asks_which {
        return Err(unclear(words, at));
    }
    // "was revenue higher in 2025 than in 2024" is one of two numbers; "products that sold more than" asks for products.
    let asks_whether = matches!(
        words.at(0),
        "was" | "were" | "is" | "are" | "did" | "do" | "does" | "has" | "have" | "had"
    );
    let mut than = joints
        .iter()
        .cloned()
        .flatten()
        .filter(|at| words.at(*at) == "than");
    match than.next() {
        Some(at) if !asks_whether => Err(unclear(words, at)),
        _ => Ok(()),
    }
}

/// "how did revenue change from March to May 2025" is no revenue of any of these.
fn refuse_changes(words: &Words, found: &[FoundSpan]) -> Result<(), Trouble> {
    let is_range =
        |found: &FoundSpan| first_of(words, found.start..found.end, &["to", "and", "until"]).is_some();
    if found.len() < 2 && !found.iter().any(is_range) {
        return Ok(());
    }
    match first_of(words, 0..words.len(), &["change", "changed", "changes"]) {
        Some(at) => Err(unclear(words, at)),
        None => Ok(()),
    }
}

/// "this year in March", "March in 2024": one month of one year.
fn name_years(words: &Words, found: &mut Vec<FoundSpan>) {
    let [one, other] = found.as_slice() else { return };
    let mut between = one.end..other.start;
    if !between.all(|at| LITTLE_WORDS.contains(&words.at(at)) || words.at(at) == ",") {
        return;
    }
    let (month, year) = match (part(&one.span), part(&other.span)) {
        (Part::Months { year: None, .. }, Part::Whole(year)) => (one, year),
        (Part::Whole(year), Part::Months { year: None, .. }) => (other, year),
        _ => return,
    };
    let Some(span) = year.and_then(|year| in_year(&month.span, year)) else {
        return;
    };
    *found = vec![FoundSpan {
        span,
        assumption: None,
        ..month.clone()
    }];
}

/// "between March and May", "from March until now", "last year to date": a range of which only one end was read.
fn refuse_half_ranges(words: &Words, found: &[FoundSpan]) -> Result<(), Trouble> {
    let begins = |at: usize| found.iter().any(|found| found.start == at);
    for span in found {
        let goes_on = match words.at(span.end) {
            // "since March until May" has both.
            "until" | "till" => span.span.is_closed() || !begins(span.end),
            "through" => true,
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
    Whole(Option<Year>),
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
            unit: Grain::Year,
            offset,
        } => Part::Whole(u8::try_from(-offset).ok().map(Year::Before)),
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
                true if is_whole => Part::Whole(Some(Year::Named(from.year()))),
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
    // From "February 2025" back to "January and", then from "January 2025" on to "and February".
    for place in (1..found.len()).rev().chain(1..found.len()) {
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
    let (one, other) = (part(&found[place - 1].span), part(&found[place].span));
    let (without, year) = match (one, other) {
        // "March 2024 and 2025", "March vs last year"
        (Part::Months { .. }, Part::Whole(_)) | (Part::Whole(_), Part::Months { year: None, .. }) => {
            return year_unclear();
        }
        (
            Part::Months { first, year: None },
            Part::Months {
                first: next,
                year: Some(year),
            },
        ) if first < next => (place - 1, year),
        (
            Part::Months {
                first,
                year: Some(year),
            },
            Part::Months {
                first: next,
                year: None,
            },
        ) if first < next => (place, year),
        // "March vs March last year": the latest March may be that one.
        (
            Part::Months { first, year: None },
            Part::Months {
                first: next,
                year: Some(Year::Before(1)),
            },
        ) if first == next => (place - 1, Year::Before(0)),
        (Part::Months { year: before, .. }, Part::Months { year: after, .. })
            if before.is_some() != after.is_some() =>
        {
            return year_unclear();
        }
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
