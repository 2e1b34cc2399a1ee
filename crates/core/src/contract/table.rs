use serde::{Deserialize, Serialize};

use super::Cell;

/// What is known of one table after it was typed: the planner's and the model's view of the data.
///
/// It is written by the import program inside the sandbox, so the host reads it as a claim: names are
/// shown inert and nothing in it is executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct TableProfile {
    /// The table's name: a unique identifier of `a-z`, `0-9` and `_`, made from the file's or sheet's name.
    pub name: String,
    /// The file (and sheet) it came from.
    pub source: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its columns, in order.
    pub columns: Vec<ColumnProfile>,
    /// What a reader should know: unparsed cells, repeated rows, renamed columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<DataWarning>,
}

impl TableProfile {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// What is known of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ColumnProfile {
    /// The name: the file's header, trimmed, made unique and given where missing.
    pub name: String,
    /// What its cells are.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// What it is for.
    pub role: ColumnRole,
    /// Empty cells.
    pub nulls: u64,
    /// Cells that did not read as the column's type and became empty.
    #[serde(default)]
    pub unparsed: u64,
    /// Distinct non-empty values.
    pub distinct: u64,
    /// True where no value occurs twice and none is missing.
    #[serde(default)]
    pub unique: bool,
    /// The smallest value of numbers and dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Cell>,
    /// The largest value of numbers and dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Cell>,
    /// The distinct values of a text or boolean column with few of them (at most 200), most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueCount>,
    /// The cells of the table's first rows, as text; the same rows in every column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Option<String>>,
    /// Digits after the point of a decimal column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u8>,
    /// The currency (ISO 4217) of a money column, where its cells or header name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// The types a column can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnType {
    /// Whole numbers.
    Integer,
    /// Numbers with a fixed number of decimals, as money has; kept as doubles, rounded to their scale.
    Decimal,
    /// Any finite numbers.
    Number,
    /// Dates without a time.
    Date,
    /// Dates with a time.
    Datetime,
    /// True or false.
    Boolean,
    /// Anything else.
    Text,
}

/// What a column is for, as far as its name and values tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnRole {
    /// Names a row or points to one of another table; adding it up means nothing.
    Identifier,
    /// A number that can be added up or averaged.
    Measure,
    /// Groups rows: few values, or a name.
    Dimension,
    /// When something happened.
    Time,
    /// A currency code that belongs to the row's amounts.
    Currency,
    /// Long text.
    FreeText,
}

/// A value and how often it occurs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// How often it occurs.
    pub count: u64,
}

/// Something about the data that a reader of answers should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DataWarning {
    /// A stable word for programs, such as `unparsed_cells` or `duplicate_rows`.
    pub code: String,
    /// The column it is about, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The sentence for people.
    pub message: String,
    /// How many cells or rows.
    #[serde(default)]
    pub count: u64,
}
