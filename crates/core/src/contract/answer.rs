use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ChartSpec, ColumnType};

/// What a program hands back: one JSON document, of which the host believes nothing it has not checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswerDocument {
    /// The answer, if the program set `result`.
    pub answer: Option<Answer>,
    /// How to draw it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<ChartSpec>,
    /// What a reader should know, in the program's own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why the answer should not be taken for granted, such as numbers that were not finite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// An answer: a table, one value, a text, or several of these by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Rows under typed columns.
    Table {
        /// The columns, in order.
        columns: Vec<AnswerColumn>,
        /// The rows; each has one cell a column.
        rows: Vec<Vec<Cell>>,
        /// How many rows the program had before any cap.
        row_count: u64,
        /// True where rows were left out.
        truncated: bool,
    },
    /// One value.
    Scalar {
        /// What the value is called, where the program said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The value.
        value: Cell,
        /// Its type.
        #[serde(rename = "type")]
        value_type: ColumnType,
        /// Its unit, such as `EUR` or `%`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
    /// Plain text, always shown inert.
    Text {
        /// The text.
        text: String,
    },
    /// Several answers by name, one level deep.
    Group {
        /// The parts.
        parts: BTreeMap<String, Answer>,
    },
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswerColumn {
    /// The column's name.
    pub name: String,
    /// What its cells are.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// The unit of its numbers, such as `EUR` or `%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// One cell. Dates are ISO 8601 texts; decimals that need exactness are texts too.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Cell {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// A text, date or exact decimal.
    Text(String),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CellVisitor;

        impl de::Visitor<'_> for CellVisitor {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, true, false, a finite number or a text")
            }

            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
                Ok(Cell::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
                Ok(Cell::Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cell, E> {
                i64::try_from(value)
                    .map(Cell::Integer)
                    .map_err(|_| E::custom("whole number beyond 64 bits"))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cell, E> {
                if !value.is_finite() {
                    return Err(E::custom("number is not finite"));
                }
                Ok(Cell::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
                Ok(Cell::Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(CellVisitor)
    }
}

impl Cell {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            // Display and comparison only; money never takes this way.
            Self::Integer(value) => Some(*value as f64),
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}
