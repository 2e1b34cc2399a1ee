//! Programs that follow one another in one place, so that a later one builds on what an earlier one left.
//!
//! A [`Session`] is one process under one set of limits. Its programs, called *cells*, run one after the other; names,
//! imports and files in the working folder live on from one to the next. Each cell has a verdict and a usage of its own,
//! measured from outside as a run's are, so that it can be billed once. What the session holds while no cell runs is told
//! apart, in [`SessionUsage::idle`], and is in no cell's usage: whoever wants to be paid for memory that waits finds there
//! how long and how much.
//!
//! An error that a cell raises is an answer like any other, and the session goes on. Whatever else ends a cell (a limit, a
//! cancel, a crash, a reply in the wrong form) ends the session with it: what is left of such a process is not used again.
//! [`Session::end`] then says why, and so does every further call.
//!
//! What a cell leaves behind is the session's own affair: a cell may change what a later one finds, prints or answers.
//! Cells of one session therefore have to be one person's. What a cell cannot do is reach beyond its session's limits, or
//! have its use of them counted to nobody.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use meterbox_core::{Date, contract::Usage};
use tokio_util::sync::CancellationToken;

use crate::{
    InputFile, Job, Limits, Outcome, OutputSink, Program, SandboxError, SessionTotals, Verdict,
    job::{check_folder, check_inputs, new_seed},
};

/// One process that runs cells, until it ends. Dropping it ends it, and nothing of it is left.
#[async_trait]
pub trait Session: Send + fmt::Debug + 'static {
    /// Runs a cell under the smallest of its own limits, the session's, and what is left of the session's totals.
    ///
    /// The outcome's verdict is [`Verdict::Exited`] where the cell ended by itself, with code 1 where its reply is an error
    /// and 0 otherwise, and where the process itself ended, with that code; [`end`](Self::end) tells which. Collected are
    /// files that no cell's outcome has told of as they are now.
    ///
    /// # Errors
    /// [`SandboxError::SessionEnded`] where the session has ended before this cell began, also because nothing is left of
    /// its totals; [`SandboxError::BadJob`] where the cell cannot be run, and the session goes on; otherwise faults of the
    /// sandbox, which end it.
    ///
    /// # Cancel safety
    /// Dropping the future ends the session; what the cell used is then unknown. To learn it, cancel [`Cell::cancel`] and
    /// await the outcome.
    async fn run(&mut self, cell: Cell, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError>;

    /// Ends the session, if nothing has ended it yet, and says what it used. When this returns its process is gone.
    ///
    /// # Errors
    /// [`SandboxError::Lost`] where that could not be seen to.
    ///
    /// # Cancel safety
    /// The session ends also where the future is dropped.
    async fn close(&mut self) -> Result<SessionUsage, SandboxError>;

    /// What it has used so far.
    fn usage(&self) -> SessionUsage;

    /// Why it has ended; `None` as long as another cell may follow.
    fn end(&self) -> Option<SessionEnd>;
}

/// What a session begins with, for all of its cells.
#[derive(Debug, Clone)]
pub struct SessionSetup {
    /// Files its cells see, read-only, under `/data`: all that the session will ever need. A process that is sealed gets no
    /// more of them.
    pub inputs: Vec<InputFile>,
    /// Tables the prelude offers as `tables["name"]`: from name to a typed Parquet input's path under `/data`.
    pub tables: BTreeMap<String, String>,
    /// What "today" means to its cells; the prelude offers it as `as_of`.
    pub as_of: Option<Date>,
    /// Seeds the generators of `random` and numpy once, so that the same cells can be repeated exactly; another for each new
    /// setup unless it is set.
    pub seed: u64,
    /// What it may use. Memory, threads, open files, size of files and the scratch folder are one for all cells together;
    /// time, output, reply and collected files are what each cell may use at most.
    pub limits: Limits,
    /// What all of its cells together may use.
    pub totals: SessionTotals,
}

impl Default for SessionSetup {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            tables: BTreeMap::new(),
            as_of: None,
            seed: new_seed(),
            limits: Limits::default(),
            totals: SessionTotals::default(),
        }
    }
}

impl SessionSetup {
    /// What every back end refuses before anything costs, as [`Job::check`] does.
    ///
    /// # Errors
    /// [`SandboxError::BadJob`] says what is wrong.
    pub fn check(&self) -> Result<(), SandboxError> {
        check_inputs(&self.inputs)
    }
}

/// One program of a session. Its data is the session's.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What to run. Each sets its own `result` or calls `reply` itself; until it has set one, `result` is the last cell's.
    pub program: Program,
    /// What it may use of time, memory, output, reply and collected files; where the session allows less, that holds. Memory
    /// that earlier cells left counts too. Threads, open files, size of files and the scratch folder are as the session's
    /// limits have them.
    pub limits: Limits,
    /// Where new files in its working folder are collected to (an existing folder); nowhere if absent.
    pub artifacts_into: Option<PathBuf>,
    /// Cancelling ends the cell with [`Verdict::Cancelled`] and its usage so far, and the session with it. A cell that was
    /// cancelled before it began is not run, and the session goes on.
    pub cancel: CancellationToken,
}

impl Cell {
    /// This program with default limits.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            limits: Limits::default(),
            artifacts_into: None,
            cancel: CancellationToken::new(),
        }
    }

    /// What every back end refuses before anything costs.
    ///
    /// # Errors
    /// [`SandboxError::BadJob`] says what is wrong.
    pub fn check(&self) -> Result<(), SandboxError> {
        check_folder(self.artifacts_into.as_deref())
    }
}

/// The cell that a job would be. Its seed and date are the session's.
impl TryFrom<Job> for Cell {
    type Error = SandboxError;

    /// # Errors
    /// [`SandboxError::BadJob`] where the job brings data: a session has what it began with, because a process that is
    /// sealed gets no more.
    fn try_from(job: Job) -> Result<Self, SandboxError> {
        if !job.inputs.is_empty() || !job.tables.is_empty() || !job.portable_tables.is_empty() {
            let reason =
                "a session has the data it began with and gets no more; begin one with this data".to_owned();
            return Err(SandboxError::BadJob { reason });
        }
        Ok(Self {
            program: job.program,
            limits: job.limits,
            artifacts_into: job.artifacts_into,
            cancel: job.cancel,
        })
    }
}

/// What a session has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionUsage {
    /// How many cells have begun.
    pub cells: u32,
    /// All cells together: times and output are the sums of theirs, and memory is the most of any.
    pub running: Usage,
    /// While no cell ran, also while a cell's files were collected: how long that was, and the most memory it held
    /// meanwhile. The back ends see to it that nothing computes then; processor time is here only where the process was
    /// started and ended.
    pub idle: Usage,
}

/// Why a session has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// It was closed.
    Closed,
    /// A cell ended so, and with it the process.
    Cell(Verdict),
    /// Whoever waited for a cell did so no longer.
    Dropped,
    /// Nothing is left of this total.
    Spent(SessionTotal),
    /// No cell was run for as long as that may be.
    Idle,
    /// Its sandbox was shut down.
    Shutdown,
    /// The sandbox failed.
    Lost,
    /// Its process did not rest when a cell had ended.
    Restless,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it was closed"),
            Self::Cell(verdict) => match verdict {
                Verdict::Exited { code } => write!(f, "a cell ended its process with code {code}"),
                Verdict::Signalled { signal } => write!(f, "signal {signal} ended a cell"),
                Verdict::WallLimit => f.write_str("a cell ran out of time"),
                Verdict::CpuLimit => f.write_str("a cell ran out of processor time"),
                Verdict::MemoryLimit => f.write_str("a cell ran out of memory"),
                Verdict::OutputLimit => f.write_str("a cell printed or replied too much"),
                Verdict::BrokenReply { .. } => f.write_str("a cell's reply was not in the agreed form"),
                Verdict::Cancelled => f.write_str("a cell was cancelled"),
            },
            Self::Dropped => f.write_str("nobody waited for a cell any longer"),
            Self::Spent(total) => write!(f, "nothing is left of {total}"),
            Self::Idle => f.write_str("no cell was run for too long"),
            Self::Shutdown => f.write_str("its sandbox was shut down"),
            Self::Lost => f.write_str("the sandbox failed"),
            Self::Restless => f.write_str("its process did not rest when a cell had ended"),
        }
    }
}

/// A total of a session, see [`SessionTotals`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionTotal {
    /// [`SessionTotals::wall`].
    Wall,
    /// [`SessionTotals::cpu`].
    Cpu,
    /// [`SessionTotals::output_bytes`].
    Output,
    /// [`SessionTotals::cells`].
    Cells,
    /// [`SessionTotals::life`].
    Life,
}

impl fmt::Display for SessionTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wall => "the time that its cells may run",
            Self::Cpu => "the processor time that its cells may use",
            Self::Output => "what its cells may print",
            Self::Cells => "the number of its cells",
            Self::Life => "the time it may live",
        })
    }
}

#[async_trait]
impl<S: Session + ?Sized> Session for Box<S> {
    async fn run(&mut self, cell: Cell, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        (**self).run(cell, output).await
    }

    async fn close(&mut self) -> Result<SessionUsage, SandboxError> {
        (**self).close().await
    }

    fn usage(&self) -> SessionUsage {
        (**self).usage()
    }

    fn end(&self) -> Option<SessionEnd> {
        (**self).end()
    }
}
