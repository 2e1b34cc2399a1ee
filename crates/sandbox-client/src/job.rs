use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher, RandomState},
    path::{Component, Path, PathBuf},
};

use meterbox_core::Date;
use tokio_util::sync::CancellationToken;

use crate::{Limits, SandboxError};

/// One program to run once, with what it may see and use.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to run.
    pub program: Program,
    /// Files it sees, read-only, under `/data`. Nothing else of the machine is visible.
    pub inputs: Vec<InputFile>,
    /// Tables the prelude offers as `tables["name"]`: from name to a typed Parquet input's path under `/data`.
    pub tables: BTreeMap<String, String>,
    /// The same tables as CSV, for a back end whose programs cannot read Parquet; the others leave them alone.
    pub portable_tables: BTreeMap<String, PortableTable>,
    /// What "today" means to the program; the prelude offers it as `as_of`.
    pub as_of: Option<Date>,
    /// Seeds the generators of `random` and numpy, so that a run can be repeated exactly; another for each new job
    /// unless it is set.
    pub seed: u64,
    /// What it may use.
    pub limits: Limits,
    /// Where files it leaves in its working folder are collected to (an existing folder); nowhere if absent.
    pub artifacts_into: Option<PathBuf>,
    /// Cancelling ends the run with [`Verdict::Cancelled`](crate::Verdict::Cancelled) and its usage so far.
    pub cancel: CancellationToken,
}

impl Job {
    /// This program with no inputs and default limits.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            inputs: Vec::new(),
            tables: BTreeMap::new(),
            portable_tables: BTreeMap::new(),
            as_of: None,
            seed: new_seed(),
            limits: Limits::default(),
            artifacts_into: None,
            cancel: CancellationToken::new(),
        }
    }

    /// What every back end refuses before anything costs: inputs that are no files, or whose paths leave the data
    /// folder, are the same, or lie inside each other; a folder for files that is none.
    ///
    /// # Errors
    /// [`SandboxError::BadJob`] says which.
    pub fn check(&self) -> Result<(), SandboxError> {
        for table in self.portable_tables.values() {
            check_source(&table.csv)?;
            check_source(&table.types)?;
        }
        check_inputs(&self.inputs)?;
        check_folder(self.artifacts_into.as_deref())
    }
}

pub(crate) fn new_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

pub(crate) fn check_inputs(inputs: &[InputFile]) -> Result<(), SandboxError> {
    for input in inputs {
        check_path(&input.path)?;
        check_source(&input.source)?;
    }
    check_distinct(inputs)
}

pub(crate) fn check_folder(artifacts_into: Option<&Path>) -> Result<(), SandboxError> {
    match artifacts_into.filter(|folder| !folder.is_dir()) {
        Some(folder) => Err(bad(format!(
            "the folder for its files, {}, does not exist",
            folder.display()
        ))),
        None => Ok(()),
    }
}

fn bad(reason: String) -> SandboxError {
    SandboxError::BadJob { reason }
}

fn check_path(path: &str) -> Result<(), SandboxError> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let usable = !path.is_empty() && path.len() < 1024 && !path.contains('\0') && !path.ends_with('/');
    if plain && usable && !path.contains("//") && !path.contains("/./") {
        return Ok(());
    }
    Err(bad(format!(
        "{path:?} is no path under /data; it has to be relative, without `..`"
    )))
}

fn check_source(source: &Path) -> Result<(), SandboxError> {
    let shown = source.display();
    match source.metadata() {
        Ok(about) if about.is_file() => Ok(()),
        Ok(_) => Err(bad(format!("the input {shown} is not a regular file"))),
        Err(error) => Err(bad(format!("the input {shown} cannot be found: {error}"))),
    }
}

fn check_distinct(inputs: &[InputFile]) -> Result<(), SandboxError> {
    let mut paths: Vec<&str> = inputs.iter().map(|input| input.path.as_str()).collect();
    paths.sort_unstable();
    for pair in paths.windows(2) {
        if pair[0] == pair[1] {
            return Err(bad(format!("two inputs have the path {:?}", pair[0])));
        }
    }
    let files: BTreeSet<&str> = paths.iter().copied().collect();
    let is_inside = |path: &&&str| {
        let mut folders = Path::new(path).ancestors().skip(1);
        folders.any(|folder| folder.to_str().is_some_and(|folder| files.contains(folder)))
    };
    match paths.iter().find(is_inside) {
        Some(path) => Err(bad(format!("the input {path:?} lies inside another input"))),
        None => Ok(()),
    }
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A program for the answer contract: it sets `result` and perhaps `chart`, and the prelude replies
    /// with an [`AnswerDocument`](meterbox_core::contract::AnswerDocument).
    Analysis {
        /// Python source.
        code: String,
    },
    /// One of our own programs: it calls `reply(value)` itself, with `parameters` in scope.
    Service {
        /// Python source.
        code: String,
        /// A JSON value.
        parameters: serde_json::Value,
    },
}

/// A file the program may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is on this machine.
    pub source: PathBuf,
    /// Its path under `/data`: relative, without `..`.
    pub path: String,
}

/// A table as CSV: every cell as text, in the form that the prelude reads back exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortableTable {
    /// Where the CSV is on this machine.
    pub csv: PathBuf,
    /// Where the description of its columns is on this machine: JSON, by the program that wrote the CSV.
    pub types: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(paths: &[&str], source: &Path) -> Job {
        let inputs = paths.iter().map(|path| InputFile {
            source: source.to_owned(),
            path: (*path).to_owned(),
        });
        Job {
            inputs: inputs.collect(),
            ..Job::new(Program::Analysis { code: String::new() })
        }
    }

    #[test]
    fn paths_stay_below_data_and_apart() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.csv");
        std::fs::write(&source, "x").unwrap();
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/",
            "a\0b",
        ] {
            let error = job(&[path], &source).check().unwrap_err();
            assert!(matches!(error, SandboxError::BadJob { .. }), "{path:?}: {error}");
        }
        for paths in [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"]] {
            assert!(job(&paths, &source).check().is_err(), "{paths:?}");
        }
        job(&["orders/2026.csv", "orders/2025.csv"], &source)
            .check()
            .unwrap();
    }

    #[test]
    fn inputs_are_files_and_files_have_a_folder_to_go_to() {
        let folder = tempfile::tempdir().unwrap();
        for source in [folder.path().to_owned(), folder.path().join("missing.csv")] {
            let error = job(&["a.csv"], &source).check().unwrap_err();
            assert!(error.to_string().contains(source.to_str().unwrap()), "{error}");
            let mut portable = job(&[], &source);
            let (csv, types) = (source.clone(), source);
            portable
                .portable_tables
                .insert("a".to_owned(), PortableTable { csv, types });
            assert!(portable.check().is_err());
        }
        let mut nowhere = job(&[], folder.path());
        nowhere.artifacts_into = Some(folder.path().join("missing"));
        assert!(nowhere.check().is_err());
    }
}
