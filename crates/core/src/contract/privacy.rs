use std::fmt;

use serde::{Deserialize, Serialize};

/// What of a dataset may leave this machine: to a language model, a cloud sandbox, or telemetry. A number on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum PrivacyLevel {
    /// 0: nothing.
    Nothing,
    /// 1: names of tables and columns, types, roles, shares of empty cells, numbers of distinct values, and the ranges
    /// of measures and dates. No cell of text.
    #[default]
    Shape,
    /// 2: also values that occur more than once in columns with few of them, except of columns that look personal; and
    /// sample rows in which every letter and digit is masked.
    Values,
    /// 3: also real sample rows; programs may run in a cloud sandbox, which is given the files.
    Samples,
}

/// A number that is no privacy level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no privacy level; 0, 1, 2 and 3 are")]
pub struct InvalidPrivacyLevel(u8);

impl TryFrom<u8> for PrivacyLevel {
    type Error = InvalidPrivacyLevel;

    fn try_from(level: u8) -> Result<Self, InvalidPrivacyLevel> {
        match level {
            0 => Ok(Self::Nothing),
            1 => Ok(Self::Shape),
            2 => Ok(Self::Values),
            3 => Ok(Self::Samples),
            other => Err(InvalidPrivacyLevel(other)),
        }
    }
}

impl From<PrivacyLevel> for u8 {
    fn from(level: PrivacyLevel) -> Self {
        match level {
            PrivacyLevel::Nothing => 0,
            PrivacyLevel::Shape => 1,
            PrivacyLevel::Values => 2,
            PrivacyLevel::Samples => 3,
        }
    }
}

impl fmt::Display for PrivacyLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u8::from(*self).fmt(f)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for PrivacyLevel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PrivacyLevel".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": 3 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_numbers_in_rising_order() {
        for number in 0..=3 {
            let level: PrivacyLevel = serde_json::from_str(&number.to_string()).unwrap();
            assert_eq!(u8::from(level), number);
            assert_eq!(level.to_string(), number.to_string());
        }
        assert!(PrivacyLevel::Nothing < PrivacyLevel::Shape && PrivacyLevel::Values < PrivacyLevel::Samples);
        let refused = serde_json::from_str::<PrivacyLevel>("4").unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("4 is no privacy level; 0, 1, 2 and 3 are"),
            "{refused}"
        );
    }
}
