//! What the columns of an answer are called.

use std::collections::HashMap;

use super::{
    assemble::aggregate_name,
    english,
    plan::{Aggregate, Aggregated, ColumnRef, Grain, Measure, Plan},
};

/// The names a plan's program gives to columns: in its working table and in its answer.
#[derive(Debug)]
pub(super) struct Names {
    working: HashMap<ColumnRef, String>,
    pub(super) dimensions: Vec<String>,
    pub(super) measures: Vec<String>,
}

impl Names {
    pub(super) fn new(plan: &Plan) -> Self {
        let columns = plan.columns();
        let mut working = HashMap::new();
        for column in &columns {
            let shared = columns
                .iter()
                .any(|other| other != column && other.column == column.column);
            let own = column.table == plan.table;
            let name = if own || !shared {
                column.column.clone()
            } else {
                format!("{}.{}", column.table, column.column)
            };
            working.insert(column.clone(), name);
        }
        // Join pointers of the base table live in the working table under their own names.
        for join in &plan.joins {
            let own = join.from.table == plan.table;
            let name = if own {
                join.from.column.clone()
            } else {
                format!("{}.{}", join.from.table, join.from.column)
            };
            working.entry(join.from.clone()).or_insert(name);
        }
        // A looked-up column must not take the name of one of the base table that is also there.
        let own: Vec<String> = working
            .iter()
            .filter(|(column, _)| column.table == plan.table)
            .map(|(_, name)| name.clone())
            .collect();
        for (column, name) in &mut working {
            if column.table != plan.table && own.contains(name) {
                *name = format!("{}.{}", column.table, column.column);
            }
        }
        let mut taken: Vec<String> = Vec::new();
        let mut fresh = |wanted: String| {
            let mut name = wanted;
            while taken.contains(&name) {
                name.push('_');
            }
            taken.push(name.clone());
            name
        };
        let dimensions = plan
            .dimensions
            .iter()
            .map(|dimension| {
                let own = &dimension.column.column;
                let shared = plan
                    .dimensions
                    .iter()
                    .filter(|other| other.column.column == *own)
                    .count()
                    > 1;
                let base = if shared {
                    working[&dimension.column].clone()
                } else {
                    own.clone()
                };
                fresh(dimension.grain.map_or(base, |grain| grain_name(grain).to_owned()))
            })
            .collect();
        let measures = plan
            .measures
            .iter()
            .map(|measure| fresh(measure_name(measure, &plan.table)))
            .collect();
        Self {
            working,
            dimensions,
            measures,
        }
    }

    /// What a column is called in the program's working table.
    pub(super) fn working<'a>(&'a self, column: &'a ColumnRef) -> &'a str {
        self.working
            .get(column)
            .map_or(column.column.as_str(), String::as_str)
    }
}

pub(super) fn grain_name(grain: Grain) -> &'static str {
    match grain {
        Grain::Day => "day",
        Grain::Week => "week",
        Grain::Month => "month",
        Grain::Quarter => "quarter",
        Grain::Year => "year",
        Grain::Weekday => "weekday",
        Grain::MonthOfYear => "month of year",
        Grain::Compared => "period",
    }
}

pub(super) fn measure_name(measure: &Aggregated, table: &str) -> String {
    let name = row_measure_name(measure, table);
    match &measure.per {
        Some(per) => format!("{name} per {}", per.column),
        None => name,
    }
}

fn row_measure_name(measure: &Aggregated, table: &str) -> String {
    let aggregate = aggregate_name(measure.aggregate);
    match (&measure.measure, measure.aggregate) {
        (Measure::Rows, _) if english::is_plural(table) => format!("number of {}", table.replace('_', " ")),
        (Measure::Rows, _) => "number of rows".to_owned(),
        (Measure::Revenue { .. }, Aggregate::Sum) => "revenue".to_owned(),
        (Measure::Revenue { .. }, _) => format!("{aggregate} revenue"),
        (Measure::Column(column), Aggregate::CountDistinct) => {
            format!("number of different {}", column.column)
        }
        (Measure::Column(column), Aggregate::Sum | Aggregate::Count) => {
            format!("{aggregate} of {}", column.column)
        }
        (Measure::Column(column), _) => format!("{aggregate} {}", column.column),
    }
}
