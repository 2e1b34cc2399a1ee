//! What a model is told of the data: as much as the privacy level allows, and as much as fits.

use std::fmt::Write as _;

use meterbox_core::contract::{Cell, ColumnProfile, ColumnRole, ColumnType, PrivacyLevel, TableProfile};

use super::personal::is_personal;

/// Values told of a column at most, and characters of each.
const MAX_VALUES: usize = 20;
const MAX_VALUE_CHARS: usize = 60;
/// A value that occurs less often may point to one row.
const LEAST_COUNT: u64 = 2;

/// How much is told, where the whole does not fit. In falling order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Names and types alone.
    Names,
    /// Without sample rows and values.
    Shape,
    /// All that the level allows.
    All,
}

impl Detail {
    pub(super) const FALLING: [Self; 3] = [Self::All, Self::Shape, Self::Names];
}

/// The tables in words. Every name and value is a JSON string, so that none of them can end its line and begin another.
pub(super) fn describe(tables: &[TableProfile], level: PrivacyLevel, detail: Detail) -> String {
    let mut text = String::new();
    for table in tables {
        let _ = writeln!(text, "Table {}: {} rows", quoted(&table.name), table.rows);
        for column in &table.columns {
            let _ = writeln!(text, "- {}", describe_column(column, table.rows, level, detail));
        }
        if detail == Detail::All {
            text.push_str(&sample_rows(table, level));
        }
        text.push('\n');
    }
    text
}

fn describe_column(column: &ColumnProfile, rows: u64, level: PrivacyLevel, detail: Detail) -> String {
    let mut words = vec![format!("{} {}", quoted(&column.name), type_of(column))];
    if detail == Detail::Names {
        return words.remove(0);
    }
    words.push(role_of(column.role).to_owned());
    if column.unique {
        words.push("unique".to_owned());
    }
    words.push(format!("{} distinct", column.distinct));
    if column.nulls > 0 {
        words.push(format!("{}% empty", percent(column.nulls, rows)));
    }
    if let (Some(min), Some(max), true) = (&column.min, &column.max, may_tell_range(column)) {
        words.push(format!("from {} to {}", cell(min), cell(max)));
    }
    if detail == Detail::All && level >= PrivacyLevel::Values {
        words.extend(values_of(column, level));
    }
    words.join(", ")
}

/// Ranges are those of measures and dates: the smallest number of an identifier is one.
fn may_tell_range(column: &ColumnProfile) -> bool {
    let has_range = matches!(column.role, ColumnRole::Measure | ColumnRole::Time)
        || (column.role == ColumnRole::Dimension && column.column_type != ColumnType::Text);
    has_range && !is_personal(column)
}

fn values_of(column: &ColumnProfile, level: PrivacyLevel) -> Option<String> {
    let is_open = level >= PrivacyLevel::Samples;
    if !is_open && is_personal(column) {
        return None;
    }
    let told = column
        .values
        .iter()
        .filter(|counted| is_open || counted.count >= LEAST_COUNT);
    let told: Vec<String> = told
        .take(MAX_VALUES)
        .map(|counted| quoted(&cut(&counted.value)))
        .collect();
    if told.is_empty() {
        return None;
    }
    let more = if told.len() < column.values.len() {
        ", and others"
    } else {
        ""
    };
    Some(format!("values {}{more}", told.join(", ")))
}

fn sample_rows(table: &TableProfile, level: PrivacyLevel) -> String {
    if level < PrivacyLevel::Values {
        return String::new();
    }
    let count = table.columns.iter().map(|column| column.samples.len()).max();
    let mut text = String::new();
    for row in 0..count.unwrap_or(0) {
        let cells = table.columns.iter().map(|column| {
            let Some(Some(cell)) = column.samples.get(row) else {
                return "null".to_owned();
            };
            match level {
                PrivacyLevel::Samples => quoted(&cut(cell)),
                _ => quoted(&masked(&cut(cell))),
            }
        });
        let name = if level == PrivacyLevel::Samples {
            "row"
        } else {
            "row, masked"
        };
        let _ = writeln!(text, "  {name}: [{}]", cells.collect::<Vec<_>>().join(", "));
    }
    text
}

/// The shape of a text and nothing else of it.
fn masked(text: &str) -> String {
    let mask = |character: char| match character {
        _ if character.is_numeric() => '9',
        _ if character.is_uppercase() => 'X',
        _ if character.is_alphabetic() => 'x',
        _ if character.is_ascii_punctuation() || character == ' ' => character,
        _ => '?',
    };
    text.chars().map(mask).collect()
}

fn type_of(column: &ColumnProfile) -> String {
    let mut text = match column.column_type {
        ColumnType::Integer => "integer",
        ColumnType::Decimal => "decimal",
        ColumnType::Number => "number",
        ColumnType::Date => "date",
        ColumnType::Datetime => "datetime",
        ColumnType::Boolean => "boolean",
        _ => "text",
    }
    .to_owned();
    if let Some(currency) = &column.currency {
        let _ = write!(text, " in {}", quoted(currency));
    }
    text
}

fn role_of(role: ColumnRole) -> &'static str {
    match role {
        ColumnRole::Identifier => "identifier",
        ColumnRole::Measure => "measure",
        ColumnRole::Time => "time",
        ColumnRole::Currency => "currency code of the row's amounts",
        ColumnRole::FreeText => "free text",
        _ => "dimension",
    }
}

fn cell(cell: &Cell) -> String {
    serde_json::to_string(cell).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    // JSON leaves these two line ends of Unicode as they are.
    let text = text.replace(['\u{2028}', '\u{2029}'], " ");
    serde_json::Value::String(text).to_string()
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_VALUE_CHARS).collect()
}

fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    // Some are empty, so it is not none.
    u64::try_from(percent).unwrap_or(100).clamp(1, 100)
}
