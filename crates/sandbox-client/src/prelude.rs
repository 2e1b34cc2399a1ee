//! The prelude: what every program finds when it starts and how its answer leaves, and the host's side of
//! that, which believes nothing it has not checked.

use meterbox_core::contract::{Answer, AnswerColumn, AnswerDocument, Cell, ChartSpec};
use serde_json::value::RawValue;

/// The prelude's Python source: a module with `preload()` and `run(job, send_reply)`.
pub const SOURCE: &str = include_str!("../prelude/meterbox_prelude.py");
/// A service program that draws `charts[index]` of `document` to `chart.png`.
pub const CHART_RENDERER: &str = include_str!("../prelude/render_chart.py");

const MAX_COLUMNS: usize = 1_000;
const MAX_PARTS: usize = 1_000;
const MAX_NAME_BYTES: usize = 1_024;

/// An answer breaks the contract.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// It is not of the agreed form at all.
    #[error("{0}")]
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
    /// There are too many columns or parts, or a name is too long.
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
            parts.values().try_for_each(|part| check(part, true))
        }
        Answer::Scalar { .. } | Answer::Text { .. } => Ok(()),
    }
}

fn check_table(columns: &[AnswerColumn], rows: &[Vec<Cell>], row_count: u64) -> Result<(), BadAnswer> {
    if columns.len() > MAX_COLUMNS {
        return Err(BadAnswer::TooLarge("too many columns"));
    }
    let mut names = std::collections::HashSet::new();
    for column in columns {
        if column.name.len() > MAX_NAME_BYTES {
            return Err(BadAnswer::TooLarge("a column name that is too long"));
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
