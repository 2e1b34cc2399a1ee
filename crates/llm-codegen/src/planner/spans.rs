//! Spans of time in a question.

use meterbox_core::Date;

use super::{
    lexicon,
    plan::{Grain, Span},
    text::TokenKind,
    words::Words,
};

/// A span and the words that named it.
#[derive(Debug, Clone)]
pub(super) struct FoundSpan {
    pub(super) span: Span,
    pub(super) start: usize,
    pub(super) assumption: Option<String>,
}

/// Finds the spans of time and accounts for their words. `is_number` says where a number is no year.
pub(super) fn find(words: &mut Words, is_number: impl Fn(&Words, usize) -> bool) -> Vec<FoundSpan> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words.is_free(at)
            && !is_number(words, at)
            && let Some((span, length, assumption)) = span_at(words, at)
        {
            words.claim(at, at + length);
            found.push(FoundSpan {
                span,
                start: at,
                assumption,
            });
            at += length;
            continue;
        }
        at += 1;
    }
    found
}

type Found = (Span, usize, Option<String>);

fn span_at(words: &Words, at: usize) -> Option<Found> {
    relative(words, at)
        .or_else(|| bounded(words, at))
        .or_else(|| whole(words, at))
}

fn relative(words: &Words, at: usize) -> Option<Found> {
    let plain = |span, length| Some((span, length, None));
    match words.at(at) {
        "today" => {
            return plain(
                Span::Calendar {
                    unit: Grain::Day,
                    offset: 0,
                },
                1,
            );
        }
        "yesterday" => {
            return plain(
                Span::Calendar {
                    unit: Grain::Day,
                    offset: -1,
                },
                1,
            );
        }
        "ytd" => return plain(Span::ToDate { unit: Grain::Year }, 1),
        "mtd" => return plain(Span::ToDate { unit: Grain::Month }, 1),
        "qtd" => return plain(Span::ToDate { unit: Grain::Quarter }, 1),
        _ => {}
    }
    if words.at(at + 1) == "to"
        && words.at(at + 2) == "date"
        && matches!(words.at(at), "year" | "month" | "quarter")
    {
        return plain(
            Span::ToDate {
                unit: lexicon::grain(words.at(at))?,
            },
            3,
        );
    }
    let the = usize::from(words.at(at) == "the");
    let head = at + the;
    let offset = match words.at(head) {
        "last" | "past" | "previous" | "prior" | "latest" | "recent" => -1,
        "this" | "current" => 0,
        _ => return None,
    };
    let count = words.tokens.get(head + 1).and_then(|token| {
        let number = token.whole_number().and_then(|number| u32::try_from(number).ok());
        number.or_else(|| lexicon::number_word(&token.lower))
    });
    if let Some(count) = count.filter(|count| (1..=5_000).contains(count)) {
        let unit = unit(words.at(head + 2))?;
        if offset == 0 {
            return None;
        }
        return plain(Span::Rolling { unit, count }, the + 3);
    }
    let unit = unit(words.at(head + 1))?;
    if words.at(head + 1).ends_with('s') {
        return None;
    }
    plain(Span::Calendar { unit, offset }, the + 2)
}

fn unit(word: &str) -> Option<Grain> {
    matches!(
        word,
        "day" | "days" | "week" | "weeks" | "month" | "months" | "quarter" | "quarters" | "year" | "years"
    )
    .then(|| lexicon::grain(word))
    .flatten()
}

/// since, before, between: spans with one or two named ends.
fn bounded(words: &Words, at: usize) -> Option<Found> {
    let reversed = |from, until, length| Some((Span::Dates { from, until }, length, None));
    let word = words.at(at);
    match word {
        "since" | "starting" => {
            let skip = 1 + usize::from(word == "starting" && matches!(words.at(at + 1), "from" | "in"));
            let (from, _, length) = moment(words, at + skip)?;
            reversed(Some(from), None, skip + length)
        }
        "after" => {
            let (_, until, length) = moment(words, at + 1)?;
            reversed(Some(until), None, 1 + length)
        }
        "before" | "until" | "till" => {
            let (from, until, length) = moment(words, at + 1)?;
            reversed(
                None,
                Some(if word == "before" { from } else { until }),
                1 + length,
            )
        }
        "between" | "from" => {
            let (from, _, first) = moment(words, at + 1)?;
            let joint = at + 1 + first;
            if !matches!(words.at(joint), "and" | "to" | "until" | "till" | "through") {
                return None;
            }
            let (_, until, second) = moment(words, joint + 1)?;
            reversed(Some(from), Some(until), 2 + first + second)
        }
        _ => None,
    }
}

/// A whole year, quarter, month or day.
fn whole(words: &Words, at: usize) -> Option<Found> {
    let introduced = matches!(
        words.at(at),
        "in" | "during" | "for" | "of" | "on" | "within" | "over"
    );
    let start = at + usize::from(introduced);
    let skipped = usize::from(introduced);
    if let Some(month) = lexicon::month(words.at(start))
        && words.tokens[start].is_word()
        && moment(words, start).is_none()
        && (introduced || words.tokens[start].is_capitalised())
        && (words.at(start) != "may" || introduced)
        && words.at(start).len() > 2
    {
        let note = format!(
            "{} of the latest year that has it so far",
            words.tokens[start].raw
        );
        return Some((Span::NamedMonth { month }, skipped + 1, Some(note)));
    }
    if let Some(quarter) = quarter(words.at(start))
        && moment(words, start).is_none()
    {
        let note = format!(
            "{} of the latest year that has it so far",
            words.tokens[start].raw.to_uppercase()
        );
        return Some((Span::NamedQuarter { quarter }, skipped + 1, Some(note)));
    }
    let (from, until, length) = moment(words, start)?;
    let bare_year = length == 1 && words.tokens[start].number().is_some();
    // A bare number is a year where it is introduced, or ends the question: "revenue by region 2024".
    let final_word = start + 1 == words.len()
        || words
            .tokens
            .get(start + 1)
            .is_some_and(|next| next.is_punctuation());
    if bare_year
        && !introduced
        && !(final_word
            && start > 0
            && words.tokens[start - 1].is_word()
            && !lexicon::is_grammar(words.before(start, 1)))
    {
        return None;
    }
    Some((
        Span::Dates {
            from: Some(from),
            until: Some(until),
        },
        skipped + length,
        None,
    ))
}

/// A day, month, quarter or year: its first day, the day after its last, and how many words name it.
fn moment(words: &Words, at: usize) -> Option<(Date, Date, usize)> {
    let token = words.tokens.get(at)?;
    if let TokenKind::Date(date) = token.kind {
        return Some((date, date.tomorrow().ok()?, 1));
    }
    let year = |at: usize| -> Option<i16> {
        let number = words.tokens.get(at)?.whole_number()?;
        let written = words.tokens[at].raw.len() == 4;
        (written && (1900..=2100).contains(&number))
            .then(|| i16::try_from(number).ok())
            .flatten()
    };
    let day = |at: usize| -> Option<i8> {
        let raw = words.at(at);
        let digits = raw.trim_end_matches(|letter: char| letter.is_alphabetic());
        let number: i8 = digits.parse().ok()?;
        let ending = &raw[digits.len()..];
        (matches!(ending, "" | "st" | "nd" | "rd" | "th") && (1..=31).contains(&number)).then_some(number)
    };
    if let Some(month) = lexicon::month(words.at(at)).filter(|_| words.at(at).len() > 2) {
        let of = usize::from(matches!(words.at(at + 1), "of" | ","));
        if let Some(year) = year(at + 1 + of) {
            let first = Date::new(year, month, 1).ok()?;
            return Some((first, first.last_of_month().tomorrow().ok()?, 2 + of));
        }
        let comma = usize::from(words.at(at + 2) == ",");
        if let (Some(day), Some(year)) = (day(at + 1), year(at + 2 + comma)) {
            let date = Date::new(year, month, day).ok()?;
            return Some((date, date.tomorrow().ok()?, 3 + comma));
        }
        return None;
    }
    if let (Some(day), Some(month)) = (
        day(at),
        lexicon::month(words.at(at + 1)).filter(|_| words.at(at + 1).len() > 2),
    ) {
        let date = Date::new(year(at + 2)?, month, day).ok()?;
        return Some((date, date.tomorrow().ok()?, 3));
    }
    if let (Some(quarter), Some(year)) = (quarter(words.at(at)), year(at + 1)) {
        return quarter_dates(quarter, year).map(|(from, until)| (from, until, 2));
    }
    if let Some(year) = year(at) {
        if let Some(quarter) = quarter(words.at(at + 1)) {
            return quarter_dates(quarter, year).map(|(from, until)| (from, until, 2));
        }
        return Some((Date::new(year, 1, 1).ok()?, Date::new(year + 1, 1, 1).ok()?, 1));
    }
    None
}

fn quarter(word: &str) -> Option<i8> {
    match word {
        "q1" => Some(1),
        "q2" => Some(2),
        "q3" => Some(3),
        "q4" => Some(4),
        _ => None,
    }
}

fn quarter_dates(quarter: i8, year: i16) -> Option<(Date, Date)> {
    let first = Date::new(year, quarter * 3 - 2, 1).ok()?;
    let next = if quarter == 4 {
        Date::new(year + 1, 1, 1)
    } else {
        Date::new(year, quarter * 3 + 1, 1)
    };
    Some((first, next.ok()?))
}
