use clap::ValueEnum;
use meterbox_analysis::Prefer;
use schemars::JsonSchema;
use serde::Deserialize;

/// Who writes a program.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Writer {
    /// Whoever is known to be right at the least cost.
    #[default]
    Any,
    /// Rules alone.
    Rules,
    /// A model, also where rules have an answer.
    Model,
}

impl From<Writer> for Prefer {
    fn from(writer: Writer) -> Self {
        match writer {
            Writer::Any => Self::Any,
            Writer::Rules => Self::Rules,
            Writer::Model => Self::Model,
        }
    }
}
