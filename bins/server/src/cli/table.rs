//! An answer as text.

use comfy_table::{Cell as TableCell, CellAlignment, ContentArrangement, Table, presets};
use meterbox_core::contract::{Answer, AnswerColumn, Cell, ColumnType};

use super::text::inert;

/// More rows than a screen shows are better read in the JSON or on the page.
const MAX_ROWS: usize = 50;

/// The answer, ready to print.
pub(crate) fn render(answer: &Answer) -> String {
    match answer {
        Answer::Table { columns, rows, row_count, .. } => table(columns, rows, *row_count),
        Answer::Scalar { name, value, value_type, unit } => {
            let name = name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            let unit = unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
            inert(&format!("{name}{}{unit}", shown(value, *value_type)))
        }
        Answer::Text { text } => inert(text),
        Answer::Group { parts } => {
            let parts: Vec<_> =
                parts.iter().map(|(name, part)| format!("{}\n{}", inert(name), render(part))).collect();
            parts.join("\n\n")
        }
    }
}

fn table(columns: &[AnswerColumn], rows: &[Vec<Cell>], row_count: u64) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|column| {
        let unit = column.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
        aligned(inert(&format!("{}{unit}", column.name)), column.column_type)
    }));
    for row in rows.iter().take(MAX_ROWS) {
        let cells = row.iter().zip(columns);
        table.add_row(
            cells.map(|(cell, column)| aligned(inert(&shown(cell, column.column_type)), column.column_type)),
        );
    }
    let shown_rows = rows.len().min(MAX_ROWS) as u64;
    if row_count > shown_rows {
        return format!("{table}\n{shown_rows} of {row_count} rows; --json has more");
    }
    table.to_string()
}

fn aligned(text: String, column_type: ColumnType) -> TableCell {
    let alignment = if is_numeric(column_type) { CellAlignment::Right } else { CellAlignment::Left };
    TableCell::new(text).set_alignment(alignment)
}

fn is_numeric(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Integer | ColumnType::Decimal | ColumnType::Number)
}

fn shown(cell: &Cell, column_type: ColumnType) -> String {
    match (cell, column_type) {
        (Cell::Null, _) => "–".to_owned(),
        (Cell::Number(value), ColumnType::Decimal) => grouped(&format!("{value:.2}")),
        (Cell::Number(value), _) => {
            let text = format!("{value:.4}");
            grouped(text.trim_end_matches('0').trim_end_matches('.'))
        }
        // Years and numbers of things read alike only without separators below ten thousand.
        (Cell::Integer(value), _) if value.abs() >= 10_000 => grouped(&value.to_string()),
        (cell, _) => cell.to_string(),
    }
}

/// The number's text with thousands set apart.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut groups: Vec<&str> = Vec::new();
    let mut rest = whole;
    while rest.len() > 3 {
        let (head, tail) = rest.split_at(rest.len() - 3);
        groups.push(tail);
        rest = head;
    }
    groups.push(rest);
    groups.reverse();
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    format!("{sign}{}{fraction}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_hostile_text_is_inert() {
        assert_eq!(grouped("1234567.89"), "1,234,567.89");
        assert_eq!(grouped("-999"), "-999");
        assert_eq!(shown(&Cell::Integer(2024), ColumnType::Integer), "2024");
        assert_eq!(shown(&Cell::Number(12.5), ColumnType::Decimal), "12.50");
        assert_eq!(shown(&Cell::Number(0.33333), ColumnType::Number), "0.3333");

        let answer = Answer::Table {
            columns: vec![AnswerColumn { name: "a\x1b[31m".into(), column_type: ColumnType::Text, unit: None }],
            rows: vec![vec![Cell::Text("\x1b]0;title\x07".into())]],
            row_count: 1,
            truncated: false,
        };
        assert!(!render(&answer).contains('\x1b'));
    }
}
