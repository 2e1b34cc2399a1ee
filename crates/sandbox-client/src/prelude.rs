//! The prelude: what every program finds when it starts and how its answer leaves, and the host's side of
//! that, which believes nothing it has not checked.

use meterbox_core::contract::{Answer, AnswerColumn, AnswerDocument, Cell, ChartSpec};
use serde_json::value::RawValue;

use crate::outcome::{Verdict, cut};

/// The prelude's Python source: a module with `preload()`, `rehearse()` and `run(job, send_reply)`.
pub const SOURCE: &str = include_str!("../prelude/meterbox_prelude.py");
/// A service program that draws `charts[index]` of `document` to `chart.png`.
pub const CHART_RENDERER: &str = include_str!("../prelude/render_chart.py");

// What an honest prelude keeps to, in `meterbox_prelude.py`. A program that replies past it may not.
const MAX_ROWS: usize = 10_000;
const MAX_COLUMNS: usize = 200;
const MAX_PARTS: usize = 200;
const MAX_CHARTS: usize = 10;
const MAX_NOTES: usize = 20;
const MAX_NAME_CHARS: usize = 210;
const MAX_NOTE_CHARS: usize = 500;
const MAX_CELL_CHARS: usize = 2_000;
const MAX_TEXT_CHARS: usize = 100_000;

/// An answer breaks the contract.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// It is not of the agreed form at all.
    #[error("{}", in_few_words(.0))]
    Form(#[from] serde_json::Error),
    /// A row has more or fewer cells than there are columns.
    #[error("row {row} has {cells} cells for {columns} columns")]
    Ragged {
        /// The row, counted from 1.
        row: usize,
        /// Its cells.
        cells: usize,
        /// The columns.
        columns: usize,
    },
    /// Two columns have one name.
    #[error("two columns are called {0:?}")]
    SameName(String),
    /// There is more of something than the prelude would ever hand over.
    #[error("it has {0}")]
    TooLarge(&'static str),
    /// It claims fewer rows than it has.
    #[error("it claims {claimed} rows and has {found}")]
    RowCount {
        /// How many it claims.
        claimed: u64,
        /// How many there are.
        found: usize,
    },
    /// A group holds another group.
    #[error("a group of answers holds another group")]
    Nested,
}

/// A parser quotes what it did not expect, however long that is.
fn in_few_words(error: &serde_json::Error) -> String {
    let mut words = error.to_string();
    cut(&mut words, Verdict::LONGEST_REASON);
    words
}

/// Reads a program's reply as an answer. A chart that names columns the answer does not have is left out, with
/// a warning in the document.
///
/// # Errors
/// [`BadAnswer`] says how it breaks the contract.
pub fn read_answer(reply: &RawValue) -> Result<AnswerDocument, BadAnswer> {
    let mut document: AnswerDocument = serde_json::from_str(reply.get())?;
    if let Some(answer) = &document.answer {
        check(answer, false)?;
    }
    check_notes(&document.warnings, "too many or too long warnings")?;
    check_notes(&document.doubts, "too many or too long doubts")?;
    check_charts(&document.charts)?;
    let AnswerDocument {
        answer,
        charts,
        warnings,
        ..
    } = &mut document;
    charts.retain(|chart| {
        let fits = answer.as_ref().is_some_and(|answer| draws(chart, answer));
        if !fits {
            warnings.push("a chart that does not fit the answer was left out".to_owned());
        }
        fits
    });
    Ok(document)
}

/// Why the answer, though well formed, should not be taken for granted; empty if nothing speaks against it.
pub fn verify(document: &AnswerDocument) -> Vec<String> {
    let ours = match &document.answer {
        None => vec!["the program gave no answer".to_owned()],
        Some(answer) => doubts(answer),
    };
    [document.doubts.clone(), ours].concat()
}

fn check(answer: &Answer, nested: bool) -> Result<(), BadAnswer> {
    match answer {
        Answer::Table {
            columns,
            rows,
            row_count,
            ..
        } => check_table(columns, rows, *row_count),
        Answer::Group { .. } if nested => Err(BadAnswer::Nested),
        Answer::Group { parts } => {
            if parts.len() > MAX_PARTS {
                return Err(BadAnswer::TooLarge("too many parts"));
            }
            if parts.keys().any(|name| is_longer(name, MAX_NAME_CHARS)) {
                return Err(BadAnswer::TooLarge("a name of a part that is too long"));
            }
            parts.values().try_for_each(|part| check(part, true))
        }
        Answer::Scalar {
            name, value, unit, ..
        } => {
            let mut words = name.iter().chain(unit);
            if words.any(|word| is_longer(word, MAX_NAME_CHARS)) {
                return Err(BadAnswer::TooLarge("a name or unit that is too long"));
            }
            check_cell(value)
        }
        Answer::Text { text } if is_longer(text, MAX_TEXT_CHARS) => {
            Err(BadAnswer::TooLarge("a text that is too long"))
        }
        Answer::Text { .. } => Ok(()),
    }
}

fn check_cell(cell: &Cell) -> Result<(), BadAnswer> {
    if cell.as_text().is_some_and(|text| is_longer(text, MAX_CELL_CHARS)) {
        return Err(BadAnswer::TooLarge("a cell that is too long"));
    }
    Ok(())
}

fn check_notes(notes: &[String], what: &'static str) -> Result<(), BadAnswer> {
    if notes.len() > MAX_NOTES || notes.iter().any(|note| is_longer(note, MAX_NOTE_CHARS)) {
        return Err(BadAnswer::TooLarge(what));
    }
    Ok(())
}

fn check_charts(charts: &[ChartSpec]) -> Result<(), BadAnswer> {
    let is_large = |chart: &ChartSpec| {
        let ChartSpec {
            title,
            x,
            y,
            series,
            x_title,
            y_title,
            unit,
            ..
        } = chart;
        let words = [title, x, series, x_title, y_title, unit];
        let mut words = words.into_iter().flatten().chain(y);
        y.len() > MAX_COLUMNS || words.any(|word| is_longer(word, MAX_NAME_CHARS))
    };
    if charts.len() > MAX_CHARTS || charts.iter().any(is_large) {
        return Err(BadAnswer::TooLarge("too many or too large charts"));
    }
    Ok(())
}

fn is_longer(text: &str, most_chars: usize) -> bool {
    text.len() > most_chars && text.chars().nth(most_chars).is_some()
}

fn check_table(columns: &[AnswerColumn], rows: &[Vec<Cell>], row_count: u64) -> Result<(), BadAnswer> {
    if columns.len() > MAX_COLUMNS {
        return Err(BadAnswer::TooLarge("too many columns"));
    }
    if rows.len() > MAX_ROWS {
        return Err(BadAnswer::TooLarge("too many rows"));
    }
    rows.iter().flatten().try_for_each(check_cell)?;
    let mut names = std::collections::HashSet::new();
    for column in columns {
        let mut words = std::iter::once(&column.name).chain(&column.unit);
        if words.any(|word| is_longer(word, MAX_NAME_CHARS)) {
            return Err(BadAnswer::TooLarge("a column name or unit that is too long"));
        }
        if !names.insert(&column.name) {
            return Err(BadAnswer::SameName(column.name.clone()));
        }
    }
    if let Some(index) = rows.iter().position(|row| row.len() != columns.len()) {
        return Err(BadAnswer::Ragged {
            row: index + 1,
            cells: rows[index].len(),
            columns: columns.len(),
        });
    }
    if row_count < rows.len() as u64 {
        return Err(BadAnswer::RowCount {
            claimed: row_count,
            found: rows.len(),
        });
    }
    Ok(())
}

/// A chart draws a table of which it names columns.
fn draws(chart: &ChartSpec, answer: &Answer) -> bool {
    let Answer::Table { columns, .. } = answer else {
        return matches!(answer, Answer::Scalar { .. }) && chart.y.is_empty() && chart.x.is_none();
    };
    let known = |name: &String| columns.iter().any(|column| column.name == *name);
    let named = chart.x.iter().chain(&chart.y).chain(&chart.series);
    named.clone().next().is_some() && named.into_iter().all(known)
}

fn doubts(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Table { rows, .. } if rows.is_empty() => vec!["the answer has no rows".to_owned()],
        Answer::Table { columns, rows, .. } => {
            let is_empty = |index: &usize| rows.iter().all(|row| row[*index] == Cell::Null);
            let empty = (0..columns.len()).filter(is_empty);
            empty
                .map(|index| format!("every value of {:?} is missing", columns[index].name))
                .collect()
        }
        Answer::Scalar {
            value: Cell::Null, ..
        } => vec!["the answer is a missing value".to_owned()],
        Answer::Text { text } if text.trim().is_empty() => vec!["the answer is an empty text".to_owned()],
        Answer::Group { parts } if parts.is_empty() => vec!["the answer is empty".to_owned()],
        Answer::Group { parts } => {
            let named = |(name, part): (&String, &Answer)| {
                doubts(part)
                    .into_iter()
                    .map(|doubt| format!("{name}: {doubt}"))
                    .collect::<Vec<_>>()
            };
            parts.iter().flat_map(named).collect()
        }
        Answer::Scalar { .. } | Answer::Text { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<AnswerDocument, BadAnswer> {
        read_answer(&RawValue::from_string(json.to_owned()).unwrap())
    }

    fn table(columns: &str, rows: &str, row_count: u64) -> String {
        format!(
            r#"{{"answer": {{"kind": "table", "columns": {columns}, "rows": {rows}, "row_count": {row_count}, "truncated": false}}}}"#
        )
    }

    const A: &str = r#"[{"name": "a", "type": "integer"}]"#;

    #[test]
    fn well_formed_answers_are_read_and_verified() {
        let document = read(&table(A, "[[1], [2]]", 2)).unwrap();
        assert!(verify(&document).is_empty());
        for (json, doubt) in [
            (table(A, "[]", 0), "the answer has no rows"),
            (table(A, "[[null], [null]]", 2), "every value of \"a\" is missing"),
            (r#"{"answer": null}"#.to_owned(), "the program gave no answer"),
            (
                r#"{"answer": {"kind": "scalar", "value": null, "type": "number"}}"#.to_owned(),
                "the answer is a missing value",
            ),
            (
                r#"{"answer": {"kind": "group", "parts": {"x": {"kind": "text", "text": " "}}}}"#.to_owned(),
                "x: the answer is an empty text",
            ),
        ] {
            assert_eq!(verify(&read(&json).unwrap()), [doubt], "{json}");
        }
    }

    #[test]
    fn what_breaks_the_contract_is_refused() {
        for json in [
            table(A, "[[1, 2]]", 1),
            table(A, "[[1]]", 0),
            table(A, "[[{}]]", 1),
            table(
                r#"[{"name": "a", "type": "integer"}, {"name": "a", "type": "text"}]"#,
                "[]",
                0,
            ),
            table(r#"[{"name": "a", "type": "surprise"}]"#, "[]", 0),
            r#"{"answer": {"kind": "html", "text": "<b>"}}"#.to_owned(),
            r#"{"answer": null, "cost": 0}"#.to_owned(),
            r#"{"answer": {"kind": "group", "parts": {"x": {"kind": "group", "parts": {}}}}}"#.to_owned(),
            "[]".to_owned(),
        ] {
            assert!(read(&json).is_err(), "{json}");
        }
    }

    /// The prelude cuts all of these; a program that writes its reply itself need not.
    #[test]
    fn more_than_the_prelude_hands_over_is_refused() {
        let word = |chars: usize| "ü".repeat(chars);
        let scalar = |more: &str| {
            format!(r#"{{"answer": {{"kind": "scalar", "value": 1, "type": "integer"}}{more}}}"#)
        };
        let list = |item: &str, count: usize| vec![item; count].join(",");
        let chart = |title: &str, y: &str| format!(r#"{{"kind": "number", "title": "{title}", "y": [{y}]}}"#);
        let columns: Vec<String> = (0..201)
            .map(|number| format!(r#"{{"name": "{number}", "type": "text"}}"#))
            .collect();
        let named = format!(r#"[{{"name": "{}", "type": "text"}}]"#, word(211));
        let with_unit = format!(r#"[{{"name": "a", "unit": "{}", "type": "text"}}]"#, word(211));
        let part = r#"{"kind": "text", "text": "x"}"#;
        let too_large = [
            scalar(&format!(r#", "warnings": ["{}"]"#, word(501))),
            scalar(&format!(r#", "warnings": [{}]"#, list("\"x\"", 21))),
            scalar(&format!(r#", "doubts": [{}]"#, list("\"x\"", 21))),
            scalar(&format!(r#", "charts": [{}]"#, list(&chart("", ""), 11))),
            scalar(&format!(r#", "charts": [{}]"#, chart(&word(211), ""))),
            scalar(&format!(r#", "charts": [{}]"#, chart("", &list("\"a\"", 201)))),
            table(A, &format!("[{}]", list("[1]", 10_001)), 10_001),
            table(A, &format!(r#"[["{}"]]"#, word(2_001)), 1),
            table(&format!("[{}]", columns.join(",")), "[]", 0),
            table(&named, "[]", 0),
            table(&with_unit, "[]", 0),
            format!(r#"{{"answer": {{"kind": "text", "text": "{}"}}}}"#, word(100_001)),
            format!(
                r#"{{"answer": {{"kind": "group", "parts": {{"{}": {part}}}}}}}"#,
                word(211)
            ),
        ];
        for json in too_large {
            let shown: String = json.chars().take(100).collect();
            assert!(matches!(read(&json), Err(BadAnswer::TooLarge(_))), "{shown}");
        }
        let just_fits = [
            scalar(&format!(r#", "warnings": ["{}"]"#, word(500))),
            table(A, &format!(r#"[["{}"]]"#, word(2_000)), 1),
            format!(r#"{{"answer": {{"kind": "text", "text": "{}"}}}}"#, word(100_000)),
        ];
        for json in just_fits {
            assert!(read(&json).is_ok());
        }
    }

    #[test]
    fn what_breaks_the_contract_is_not_quoted_at_length() {
        let error = read(&format!(r#"{{"answer": null, "{}": 1}}"#, "ü".repeat(100_000))).unwrap_err();
        assert!(error.to_string().chars().count() <= 500, "{error}");
    }

    #[test]
    fn a_chart_that_does_not_fit_is_left_out() {
        let with = |chart: &str| {
            format!(
                "{}, \"charts\": [{chart}]}}",
                table(A, "[[1]]", 1).trim_end_matches('}').to_owned() + "}"
            )
        };
        let fitting = read(&with(r#"{"kind": "bar", "y": ["a"]}"#)).unwrap();
        assert_eq!((fitting.charts.len(), fitting.warnings.len()), (1, 0));
        let foreign = read(&with(r#"{"kind": "bar", "x": "b", "y": ["a"]}"#)).unwrap();
        assert_eq!((foreign.charts.len(), foreign.warnings.len()), (0, 1));
    }
}
