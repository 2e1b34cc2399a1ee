//! Questions that can be answered on this data, proved by answering them.

use meterbox_core::contract::ColumnType;

use super::{
    english, read,
    schema::{Column, Schema},
};

const WANTED: usize = 3;
const MOST_TRIED: usize = 40;

/// Up to three questions the planner accounts for word by word, of different kinds where the data allows.
pub(super) fn suggest(schema: &Schema<'_>) -> Vec<String> {
    let mut kinds: Vec<Vec<String>> = vec![Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let spaced = |name: &str| name.replace(['_', '-'], " ");
    let groups = |column: &Column<'_>| {
        matches!(column.profile.column_type, ColumnType::Text | ColumnType::Boolean)
            && (2..=60).contains(&column.profile.distinct)
            && !column.profile.unique
    };
    let revenue = schema.revenue();
    for (table, profile) in schema.tables.iter().enumerate() {
        // "number of superstore" is no English.
        let lone = schema.tables.len() == 1 && !english::is_plural(&profile.name);
        let label = if lone {
            "rows".to_owned()
        } else {
            spaced(&profile.name)
        };
        let reached = |column: &Column<'_>| schema.path(table, column.table).is_some();
        if let Some((_, column)) = schema.columns_of(table).find(|(_, column)| groups(column)) {
            kinds[2].push(format!("number of {label} by {}", spaced(&column.profile.name)));
        }
        kinds[3].push(format!("how many {label} are there"));
        let dimension = schema
            .columns
            .iter()
            .find(|column| groups(column) && reached(column));
        if revenue.as_ref().is_some_and(|(home, _)| *home == table) {
            if let Some(column) = dimension {
                kinds[0].insert(0, format!("revenue by {}", spaced(&column.profile.name)));
            }
            kinds[1].insert(0, "revenue by month".to_owned());
        }
        for (_, measure) in schema
            .columns_of(table)
            .filter(|(_, column)| column.is_measure())
            .take(2)
        {
            let measure_name = spaced(&measure.profile.name);
            if let Some(dimension) = dimension {
                let verb = if measure.is_additive() { "total" } else { "average" };
                kinds[0].push(format!(
                    "{verb} {measure_name} by {}",
                    spaced(&dimension.profile.name)
                ));
            }
            if schema.time_column(table).is_some() && measure.is_additive() {
                kinds[1].push(format!("total {measure_name} by month"));
            }
        }
    }
    let mut suggestions: Vec<String> = Vec::new();
    let mut tried = 0;
    let longest = kinds.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..longest {
        for kind in &kinds {
            let Some(question) = kind.get(round) else { continue };
            tried += 1;
            if tried > MOST_TRIED || suggestions.len() == WANTED {
                return suggestions;
            }
            let answerable = read::read(question, schema).is_ok_and(|draft| draft.ignored.is_empty());
            if answerable && !suggestions.contains(question) {
                suggestions.push(question.clone());
            }
        }
    }
    suggestions
}
