//! What data there is, and what can be asked of it.

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
};
use meterbox_core::{
    Date,
    contract::{ColumnProfile, PrivacyLevel, TableProfile},
};
use meterbox_datasets::Dataset;
use meterbox_llm_codegen::Planner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppState, Problem, body, caller::Caller};

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Datasets {
    datasets: Vec<DatasetView>,
    /// The model that may be asked, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelView>,
}

/// Who may be asked to write programs.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelView {
    name: String,
    server: String,
    /// Is it on the machine that Meterbox runs on?
    is_local: bool,
}

/// A dataset as the page shows it before the first question.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DatasetView {
    name: String,
    version: String,
    /// What of it may leave this machine, if somebody said so: 0 nothing, 1 its shape, 2 also frequent values that are
    /// not personal, 3 also sample rows. Otherwise 1, and 2 for a model on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    privacy: Option<PrivacyLevel>,
    /// False until the first question typed this version of the data; the tables are unknown so far.
    typed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    as_of: Option<Date>,
    tables: Vec<TableProfile>,
    /// Questions that can be answered on this data.
    examples: Vec<String>,
}

pub(super) async fn datasets(State(state): State<AppState>) -> Result<Json<Datasets>, Problem> {
    let datasets = state.all_datasets()?.iter().map(DatasetView::of).collect();
    let model = state.analyst.model().map(|card| ModelView {
        name: card.model,
        server: card.server,
        is_local: card.is_loopback,
    });
    Ok(Json(Datasets { datasets, model }))
}

/// What is to be so of a dataset from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetChange {
    /// What of this version of it may leave this machine.
    privacy: PrivacyLevel,
}

pub(super) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    version: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<DatasetView>, Problem> {
    let change: DatasetChange = body::json(request).await?;
    let version = version.map(|Path(version)| version).unwrap_or_default();
    let datasets = state.all_datasets()?;
    let dataset = datasets.iter().find(|dataset| dataset.version() == version);
    let dataset = dataset.ok_or_else(|| {
        Problem::not_found(
            "There is no dataset of this version.",
            "GET /api/datasets lists those there are.",
        )
    })?;
    let catalog = state.analyst.catalog();
    let administration = state.administration(&caller);
    administration
        .set_privacy(catalog, dataset, change.privacy)
        .await?;
    Ok(Json(DatasetView::of(dataset)))
}

impl DatasetView {
    fn of(dataset: &Dataset) -> Self {
        let (name, version) = (dataset.name().to_owned(), dataset.version().to_owned());
        let privacy = dataset.privacy();
        let Some(typed) = dataset.typed() else {
            return Self {
                name,
                version,
                privacy,
                typed: false,
                as_of: None,
                tables: Vec::new(),
                examples: Vec::new(),
            };
        };
        let examples = Planner::default().suggest(&typed.tables);
        let tables = typed.tables.into_iter().map(without_values).collect();
        Self {
            name,
            version,
            privacy,
            typed: true,
            as_of: typed.as_of,
            tables,
            examples,
        }
    }
}

/// Counts and ranges tell what a column holds; its values are the business's and may be many.
fn without_values(table: TableProfile) -> TableProfile {
    let columns = table
        .columns
        .into_iter()
        .map(|column| ColumnProfile {
            values: Vec::new(),
            samples: Vec::new(),
            ..column
        })
        .collect();
    TableProfile { columns, ..table }
}

impl AppState {
    fn all_datasets(&self) -> Result<Vec<Dataset>, Problem> {
        self.analyst.catalog().list().map_err(|error| {
            Problem::unavailable(format!("The datasets cannot be read: {error}."), error.hint())
        })
    }

    /// The dataset of this name or version; the only one there is where none is named.
    pub(crate) fn dataset(&self, named: Option<&[String]>) -> Result<Dataset, Problem> {
        let datasets = self.all_datasets()?;
        if datasets.is_empty() {
            let hint = "Start Meterbox with --data FOLDER.";
            return Err(Problem::bad_request("datasets", "There is no data yet.", hint));
        }
        let hint = format!("Name one of: {}.", names_of(&datasets));
        let mut fitting = match named {
            None | Some([]) => datasets,
            Some([one]) => {
                let is_meant = |dataset: &Dataset| dataset.name() == one || dataset.version() == one;
                datasets.into_iter().filter(is_meant).collect()
            }
            Some(_) => {
                let hint = "Put their files into one folder and name that dataset.";
                return Err(Problem::bad_request(
                    "datasets",
                    "Only one dataset can be asked at a time.",
                    hint,
                ));
            }
        };
        match fitting.len() {
            0 => {
                let asked: String = named
                    .into_iter()
                    .flatten()
                    .flat_map(|name| name.chars())
                    .take(80)
                    .collect();
                Err(Problem::bad_request(
                    "datasets",
                    format!("There is no dataset {asked:?}."),
                    hint,
                ))
            }
            1 => Ok(fitting.remove(0)),
            _ => Err(Problem::bad_request(
                "datasets",
                "More than one dataset is meant.",
                hint,
            )),
        }
    }
}

/// What to call each: its name, or its version where others have the same name.
fn names_of(datasets: &[Dataset]) -> String {
    let is_unique = |name: &str| datasets.iter().filter(|other| other.name() == name).count() == 1;
    let call = |dataset: &Dataset| {
        if is_unique(dataset.name()) {
            return dataset.name().to_owned();
        }
        format!("{} ({})", dataset.version(), dataset.name())
    };
    datasets.iter().map(call).collect::<Vec<_>>().join(", ")
}
