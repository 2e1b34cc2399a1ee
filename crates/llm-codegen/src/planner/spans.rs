//! Spans of time in a question.

use meterbox_core::Date;

use super::{
    beside::{self, Joint},
    lexicon,
    plan::{Grain, Span},
    text::{Token, TokenKind},
    words::Words,
};

/// A span and the words that named it.
#[derive(Debug, Clone)]
pub(super) struct FoundSpan {
    pub(super) span: Span,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) assumption: Option<String>,
    /// How it belongs to the span before it, where rows may lie in either.
    pub(super) joint: Option<Joint>,
}

/// What stands around a place of the question.
#[derive(Clone, Copy)]
struct Around {
    /// "2024 and" before it, or "and 2025" after it.
    is_beside_a_year: bool,
    /// "customers" before it, whose number it may be.
    may_number: bool,
    is_comparison: bool,
    follows_another: bool,
}

/// Finds the spans of time and accounts for their words. `is_number` says where a number is no year, `may_number` where it
/// may name one of the things before it.
pub(super) fn find(
    words: &mut Words,
    is_number: impl Fn(&Words, usize) -> bool,
    may_number: impl Fn(&Words, usize) -> bool,
) -> Vec<FoundSpan> {
    let is_comparison = beside::is_comparison(words);
    let mut found: Vec<FoundSpan> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let follows = found
            .last()
            .is_some_and(|last| last.end + 1 == at && beside::is_joint(words.at(last.end)));
        // "customers 2001, 2002 and 2003"
        let is_listed =
            !follows && at >= 2 && beside::is_joint(words.at(at - 1)) && year(words, at - 2).is_some();
        let may_number = is_listed || may_number(words, at);
        let around = Around {
            is_beside_a_year: follows
                || !may_number && beside::is_joint(words.at(at + 1)) && year(words, at + 2).is_some(),
            may_number,
            is_comparison,
            follows_another: !found.is_empty(),
        };
        if words.is_free(at)
            && !is_number(words, at)
            && let Some((span, length, assumption)) = span_at(words, at, around)
        {
            words.claim(at, at + length);
            found.push(FoundSpan {
                span,
                start: at,
                end: at + length,
                assumption,
                joint: None,
            });
            at += length;
            continue;
        }
        at += 1;
    }
    found
}

type Found = (Span, usize, Option<String>);

fn span_at(words: &Words, at: usize, around: Around) -> Option<Found> {
    relative(words, at)
        .or_else(|| bounded(words, at, around))
        .or_else(|| whole(words, at, around))
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
fn bounded(words: &Words, at: usize, around: Around) -> Option<Found> {
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
        "from" => {
            let (from, until, length) = range(words, at + 1, RANGE)?;
            reversed(Some(from), Some(until), 1 + length)
        }
        "between" => {
            let (from, until, length) = range(words, at + 1, &[RANGE, &["and"]].concat())?;
            // "compare revenue between 2024 and 2025"
            let are_days = moment(words, at + 1)
                .is_some_and(|(first, next, _)| first.tomorrow().is_ok_and(|day| day == next));
            (are_days || !around.is_comparison).then_some(())?;
            reversed(Some(from), Some(until), 1 + length)
        }
        // "compare March 2024 to March 2025"
        _ if around.is_comparison && !around.follows_another => None,
        _ if around.may_number && year(words, at).is_some() => None,
        _ => {
            let (from, until, length) = range(words, at, RANGE)?;
            reversed(Some(from), Some(until), length)
        }
    }
}

const RANGE: &[&str] = &["to", "until", "till", "through"];

/// "March 2024 to May 2025", "January to March 2025": the first month may leave its year to the second.
fn range(words: &Words, at: usize, joints: &[&str]) -> Option<(Date, Date, usize)> {
    let yearless = || months(words, at).map(|months| (Err(months), 1));
    let (first, length) = match moment(words, at) {
        Some((from, _, length)) => (Ok(from), length),
        None => yearless()?,
    };
    if !joints.contains(&words.at(at + length)) {
        return None;
    }
    let (last, until, second) = moment(words, at + length + 1)?;
    let from = match first {
        Ok(from) => from,
        // "January to 2025"
        Err(_) if second == 1 && year(words, at + length + 1).is_some() => return None,
        // "November to February 2025" begins the year before.
        Err(months) => {
            let same_year = months_of(months, last.year())?.0;
            match same_year <= last {
                true => same_year,
                false => months_of(months, last.year() - 1)?.0,
            }
        }
    };
    (from < until).then_some((from, until, length + 1 + second))
}

/// A whole year, quarter, month or day.
fn whole(words: &Words, at: usize, around: Around) -> Option<Found> {
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
        if let Some((years, length)) = year_before_now(words, start + 1) {
            let span = Span::MonthOf { month, years };
            return Some((span, skipped + 1 + length, None));
        }
        let note = format!(
            "{} of the latest year that has it so far",
            words.tokens[start].raw
        );
        return Some((Span::NamedMonth { month }, skipped + 1, Some(note)));
    }
    if let Some(quarter) = quarter(words.at(start))
        && moment(words, start).is_none()
    {
        if let Some((years, length)) = year_before_now(words, start + 1) {
            let span = Span::QuarterOf { quarter, years };
            return Some((span, skipped + 1 + length, None));
        }
        let note = format!(
            "{} of the latest year that has it so far",
            words.tokens[start].raw.to_uppercase()
        );
        return Some((Span::NamedQuarter { quarter }, skipped + 1, Some(note)));
    }
    let (from, until, length) = moment(words, start)?;
    let bare_year = length == 1 && words.tokens[start].number().is_some();
    // A bare number is a year where it is introduced, or ends the question: "revenue by region 2024".
    let is_end = |next: &Token| next.is_punctuation() && !(around.may_number && next.lower == ",");
    let final_word = words.tokens.get(start + 1).is_none_or(is_end);
    if bare_year
        && !introduced
        && !around.is_beside_a_year
        && !(final_word
            && start > 0
            && words.tokens[start - 1].is_word()
            && !lexicon::is_grammar(words.before(start, 1))
            && !beside::is_joint(words.before(start, 1)))
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

/// "last year", "of this year": how many years before the present one, and how many words say it.
fn year_before_now(words: &Words, at: usize) -> Option<(u8, usize)> {
    let skipped = usize::from(matches!(words.at(at), "of" | "in"));
    let (span, length, _) = relative(words, at + skipped)?;
    match span {
        Span::Calendar {
            unit: Grain::Year,
            offset: offset @ (0 | -1),
        } => Some((u8::from(offset != 0), skipped + length)),
        _ => None,
    }
}

/// The first and the last month that a word names.
fn months(words: &Words, at: usize) -> Option<(i8, i8)> {
    let month = || lexicon::month(words.at(at)).filter(|_| words.at(at).len() > 2);
    let quarter = quarter(words.at(at)).map(|quarter| (quarter * 3 - 2, quarter * 3));
    quarter.or_else(|| month().map(|month| (month, month)))
}

pub(super) fn months_of((first, last): (i8, i8), year: i16) -> Option<(Date, Date)> {
    let from = Date::new(year, first, 1).ok()?;
    let until = Date::new(year, last, 1).ok()?.last_of_month().tomorrow().ok()?;
    Some((from, until))
}

/// A day, month, quarter or year: its first day, the day after its last, and how many words name it.
fn moment(words: &Words, at: usize) -> Option<(Date, Date, usize)> {
    let token = words.tokens.get(at)?;
    if let TokenKind::Date(date) = token.kind {
        return Some((date, date.tomorrow().ok()?, 1));
    }
    let year = |at: usize| year(words, at);
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
    if let Some(quarter) = quarter(words.at(at)) {
        let of = usize::from(words.at(at + 1) == "of");
        let (from, until) = quarter_dates(quarter, year(at + 1 + of)?)?;
        return Some((from, until, 2 + of));
    }
    if let Some(year) = year(at) {
        if let Some(quarter) = quarter(words.at(at + 1)) {
            return quarter_dates(quarter, year).map(|(from, until)| (from, until, 2));
        }
        return Some((Date::new(year, 1, 1).ok()?, Date::new(year + 1, 1, 1).ok()?, 1));
    }
    None
}

/// A number of four digits that may be a year.
fn year(words: &Words, at: usize) -> Option<i16> {
    let token = words.tokens.get(at).filter(|token| token.raw.len() == 4)?;
    let number = token
        .whole_number()
        .filter(|number| (1900..=2100).contains(number))?;
    i16::try_from(number).ok()
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
    months_of((quarter * 3 - 2, quarter * 3), year)
}
