use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use meterbox_core::contract::PrivacyLevel;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::{
    Dataset, DatasetError, IMPORT_PROGRAM, TypedDataset,
    dataset::{Original, Record, hex},
    reply,
};

const ENDINGS: &[&str] = &["csv", "tsv", "txt", "json", "jsonl", "ndjson", "xlsx", "parquet"];
/// Endings that are data only when named: folders hold text files of every kind.
const ONLY_WHEN_NAMED: &[&str] = &["txt"];
const MAX_BYTES: u64 = 1 << 30;

/// A folder of datasets. Several processes may share it.
#[derive(Debug, Clone)]
pub struct Catalog {
    folder: PathBuf,
}

/// How to type a dataset: a program to run in a sandbox, and what it needs.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// The program, in Python; it calls `reply` and leaves one Parquet file a table.
    pub program: &'static str,
    /// What it is told.
    pub parameters: serde_json::Value,
    /// The files it reads: where each is, and its path below the folder a program sees.
    pub inputs: Vec<(PathBuf, String)>,
}

impl Catalog {
    /// The catalog in this folder, which is made if need be.
    ///
    /// # Errors
    /// [`DatasetError::Io`] where it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, DatasetError> {
        let folder = std::path::absolute(folder).map_err(DatasetError::io(folder))?;
        for part in ["", "originals", "typed", "datasets"] {
            make_folder(&folder.join(part))?;
        }
        Ok(Self { folder })
    }

    /// Where everything is kept; every file that a job of this catalog names lies below it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps these files, or the data files directly in these folders, as one dataset. The same files again are
    /// the same dataset. Blocks while it copies.
    ///
    /// # Errors
    /// [`DatasetError`] names the path at fault and the next step. Nothing is kept then.
    pub fn add(&self, paths: &[PathBuf]) -> Result<Dataset, DatasetError> {
        let first = paths.first().ok_or(DatasetError::NothingGiven)?;
        let mut names = BTreeSet::new();
        let mut files = Vec::new();
        let mut left = MAX_BYTES;
        for path in data_files(paths)? {
            let name = safe_name(&path);
            if !names.insert(name.to_lowercase()) {
                return Err(DatasetError::SameName(name));
            }
            let original = self.keep(&path, name, left)?;
            left -= original.bytes;
            files.push(original);
        }
        let record = Record::new(dataset_name(first), files);
        let listed = self
            .folder
            .join("datasets")
            .join(format!("{}.json", record.version));
        let text = serde_json::to_vec_pretty(&record)
            .map_err(io::Error::from)
            .map_err(DatasetError::io(&listed))?;
        write_atomically(&listed, &text)?;
        Ok(Dataset {
            folder: self.folder.clone(),
            record,
        })
    }

    /// The datasets there are, by name.
    ///
    /// # Errors
    /// [`DatasetError::Io`] where the folder cannot be read. A record that cannot be read is passed over.
    pub fn list(&self) -> Result<Vec<Dataset>, DatasetError> {
        let folder = self.folder.join("datasets");
        let mut datasets = Vec::new();
        for entry in fs::read_dir(&folder).map_err(DatasetError::io(&folder))? {
            let path = entry.map_err(DatasetError::io(&folder))?.path();
            let Some(record) = fs::read(&path)
                .ok()
                .and_then(|text| serde_json::from_slice::<Record>(&text).ok())
            else {
                continue;
            };
            // A record of an older import program: adding the files again makes a new one.
            if Record::new(record.name.clone(), record.files.clone()).version == record.version {
                datasets.push(Dataset {
                    folder: self.folder.clone(),
                    record,
                });
            }
        }
        datasets.sort_by(|left, right| (left.name(), left.version()).cmp(&(right.name(), right.version())));
        Ok(datasets)
    }

    /// Writes down what of this version of a dataset may leave this machine. Another version of the data starts anew.
    ///
    /// # Errors
    /// [`DatasetError::Io`]; what was written before then still holds.
    pub fn set_privacy(&self, dataset: &Dataset, level: PrivacyLevel) -> Result<(), DatasetError> {
        write_atomically(&dataset.privacy_file(), level.to_string().as_bytes())
    }

    /// How to type this dataset.
    pub fn import_request(&self, dataset: &Dataset) -> ImportRequest {
        let inside = |file: &Original| format!("original/{}", file.name);
        let files = &dataset.record.files;
        let told: Vec<_> = files
            .iter()
            .map(|file| serde_json::json!({ "path": inside(file), "name": file.name }))
            .collect();
        ImportRequest {
            program: IMPORT_PROGRAM,
            parameters: serde_json::json!({ "files": told }),
            inputs: files
                .iter()
                .map(|file| (file.path(&self.folder), inside(file)))
                .collect(),
        }
    }

    /// An empty folder for an import's files, gone when dropped.
    ///
    /// # Errors
    /// [`DatasetError::Io`] where it cannot be made.
    pub fn scratch_folder(&self) -> Result<TempDir, DatasetError> {
        TempDir::with_prefix_in("import-", &self.folder).map_err(DatasetError::io(&self.folder))
    }

    /// Keeps what the import program replied and the files it left, by name. Two imports of one version at
    /// once end with one of them.
    ///
    /// # Errors
    /// [`DatasetError::Unreadable`] for a file that could not be typed; [`DatasetError::BrokenReply`];
    /// [`DatasetError::Io`]. Nothing is kept then.
    pub fn record_import(
        &self,
        dataset: &Dataset,
        reply: &RawValue,
        artifacts: &[(String, PathBuf)],
    ) -> Result<TypedDataset, DatasetError> {
        let record = reply::read(reply)?;
        let unfinished =
            TempDir::with_prefix_in("typed-", &self.folder).map_err(DatasetError::io(&self.folder))?;
        for table in &record.tables {
            let file = format!("{}.parquet", table.name);
            let (_, left) = artifacts
                .iter()
                .find(|(name, _)| *name == file)
                .ok_or_else(|| DatasetError::BrokenReply(format!("{file} is missing")))?;
            let kept = unfinished.path().join(&file);
            fs::rename(left, &kept).map_err(DatasetError::io(&kept))?;
            allow(&kept, 0o644)?;
        }
        let listing = unfinished.path().join("tables.json");
        let text = serde_json::to_vec(&record)
            .map_err(io::Error::from)
            .map_err(DatasetError::io(&listing))?;
        fs::write(&listing, text).map_err(DatasetError::io(&listing))?;
        allow(unfinished.path(), 0o755)?;

        let home = dataset.typed_folder();
        let finished = unfinished.keep();
        if fs::rename(&finished, &home).is_err() {
            // Another import of this version was quicker, or an older one is damaged.
            if dataset.typed().is_none() {
                let _ = fs::remove_dir_all(&home);
                fs::rename(&finished, &home).map_err(DatasetError::io(&home))?;
            } else {
                let _ = fs::remove_dir_all(&finished);
            }
        }
        dataset
            .typed()
            .ok_or_else(|| DatasetError::BrokenReply("its files are gone again".to_owned()))
    }

    /// Copies a file to where its hash says, unless it is there.
    fn keep(&self, path: &Path, name: String, left: u64) -> Result<Original, DatasetError> {
        let mut source = File::open(path).map_err(DatasetError::io(path))?;
        let mut copy = NamedTempFile::new_in(&self.folder).map_err(DatasetError::io(&self.folder))?;
        let mut hash = Sha256::new();
        let mut bytes = 0_u64;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = source.read(&mut buffer).map_err(DatasetError::io(path))?;
            if count == 0 {
                break;
            }
            bytes += count as u64;
            if bytes > left {
                return Err(DatasetError::TooLarge {
                    path: path.to_owned(),
                    limit_mib: MAX_BYTES >> 20,
                });
            }
            hash.update(&buffer[..count]);
            copy.write_all(&buffer[..count])
                .map_err(DatasetError::io(copy.path()))?;
        }
        if bytes == 0 {
            return Err(DatasetError::Empty(path.to_owned()));
        }
        let original = Original {
            name,
            sha256: hex(&hash.finalize()),
            bytes,
        };
        let kept = original.path(&self.folder);
        if !kept.exists() {
            make_folder(kept.parent().unwrap_or(&self.folder))?;
            allow(copy.path(), 0o644)?;
            copy.persist(&kept).map_err(|error| DatasetError::Io {
                path: kept.clone(),
                source: error.error,
            })?;
        }
        Ok(original)
    }
}

/// The files to keep, in a steady order.
fn data_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DatasetError> {
    let mut files = Vec::new();
    for path in paths {
        let about = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DatasetError::Missing(path.clone()),
            _ => DatasetError::Io {
                path: path.clone(),
                source: error,
            },
        })?;
        if about.is_dir() {
            files.extend(files_in(path)?);
        } else if about.is_file() && ending(path).is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            files.push(path.clone());
        } else {
            return Err(DatasetError::Unsupported(path.clone()));
        }
    }
    Ok(files)
}

/// The data files directly in a folder; anything else is passed over.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(DatasetError::io(folder))? {
        let path = entry.map_err(DatasetError::io(folder))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_data = ending(&path).is_some_and(|ending| {
            ENDINGS.contains(&ending.as_str()) && !ONLY_WHEN_NAMED.contains(&ending.as_str())
        });
        if !hidden && is_data && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(DatasetError::NoData(folder.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_lowercase())
}

/// The file's name without what could confuse a path, a terminal or a page.
fn safe_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let safe = |character: char| {
        if character.is_alphanumeric() || " ._-()".contains(character) {
            character
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(safe).collect();
    let trimmed = name.trim_matches(|character: char| character == ' ');
    let stem_limit = 100;
    match trimmed.rsplit_once('.') {
        Some((stem, ending)) => {
            let stem: String = stem
                .trim_start_matches(['.', '-'])
                .chars()
                .take(stem_limit)
                .collect();
            format!("{}.{ending}", if stem.is_empty() { "data" } else { &stem })
        }
        None => trimmed.chars().take(stem_limit).collect(),
    }
}

fn dataset_name(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let stem = if absolute.is_dir() {
        absolute.file_name()
    } else {
        absolute.file_stem()
    };
    let name = stem
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(100)
        .collect();
    if name.is_empty() { "data".to_owned() } else { name }
}

fn make_folder(path: &Path) -> Result<(), DatasetError> {
    fs::create_dir_all(path).map_err(DatasetError::io(path))?;
    allow(path, 0o755)
}

#[cfg(unix)]
pub(crate) fn allow(path: &Path, mode: u32) -> Result<(), DatasetError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(DatasetError::io(path))
}

/// On a system without such modes there is no sandbox of another user.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
pub(crate) fn allow(_: &Path, _: u32) -> Result<(), DatasetError> {
    Ok(())
}

/// Whole or not at all, and on the disk when this returns: what may leave the machine is among it.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    let folder = path.parent().unwrap_or(path);
    let mut file = NamedTempFile::new_in(folder).map_err(DatasetError::io(folder))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(DatasetError::io(path))?;
    file.persist(path).map_err(|error| DatasetError::Io {
        path: path.to_owned(),
        source: error.error,
    })?;
    sync_folder(folder)
}

/// A file's new name is the folder's. Where the file system cannot write that by itself, it is there all the same.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), DatasetError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    match synced {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced.map_err(DatasetError::io(folder)),
    }
}

/// Elsewhere folders cannot be opened, and renaming is for the system to keep.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), DatasetError> {
    Ok(())
}
