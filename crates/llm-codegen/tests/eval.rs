//! Judging answers against known ones.

use std::sync::Arc;

use meterbox_core::contract::{Answer, AnswerColumn, Cell, ColumnType, Reading, Source, TableProfile};
use meterbox_llm_codegen::{
    CodeGenerator, GenerateError, GenerateRequest, Generated,
    chat::CallGate,
    eval::{self, Verdict},
};

fn table(rows: Vec<Vec<Cell>>) -> Answer {
    let width = rows.first().map_or(2, Vec::len);
    let columns = (0..width)
        .map(|place| AnswerColumn {
            name: format!("column {place}"),
            column_type: ColumnType::Text,
            unit: None,
        })
        .collect();
    Answer::Table {
        columns,
        row_count: rows.len() as u64,
        rows,
        truncated: false,
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn questions(lines: &str) -> Vec<eval::Question> {
    eval::parse(lines).expect("the questions are valid")
}

const REGIONS: &str = r#"{"id":"1","file":"sales.csv","question":"sales by region","hardness":"Easy","db":"shop","gold":[{"x_data":"North","y_data":10},{"x_data":"South","y_data":20.5}]}"#;

#[test]
fn rows_match_in_any_order_and_numbers_within_a_millionth() {
    let gold = &questions(REGIONS)[0].gold;
    let right = [
        vec![text("South"), Cell::Number(20.500_001)],
        vec![text(" north"), Cell::Integer(10)],
    ];
    assert!(eval::matches(&table(right.to_vec()), gold));
    let exact_decimal = [
        vec![text("South"), text("20.50")],
        vec![text("North"), text("10")],
    ];
    assert!(eval::matches(&table(exact_decimal.to_vec()), gold));
    let swapped_columns = [
        vec![Cell::Number(20.5), text("South")],
        vec![Cell::Integer(10), text("North")],
    ];
    assert!(eval::matches(&table(swapped_columns.to_vec()), gold));
}

#[test]
fn anything_else_does_not_match() {
    let gold = &questions(REGIONS)[0].gold;
    let north = || vec![text("North"), Cell::Integer(10)];
    let south = || vec![text("South"), Cell::Number(20.5)];
    let wrong = [
        table(vec![north(), vec![text("South"), Cell::Number(20.6)]]),
        table(vec![north(), vec![text("East"), Cell::Number(20.5)]]),
        table(vec![north()]),
        table(vec![north(), north()]),
        table(vec![north(), south(), south()]),
        table(vec![
            vec![text("North"), Cell::Integer(10), Cell::Null],
            vec![text("South"), Cell::Number(20.5), Cell::Null],
        ]),
        table(vec![]),
        Answer::Text {
            text: "North 10, South 20.5".to_owned(),
        },
        Answer::Scalar {
            name: None,
            value: Cell::Integer(10),
            value_type: ColumnType::Integer,
            unit: None,
        },
    ];
    for answer in wrong {
        assert!(!eval::matches(&answer, gold), "{answer:?}");
    }
    let mut cut = table(vec![north(), south()]);
    if let Answer::Table { truncated, .. } = &mut cut {
        *truncated = true;
    }
    assert!(!eval::matches(&cut, gold), "rows were left out");
}

#[test]
fn cells_match_by_what_they_mean() {
    let one = |gold: &str, cell: Cell| {
        let line = format!(
            r#"{{"id":"1","file":"f","question":"q","hardness":"h","gold":[{{"x_data":{gold},"y_data":1}}]}}"#
        );
        eval::matches(
            &table(vec![vec![cell, Cell::Integer(1)]]),
            &questions(&line)[0].gold,
        )
    };
    assert!(one(r#""2024-03-01""#, text("2024-03-01T00:00:00")));
    assert!(!one(r#""2024-03-01""#, text("2024-03-02")));
    assert!(one(r#""2007-01-01""#, Cell::Integer(2007)));
    assert!(!one(r#""2007-01-02""#, Cell::Integer(2007)));
    assert!(one(r#""Thur""#, text("Thursday")));
    assert!(one(r#""Sept""#, text("September")));
    assert!(!one(r#""Sun""#, text("Saturday")));
    assert!(!one(r#""Ma""#, text("March")), "too short to tell");
    assert!(one(r#""""#, Cell::Null));
    assert!(one("null", text("NaN")));
    assert!(!one("0", Cell::Null));
    assert!(one("true", text("True")));
}

#[test]
fn a_series_belongs_to_the_row() {
    let line = r#"{"id":"1","file":"f","question":"q","hardness":"h","gold":[{"x_data":"a","y_data":1,"classify":"s"},{"x_data":"a","y_data":2,"classify":"t"}]}"#;
    let gold = &questions(line)[0].gold;
    let rows = |first: &str, second: &str| {
        table(vec![
            vec![text("a"), text(first), Cell::Integer(1)],
            vec![text("a"), text(second), Cell::Integer(2)],
        ])
    };
    assert!(eval::matches(&rows("s", "t"), gold));
    assert!(!eval::matches(&rows("t", "s"), gold));
    assert!(!eval::matches(
        &table(vec![
            vec![text("a"), Cell::Integer(1)],
            vec![text("a"), Cell::Integer(2)]
        ]),
        gold
    ));
}

#[test]
fn a_line_that_is_no_question_is_named() {
    let error = eval::parse(&format!("{REGIONS}\n\n{{\"id\":1}}\n")).expect_err("the third line has no file");
    assert_eq!(error.line, 3);
    assert!(
        error.to_string().starts_with("line 3 is not a question: "),
        "{error}"
    );
}

/// Answers what it was told to, by the question's text.
#[derive(Debug)]
struct Scripted;

#[async_trait::async_trait]
impl CodeGenerator for Scripted {
    async fn generate(
        &self,
        request: &GenerateRequest,
        _: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        let confidence = match request.question.as_str() {
            "declined" => {
                return Err(GenerateError::BadQuestion {
                    message: "no".to_owned(),
                });
            }
            "unsure" => 0.8,
            _ => 1.0,
        };
        Ok(Generated {
            code: request.question.clone(),
            source: Source::Rules,
            generator: "scripted".to_owned(),
            reading: Reading {
                text: String::new(),
                assumptions: vec![],
                ignored: vec![],
                as_of: None,
            },
            plan: None,
            confidence,
            warnings: vec![],
        })
    }
}

#[tokio::test]
async fn a_report_keeps_coverage_and_precision_apart() {
    let line = |file: &str, hardness: &str, question: &str| {
        format!(
            r#"{{"id":"{question}","file":"{file}","question":"{question}","hardness":"{hardness}","gold":[{{"x_data":"a","y_data":1}}]}}"#
        )
    };
    let lines = [
        line("a.csv", "Easy", "right"),
        line("a.csv", "Easy", "unsure"),
        line("a.csv", "Hard", "wrong"),
        line("b.csv", "Hard", "failing"),
        line("b.csv", "Hard", "declined"),
    ];
    let no_tables: Arc<[TableProfile]> = Arc::new([]);
    let report = eval::evaluate(
        &Scripted,
        &questions(&lines.join("\n")),
        |_| (Arc::clone(&no_tables), None),
        async |_, generated| match generated.code.as_str() {
            "failing" => None,
            "wrong" => Some(table(vec![vec![text("a"), Cell::Integer(2)]])),
            _ => Some(table(vec![vec![text("a"), Cell::Integer(1)]])),
        },
    )
    .await;
    assert_eq!(
        (
            report.overall.asked,
            report.overall.answered,
            report.overall.right
        ),
        (5, 4, 2)
    );
    assert_eq!((report.sure.asked, report.sure.right), (3, 1));
    assert_eq!(report.by_hardness["Easy"].right_overall(), 1.0);
    assert_eq!(report.by_table["b.csv"].coverage(), 0.5);
    insta::assert_snapshot!(report.to_string());
}

#[test]
fn a_report_without_questions_is_all_zero() {
    let report = eval::EvalReport::default();
    assert_eq!(report.precision_when_sure(), 0.0);
    assert_eq!(report.macro_by_table(), [0.0; 3]);
    let mut report = report;
    report.record(&questions(REGIONS)[0], &Verdict::Declined);
    assert_eq!(report.overall.precision(), 0.0);
}

#[test]
fn days_first_and_other_encodings_are_the_same_values() {
    use meterbox_core::contract::{Answer, AnswerColumn, Cell, ColumnType};
    let column = |name: &str| AnswerColumn {
        name: name.into(),
        column_type: ColumnType::Text,
        unit: None,
    };
    let answer = |x: &str| Answer::Table {
        columns: vec![column("x"), column("y")],
        rows: vec![vec![Cell::Text(x.into()), Cell::Integer(1)]],
        row_count: 1,
        truncated: false,
    };
    let gold = |x: &str| {
        vec![eval::GoldRow {
            x_data: Cell::Text(x.into()),
            y_data: Cell::Integer(1),
            classify: None,
        }]
    };
    assert!(eval::matches(&answer("2025-12-31"), &gold("31.12.2025")));
    assert!(eval::matches(&answer("StÃ©phane"), &gold("Stéphane")));
    assert!(!eval::matches(&answer("2025-12-30"), &gold("31.12.2025")));
    assert!(!eval::matches(&answer("Stefan"), &gold("Stéphane")));
}
