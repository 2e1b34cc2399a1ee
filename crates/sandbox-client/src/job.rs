use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
};

use meterbox_core::Date;
use tokio_util::sync::CancellationToken;

use crate::Limits;

/// One program to run once, with what it may see and use.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to run.
    pub program: Program,
    /// Files it sees, read-only, under `/data`. Nothing else of the machine is visible.
    pub inputs: Vec<InputFile>,
    /// Tables the prelude offers as `tables["name"]`: from name to a typed Parquet input's path under `/data`.
    pub tables: BTreeMap<String, String>,
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
            as_of: None,
            seed: RandomState::new().build_hasher().finish(),
            limits: Limits::default(),
            artifacts_into: None,
            cancel: CancellationToken::new(),
        }
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
