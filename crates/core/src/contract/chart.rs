use serde::{Deserialize, Serialize};

/// How to draw a table: names of its columns and words for a reader, never data, markup or code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChartSpec {
    /// The kind of chart.
    pub kind: ChartKind,
    /// What the chart shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The column along the horizontal axis: categories, dates or numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The columns drawn against it.
    pub y: Vec<String>,
    /// The column that tells series apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Words under the horizontal axis; the column's name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_title: Option<String>,
    /// Words beside the vertical axis; the column's name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y_title: Option<String>,
    /// The unit of the drawn numbers, such as `EUR` or `%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// The kinds of chart both the page and the PNG renderer draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChartKind {
    /// Bars side by side.
    Bar,
    /// Bars of stacked series.
    StackedBar,
    /// A line per series.
    Line,
    /// A filled line per series.
    Area,
    /// Points.
    Scatter,
    /// How a number is distributed.
    Histogram,
    /// Shares of a whole.
    Pie,
    /// A table coloured by value.
    HeatTable,
    /// One number, large.
    Number,
}
