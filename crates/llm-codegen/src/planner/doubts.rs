//! Where a plan had to guess though every word of the question is accounted for.
//!
//! A doubt is told to the reader like any assumption, and weighs on the confidence like a word that was not
//! understood.

use meterbox_core::contract::{ChartKind, ColumnRole};

use super::{
    plan::{Aggregate, ColumnRef, Condition, Dimension, Intent, Measure, Plan},
    schema::{Column, Schema},
};

/// What the question said that the plan no longer shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The chart it names.
    pub(super) chart: Option<ChartKind>,
    /// Does it say "different", "distinct" or "unique"?
    pub(super) distinct: bool,
}

pub(super) fn find(plan: &Plan, schema: &Schema<'_>, asked: Asked) -> Vec<String> {
    let doubter = Doubter { plan, schema, asked };
    match plan.intent {
        Intent::Aggregate => [
            doubter.dates_apart(),
            doubter.groups_of_one(),
            doubter.numbers_as_groups(),
            doubter.fixed_group(),
            doubter.counted_group(),
            doubter.counted_numbers(),
            doubter.once_each(),
            doubter.crowded_chart(),
            doubter.chart_of_one(),
            doubter.average_of_rows(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Intent::Pairs => doubter.repeated_labels().into_iter().collect(),
        Intent::List => Vec::new(),
    }
}

struct Doubter<'a> {
    plan: &'a Plan,
    schema: &'a Schema<'a>,
    asked: Asked,
}

impl Doubter<'_> {
    fn column(&self, reference: &ColumnRef) -> Option<&Column<'_>> {
        let named = |column: &&Column<'_>| {
            column.profile.name == reference.column
                && self.schema.tables[column.table].name == reference.table
        };
        self.schema.columns.iter().find(named)
    }

    fn first(&self, test: impl Fn(&Dimension, &Column<'_>) -> bool) -> Option<&str> {
        let found = self.plan.dimensions.iter().find(|dimension| {
            self.column(&dimension.column)
                .is_some_and(|column| test(dimension, column))
        });
        found.map(|dimension| dimension.column.column.as_str())
    }

    /// Groupings the question asks for; the one that keeps currencies apart is ours.
    fn groupings(&self) -> usize {
        let asked = |dimension: &&Dimension| {
            self.column(&dimension.column)
                .is_none_or(|column| column.profile.role != ColumnRole::Currency)
        };
        self.plan.dimensions.iter().filter(asked).count()
    }

    fn dates_apart(&self) -> Option<String> {
        let name = self.first(|dimension, column| column.is_time() && dimension.grain.is_none())?;
        Some(format!(
            "Each date of `{name}` is shown apart, as the question names no part of time."
        ))
    }

    fn groups_of_one(&self) -> Option<String> {
        let counted = self
            .plan
            .measures
            .iter()
            .any(|measure| measure.measure == Measure::Rows);
        if self.plan.limit.is_some() && !counted {
            return None;
        }
        let own = |dimension: &Dimension| dimension.column.table == self.plan.table;
        let name = self.first(|dimension, column| {
            own(dimension) && column.profile.unique && !column.is_time() && dimension.grain.is_none()
        })?;
        Some(format!(
            "`{name}` is different in every row, so each group is a single row."
        ))
    }

    fn numbers_as_groups(&self) -> Option<String> {
        let name = self.first(|_, column| column.is_measure())?;
        Some(format!("Each different value of `{name}` is a group of its own."))
    }

    fn fixed_group(&self) -> Option<String> {
        let mut fixed = Vec::new();
        if let Some(filter) = &self.plan.filter {
            single_values(filter, &mut fixed);
        }
        let found = self
            .plan
            .dimensions
            .iter()
            .find(|dimension| fixed.contains(&&dimension.column))?;
        Some(format!(
            "Grouped by `{}`, though only one value of it counts.",
            found.column.column
        ))
    }

    fn counted_group(&self) -> Option<String> {
        let counted = |dimension: &&Dimension| {
            self.plan
                .measures
                .iter()
                .any(|measure| measure.measure == Measure::Column(dimension.column.clone()))
        };
        let found = self
            .plan
            .dimensions
            .iter()
            .find(counted)
            .filter(|_| self.plan.dimensions.len() > 1)?;
        Some(format!(
            "`{}` is grouped by and counted as well.",
            found.column.column
        ))
    }

    fn counted_numbers(&self) -> Option<String> {
        let name = self.measured(Aggregate::Count, |column| column.is_measure())?;
        Some(format!("Rows that have a `{name}` are counted, not added up."))
    }

    fn once_each(&self) -> Option<String> {
        if self.asked.distinct {
            return None;
        }
        let name = self.measured(Aggregate::CountDistinct, |column| !column.is_identifier())?;
        Some(format!("Each different value of `{name}` is counted once."))
    }

    fn measured(&self, aggregate: Aggregate, test: impl Fn(&Column<'_>) -> bool) -> Option<&str> {
        self.plan
            .measures
            .iter()
            .filter(|measure| measure.aggregate == aggregate)
            .find_map(|measure| {
                let Measure::Column(reference) = &measure.measure else {
                    return None;
                };
                self.column(reference)
                    .filter(|column| test(column))
                    .map(|_| reference.column.as_str())
            })
    }

    fn crowded_chart(&self) -> Option<String> {
        let groupings = self.groupings();
        let shows_two = matches!(
            self.asked.chart,
            None | Some(ChartKind::StackedBar | ChartKind::HeatTable)
        );
        if groupings > 2 || (groupings == 2 && !shows_two) {
            return Some("The answer has more groupings than such a chart usually shows.".to_owned());
        }
        if self.plan.measures.len() > 1 && self.asked.chart.is_some() {
            return Some("The answer has more numbers than such a chart usually shows.".to_owned());
        }
        None
    }

    fn average_of_rows(&self) -> Option<String> {
        let averaged = self.plan.measures.iter().any(|measure| {
            matches!(measure.measure, Measure::Revenue { .. })
                && matches!(measure.aggregate, Aggregate::Mean | Aggregate::Median)
                && measure.per.is_none()
        });
        averaged.then(|| format!("The average is over single rows of `{}`.", self.plan.table))
    }

    fn chart_of_one(&self) -> Option<String> {
        let drawn = self.asked.chart.is_some_and(|chart| chart != ChartKind::Number);
        (drawn && self.plan.dimensions.is_empty())
            .then(|| "A chart was asked for, but the answer is one number.".to_owned())
    }

    fn repeated_labels(&self) -> Option<String> {
        let scatter = matches!(self.plan.chart, Some(ChartKind::Scatter));
        if self.plan.dimensions.len() > 2 && !scatter {
            return Some("More columns were named than such a chart shows.".to_owned());
        }
        let first = &self.plan.dimensions.first()?.column;
        let repeated = !scatter && self.column(first).is_some_and(|column| !column.profile.unique);
        repeated.then(|| format!("Rows are shown one by one, though `{}` repeats.", first.column))
    }
}

/// Columns a condition holds to one value.
fn single_values<'a>(condition: &'a Condition, columns: &mut Vec<&'a ColumnRef>) {
    match condition {
        Condition::All(parts) => parts.iter().for_each(|part| single_values(part, columns)),
        Condition::OneOf { column, values } if values.len() == 1 => columns.push(column),
        _ => {}
    }
}
