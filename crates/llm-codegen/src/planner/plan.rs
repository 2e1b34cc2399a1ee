//! The typed plan: what a question asks of the data, before it is any program.

use meterbox_core::{Date, contract::ChartKind};
use serde::{Deserialize, Serialize};

/// What a question asks, in terms of the tables there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What kind of answer it is.
    pub intent: Intent,
    /// The table whose rows are counted, added up or listed.
    pub table: String,
    /// Look-ups from many rows to one, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<Join>,
    /// The numbers that are asked for; several only beside each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Aggregated>,
    /// What rows are grouped by; the columns of a list or of pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<Dimension>,
    /// Which rows count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Condition>,
    /// The time the rows lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// Spans of time that are set against each other: a row counts for each it lies in. The dimension with
    /// [`Grain::Compared`] says for which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<Period>,
    /// How the answer is ordered; ties are always broken by the dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// How many rows of the answer are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where set, `limit` holds within each value of this dimension (an index into `dimensions`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_within: Option<usize>,
    /// Is each value also given as a share of the total?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub share: bool,
    /// Are combinations that do not occur shown as zero?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fill: bool,
    /// How to draw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ChartKind>,
}

/// The kinds of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Numbers over groups of rows, or over all of them.
    Aggregate,
    /// Columns of single rows beside each other, as for a scatter chart.
    Pairs,
    /// The rows themselves.
    List,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColumnRef {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// A look-up: each row of `from` finds at most one row of `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The column that points.
    pub from: ColumnRef,
    /// The key it points to.
    pub to: ColumnRef,
}

/// A number over rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregated {
    /// How rows become one number.
    pub aggregate: Aggregate,
    /// What of each row.
    pub measure: Measure,
    /// Rows are first added up for each value of this column, as in "average revenue per order".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<ColumnRef>,
}

/// How rows become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Aggregate {
    Sum,
    Mean,
    Median,
    Min,
    Max,
    Count,
    CountDistinct,
}

/// What is taken of each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The row itself, for counting.
    Rows,
    /// A column.
    Column(ColumnRef),
    /// Quantity times price, less the discount.
    Revenue {
        /// How many.
        quantity: ColumnRef,
        /// At what price each.
        price: ColumnRef,
        /// What was taken off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        discount: Option<Discount>,
    },
}

/// How a discount column is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// The column.
    pub column: ColumnRef,
    /// An amount of money, or a part of the price.
    pub kind: DiscountKind,
}

/// How a discount is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountKind {
    /// Money off the line.
    Amount,
    /// A part from 0 to 1.
    Rate,
    /// A part from 0 to 100.
    Percent,
}

/// What rows are grouped by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// The column.
    pub column: ColumnRef,
    /// Into which parts of time its dates fall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grain: Option<Grain>,
}

/// Parts of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// Calendar days.
    Day,
    /// Weeks, from Monday.
    Week,
    /// Calendar months.
    Month,
    /// Calendar quarters.
    Quarter,
    /// Calendar years.
    Year,
    /// Monday to Sunday, whatever the week.
    Weekday,
    /// January to December, whatever the year.
    MonthOfYear,
    /// The spans of [`Plan::compared`].
    Compared,
}

/// Which rows count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Each of these.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    /// The column has one of these values, whatever their case.
    OneOf {
        /// The column.
        column: ColumnRef,
        /// The values as written in the data.
        values: Vec<String>,
    },
    /// The column has a value, and none of these.
    NoneOf {
        /// The column.
        column: ColumnRef,
        /// The values as written in the data.
        values: Vec<String>,
    },
    /// The column's text contains this, whatever its case.
    Contains {
        /// The column.
        column: ColumnRef,
        /// The text.
        text: String,
    },
    /// The column's number compares so with this one.
    Compare {
        /// The column.
        column: ColumnRef,
        /// How.
        op: Comparison,
        /// With what.
        value: f64,
    },
    /// The column's number lies between these, both included.
    Between {
        /// The column.
        column: ColumnRef,
        /// From.
        low: f64,
        /// To.
        high: f64,
    },
    /// The column's date lies in this span.
    During(Period),
    /// The column is empty.
    Missing(ColumnRef),
    /// The column is not empty.
    Present(ColumnRef),
    /// The column's date lies before today.
    BeforeToday(ColumnRef),
    /// A number of the row is smaller than another of the same row, or as small.
    NotAbove {
        /// The number.
        column: ColumnRef,
        /// The other number.
        other: ColumnRef,
        /// Is as small also meant?
        or_equal: bool,
    },
    /// Less was paid, in a table of payments, than the row's amount.
    NotSettled {
        /// What is owed.
        amount: ColumnRef,
        /// The key of what is owed.
        key: ColumnRef,
        /// The payment's pointer to it.
        payment_key: ColumnRef,
        /// What was paid.
        paid: ColumnRef,
    },
}

/// How numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    NotEqual,
}

/// A span of time a column's dates lie in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The column.
    pub column: ColumnRef,
    /// The span.
    pub span: Span,
}

/// A span of time. All but [`Span::Dates`] are worked out from `as_of` when the program runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Between dates the question names; `until` is the first day that no longer belongs.
    Dates {
        /// The first day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Date>,
        /// The day after the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Date>,
    },
    /// A whole calendar unit: 0 is the one with today in it, -1 the one before.
    Calendar {
        /// The unit.
        unit: Grain,
        /// How far from the present one.
        offset: i32,
    },
    /// The last so many units up to and including today.
    Rolling {
        /// The unit.
        unit: Grain,
        /// How many.
        count: u32,
    },
    /// From the first day of the present unit to today.
    ToDate {
        /// The unit.
        unit: Grain,
    },
    /// The latest month of this number that has begun.
    NamedMonth {
        /// 1 to 12.
        month: i8,
    },
    /// The latest quarter of this number that has begun.
    NamedQuarter {
        /// 1 to 4.
        quarter: i8,
    },
    /// A month of the present year or of one before.
    MonthOf {
        /// 1 to 12.
        month: i8,
        /// How many years before the present one.
        years: u8,
    },
    /// A quarter of the present year or of one before.
    QuarterOf {
        /// 1 to 4.
        quarter: i8,
        /// How many years before the present one.
        years: u8,
    },
}

/// How the answer is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// Largest first?
    pub descending: bool,
}

/// What an answer can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderBy {
    /// The first number.
    Value,
    /// The dimension at this place.
    Dimension(usize),
}

impl Plan {
    /// Every column the plan reads from its table or one it looks up, once each. (The table of payments
    /// behind [`Condition::NotSettled`] is not looked up but added up; it is not among them.)
    pub fn columns(&self) -> Vec<ColumnRef> {
        let mut columns: Vec<ColumnRef> = self
            .dimensions
            .iter()
            .map(|dimension| dimension.column.clone())
            .collect();
        for measure in &self.measures {
            columns.extend(measure.per.clone());
            match &measure.measure {
                Measure::Rows => {}
                Measure::Column(column) => columns.push(column.clone()),
                Measure::Revenue {
                    quantity,
                    price,
                    discount,
                } => {
                    columns.extend([quantity.clone(), price.clone()]);
                    columns.extend(discount.iter().map(|discount| discount.column.clone()));
                }
            }
        }
        if let Some(filter) = &self.filter {
            filter.collect_columns(&mut columns);
        }
        let periods = self.period.iter().chain(&self.compared);
        columns.extend(periods.map(|period| period.column.clone()));
        let mut unique: Vec<ColumnRef> = Vec::with_capacity(columns.len());
        for column in columns {
            if !unique.contains(&column) {
                unique.push(column);
            }
        }
        unique
    }

    /// Does the plan need to know what "today" is?
    pub fn needs_today(&self) -> bool {
        let in_filter = self.filter.as_ref().is_some_and(Condition::needs_today);
        let mut periods = self.period.iter().chain(&self.compared);
        in_filter || periods.any(|period| period.span.needs_today())
    }
}

impl Condition {
    fn collect_columns(&self, columns: &mut Vec<ColumnRef>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.collect_columns(columns))
            }
            Self::OneOf { column, .. }
            | Self::NoneOf { column, .. }
            | Self::Contains { column, .. }
            | Self::Compare { column, .. }
            | Self::Between { column, .. }
            | Self::During(Period { column, .. })
            | Self::Missing(column)
            | Self::Present(column)
            | Self::BeforeToday(column) => columns.push(column.clone()),
            Self::NotAbove { column, other, .. } => columns.extend([column.clone(), other.clone()]),
            Self::NotSettled { amount, key, .. } => columns.extend([amount.clone(), key.clone()]),
        }
    }

    fn needs_today(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::needs_today),
            Self::During(period) => period.span.needs_today(),
            Self::BeforeToday(_) => true,
            _ => false,
        }
    }
}

impl Span {
    fn needs_today(&self) -> bool {
        !matches!(self, Self::Dates { .. })
    }

    /// Has it both ends?
    pub(super) fn is_closed(&self) -> bool {
        !matches!(
            self,
            Self::Dates { from: None, .. } | Self::Dates { until: None, .. }
        )
    }

    /// Does it begin and end with such a part of time, so that none lies in it and beside it?
    pub(super) fn holds(&self, grain: Grain) -> bool {
        let order = |grain: Grain| match grain {
            Grain::Day => Some(0),
            Grain::Week => Some(1),
            Grain::Month => Some(2),
            Grain::Quarter => Some(3),
            Grain::Year => Some(4),
            Grain::Weekday | Grain::MonthOfYear | Grain::Compared => None,
        };
        let own = match self {
            Self::Calendar { unit, .. } => *unit,
            Self::NamedMonth { .. } | Self::MonthOf { .. } => Grain::Month,
            Self::NamedQuarter { .. } | Self::QuarterOf { .. } => Grain::Quarter,
            Self::Dates {
                from: Some(from),
                until: Some(until),
            } if from.day() == 1 && until.day() == 1 => match (from.month(), until.month()) {
                (1, 1) => Grain::Year,
                (1 | 4 | 7 | 10, 1 | 4 | 7 | 10) => Grain::Quarter,
                _ => Grain::Month,
            },
            Self::Dates { .. } | Self::Rolling { .. } | Self::ToDate { .. } => Grain::Day,
        };
        // Weeks begin where months do not.
        let fits = grain != Grain::Week || own == Grain::Week;
        fits && order(grain).is_some_and(|grain| order(own).is_some_and(|own| grain <= own))
    }

    /// Can no day lie in both, whatever today is?
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let (
            Self::Dates { from, until },
            Self::Dates {
                from: other_from,
                until: other_until,
            },
        ) = (self, other)
        else {
            return false;
        };
        let ends_before = |until: &Option<Date>, from: &Option<Date>| {
            until.zip(*from).is_some_and(|(until, from)| until <= from)
        };
        ends_before(until, other_from) || ends_before(other_until, from)
    }

    /// The first and the last month of a span that names months and leaves the year open.
    pub(super) fn months(&self) -> Option<(i8, i8)> {
        match self {
            Self::NamedMonth { month } => Some((*month, *month)),
            Self::NamedQuarter { quarter } => Some((quarter * 3 - 2, quarter * 3)),
            _ => None,
        }
    }
}
