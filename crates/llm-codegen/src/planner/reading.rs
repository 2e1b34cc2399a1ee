//! A plan in words.

use super::{
    assemble::aggregate_name,
    names::{grain_name, measure_name},
    plan::{Comparison, Condition, Grain, Intent, OrderBy, Period, Plan, Span},
};

/// What the plan asks, in a sentence a person can check.
pub(super) fn reading(plan: &Plan) -> String {
    let dimension = |at: usize| -> String {
        let dimension = &plan.dimensions[at];
        let foreign = dimension.column.table != plan.table;
        let name = if foreign {
            format!("{} ({})", dimension.column.column, dimension.column.table)
        } else {
            dimension.column.column.clone()
        };
        match dimension.grain {
            Some(grain) => format!("{} of {name}", grain_name(grain)),
            None => name,
        }
    };
    let dimensions: Vec<String> = (0..plan.dimensions.len()).map(dimension).collect();
    let measures: Vec<String> = plan
        .measures
        .iter()
        .map(|measure| measure_name(measure, &plan.table))
        .collect();
    let measures = measures.join(" and ");
    let mut text = match (plan.intent, plan.limit, &plan.order) {
        (Intent::List, ..) => format!("Rows of {}", plan.table),
        (Intent::Pairs, ..) => format!("{} of each row of {}", dimensions.join(" and "), plan.table),
        (Intent::Aggregate, Some(1), Some(order)) => {
            let which = if order.descending { "highest" } else { "lowest" };
            format!("{} with the {which} {measures}", dimensions.join(" and "))
        }
        (Intent::Aggregate, Some(limit), Some(order)) => {
            let which = if order.descending { "Top" } else { "Bottom" };
            format!("{which} {limit} {} by {measures}", dimensions.join(" and "))
        }
        (Intent::Aggregate, ..) if dimensions.is_empty() && plan.share => format!("share of the {measures}"),
        (Intent::Aggregate, ..) if dimensions.is_empty() => measures.clone(),
        (Intent::Aggregate, ..) => format!("{measures} by {}", dimensions.join(" and ")),
    };
    if let Some(within) = plan.limit_within.and_then(|at| dimensions.get(at)) {
        text.push_str(&format!(", within each {within}"));
    }
    if let Some(filter) = &plan.filter {
        text.push_str(&format!(", where {}", condition(filter)));
    }
    if let Some(period) = &plan.period {
        text.push_str(&format!(", {}", during(period)));
    }
    if plan.share && !dimensions.is_empty() {
        text.push_str(", with its share of the total");
    }
    let mentions_order = plan.limit.is_none() && plan.dimensions.len() + plan.measures.len() > 1;
    if let Some(order) = plan.order.as_ref().filter(|_| mentions_order) {
        let by = match order.by {
            OrderBy::Value => "value".to_owned(),
            OrderBy::Dimension(at) => dimensions.get(at).cloned().unwrap_or_default(),
        };
        text.push_str(&format!(
            ", ordered by {by}, {}",
            if order.descending {
                "largest first"
            } else {
                "smallest first"
            }
        ));
    }
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => aggregate_name(super::plan::Aggregate::Count).to_owned(),
    }
}

fn condition(condition: &Condition) -> String {
    let list = |parts: &[Condition], with: &str| {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| match part {
                Condition::All(_) | Condition::Any(_) => format!("({})", self::condition(part)),
                _ => self::condition(part),
            })
            .collect();
        parts.join(with)
    };
    let quoted = |values: &[String]| {
        values
            .iter()
            .map(|value| format!("“{value}”"))
            .collect::<Vec<_>>()
            .join(" or ")
    };
    match condition {
        Condition::All(parts) => list(parts, " and "),
        Condition::Any(parts) => list(parts, " or "),
        Condition::OneOf { column, values } => format!("{} is {}", column.column, quoted(values)),
        Condition::NoneOf { column, values } => format!("{} is not {}", column.column, quoted(values)),
        Condition::Contains { column, text } => format!("{} contains “{text}”", column.column),
        Condition::Compare { column, op, value } => {
            let op = match op {
                Comparison::Above => "is above",
                Comparison::AtLeast => "is at least",
                Comparison::Below => "is below",
                Comparison::AtMost => "is at most",
                Comparison::Equal => "is",
                Comparison::NotEqual => "is not",
            };
            format!("{} {op} {value}", column.column)
        }
        Condition::Between { column, low, high } => format!("{} is between {low} and {high}", column.column),
        Condition::During(period) => during(period),
        Condition::Missing(column) => format!("{} is empty", column.column),
        Condition::Present(column) => format!("{} is not empty", column.column),
        Condition::BeforeToday(column) => format!("{} is before today", column.column),
        Condition::NotAbove {
            column,
            other,
            or_equal,
        } => {
            format!(
                "{} is {} {}",
                column.column,
                if *or_equal { "at most" } else { "below" },
                other.column
            )
        }
        Condition::NotSettled { amount, paid, .. } => {
            format!(
                "less than {} was paid ({}.{})",
                amount.column, paid.table, paid.column
            )
        }
    }
}

fn during(period: &Period) -> String {
    let span = match &period.span {
        Span::Dates {
            from: Some(from),
            until: Some(until),
        } => {
            format!("from {from} to {}", until.yesterday().unwrap_or(*until))
        }
        Span::Dates {
            from: Some(from),
            until: None,
        } => format!("from {from} on"),
        Span::Dates {
            from: None,
            until: Some(until),
        } => format!("before {until}"),
        Span::Dates {
            from: None,
            until: None,
        } => "at any time".to_owned(),
        Span::Calendar {
            unit: Grain::Day,
            offset: 0,
        } => "today".to_owned(),
        Span::Calendar {
            unit: Grain::Day,
            offset: -1,
        } => "yesterday".to_owned(),
        Span::Calendar { unit, offset: 0 } => format!("in this {}", grain_name(*unit)),
        Span::Calendar { unit, .. } => format!("in the {} before this one", grain_name(*unit)),
        Span::Rolling { unit, count } => format!("in the last {count} {}s up to today", grain_name(*unit)),
        Span::ToDate { unit } => format!("from the start of this {} to today", grain_name(*unit)),
        Span::NamedMonth { month } => format!("in the latest month {month} so far"),
        Span::NamedQuarter { quarter } => format!("in the latest quarter {quarter} so far"),
    };
    format!("{} {span}", period.column.column)
}
