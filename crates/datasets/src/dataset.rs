use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use meterbox_core::{
    Date,
    contract::{PrivacyLevel, TableProfile},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::IMPORT_PROGRAM;

/// Some files, in one version of them. Cheap to clone; holds no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    pub(crate) folder: PathBuf,
    pub(crate) record: Record,
}

/// What is written down of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) files: Vec<Original>,
}

/// A file as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// A dataset whose files have been typed.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedDataset {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its tables, described.
    pub tables: Vec<TableProfile>,
    /// The last day something happened in it: what "today" means for it.
    pub as_of: Option<Date>,
    /// The typed files: where each is, and its path below the folder a program sees.
    pub files: Vec<(PathBuf, String)>,
    /// The files as they came, likewise.
    pub originals: Vec<(PathBuf, String)>,
    /// Each table's typed file, by the table's name.
    pub table_paths: BTreeMap<String, String>,
}

/// What is written down of a typed dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TypedRecord {
    pub(crate) as_of: Option<Date>,
    pub(crate) tables: Vec<TableProfile>,
}

impl Record {
    pub(crate) fn new(name: String, mut files: Vec<Original>) -> Self {
        files.sort_by(|left, right| left.name.cmp(&right.name));
        let mut hash = Sha256::new();
        // Another import program types the same files anew.
        hash.update(Sha256::digest(IMPORT_PROGRAM));
        for file in &files {
            hash.update(Sha256::digest(&file.name));
            hash.update(&file.sha256);
        }
        Self {
            name,
            version: hex(&hash.finalize()[..16]),
            files,
        }
    }
}

impl Original {
    /// Where the catalog keeps it.
    pub(crate) fn path(&self, catalog: &Path) -> PathBuf {
        catalog.join("originals").join(&self.sha256).join(&self.name)
    }
}

impl Dataset {
    /// Its name: that of its folder or first file.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its version: a hash of its files' names and bytes and of the program that types them.
    pub fn version(&self) -> &str {
        &self.record.version
    }

    /// The dataset as typed tables, if this version has been typed.
    pub fn typed(&self) -> Option<TypedDataset> {
        let home = self.typed_folder();
        let text = fs::read(home.join("tables.json")).ok()?;
        let record: TypedRecord = serde_json::from_slice(&text).ok()?;
        let table_paths: BTreeMap<_, _> = record
            .tables
            .iter()
            .map(|table| (table.name.clone(), format!("typed/{}.parquet", table.name)))
            .collect();
        let files = record.tables.iter().map(|table| {
            let file = format!("{}.parquet", table.name);
            (home.join(&file), format!("typed/{file}"))
        });
        let files: Vec<_> = files.collect();
        if files.iter().any(|(path, _)| !path.exists()) {
            return None;
        }
        let originals = self
            .record
            .files
            .iter()
            .map(|file| (file.path(&self.folder), file.name.clone()))
            .collect();
        Some(TypedDataset {
            name: self.record.name.clone(),
            version: self.record.version.clone(),
            tables: record.tables,
            as_of: record.as_of,
            files,
            originals,
            table_paths,
        })
    }

    /// What of it may leave this machine, if anybody said so for this version. What cannot be read means nothing may.
    pub fn privacy(&self) -> Option<PrivacyLevel> {
        let text = match fs::read_to_string(self.privacy_file()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(_) => return Some(PrivacyLevel::Nothing),
        };
        let level = text.trim().parse::<u8>().ok();
        let level = level.and_then(|level| PrivacyLevel::try_from(level).ok());
        Some(level.unwrap_or(PrivacyLevel::Nothing))
    }

    pub(crate) fn privacy_file(&self) -> PathBuf {
        self.folder
            .join("datasets")
            .join(format!("{}.privacy", self.record.version))
    }

    pub(crate) fn typed_folder(&self) -> PathBuf {
        self.folder.join("typed").join(&self.record.version)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
