//! An answer as text.

use comfy_table::{Cell as TableCell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use meterbox_core::contract::{Answer, AnswerColumn, Cell, ColumnType};

use super::text::inert;

/// More rows than a screen shows are better read in the JSON or on the page.
const MAX_ROWS: usize = 50;
const MAX_DECIMALS: usize = 4;

/// A line under the header, and nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The answer, ready to print.
pub(crate) fn render(answer: &Answer) -> String {
    match answer {
        Answer::Table {
            columns,
            rows,
            row_count,
            ..
        } => table(columns, rows, *row_count),
        Answer::Scalar {
            name,
            value,
            value_type,
            unit,
        } => {
            let name = name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            let unit = unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
            let decimals = decimals_of(&[vec![value.clone()]], 0);
            inert(&format!("{name}{}{unit}", shown(value, *value_type, decimals)))
        }
        Answer::Text { text } => inert(text),
        Answer::Group { parts } => {
            let parts: Vec<_> = parts
                .iter()
                .map(|(name, part)| format!("{}\n{}", inert(name), render(part)))
                .collect();
            parts.join("\n\n")
        }
    }
}

/// Rows under a header, ready to print; the first column is of words, those named in `right` are of numbers.
pub(crate) fn grid(header: &[&str], right: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let cell = |(name, text): (&&str, String)| {
        let alignment = if right.contains(name) {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        };
        TableCell::new(inert(&text)).set_alignment(alignment)
    };
    table.set_header(header.iter().map(|name| cell((name, (*name).to_owned()))));
    for row in rows {
        table.add_row(header.iter().zip(row).map(cell));
    }
    table.to_string()
}

fn table(columns: &[AnswerColumn], rows: &[Vec<Cell>], row_count: u64) -> String {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|column| {
        let unit = column
            .unit
            .as_ref()
            .map(|unit| format!(" ({unit})"))
            .unwrap_or_default();
        aligned(inert(&format!("{}{unit}", column.name)), column.column_type)
    }));
    let shown_rows = &rows[..rows.len().min(MAX_ROWS)];
    let ways: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| (decimals_of(shown_rows, at), is_month(shown_rows, at, column)))
        .collect();
    for row in shown_rows {
        let cells = row.iter().zip(columns).zip(&ways);
        table.add_row(cells.map(|((cell, column), (decimals, is_month))| {
            let text = match cell {
                _ if is_name(&column.name) => cell.to_string(),
                Cell::Text(date) if *is_month => date.strip_suffix("-01").unwrap_or(date).to_owned(),
                _ => shown(cell, column.column_type, *decimals),
            };
            aligned(inert(&text), column.column_type)
        }));
    }
    let shown_rows = shown_rows.len() as u64;
    if row_count > shown_rows {
        return format!("{table}\n{shown_rows} of {row_count} rows; --json has more");
    }
    table.to_string()
}

/// As many decimals as the column's most exact number needs, so that points stand below each other.
fn decimals_of(rows: &[Vec<Cell>], column: usize) -> usize {
    let needed = |cell: &Cell| match cell {
        Cell::Number(value) => {
            let text = format!("{value:.MAX_DECIMALS$}");
            text.trim_end_matches('0')
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.len())
        }
        _ => 0,
    };
    rows.iter()
        .filter_map(|row| row.get(column))
        .map(needed)
        .max()
        .unwrap_or(0)
}

fn aligned(text: String, column_type: ColumnType) -> TableCell {
    let alignment = if is_numeric(column_type) {
        CellAlignment::Right
    } else {
        CellAlignment::Left
    };
    TableCell::new(text).set_alignment(alignment)
}

fn is_numeric(column_type: ColumnType) -> bool {
    matches!(
        column_type,
        ColumnType::Integer | ColumnType::Decimal | ColumnType::Number
    )
}

/// Numbers that name things are not amounts: 17839 is an order, not 17,839 of something. An average per `order_id` is one.
fn is_name(column: &str) -> bool {
    let last = column.rsplit(['_', ' ']).next().unwrap_or(column).to_lowercase();
    !column.contains(" per ")
        && ["id", "no", "nr", "number", "code", "year", "key", "zip"].contains(&last.as_str())
}

/// A month is its first day in an answer, and read without it.
fn is_month(rows: &[Vec<Cell>], at: usize, column: &AnswerColumn) -> bool {
    let is_first = |row: &Vec<Cell>| match row.get(at) {
        Some(Cell::Text(date)) => date.ends_with("-01"),
        cell => matches!(cell, Some(Cell::Null)),
    };
    column.name == "month" && column.column_type == ColumnType::Date && rows.iter().all(is_first)
}

fn shown(cell: &Cell, column_type: ColumnType, decimals: usize) -> String {
    match (cell, column_type) {
        (Cell::Null, _) => "–".to_owned(),
        (Cell::Number(value), ColumnType::Decimal) => grouped(&format!("{value:.*}", decimals.max(2))),
        (Cell::Number(value), _) => grouped(&format!("{value:.decimals$}")),
        // A year read off a column of another name should still look like one.
        (Cell::Integer(value), _) if value.abs() >= 10_000 => grouped(&value.to_string()),
        (cell, _) => cell.to_string(),
    }
}

/// The number's text with thousands set apart.
fn grouped(number: &str) -> String {
    let (sign, digits) = number
        .strip_prefix('-')
        .map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits
        .split_once('.')
        .map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut groups: Vec<&str> = Vec::new();
    let mut rest = whole;
    while rest.len() > 3 {
        let (head, tail) = rest.split_at(rest.len() - 3);
        groups.push(tail);
        rest = head;
    }
    groups.push(rest);
    groups.reverse();
    let fraction = fraction
        .map(|fraction| format!(".{fraction}"))
        .unwrap_or_default();
    format!("{sign}{}{fraction}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_hostile_text_is_inert() {
        assert_eq!(grouped("1234567.89"), "1,234,567.89");
        assert_eq!(grouped("-999"), "-999");
        assert_eq!(shown(&Cell::Integer(2024), ColumnType::Integer, 0), "2024");
        assert_eq!(shown(&Cell::Number(12.5), ColumnType::Decimal, 1), "12.50");
        let rows = [vec![Cell::Number(0.33333)], vec![Cell::Number(1_000.5)]];
        let decimals = decimals_of(&rows, 0);
        assert_eq!(shown(&rows[0][0], ColumnType::Number, decimals), "0.3333");
        assert_eq!(shown(&rows[1][0], ColumnType::Number, decimals), "1,000.5000");

        assert!(is_name("order_id") && !is_name("average revenue per order_id"));
        let day = |text: &str| vec![Cell::Text(text.into())];
        let month = AnswerColumn {
            name: "month".into(),
            column_type: ColumnType::Date,
            unit: None,
        };
        let months = [day("2025-01-01"), day("2025-06-01")];
        assert!(!is_month(&[day("2025-05-01"), day("2025-05-02")], 0, &month));
        let shown = table(&[month], &months, 2);
        assert!(
            shown.contains(" 2025-01 ") && shown.contains(" 2025-06 "),
            "{shown}"
        );

        let answer = Answer::Table {
            columns: vec![AnswerColumn {
                name: "a\x1b[31m".into(),
                column_type: ColumnType::Text,
                unit: None,
            }],
            rows: vec![vec![Cell::Text("\x1b]0;title\x07".into())]],
            row_count: 1,
            truncated: false,
        };
        assert!(!render(&answer).contains('\x1b'));
    }
}
