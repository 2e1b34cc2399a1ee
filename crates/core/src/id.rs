//! Names of things, sortable by creation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// Names one analysis: a version 7 UUID, so later ids sort after earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AnalysisId(Uuid);

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id; ids look like 01990000-0000-7000-8000-000000000000")]
pub struct InvalidId;

impl AnalysisId {
    /// A new id that carries `now` and 74 random bits.
    pub fn new(now: Timestamp) -> Self {
        let micros = now.as_micros().max(0).unsigned_abs();
        let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
        let context = uuid::NoContext;
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(
            context,
            micros / 1_000_000,
            nanos,
        )))
    }
}

impl fmt::Display for AnalysisId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for AnalysisId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AnalysisId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
    }
}

impl From<AnalysisId> for String {
    fn from(id: AnalysisId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for AnalysisId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for AnalysisId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnalysisId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uuid" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_round_trip() {
        let early = AnalysisId::new(Timestamp::from_micros(1_000_000_000_000_000).unwrap());
        let late = AnalysisId::new(Timestamp::from_micros(1_000_000_001_000_000).unwrap());
        assert!(early < late);
        assert_eq!(early.to_string().parse::<AnalysisId>().unwrap(), early);
        assert!("../etc/passwd".parse::<AnalysisId>().is_err());
    }
}
