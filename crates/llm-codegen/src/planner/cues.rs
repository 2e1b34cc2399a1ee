//! What the words before a mention ask to do with it.

use super::{
    lexicon,
    mention::Mention,
    plan::{Aggregate, Grain},
    words::Words,
};

/// A mention with what is asked of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    pub(super) mention: usize,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) count: bool,
    pub(super) distinct: bool,
    /// by, per, each
    pub(super) group: bool,
    /// over, different: groups if something else is measured
    pub(super) weak_group: bool,
    /// "total number of": a count of things, a sum of numbers
    pub(super) total_number: bool,
    /// "over": what something is drawn along
    pub(super) along: bool,
    /// most (true), least (false)
    pub(super) superlative: Option<bool>,
}

impl Slot {
    pub(super) fn is_plain(&self) -> bool {
        self.aggregates.is_empty() && !self.count && !self.group
    }
}

/// What the cues of a question add up to.
#[derive(Debug, Default)]
pub(super) struct Cues {
    pub(super) slots: Vec<Slot>,
    /// "count them": rows are counted though nothing is named.
    pub(super) count_rows: bool,
    /// "sum by region": an aggregate without a measure right after it.
    pub(super) loose: Vec<Aggregate>,
}

pub(super) fn read(words: &mut Words, mentions: &[Mention], consumed: &[usize]) -> Cues {
    let mut cues = Cues::default();
    let mut from = 0;
    for (index, mention) in mentions.iter().enumerate() {
        if consumed.contains(&index) {
            // A value in between does not end what was begun: "number of Visa payments".
            continue;
        }
        let mut slot = Slot {
            mention: index,
            ..Slot::default()
        };
        read_context(words, from, mention.start, &mut slot, &mut cues);
        // "customer count": the count follows what is counted.
        if slot.is_plain()
            && matches!(words.at(mention.end), "count" | "counts")
            && words.is_free(mention.end)
        {
            words.claim(mention.end, mention.end + 1);
            slot.count = true;
        }
        cues.slots.push(slot);
        from = mention.end;
    }
    let mut tail = Slot::default();
    let end = words.len();
    read_context(words, from, end, &mut tail, &mut cues);
    cues.count_rows |= tail.count;
    cues.loose.extend(tail.aggregates);
    cues
}

fn read_context(words: &mut Words, from: usize, to: usize, slot: &mut Slot, cues: &mut Cues) {
    let mut at = from;
    while at < to {
        if !words.is_free(at) {
            at += 1;
            continue;
        }
        let word = words.at(at).to_owned();
        let next = words.at(at + 1).to_owned();
        let mut length = 1;
        match word.as_str() {
            "how" if next == "many" || next == "often" => {
                slot.count = true;
                length = 2;
            }
            "number" | "numbers"
                if next == "of"
                    || slot.aggregates.last() == Some(&Aggregate::Sum)
                    || at + 1 == to
                    || words.before(at, 1) == "the" =>
            {
                let averaged = matches!(
                    slot.aggregates.last(),
                    Some(Aggregate::Mean | Aggregate::Median | Aggregate::Max | Aggregate::Min)
                );
                if !averaged && slot.superlative.is_none() {
                    slot.total_number = slot.aggregates.last() == Some(&Aggregate::Sum);
                    slot.aggregates.clear();
                    slot.count = true;
                } else if slot.superlative.is_some() {
                    slot.aggregates.clear();
                    slot.count = true;
                }
            }
            "amount" | "quantity" if next == "of" => slot.count = slot.aggregates.is_empty(),
            "count" | "counts" | "counting" | "frequency" => {
                slot.count = true;
            }
            "different" | "distinct" | "unique" => {
                slot.distinct = slot.count;
                slot.weak_group |= !slot.count;
                slot.group |=
                    !slot.count && matches!(words.before(at, 1), "in" | "from" | "of" | "for" | "across");
            }
            "by" | "per" | "each" | "every" | "across" => {
                settle(slot, cues);
                slot.group = true;
            }
            "same" => slot.group = true,
            "group" | "grouped" | "grouping" | "bin" | "categorize" | "categorized" | "split" | "colored" => {
                slot.weak_group = true
            }
            "over" => {
                slot.weak_group = true;
                slot.along = true;
            }
            "against" | "versus" | "vs" => slot.weak_group = true,
            "fewest" => {
                slot.superlative = Some(false);
                slot.aggregates.push(Aggregate::Min);
            }
            "and" | "," => {
                // "for each city and the average age": the group cue does not reach beyond the joint.
            }
            "." | "?" | ";" => {
                settle(slot, cues);
                slot.group = false;
                slot.weak_group = false;
            }
            _ => match lexicon::aggregate(&word) {
                Some(aggregate) => {
                    if matches!(
                        word.as_str(),
                        "most" | "highest" | "largest" | "biggest" | "greatest" | "best"
                    ) {
                        slot.superlative = Some(true);
                    } else if matches!(word.as_str(), "least" | "lowest" | "smallest" | "worst") {
                        slot.superlative = Some(false);
                    }
                    // "total minimal price" is the minimum.
                    if slot.aggregates.last() == Some(&Aggregate::Sum) && words.before(at, 1) == "total" {
                        slot.aggregates.pop();
                    }
                    if !slot.aggregates.contains(&aggregate) {
                        slot.aggregates.push(aggregate);
                    }
                    slot.group = false;
                }
                None => {
                    at += 1;
                    continue;
                }
            },
        }
        words.claim(at, at + length);
        at += length;
    }
    if slot.count && slot.aggregates == [Aggregate::Sum] {
        slot.aggregates.clear();
    }
}

/// A grouping word ends what was asked before it: "count by region" counts rows.
fn settle(slot: &mut Slot, cues: &mut Cues) {
    cues.count_rows |= slot.count;
    cues.loose.append(&mut slot.aggregates);
    slot.count = false;
    slot.distinct = false;
}

/// A part of time the answer is cut by.
#[derive(Debug, Clone, Copy)]
pub(super) struct GrainCue {
    pub(super) grain: Grain,
    pub(super) at: usize,
    /// Is it only implied, as by "trend"?
    pub(super) implied: bool,
    /// Is it what is ranked, as in "which month had the most orders"?
    pub(super) ranked: bool,
}

fn which(words: &Words, at: usize) -> bool {
    matches!(words.before(at, 1), "which" | "what")
}

/// "month with the highest revenue", "the highest revenue month"
fn ranked_by_what_follows(words: &Words, at: usize) -> bool {
    let extreme = |at: usize| {
        matches!(
            words.at(at),
            "most"
                | "highest"
                | "largest"
                | "biggest"
                | "greatest"
                | "least"
                | "lowest"
                | "smallest"
                | "fewest"
        )
    };
    let linked = matches!(words.at(at + 1), "with" | "that" | "having" | "has" | "had");
    let closes = at + 1 == words.len() || words.tokens[at + 1].is_punctuation();
    (linked && (at + 2..at + 5).any(extreme))
        || (closes && (1..=3).any(|back| back <= at && extreme(at - back)))
}

/// "by month", "monthly", "for each year", "by day of the week"; "over time" asks for months.
pub(super) fn grain(words: &mut Words, mentioned: impl Fn(usize) -> bool) -> Option<GrainCue> {
    let mut found: Option<GrainCue> = None;
    for at in 0..words.len() {
        if !words.is_free(at) || mentioned(at) {
            continue;
        }
        let day_of_week = words.phrase(
            at,
            &[
                "day of the week",
                "days of the week",
                "day of week",
                "week day",
                "weekday",
                "weekdays",
            ],
        );
        if let Some(length) = day_of_week {
            words.claim(at, at + length);
            found = Some(GrainCue {
                grain: Grain::Weekday,
                at,
                implied: false,
                ranked: which(words, at),
            });
            continue;
        }
        if let Some(length) = words.phrase(at, &["month of the year", "month of year", "calendar month"]) {
            words.claim(at, at + length);
            found = Some(GrainCue {
                grain: Grain::MonthOfYear,
                at,
                implied: false,
                ranked: which(words, at),
            });
            continue;
        }
        let Some(grain) = lexicon::grain(words.at(at)) else {
            continue;
        };
        let adverb = words.at(at).ends_with("ly") || words.at(at) == "annual";
        let before = words.before(at, 1);
        let introduced = matches!(
            before,
            "by" | "per" | "each" | "every" | "into" | "over" | "different" | "a" | "across"
        ) || (before == "the"
            && matches!(words.before(at, 2), "into" | "by" | "over" | "each"))
            || (words.at(at + 1) == "interval")
            || (matches!(before, "and" | ",")
                && (0..at).any(|place| matches!(words.at(place), "by" | "per")))
            || (before == "which" || before == "what")
            || (before == "in" && words.before(at, 2) == "each")
            || words.at(at).ends_with('s') && matches!(before, "over" | "the");
        let ranked = which(words, at) || ranked_by_what_follows(words, at);
        if (adverb || introduced || ranked) && found.is_none_or(|found| found.implied) {
            words.claim(at, at + 1);
            found = Some(GrainCue {
                grain,
                at,
                implied: false,
                ranked: ranked && !adverb,
            });
        }
    }
    if found.is_none() {
        for at in 0..words.len() {
            let length = words.phrase(
                at,
                &[
                    "over time",
                    "trend",
                    "trends",
                    "development",
                    "evolution",
                    "time series",
                    "timeline",
                    "evolve",
                ],
            );
            if let Some(length) = length {
                words.claim(at, at + length);
                found = Some(GrainCue {
                    grain: Grain::Month,
                    at,
                    implied: true,
                    ranked: false,
                });
                break;
            }
        }
    }
    found
}
