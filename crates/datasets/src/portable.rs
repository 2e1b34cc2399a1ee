//! Typed tables as CSV, for a sandbox whose Python cannot read Parquet: written once a version, by a program of ours.

use std::{collections::BTreeMap, fs, path::PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    Catalog, Dataset, DatasetError, ImportRequest, PORTABLE_PROGRAM, TypedDataset, catalog::allow,
    dataset::hex,
};

/// A typed table as CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortableFiles {
    /// Every cell, as text.
    pub csv: PathBuf,
    /// What its columns are, as JSON for the prelude. Nobody here reads it.
    pub types: PathBuf,
}

impl Catalog {
    /// How to write the tables of this dataset as CSV. The program leaves `NAME.csv` and `NAME.types.json` for each.
    pub fn portable_request(&self, typed: &TypedDataset) -> ImportRequest {
        ImportRequest {
            program: PORTABLE_PROGRAM,
            parameters: serde_json::json!({ "tables": typed.table_paths }),
            inputs: typed.files.clone(),
        }
    }

    /// Keeps the files that the program left, by name. Two at once end with those of one of them.
    ///
    /// # Errors
    /// [`DatasetError::BrokenReply`] where one is missing; [`DatasetError::Io`]. Nothing is kept then.
    pub fn record_portable(
        &self,
        dataset: &Dataset,
        artifacts: &[(String, PathBuf)],
    ) -> Result<BTreeMap<String, PortableFiles>, DatasetError> {
        let typed = dataset.typed().ok_or_else(gone)?;
        let unfinished =
            TempDir::with_prefix_in("portable-", self.folder()).map_err(DatasetError::io(self.folder()))?;
        for table in typed.table_paths.keys() {
            for file in names(table) {
                let left = artifacts.iter().find(|(name, _)| *name == file);
                let (_, left) =
                    left.ok_or_else(|| DatasetError::BrokenReply(format!("{file} is missing")))?;
                let kept = unfinished.path().join(&file);
                fs::rename(left, &kept).map_err(DatasetError::io(&kept))?;
                allow(&kept, 0o644)?;
            }
        }
        allow(unfinished.path(), 0o755)?;
        let home = dataset.portable_folder();
        let finished = unfinished.keep();
        if fs::rename(&finished, &home).is_err() {
            if dataset.portable().is_none() {
                // Damaged.
                let _ = fs::remove_dir_all(&home);
                fs::rename(&finished, &home).map_err(DatasetError::io(&home))?;
            } else {
                // Another was quicker.
                let _ = fs::remove_dir_all(&finished);
            }
        }
        dataset.portable().ok_or_else(gone)
    }
}

impl Dataset {
    /// Its typed tables as CSV, by name, if this version was written so.
    pub fn portable(&self) -> Option<BTreeMap<String, PortableFiles>> {
        let home = self.portable_folder();
        let files = |table: &String| {
            let [csv, types] = names(table).map(|file| home.join(file));
            let both = csv.is_file() && types.is_file();
            both.then(|| (table.clone(), PortableFiles { csv, types }))
        };
        self.typed()?.table_paths.keys().map(files).collect()
    }

    /// Another program writes them anew.
    fn portable_folder(&self) -> PathBuf {
        let program = hex(&Sha256::digest(PORTABLE_PROGRAM)[..6]);
        self.typed_folder().join(format!("portable-{program}"))
    }
}

fn names(table: &str) -> [String; 2] {
    [format!("{table}.csv"), format!("{table}.types.json")]
}

fn gone() -> DatasetError {
    DatasetError::BrokenReply("its files are gone again".to_owned())
}
