//! The plan itself: joins, currencies, order, chart.

use meterbox_core::contract::{ChartKind, ColumnRole};

use super::{Assembly, Item, Parts, restrict::combine};
use crate::planner::{
    conditions::Test,
    lexicon,
    mention::{Mention, Target},
    plan::{
        Aggregate, Aggregated, ColumnRef, Condition, Dimension, DiscountKind, Grain, Intent, Measure, Order,
        OrderBy, Period, Plan,
    },
    schema::{ColumnId, TableId},
    trouble::Trouble,
};

impl Assembly<'_> {
    /// Choices that could well be others.
    pub(super) fn doubt_columns(&self, doubts: &mut Vec<String>) {
        for slot in &self.cues.slots {
            let mention = &self.mentions[slot.mention];
            let Some(Target::Column(chosen)) = self.target(slot) else {
                continue;
            };
            let Some((_, score)) = mention.columns().find(|(id, _)| id == chosen) else {
                continue;
            };
            let table = self.schema.columns[*chosen].table;
            if slot.count && self.schema.columns[*chosen].is_identifier() {
                continue;
            }
            let rival = mention.columns().find(|(id, other)| {
                id != chosen
                    && self.schema.columns[*id].table == table
                    && *other > score - 0.04
                    && score < 0.97
            });
            if let Some((rival, _)) = rival {
                doubts.push(format!(
                    "`{}` is taken, not `{}`.",
                    self.schema.columns[*chosen].profile.name, self.schema.columns[rival].profile.name
                ));
            }
        }
    }

    pub(super) fn finish(
        &self,
        intent: Intent,
        mut parts: Parts,
        grain: Option<(ColumnId, Grain)>,
        period: Option<Period>,
        filters: Vec<(Condition, bool)>,
    ) -> Result<(Plan, Vec<String>), Trouble> {
        let base = self.choice.base;
        let share = self.share(&parts, !filters.is_empty());
        let share_of_rows = share && parts.groups.is_empty();
        let mut columns: Vec<ColumnId> = match intent {
            Intent::Aggregate => parts.groups.clone(),
            Intent::Pairs => self.pair_columns(&parts),
            Intent::List => self.list_columns(&parts)?,
        };
        columns = columns.into_iter().fold(Vec::new(), |mut seen, id| {
            if !seen.contains(&id) {
                seen.push(id);
            }
            seen
        });
        let asked = columns.len();
        if intent == Intent::Aggregate {
            self.separate_currencies(&mut columns, &mut parts, &filters);
        }
        let separate = columns.len() > asked;
        if separate && share_of_rows {
            return Err(Trouble::cannot(
                "A share of money in several currencies is no number; ask for one currency",
                Vec::new(),
            ));
        }
        let dimensions: Vec<Dimension> = columns
            .iter()
            .map(|id| Dimension {
                column: self.schema.reference(*id),
                grain: grain.filter(|(time, _)| time == id).map(|(_, grain)| grain),
            })
            .collect();
        let mut measures = Vec::new();
        if intent == Intent::Aggregate {
            for (aggregate, item) in &parts.measures {
                let measure = Aggregated {
                    aggregate: *aggregate,
                    measure: self.measure(*item)?,
                    per: parts.per.map(|id| self.schema.reference(id)),
                };
                if let Measure::Revenue {
                    quantity,
                    price,
                    discount,
                } = &measure.measure
                {
                    parts.assumptions.push(revenue_note(
                        quantity,
                        price,
                        discount
                            .as_ref()
                            .map(|discount| (&discount.column, discount.kind)),
                    ));
                }
                if !measures.contains(&measure) {
                    measures.push(measure);
                }
            }
        }
        let filter = combine(filters);
        let mut plan = Plan {
            intent,
            table: self.schema.tables[base].name.clone(),
            joins: Vec::new(),
            measures,
            dimensions,
            filter,
            period,
            compared: std::mem::take(&mut parts.compared),
            order: parts.order.clone(),
            limit: parts
                .limit
                .filter(|_| intent != Intent::Aggregate || !columns.is_empty()),
            limit_within: None,
            share,
            fill: false,
            chart: None,
        };
        let tables: Vec<TableId> = plan
            .columns()
            .iter()
            .filter_map(|reference| {
                self.schema
                    .tables
                    .iter()
                    .position(|table| table.name == reference.table)
            })
            .filter(|table| *table != base)
            .collect();
        plan.joins = self.schema.joins(base, tables).ok_or_else(|| {
            Trouble::cannot(
                "These tables cannot be joined without counting rows twice",
                Vec::new(),
            )
        })?;
        if let Some(within) = self.ranked_within(&plan, &columns) {
            if separate {
                return Err(Trouble::cannot(
                    "A ranking within each group, of money in several currencies, is more than the built-in planner can do; ask for one currency",
                    Vec::new(),
                ));
            }
            plan.limit_within = Some(within);
        } else if separate && plan.limit.is_some() {
            plan.limit_within = Some(asked);
        }
        plan.order = self.ordered(&plan, &columns, grain);
        let by_value = plan
            .order
            .as_ref()
            .is_some_and(|order| order.by == OrderBy::Value);
        if intent == Intent::List && by_value {
            return Err(Trouble::cannot(
                "It is not clear by which column the rows are to be ordered",
                Vec::new(),
            ));
        }
        let summable = plan
            .measures
            .iter()
            .all(|measure| matches!(measure.aggregate, Aggregate::Sum | Aggregate::Count));
        plan.fill = intent == Intent::Aggregate
            && summable
            && plan.limit.is_none()
            && ((self.chart == Some(ChartKind::StackedBar) || !plan.compared.is_empty())
                && plan.dimensions.len() == 2
                || (plan.dimensions.len() == 1
                    && plan.dimensions[0].grain.is_some_and(|grain| grain != Grain::Day)));
        plan.chart = self.chart_kind(&plan, &columns);
        parts.assumptions.dedup();
        Ok((plan, parts.assumptions))
    }

    /// "top 3 products in each category": the dimension that is ranked within.
    fn ranked_within(&self, plan: &Plan, columns: &[ColumnId]) -> Option<usize> {
        if plan.limit.is_none() || plan.dimensions.len() < 2 {
            return None;
        }
        let within = self.cues.slots.iter().find(|slot| {
            let start = self.mentions[slot.mention].start;
            slot.group && matches!(self.words.before(start, 1), "each" | "every" | "per")
        })?;
        let column = match self.target(within)? {
            Target::Column(id) => *id,
            Target::Table(table) => *self.label_columns(*table).ok()?.first()?,
            _ => return None,
        };
        columns.iter().position(|id| *id == column)
    }

    /// The columns of a list: what names the things asked for, then the rows' own columns.
    fn list_columns(&self, parts: &Parts) -> Result<Vec<ColumnId>, Trouble> {
        let mut columns = Vec::new();
        for table in parts.entities.iter().filter(|table| **table != self.choice.base) {
            // A key without a name says no more than the row's own pointer.
            let label = self.label_columns(*table)?.into_iter().next();
            columns.extend(label.filter(|label| self.schema.key(*table) != Some(*label)));
        }
        let plain = parts
            .plain
            .iter()
            .chain(
                parts
                    .subjects
                    .iter()
                    .map(|id| Item::Column(*id))
                    .collect::<Vec<_>>()
                    .iter(),
            )
            .filter_map(|item| match item {
                Item::Column(id) => Some(*id),
                _ => None,
            })
            .collect::<Vec<_>>();
        columns.extend(plain);
        let own = self.schema.columns_of(self.choice.base).map(|(id, _)| id);
        columns.extend(own.take(LIST_COLUMNS));
        for found in &self.conditions.found {
            let column = self.choice.targets[found.mention].as_ref();
            let Some(Target::Column(id)) = column else {
                continue;
            };
            match found.test {
                // A column asked to be empty has nothing to show.
                Test::Missing => columns.retain(|own| own != id),
                _ => columns.push(*id),
            }
        }
        Ok(columns)
    }

    fn pair_columns(&self, parts: &Parts) -> Vec<ColumnId> {
        let plain = parts.plain.iter().filter_map(|item| match item {
            Item::Column(id) => Some(*id),
            _ => None,
        });
        // Each row is a pair already; its own key would not tell series apart.
        let lone = parts.plain.len() < 2;
        let series = parts.groups.iter().copied().filter(move |id| {
            let column = &self.schema.columns[*id];
            lone || (!column.profile.unique && !column.is_identifier())
        });
        plain.chain(series).collect()
    }

    pub(super) fn asks_share(&self) -> bool {
        (0..self.words.len()).any(|at| {
            (self.words.at(at) == "share" && matches!(self.words.at(at + 1), "of" | "by"))
                || (matches!(self.words.at(at), "percentage" | "percent" | "%" | "proportion")
                    && self.words.at(at + 1) == "of")
        })
    }

    /// "share of revenue by region", "what percentage of orders"
    pub(super) fn share(&self, parts: &Parts, filtered: bool) -> bool {
        let asked = self.asks_share();
        let adds_up = parts
            .measures
            .first()
            .is_some_and(|(aggregate, _)| matches!(aggregate, Aggregate::Sum | Aggregate::Count));
        asked && adds_up && (filtered || !parts.groups.is_empty()) && self.chart != Some(ChartKind::Pie)
    }

    /// Money of several currencies is never added together.
    fn separate_currencies(
        &self,
        columns: &mut Vec<ColumnId>,
        parts: &mut Parts,
        filters: &[(Condition, bool)],
    ) {
        let money = parts.measures.iter().any(|(aggregate, item)| match item {
            Item::Revenue => true,
            Item::Rows => false,
            Item::Column(id) => {
                let column = &self.schema.columns[*id];
                let counted = matches!(aggregate, Aggregate::Count | Aggregate::CountDistinct);
                !counted
                    && column.profile.role == ColumnRole::Measure
                    && column.words.iter().any(|word| lexicon::is_money_word(word))
            }
        });
        let Some(id) = self.schema.currency_column(self.choice.base).filter(|_| money) else {
            return;
        };
        let reference = self.schema.reference(id);
        let one_chosen = filters.iter().any(|(condition, _)| {
            matches!(condition, Condition::OneOf { column, values } if *column == reference && values.len() == 1)
        });
        if !columns.contains(&id) && !one_chosen {
            columns.push(id);
            parts.assumptions.push(format!(
                "Amounts are shown apart for each `{}`; currencies are not added together.",
                reference.column
            ));
        }
    }

    fn ordered(&self, plan: &Plan, columns: &[ColumnId], grain: Option<(ColumnId, Grain)>) -> Option<Order> {
        if plan.limit.is_some() && plan.order.is_some() {
            return plan.order.clone();
        }
        if let Some(sort) = self.sort {
            let named = self
                .sort_mentions
                .iter()
                .flat_map(Mention::columns)
                .find_map(|(id, _)| columns.iter().position(|own| *own == id));
            let words: Vec<&str> = sort.target.clone().map(|at| self.words.at(at)).collect();
            let of = |list: &[&str]| words.iter().any(|word| list.contains(word));
            let by = match named {
                _ if of(&[
                    "y", "number", "total", "count", "many", "amount", "sum", "average", "mean", "value",
                ]) =>
                {
                    OrderBy::Value
                }
                Some(place) => OrderBy::Dimension(place),
                None if of(&["x", "bar", "bars", "name", "names"]) => OrderBy::Dimension(0),
                None => OrderBy::Value,
            };
            return Some(Order {
                by,
                descending: sort.descending,
            });
        }
        if plan.order.is_some() {
            return plan.order.clone();
        }
        let chronological = columns.first().is_some_and(|id| {
            grain.is_some_and(|(time, _)| time == *id) || self.schema.columns[*id].is_time()
        });
        match plan.intent {
            Intent::Aggregate if columns.is_empty() => None,
            // What is compared stands side by side.
            Intent::Aggregate if chronological || !plan.compared.is_empty() => Some(Order {
                by: OrderBy::Dimension(0),
                descending: false,
            }),
            Intent::Aggregate => Some(Order {
                by: OrderBy::Value,
                descending: true,
            }),
            Intent::Pairs | Intent::List => None,
        }
    }

    fn chart_kind(&self, plan: &Plan, columns: &[ColumnId]) -> Option<ChartKind> {
        let is_time = |place: usize| {
            plan.dimensions.get(place).is_some_and(|dimension| {
                !matches!(
                    dimension.grain,
                    Some(Grain::Weekday | Grain::MonthOfYear | Grain::Compared)
                ) && self.schema.columns[columns[place]].is_time()
            })
        };
        if plan.dimensions.is_empty() {
            return Some(ChartKind::Number);
        }
        if let Some(chart) = self.chart {
            return Some(chart);
        }
        let keyed = columns
            .get(1)
            .is_some_and(|id| self.schema.columns[*id].is_identifier());
        Some(match plan.intent {
            Intent::List => return None,
            Intent::Pairs
                if columns
                    .iter()
                    .take(2)
                    .all(|id| self.schema.columns[*id].is_numeric()) =>
            {
                ChartKind::Scatter
            }
            _ if is_time(0) => ChartKind::Line,
            _ if !plan.compared.is_empty() => ChartKind::Bar,
            Intent::Aggregate if plan.dimensions.len() >= 2 && !keyed => ChartKind::StackedBar,
            _ => ChartKind::Bar,
        })
    }
}

const LIST_COLUMNS: usize = 12;

fn revenue_note(
    quantity: &ColumnRef,
    price: &ColumnRef,
    discount: Option<(&ColumnRef, DiscountKind)>,
) -> String {
    let gross = format!("`{}` × `{}`", quantity.column, price.column);
    let formula = match discount {
        None => gross,
        Some((column, DiscountKind::Amount)) => format!("{gross} − `{}` (an amount)", column.column),
        Some((column, DiscountKind::Rate)) => format!("{gross} × (1 − `{}`)", column.column),
        Some((column, DiscountKind::Percent)) => format!("{gross} × (1 − `{}` / 100)", column.column),
    };
    format!("Revenue is {formula}; refunds are negative and included.")
}
