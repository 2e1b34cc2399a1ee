//! In what unit and with how many decimals an answer's columns are shown.

use std::collections::BTreeMap;

use meterbox_core::contract::{ColumnProfile, ColumnRole, TableProfile};
use serde_json::Value;

use super::{
    lexicon,
    names::Names,
    plan::{Aggregate, Aggregated, ColumnRef, Condition, DiscountKind, Intent, Measure, Plan},
    text,
};

/// Units and decimals by the name of an answer's column.
#[derive(Debug, Default)]
pub(super) struct Units {
    units: BTreeMap<String, String>,
    scales: BTreeMap<String, u8>,
}

impl Units {
    pub(super) fn new(plan: &Plan, tables: &[TableProfile], names: &Names) -> Self {
        let mut found = Self::default();
        if plan.intent == Intent::Aggregate {
            for (measure, name) in plan.measures.iter().zip(&names.measures) {
                found.keep(name, measured_unit(plan, tables, measure), scale(tables, measure));
            }
            return found;
        }
        for (place, dimension) in plan.dimensions.iter().enumerate() {
            let name = names.dimensions.get(place).map_or("", String::as_str);
            let profile = profile(tables, &dimension.column);
            let unit = profile.and_then(|profile| profile.currency.clone());
            found.keep(name, unit, profile.and_then(|profile| profile.scale));
        }
        found
    }

    fn keep(&mut self, name: &str, unit: Option<String>, scale: Option<u8>) {
        self.units.extend(unit.map(|unit| (name.to_owned(), unit)));
        self.scales.extend(scale.map(|scale| (name.to_owned(), scale)));
    }

    /// The statements that attach them to `result`. JSON's texts and numbers are Python's.
    pub(super) fn statements(&self) -> Vec<String> {
        let units: Value = self.units.clone().into_iter().collect();
        let scales: Value = self.scales.clone().into_iter().collect();
        let attach = |(kind, map): (&str, Value)| {
            let filled = map.as_object().is_some_and(|map| !map.is_empty());
            filled.then(|| format!("result.attrs[\"{kind}\"] = {map}"))
        };
        [("units", units), ("scale", scales)]
            .into_iter()
            .filter_map(attach)
            .collect()
    }
}

/// How many decimals a number has, where that is known: sums of money are rounded to its cents.
pub(super) fn scale(tables: &[TableProfile], measure: &Aggregated) -> Option<u8> {
    let of = |column: &ColumnRef| profile(tables, column).and_then(|profile| profile.scale);
    if measure.aggregate != Aggregate::Sum {
        return None;
    }
    match &measure.measure {
        Measure::Rows => None,
        Measure::Column(column) => of(column),
        Measure::Revenue { price, discount, .. } => {
            let amount = discount
                .as_ref()
                .filter(|discount| discount.kind == DiscountKind::Amount);
            let off = amount.and_then(|discount| of(&discount.column)).unwrap_or(0);
            Some(of(price).unwrap_or(2).max(off))
        }
    }
}

/// The one currency a number of money is in. Where rows differ, the answer has a column that says so.
fn measured_unit(plan: &Plan, tables: &[TableProfile], measure: &Aggregated) -> Option<String> {
    if matches!(measure.aggregate, Aggregate::Count | Aggregate::CountDistinct) {
        return None;
    }
    let column = match &measure.measure {
        Measure::Rows => return None,
        Measure::Column(column) => column,
        Measure::Revenue { price, .. } => price,
    };
    let profile = profile(tables, column)?;
    if profile.currency.is_some() {
        return profile.currency.clone();
    }
    let money = text::name_words(&profile.name)
        .iter()
        .any(|word| lexicon::is_money_word(word));
    if !money {
        return None;
    }
    chosen_currency(plan, tables).or_else(|| only_currency(tables, &column.table))
}

/// The currency the question asks for.
fn chosen_currency(plan: &Plan, tables: &[TableProfile]) -> Option<String> {
    let is_currency = |column: &ColumnRef| {
        profile(tables, column).is_some_and(|profile| profile.role == ColumnRole::Currency)
    };
    let required: Vec<&Condition> = match plan.filter.as_ref()? {
        Condition::All(parts) => parts.iter().collect(),
        single => vec![single],
    };
    required.into_iter().find_map(|condition| match condition {
        Condition::OneOf { column, values } if values.len() == 1 && is_currency(column) => {
            values.first().cloned()
        }
        _ => None,
    })
}

/// The only currency the table's rows have.
fn only_currency(tables: &[TableProfile], table: &str) -> Option<String> {
    let table = tables.iter().find(|profile| profile.name == table)?;
    let column = table
        .columns
        .iter()
        .find(|column| column.role == ColumnRole::Currency)?;
    match column.values.as_slice() {
        [only] if column.nulls == 0 => Some(only.value.clone()),
        _ => None,
    }
}

fn profile<'a>(tables: &'a [TableProfile], column: &ColumnRef) -> Option<&'a ColumnProfile> {
    tables
        .iter()
        .find(|table| table.name == column.table)?
        .column(&column.column)
}
