//! How well a generator answers questions whose answers are known.
//!
//! A file of questions has one JSON object a line with at least `id`, `file`, `question`, `hardness` and `gold`:
//! rows of `x_data`, `y_data` and, where a chart has series, `classify`. Two figures are always given together:
//! **coverage**, the share of questions answered rather than declined, and **precision**, the share of those
//! answers that are right. Neither says anything without the other.

use std::{collections::BTreeMap, fmt, sync::Arc};

use meterbox_core::{
    Date,
    contract::{Answer, Cell, TableProfile},
};
use serde::{Deserialize, Serialize};

use crate::{CodeGenerator, GenerateRequest, Generated, chat::Unmetered, planner::Plan};

/// A question and what is known of its answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Question {
    /// A name for reports; several phrasings of one question may share it.
    pub id: String,
    /// The file with the table the question is about.
    pub file: String,
    /// The question.
    pub question: String,
    /// How hard its author thought it, in a word or two.
    pub hardness: String,
    /// The right answer.
    pub gold: Vec<GoldRow>,
}

/// A row of a right answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldRow {
    /// What the row is about.
    pub x_data: Cell,
    /// Its number.
    pub y_data: Cell,
    /// The series it belongs to, where there are several.
    #[serde(default)]
    pub classify: Option<Cell>,
}

/// A file of questions that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a question: {reason}")]
pub struct InvalidQuestion {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a file of questions, one JSON object a line; empty lines are passed over.
///
/// # Errors
/// [`InvalidQuestion`] names the first line that is not a question.
pub fn parse(text: &str) -> Result<Vec<Question>, InvalidQuestion> {
    let numbered = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    numbered
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| InvalidQuestion {
                line: index + 1,
                reason: error.to_string(),
            })
        })
        .collect()
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The generator said that it cannot answer.
    Declined,
    /// An answer, right or wrong. A program that fails is a wrong answer.
    Answered {
        /// Does it match the known answer?
        right: bool,
        /// How sure the generator was, from 0 to 1.
        confidence: f64,
        /// The kind of plan behind the answer, where there is one that leaves nothing of the question out and assumes
        /// nothing.
        kind: Option<String>,
    },
}

/// Asks a generator every question and judges the answers.
///
/// `tables` finds the profiles of a question's data and its `as_of`; `run` runs a program and gives its answer, or
/// `None` where it failed. Questions are asked one after the other; dropping the future stops between two of them.
pub async fn evaluate<T, R>(
    generator: &impl CodeGenerator,
    questions: &[Question],
    mut tables: T,
    mut run: R,
) -> EvalReport
where
    T: FnMut(&Question) -> (Arc<[TableProfile]>, Option<Date>),
    R: AsyncFnMut(&Question, &Generated) -> Option<Answer>,
{
    let mut report = EvalReport::default();
    for question in questions {
        let (tables, as_of) = tables(question);
        let request = GenerateRequest::new(&question.question, tables, as_of);
        let verdict = match generator.generate(&request, &Unmetered).await {
            Err(_) => Verdict::Declined,
            Ok(generated) => {
                let answer = run(question, &generated).await;
                let kind = certain_kind(&generated);
                let right = answer.is_some_and(|answer| matches(&answer, &question.gold));
                Verdict::Answered {
                    right,
                    confidence: generated.confidence,
                    kind,
                }
            }
        };
        report.record(question, &verdict);
    }
    report
}

/// The kind of the plan behind a program, where the plan accounts for the whole question and assumes nothing.
pub(crate) fn certain_kind(generated: &Generated) -> Option<String> {
    let reading = &generated.reading;
    let is_certain =
        generated.confidence >= 1.0 && reading.assumptions.is_empty() && reading.ignored.is_empty();
    let plan = generated.plan.as_ref().filter(|_| is_certain)?;
    let plan: Plan = serde_json::from_value(plan.clone()).ok()?;
    Some(plan.kind())
}

/// Is this the known answer? Rows are compared as a multiset and columns in whatever order makes them equal:
/// numbers within one part in a million, dates by the day, a year like its first day, names of months and weekdays
/// also abbreviated.
pub fn matches(answer: &Answer, gold: &[GoldRow]) -> bool {
    let Answer::Table {
        columns,
        rows,
        truncated: false,
        ..
    } = answer
    else {
        return false;
    };
    let gold: Vec<Vec<&Cell>> = gold
        .iter()
        .map(|row| {
            [Some(&row.x_data), Some(&row.y_data), row.classify.as_ref()]
                .into_iter()
                .flatten()
                .collect()
        })
        .collect();
    let width = gold.first().map_or(columns.len(), Vec::len);
    if rows.len() != gold.len() || columns.len() != width || gold.iter().any(|row| row.len() != width) {
        return false;
    }
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let fits = |order: &&[usize; 3]| (width..3).all(|place| order[place] == place);
    width <= 3
        && ORDERS
            .iter()
            .filter(fits)
            .any(|order| same_rows(rows, &gold, &order[..width]))
}

fn same_rows(rows: &[Vec<Cell>], gold: &[Vec<&Cell>], order: &[usize]) -> bool {
    let mut taken = vec![false; rows.len()];
    let alike = |row: &[Cell], wanted: &[&Cell]| {
        order
            .iter()
            .zip(wanted)
            .all(|(&place, wanted)| row.get(place).is_some_and(|cell| same_cell(cell, wanted)))
    };
    gold.iter().all(|wanted| {
        let found = (0..rows.len()).find(|&at| !taken[at] && alike(&rows[at], wanted));
        found.is_some_and(|at| !std::mem::replace(&mut taken[at], true))
    })
}

/// A cell by what it means.
#[derive(Debug, PartialEq)]
enum Meaning {
    Nothing,
    Number(f64),
    Day(Date),
    Named(&'static str),
    Text(String),
}

fn same_cell(cell: &Cell, gold: &Cell) -> bool {
    match (meaning(cell), meaning(gold)) {
        (Meaning::Number(one), Meaning::Number(other)) => {
            const RELATIVE: f64 = 1e-6;
            (one - other).abs() <= RELATIVE * one.abs().max(other.abs()).max(RELATIVE)
        }
        // Known answers may write a year as its first day.
        (Meaning::Number(year), Meaning::Day(day)) | (Meaning::Day(day), Meaning::Number(year)) => {
            day == day.first_of_year() && year == f64::from(day.year())
        }
        (one, other) => one == other,
    }
}

fn meaning(cell: &Cell) -> Meaning {
    match cell {
        Cell::Null => Meaning::Nothing,
        Cell::Bool(value) => Meaning::Number(f64::from(u8::from(*value))),
        Cell::Integer(_) | Cell::Number(_) => cell.as_f64().map_or(Meaning::Nothing, Meaning::Number),
        Cell::Text(text) => text_meaning(text.trim()),
    }
}

fn text_meaning(text: &str) -> Meaning {
    let lower = text.to_lowercase();
    match lower.as_str() {
        "" | "null" | "none" | "nan" => return Meaning::Nothing,
        "true" => return Meaning::Number(1.0),
        "false" => return Meaning::Number(0.0),
        _ => {}
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return Meaning::Number(number);
    }
    let day = text
        .get(..10)
        .filter(|_| matches!(text.as_bytes().get(10), None | Some(b' ' | b'T')));
    if let Some(Ok(day)) = day.map(str::parse) {
        return Meaning::Day(day);
    }
    if let Some(day) = day_first(text) {
        return Meaning::Day(day);
    }
    named(&lower).map_or_else(|| Meaning::Text(letters(&lower)), Meaning::Named)
}

/// A date written 31.12.2025, as some known answers have it.
fn day_first(text: &str) -> Option<Date> {
    let mut parts = text.split('.');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// The text without its non-ASCII letters, which question sets and their tables often encode differently.
fn letters(lower: &str) -> String {
    lower.chars().filter(char::is_ascii).collect()
}

/// The name of a month or weekday, from the name itself or its first three or four letters.
fn named(lower: &str) -> Option<&'static str> {
    const NAMES: [&str; 19] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let short = (3..=4).contains(&lower.len());
    NAMES
        .into_iter()
        .find(|name| *name == lower || (short && name.starts_with(lower)))
}

/// Questions counted by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Questions asked.
    pub asked: u32,
    /// Questions answered rather than declined.
    pub answered: u32,
    /// Answers that are right.
    pub right: u32,
}

impl Tally {
    fn record(&mut self, verdict: &Verdict) {
        self.asked += 1;
        if let Verdict::Answered { right, .. } = verdict {
            self.answered += 1;
            self.right += u32::from(*right);
        }
    }

    /// The share of questions answered, from 0 to 1.
    pub fn coverage(&self) -> f64 {
        share(self.answered, self.asked)
    }

    /// The share of answers that are right, from 0 to 1; 0 where there are none.
    pub fn precision(&self) -> f64 {
        share(self.right, self.answered)
    }

    /// The share of questions answered rightly, from 0 to 1.
    pub fn right_overall(&self) -> f64 {
        share(self.right, self.asked)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [coverage, precision, right] =
            [self.coverage(), self.precision(), self.right_overall()].map(|share| share * 100.0);
        write!(
            f,
            "{:>7} {coverage:>9.1} % {precision:>9.1} % {right:>9.1} %",
            self.asked
        )
    }
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 {
        0.0
    } else {
        f64::from(part) / f64::from(whole)
    }
}

/// The outcome of an evaluation: coverage and precision, overall and apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EvalReport {
    /// All questions.
    pub overall: Tally,
    /// The questions of each hardness.
    pub by_hardness: BTreeMap<String, Tally>,
    /// The questions about each file.
    pub by_table: BTreeMap<String, Tally>,
    /// The answers that account for every word of their question.
    pub sure: Tally,
    /// The answers that assume nothing besides, by the kind of their plan.
    pub certain_by_kind: BTreeMap<String, Tally>,
}

impl EvalReport {
    /// Counts a verdict in.
    pub fn record(&mut self, question: &Question, verdict: &Verdict) {
        self.overall.record(verdict);
        self.by_hardness
            .entry(question.hardness.clone())
            .or_default()
            .record(verdict);
        self.by_table
            .entry(question.file.clone())
            .or_default()
            .record(verdict);
        if matches!(verdict, Verdict::Answered { confidence, .. } if *confidence >= 1.0) {
            self.sure.record(verdict);
        }
        if let Verdict::Answered { kind: Some(kind), .. } = verdict {
            self.certain_by_kind
                .entry(kind.clone())
                .or_default()
                .record(verdict);
        }
    }

    /// The share of answers at full confidence that are right, from 0 to 1.
    pub fn precision_when_sure(&self) -> f64 {
        self.sure.precision()
    }

    /// Coverage, precision and the share right, each the mean over tables: a table with many questions counts once.
    pub fn macro_by_table(&self) -> [f64; 3] {
        let tables = self.by_table.len().max(1) as f64;
        // A table without an answer has no precision to average.
        let answered = self
            .by_table
            .values()
            .filter(|tally| tally.answered > 0)
            .count()
            .max(1) as f64;
        let sum = |figure: fn(&Tally) -> f64| self.by_table.values().map(figure).sum::<f64>();
        [
            sum(Tally::coverage) / tables,
            sum(Tally::precision) / answered,
            sum(Tally::right_overall) / tables,
        ]
    }
}

impl fmt::Display for EvalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 18;
        writeln!(
            f,
            "{:WIDTH$} {:>7} {:>11} {:>11} {:>11}",
            "", "asked", "coverage", "precision", "right"
        )?;
        writeln!(f, "{:WIDTH$} {}", "overall", self.overall)?;
        for (hardness, tally) in &self.by_hardness {
            writeln!(f, "{:WIDTH$} {tally}", hardness)?;
        }
        let [coverage, precision, right] = self.macro_by_table().map(|share| share * 100.0);
        let tables = self.by_table.len();
        writeln!(
            f,
            "{:WIDTH$} {tables:>7} {coverage:>9.1} % {precision:>9.1} % {right:>9.1} %",
            "mean over tables"
        )?;
        let sure = &self.sure;
        let part = share(sure.asked, self.overall.asked) * 100.0;
        write!(
            f,
            "Of {} answers that account for every word ({part:.1} % of the questions), {:.1} % are right.",
            sure.asked,
            sure.precision() * 100.0
        )
    }
}
