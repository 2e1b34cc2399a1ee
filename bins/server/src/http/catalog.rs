//! What data there is, and what can be asked of it.

use axum::{Json, extract::State};
use meterbox_core::{
    Date,
    contract::{ColumnProfile, TableProfile},
};
use meterbox_datasets::Dataset;
use meterbox_llm_codegen::Planner;
use serde::Serialize;

use super::{AppState, Problem};

#[derive(Debug, Serialize)]
pub(crate) struct Datasets {
    datasets: Vec<DatasetView>,
}

/// A dataset as the page shows it before the first question.
#[derive(Debug, Serialize)]
struct DatasetView {
    name: String,
    version: String,
    /// False until the first question typed this version of the data; the tables are unknown so far.
    typed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Date>,
    tables: Vec<TableProfile>,
    /// Questions that can be answered on this data.
    examples: Vec<String>,
}

pub(crate) async fn datasets(State(state): State<AppState>) -> Result<Json<Datasets>, Problem> {
    let datasets = state.all_datasets()?.iter().map(DatasetView::of).collect();
    Ok(Json(Datasets { datasets }))
}

impl DatasetView {
    fn of(dataset: &Dataset) -> Self {
        let (name, version) = (dataset.name().to_owned(), dataset.version().to_owned());
        let Some(typed) = dataset.typed() else {
            return Self {
                name,
                version,
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

    /// The dataset of this name; the only one there is where none is named.
    pub(crate) fn dataset(&self, names: Option<&[String]>) -> Result<Dataset, Problem> {
        let mut datasets = self.all_datasets()?;
        let known = datasets.iter().map(Dataset::name).collect::<Vec<_>>().join(", ");
        match names {
            None | Some([]) if datasets.len() == 1 => Ok(datasets.remove(0)),
            None | Some([]) if datasets.is_empty() => {
                let hint = "Start Meterbox with --data FOLDER.";
                Err(Problem::bad_request("datasets", "There is no data yet.", hint))
            }
            None | Some([]) => {
                let hint = format!("Name one of: {known}.");
                Err(Problem::bad_request(
                    "datasets",
                    "There is more than one dataset.",
                    hint,
                ))
            }
            Some([name]) => datasets
                .into_iter()
                .find(|dataset| dataset.name() == name)
                .ok_or_else(|| {
                    let shown: String = name.chars().take(80).collect();
                    let hint = format!("Name one of: {known}.");
                    Problem::bad_request("datasets", format!("There is no dataset {shown:?}."), hint)
                }),
            Some(_) => {
                let hint = "Put their files into one folder and name that dataset.";
                Err(Problem::bad_request(
                    "datasets",
                    "Only one dataset can be asked at a time.",
                    hint,
                ))
            }
        }
    }
}
