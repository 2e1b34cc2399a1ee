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
    end: usize,
    pub(super) assumption: Option<String>,
    /// How it belongs to the span before it, where rows may lie in either.
    pub(super) joint: Option<Joint>,
}

/// How two spans stand beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// "March and May", "March or May": their rows together.
    Together,
    /// "March against May": each for itself.
    Against,
}

/// Finds the spans of time and accounts for their words. `is_number` says where a number is no year.
pub(super) fn find(words: &mut Words, is_number: impl Fn(&Words, usize) -> bool) -> Vec<FoundSpan> {
    let mut found = spans(words, is_number);
    join(words, &mut found);
    found
}

fn spans(words: &mut Words, is_number: impl Fn(&Words, usize) -> bool) -> Vec<FoundSpan> {
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

/// Which spans stand beside the one before them, and in which year months without one lie.
fn join(words: &mut Words, found: &mut [FoundSpan]) {
    let is_comparison =
        (0..words.len()).any(|at| matches!(words.at(at), "compare" | "comparison" | "comparing"));
    for place in 1..found.len() {
        let (before, after) = found.split_at_mut(place);
        let (Some(before), Some(after)) = (before.last_mut(), after.first_mut()) else {
            continue;
        };
        let between = before.end..after.start;
        let Some(joint) = joint(words, between.clone()) else {
            continue;
        };
        if !(before.span.is_closed() && after.span.is_closed() || before.span.is_apart_from(&after.span)) {
            continue;
        }
        // "January and February 2025"
        if let (Some(months), Span::Dates { from: Some(date), .. }) = (before.span.months(), &after.span)
            && let Some((from, until)) = months_of(months, date.year())
        {
            before.span = Span::Dates {
                from: Some(from),
                until: Some(until),
            };
            before.assumption = None;
        }
        after.joint = Some(if is_comparison { Joint::Against } else { joint });
        for at in between {
            if is_joint(words.at(at)) {
                words.claim(at, at + 1);
            }
        }
    }
}

/// What stands between two spans, where that sets them beside each other.
fn joint(words: &Words, between: std::ops::Range<usize>) -> Option<Joint> {
    let is_said_before = |at: usize| (0..between.start).any(|before| words.at(before) == words.at(at));
    let mut joints = between.clone().filter(|at| is_joint(words.at(*at))).peekable();
    joints.peek()?;
    if joints.any(|at| is_against(words.at(at))) {
        return Some(Joint::Against);
    }
    let mut others = between
        .clone()
        .filter(|at| !is_joint(words.at(*at)) && !matches!(words.at(*at), "in" | "the" | "of" | "for"))
        .peekable();
    match others.peek() {
        None => Some(Joint::Together),
        // "revenue in March and revenue in May" are two numbers.
        Some(_) => others.all(is_said_before).then_some(Joint::Against),
    }
}

fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "or" | "," | "&" | "plus" | "with") || is_against(word)
}

fn is_against(word: &str) -> bool {
    matches!(word, "vs" | "versus" | "against" | "compared" | "than")
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
            let (from, until, length) = range(words, at + 1, &["and", "to", "until", "till", "through"])?;
            reversed(Some(from), Some(until), 1 + length)
        }
        _ => {
            let (from, until, length) = range(words, at, &["to", "until", "till", "through"])?;
            reversed(Some(from), Some(until), length)
        }
    }
}

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
        // "November to February 2025" begins the year before.
        Err(months) => {
            let same_year = months_of(months, last.year())?.0;
            match same_year <= last {
                true => same_year,
                false => months_of(months, last.year() - 1)?.0,
            }
        }
    };
    Some((from, until, length + 1 + second))
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
    let beside_another = bare_year && is_beside_a_year(words, start);
    // A bare number is a year where it is introduced, or ends the question: "revenue by region 2024".
    let final_word = start + 1 == words.len()
        || words
            .tokens
            .get(start + 1)
            .is_some_and(|next| next.is_punctuation());
    if bare_year
        && !introduced
        && !beside_another
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

/// "2024 and 2025", "2024 vs 2025"
fn is_beside_a_year(words: &Words, at: usize) -> bool {
    let is_year = |at: usize| {
        let token = words.tokens.get(at).filter(|token| token.raw.len() == 4);
        token
            .and_then(|token| token.whole_number())
            .is_some_and(|number| (1900..=2100).contains(&number))
    };
    let after_one = at >= 2 && is_joint(words.at(at - 1)) && is_year(at - 2);
    after_one || is_joint(words.at(at + 1)) && is_year(at + 2)
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

fn months_of((first, last): (i8, i8), year: i16) -> Option<(Date, Date)> {
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
    months_of((quarter * 3 - 2, quarter * 3), year)
}
