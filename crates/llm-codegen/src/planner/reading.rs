//! A plan in words.

use meterbox_core::Date;

use super::{
    assemble::aggregate_name,
    compile::MONTHS,
    english,
    names::{grain_name, measure_name},
    plan::{
        Aggregate, Comparison, Condition, Dimension, Grain, Intent, Measure, OrderBy, Period, Plan, Span,
    },
    text,
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
    let is_group = |at: &usize| plan.dimensions[*at].grain != Some(Grain::Compared);
    let groups: Vec<String> = (0..plan.dimensions.len())
        .filter(is_group)
        .map(dimension)
        .collect();
    let measures: Vec<String> = plan
        .measures
        .iter()
        .map(
            |measure| match (&measure.measure, ranks_by_extreme(plan, measure.aggregate)) {
                (Measure::Column(column), true) => column.column.clone(),
                _ => measure_name(measure, &plan.table),
            },
        )
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
            format!("{which} {limit} {} by {measures}", ranked(plan, &dimensions))
        }
        (Intent::Aggregate, ..) if dimensions.is_empty() && plan.share => format!("share of the {measures}"),
        (Intent::Aggregate, ..) if groups.is_empty() => measures.clone(),
        (Intent::Aggregate, ..) => format!("{measures} by {}", groups.join(" and ")),
    };
    if let Some(first) = plan.compared.first() {
        let spans: Vec<String> = plan
            .compared
            .iter()
            .map(|period| span_label(&period.span))
            .collect();
        text.push_str(&format!(
            ", {} ({})",
            spans.join(" against "),
            first.column.column
        ));
    }
    if let Some(within) = plan.limit_within.and_then(|at| dimensions.get(at)) {
        text.push_str(&format!(", within each {within}"));
    }
    let filter = plan.filter.as_ref().map(|filter| match filter {
        Condition::Any(_) if plan.period.is_some() => format!("({})", condition(filter)),
        _ => condition(filter),
    });
    let required: Vec<String> = filter
        .into_iter()
        .chain(plan.period.as_ref().map(during))
        .collect();
    if !required.is_empty() {
        text.push_str(&format!(", where {}", required.join(" and ")));
    }
    if plan.share && !dimensions.is_empty() {
        text.push_str(", with its share of the total");
    }
    let mentions_order = plan.limit.is_none() && plan.dimensions.len() + plan.measures.len() > 1;
    if let Some(order) = plan.order.as_ref().filter(|_| mentions_order) {
        let in_time = |at: usize| {
            plan.dimensions
                .get(at)
                .is_some_and(|dimension| dimension.grain.is_some())
        };
        let order = match (order.by, order.descending) {
            (OrderBy::Value, true) => ", largest first".to_owned(),
            (OrderBy::Value, false) => ", smallest first".to_owned(),
            // Time runs forward unless something else is said, and what is compared stands side by side.
            (OrderBy::Dimension(at), false) if in_time(at) || !plan.compared.is_empty() => String::new(),
            (OrderBy::Dimension(at), true) if in_time(at) => ", latest first".to_owned(),
            (OrderBy::Dimension(at), down) => {
                let by = dimensions.get(at).cloned().unwrap_or_default();
                format!(
                    ", ordered by {by}, {}",
                    if down { "descending" } else { "ascending" }
                )
            }
        };
        text.push_str(&order);
    }
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => aggregate_name(Aggregate::Count).to_owned(),
    }
}

/// The thing with the highest maximum is the thing with the highest.
fn ranks_by_extreme(plan: &Plan, aggregate: Aggregate) -> bool {
    let descending = plan.order.as_ref().is_some_and(|order| order.descending);
    plan.limit.is_some()
        && plan.measures.len() == 1
        && aggregate
            == if descending {
                Aggregate::Max
            } else {
                Aggregate::Min
            }
}

/// What is ranked, in the plural: things by the name of their table, all else by its column.
fn ranked(plan: &Plan, dimensions: &[String]) -> String {
    let things = |dimension: &Dimension| {
        let table = text::name_words(&dimension.column.table);
        let own = text::name_words(&dimension.column.column);
        let is_label = own
            .iter()
            .all(|word| table.contains(word) || matches!(word.as_str(), "name" | "title"));
        is_label && dimension.grain.is_none()
    };
    // The key beside a label only keeps things of the same name apart.
    let named = |dimension: &Dimension| {
        plan.dimensions
            .iter()
            .any(|other| other != dimension && other.column.table == dimension.column.table && things(other))
            && text::name_words(&dimension.column.column)
                .last()
                .is_some_and(|word| word == "id")
    };
    let names: Vec<String> = plan
        .dimensions
        .iter()
        .zip(dimensions)
        .enumerate()
        .filter(|(place, (dimension, _))| plan.limit_within != Some(*place) && !named(dimension))
        .map(|(_, (dimension, name))| match name.split_once(" (") {
            _ if things(dimension) => english::plural(&dimension.column.table.replace('_', " ")),
            Some((column, table)) => format!("{} ({table}", english::plural(column)),
            None => english::plural(name),
        })
        .collect();
    names.join(" and ")
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
            offset: 0 | -1,
        } => span_label(&period.span),
        Span::Calendar { unit, offset: 0 } => format!("in this {}", grain_name(*unit)),
        Span::Calendar { unit, .. } => format!("in the {} before this one", grain_name(*unit)),
        Span::Rolling { unit, count } => format!("in the last {count} {}s up to today", grain_name(*unit)),
        Span::ToDate { unit } => format!("from the start of this {} to today", grain_name(*unit)),
        Span::NamedMonth { month } => format!("in the latest month {month} so far"),
        Span::NamedQuarter { quarter } => format!("in the latest quarter {quarter} so far"),
        Span::MonthOf { .. } | Span::QuarterOf { .. } => format!("in {}", span_label(&period.span)),
    };
    format!("{} is {span}", period.column.column)
}

/// What a span is called beside others.
pub(super) fn span_label(span: &Span) -> String {
    let of_year = |what: String, years: u8| {
        let year = if years == 0 { "this year" } else { "last year" };
        format!("{what} {year}")
    };
    match span {
        Span::Dates { from, until } => dates_label(*from, *until),
        Span::Calendar {
            unit: Grain::Day,
            offset: 0,
        } => "today".to_owned(),
        Span::Calendar {
            unit: Grain::Day,
            offset: -1,
        } => "yesterday".to_owned(),
        Span::Calendar { unit, offset: 0 } => format!("this {}", grain_name(*unit)),
        Span::Calendar { unit, .. } => format!("last {}", grain_name(*unit)),
        Span::Rolling { unit, count } => format!("last {count} {}s", grain_name(*unit)),
        Span::ToDate { unit } => format!("{} to date", grain_name(*unit)),
        Span::NamedMonth { month } => month_name(*month).to_owned(),
        Span::NamedQuarter { quarter } => format!("Q{quarter}"),
        Span::MonthOf { month, years } => of_year(month_name(*month).to_owned(), *years),
        Span::QuarterOf { quarter, years } => of_year(format!("Q{quarter}"), *years),
    }
}

/// A year, quarter, month or day by its name; anything else by its ends.
fn dates_label(from: Option<Date>, until: Option<Date>) -> String {
    let (from, last) = match (from, until.map(|until| until.yesterday().unwrap_or(until))) {
        (Some(from), Some(last)) => (from, last),
        (Some(from), None) => return format!("from {from} on"),
        (None, Some(last)) => return format!("up to {last}"),
        (None, None) => return "at any time".to_owned(),
    };
    let (year, month) = (from.year(), from.month());
    let whole_months = from.day() == 1 && last == last.last_of_month() && last.year() == year;
    match (whole_months, month, last.month()) {
        (true, 1, 12) => year.to_string(),
        (true, first, last) if first == last => format!("{} {year}", month_name(first)),
        (true, first @ (1 | 4 | 7 | 10), last) if last == first + 2 => format!("Q{} {year}", (first + 2) / 3),
        _ if from == last => from.to_string(),
        _ => format!("{from} to {last}"),
    }
}

fn month_name(month: i8) -> &'static str {
    let place = usize::try_from(month - 1).unwrap_or_default();
    MONTHS.get(place).copied().unwrap_or_default()
}
