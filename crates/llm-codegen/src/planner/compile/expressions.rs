//! Conditions, dates and measures as pandas expressions.

use meterbox_core::{Date, contract::ColumnType};

use super::{COMPARED, MONTHS, Program, WEEKDAYS, quote, quoted_list};
use crate::planner::{
    plan::{ColumnRef, Comparison, Condition, Dimension, DiscountKind, Grain, Measure, Period, Span},
    reading::span_label,
};

impl Program<'_> {
    pub(super) fn condition(&self, condition: &Condition) -> String {
        let joined = |parts: &[Condition], with: &str| {
            let parts: Vec<String> = parts
                .iter()
                .map(|part| format!("({})", self.condition(part)))
                .collect();
            parts.join(with)
        };
        let texts = |column: &ColumnRef| {
            format!(
                "{}.astype(\"string\").str.strip().str.casefold()",
                self.data(column)
            )
        };
        let folded = |values: &[String]| quoted_list(values.iter().map(|value| value.trim().to_lowercase()));
        let number = |column: &ColumnRef| format!("{}.astype(\"float64\")", self.data(column));
        match condition {
            Condition::All(parts) => joined(parts, " & "),
            Condition::Any(parts) => joined(parts, " | "),
            Condition::OneOf { column, values } => format!("{}.isin({})", texts(column), folded(values)),
            Condition::NoneOf { column, values } => {
                format!(
                    "{}.notna() & ~{}.isin({})",
                    self.data(column),
                    texts(column),
                    folded(values)
                )
            }
            Condition::Contains { column, text } => {
                format!(
                    "{}.str.contains({}, regex=False).fillna(False).astype(bool)",
                    texts(column),
                    quote(&text.trim().to_lowercase())
                )
            }
            Condition::Compare {
                column,
                op: Comparison::NotEqual,
                value,
            } => {
                format!(
                    "{}.notna() & ({} != {value:?})",
                    self.data(column),
                    number(column)
                )
            }
            Condition::Compare { column, op, value } => {
                let op = match op {
                    Comparison::Above => ">",
                    Comparison::AtLeast => ">=",
                    Comparison::Below => "<",
                    Comparison::AtMost => "<=",
                    Comparison::Equal => "==",
                    Comparison::NotEqual => "!=",
                };
                format!("{} {op} {value:?}", number(column))
            }
            Condition::Between { column, low, high } => {
                format!("{}.between({low:?}, {high:?})", number(column))
            }
            Condition::During(period) => self.period(period),
            Condition::Missing(column) => format!("{}.isna()", self.data(column)),
            Condition::Present(column) => format!("{}.notna()", self.data(column)),
            Condition::BeforeToday(column) => format!("pd.to_datetime({}) < today", self.data(column)),
            Condition::NotAbove {
                column,
                other,
                or_equal,
            } => {
                format!(
                    "{} {} {}",
                    number(column),
                    if *or_equal { "<=" } else { "<" },
                    number(other)
                )
            }
            Condition::NotSettled {
                amount,
                key,
                payment_key,
                paid,
            } => format!(
                "{}.map(tables[{table}].groupby({})[{}].sum()).fillna(0).astype(\"float64\").round(6) < {}.round(6)",
                self.data(key),
                quote(&payment_key.column),
                quote(&paid.column),
                number(amount),
                table = quote(&paid.table),
            ),
        }
    }

    pub(super) fn period(&self, period: &Period) -> String {
        let when = format!("pd.to_datetime({})", self.data(&period.column));
        let (from, until) = span_bounds(&period.span);
        let tests: Vec<String> = [
            from.map(|from| format!("({when} >= {from})")),
            until.map(|until| format!("({when} < {until})")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if tests.is_empty() {
            format!("{when}.notna()")
        } else {
            tests.join(" & ")
        }
    }

    fn column_type(&self, column: &ColumnRef) -> Option<ColumnType> {
        Some(self.profile(column)?.column_type)
    }

    pub(super) fn profile(&self, column: &ColumnRef) -> Option<&meterbox_core::contract::ColumnProfile> {
        self.tables
            .iter()
            .find(|table| table.name == column.table)?
            .column(&column.column)
    }

    pub(super) fn dimension(&self, dimension: &Dimension) -> String {
        let data = self.data(&dimension.column);
        let when = format!("pd.to_datetime({data})");
        match dimension.grain {
            None if matches!(
                self.column_type(&dimension.column),
                Some(ColumnType::Date | ColumnType::Datetime)
            ) =>
            {
                when
            }
            None => data,
            Some(Grain::Day) => format!("{when}.dt.normalize()"),
            Some(Grain::Week) => format!("{when}.dt.to_period(\"W-SUN\").dt.start_time"),
            Some(Grain::Month) => format!("{when}.dt.to_period(\"M\").dt.start_time"),
            Some(Grain::Quarter) => format!("{when}.dt.to_period(\"Q\").dt.start_time"),
            Some(Grain::Year) => format!("{when}.dt.year.astype(\"Int64\")"),
            Some(Grain::Weekday) => {
                format!(
                    "pd.Categorical({when}.dt.day_name(), categories={}, ordered=True)",
                    quoted_list(WEEKDAYS)
                )
            }
            Some(Grain::MonthOfYear) => {
                format!(
                    "pd.Categorical({when}.dt.month_name(), categories={}, ordered=True)",
                    quoted_list(MONTHS)
                )
            }
            Some(Grain::Compared) => {
                format!(
                    "pd.Categorical(data[{}], categories={}, ordered=True)",
                    quote(COMPARED),
                    quoted_list(self.plan.compared.iter().map(|period| span_label(&period.span)))
                )
            }
        }
    }

    pub(super) fn measure(&self, measure: &Measure) -> String {
        match measure {
            Measure::Rows => "1".to_owned(),
            Measure::Column(column) => match self.column_type(column) {
                Some(ColumnType::Date | ColumnType::Datetime) => {
                    format!("pd.to_datetime({})", self.data(column))
                }
                _ => self.data(column),
            },
            Measure::Revenue {
                quantity,
                price,
                discount,
            } => {
                let gross = format!("{} * {}", self.data(quantity), self.data(price));
                match discount {
                    None => gross,
                    Some(discount) => {
                        let off = format!("{}.fillna(0)", self.data(&discount.column));
                        match discount.kind {
                            DiscountKind::Amount => format!("{gross} - {off}"),
                            DiscountKind::Rate => format!("{gross} * (1 - {off})"),
                            DiscountKind::Percent => format!("{gross} * (1 - {off} / 100)"),
                        }
                    }
                }
            }
        }
    }
}

/// The first moment of a span and the first after it, as Python expressions over `today`.
fn span_bounds(span: &Span) -> (Option<String>, Option<String>) {
    let date = |date: &Date| format!("pd.Timestamp(\"{date}\")");
    let start = |unit: Grain| match unit {
        Grain::Week => "today.to_period(\"W-SUN\").start_time".to_owned(),
        Grain::Month => "today.to_period(\"M\").start_time".to_owned(),
        Grain::Quarter => "today.to_period(\"Q\").start_time".to_owned(),
        Grain::Year => "today.to_period(\"Y\").start_time".to_owned(),
        Grain::Day | Grain::Weekday | Grain::MonthOfYear | Grain::Compared => "today".to_owned(),
    };
    let step = |unit: Grain, count: i64| match unit {
        Grain::Week => format!("pd.DateOffset(weeks={count})"),
        Grain::Month | Grain::MonthOfYear => format!("pd.DateOffset(months={count})"),
        Grain::Quarter => format!("pd.DateOffset(months={})", count * 3),
        Grain::Year => format!("pd.DateOffset(years={count})"),
        Grain::Day | Grain::Weekday | Grain::Compared => format!("pd.DateOffset(days={count})"),
    };
    let tomorrow = || "today + pd.DateOffset(days=1)".to_owned();
    match span {
        Span::Dates { from, until } => (from.as_ref().map(date), until.as_ref().map(date)),
        Span::Calendar { unit, offset } => {
            let first = start(*unit);
            (
                Some(format!("({first} + {})", step(*unit, i64::from(*offset)))),
                Some(format!("({first} + {})", step(*unit, i64::from(*offset) + 1))),
            )
        }
        Span::Rolling { unit, count } => (
            Some(format!(
                "(today + pd.DateOffset(days=1) - {})",
                step(*unit, i64::from(*count))
            )),
            Some(format!("({})", tomorrow())),
        ),
        Span::ToDate { unit } => (Some(start(*unit)), Some(format!("({})", tomorrow()))),
        Span::NamedMonth { month } => named(i64::from(*month), 1),
        Span::NamedQuarter { quarter } => named(i64::from(*quarter) * 3 - 2, 3),
        Span::MonthOf { month, years } => of_year(*years, i64::from(*month), 1),
        Span::QuarterOf { quarter, years } => of_year(*years, i64::from(*quarter) * 3 - 2, 3),
    }
}

/// Some months, beginning with this month, of a year so many before today's.
fn of_year(years: u8, month: i64, months: i64) -> (Option<String>, Option<String>) {
    let from = format!("pd.Timestamp(today.year - {years}, {month}, 1)");
    let until = format!("({from} + pd.DateOffset(months={months}))");
    (Some(from), Some(until))
}

/// The latest span of some months, beginning with this month, that has begun by today.
fn named(month: i64, months: i64) -> (Option<String>, Option<String>) {
    let from = format!("pd.Timestamp(today.year - int(today.month < {month}), {month}, 1)");
    let until = format!("({from} + pd.DateOffset(months={months}))");
    (Some(from), Some(until))
}
