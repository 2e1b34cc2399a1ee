use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use meterbox_core::{StorageError, StorageErrorKind};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::{Migration, SqliteError, migration::migrate};

/// A writer waits for writers of other processes: this often, this long each time, ten seconds in all.
const BUSY_ATTEMPTS: i32 = 5_000;
const BUSY_PAUSE: Duration = Duration::from_millis(2);
const WAL_ATTEMPTS: u32 = 200;
const WAL_PAUSE: Duration = Duration::from_millis(25);
const STATEMENTS_KEPT: usize = 64;

/// So many writes share one commit at most.
const BATCH: usize = 256;
/// Where the last commit had company, more is likely on its way, and worth waiting for this long.
const COMPANY: Duration = Duration::from_micros(100);

/// A handle to one open file. Clones share the connection, which closes with the last of them.
#[derive(Clone)]
pub struct Database {
    queue: mpsc::Sender<Work>,
    path: Arc<PathBuf>,
}

/// The transaction that a write runs in.
#[derive(Debug)]
pub struct Writing<'batch> {
    transaction: &'batch Transaction<'batch>,
    continues: bool,
}

/// Something to do with the connection.
enum Work {
    Read(Box<dyn FnOnce(&mut Connection) + Send>),
    Write(Box<dyn Job>),
}

/// A write, which may be answered only when it is known whether it is on the disk.
trait Job: Send {
    /// Writes; false where that failed and is to be undone.
    fn run(&mut self, writing: &Writing<'_>) -> bool;

    /// Answers, given whether what was written is on the disk.
    fn answer(self: Box<Self>, committed: Result<(), &StorageError>);
}

struct WriteJob<T, F> {
    work: Option<F>,
    done: Option<Result<T, StorageError>>,
    answer: oneshot::Sender<Result<T, StorageError>>,
    path: Arc<PathBuf>,
}

impl Database {
    /// Opens or creates the file and brings its schema up to date. Blocks while it does.
    ///
    /// # Errors
    /// A [`StorageError`] of any kind; its message names the file and what to do.
    pub fn open(path: &Path, migrations: &[Migration]) -> Result<Self, StorageError> {
        let mut connection = connect(path).map_err(|error| error.of_file(path))?;
        migrate(&mut connection, migrations).map_err(|error| error.of_file(path))?;
        let (queue, work) = mpsc::channel();
        let path = Arc::new(path.to_owned());
        let worker = Worker {
            connection,
            work,
            path: Arc::clone(&path),
            last_version: None,
            company: 0,
        };
        thread::Builder::new()
            .name("meterbox-sqlite".into())
            .spawn(move || worker.run())
            .map_err(|error| {
                StorageError::new(StorageErrorKind::Unavailable, "no thread could be started")
                    .caused_by(error)
            })?;
        Ok(Self { queue, path })
    }

    /// Runs `work` on one consistent view of the file.
    ///
    /// # Errors
    /// What `work` fails with, or SQLite itself.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let path = Arc::clone(&self.path);
        let read = Box::new(move |connection: &mut Connection| {
            let done = view(connection, work).map_err(|error| error.of_file(&path));
            // Nobody may be waiting any more.
            drop(answer.send(done));
        });
        self.queue.send(Work::Read(read)).map_err(|_| self.stopped())?;
        answered.await.map_err(|_| self.stopped())?
    }

    /// Runs `work` as the only writer; what it wrote is on the disk when this returns `Ok`, and gone
    /// where `work` returns an error. Writes that wait at the same time share one commit. Dropping the future does
    /// not stop work that was sent.
    ///
    /// # Errors
    /// What `work` fails with, or SQLite itself.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Writing<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(WriteJob {
            work: Some(work),
            done: None,
            answer,
            path: Arc::clone(&self.path),
        });
        self.queue.send(Work::Write(job)).map_err(|_| self.stopped())?;
        answered.await.map_err(|_| self.stopped())?
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn stopped(&self) -> StorageError {
        let message = format!("{} is no longer served; restart the program", self.path.display());
        StorageError::new(StorageErrorKind::Unavailable, message)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Writing<'_> {
    /// True where nobody but this handle has written to the file since its last write, and that was kept: what
    /// the caller remembers of the file is still so.
    pub fn continues(&self) -> bool {
        self.continues
    }
}

impl<'batch> Deref for Writing<'batch> {
    type Target = Transaction<'batch>;

    fn deref(&self) -> &Self::Target {
        self.transaction
    }
}

impl<T, F> Job for WriteJob<T, F>
where
    T: Send,
    F: FnOnce(&Writing<'_>) -> Result<T, SqliteError> + Send,
{
    fn run(&mut self, writing: &Writing<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let done = work(writing).map_err(|error| error.of_file(&self.path));
        let is_done = done.is_ok();
        self.done = Some(done);
        is_done
    }

    fn answer(self: Box<Self>, committed: Result<(), &StorageError>) {
        let again = |error: &StorageError| StorageError::new(error.kind(), error.to_string());
        let result = match (self.done, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(done), Ok(())) => done,
            (_, Err(error)) => Err(again(error)),
            (None, Ok(())) => return,
        };
        // Nobody may be waiting any more; the work counts all the same.
        drop(self.answer.send(result));
    }
}

/// The thread that owns the connection.
struct Worker {
    connection: Connection,
    work: mpsc::Receiver<Work>,
    path: Arc<PathBuf>,
    /// The file's version after the last batch, where all of that was kept.
    last_version: Option<i64>,
    /// How many writes the last commit had.
    company: usize,
}

impl Worker {
    fn run(mut self) {
        let mut next = self.work.recv().ok();
        while let Some(work) = next {
            let waiting = match work {
                Work::Read(read) => {
                    read(&mut self.connection);
                    None
                }
                Work::Write(job) => self.batch(job),
            };
            next = waiting.or_else(|| self.work.recv().ok());
        }
    }

    /// Does this write and those that wait behind it in one transaction; returns what waits behind them.
    fn batch(&mut self, first: Box<dyn Job>) -> Option<Work> {
        let mut jobs = vec![first];
        let mut waiting = None;
        let committed = self
            .transact(&mut jobs, &mut waiting)
            .map_err(|error| error.of_file(&self.path));
        self.company = jobs.len();
        for job in jobs {
            job.answer(committed.as_ref().copied());
        }
        waiting
    }

    fn transact(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        waiting: &mut Option<Work>,
    ) -> Result<(), SqliteError> {
        let last_version = self.last_version.take();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = data_version(&transaction)?;
        let mut continues = last_version == Some(version);
        while let Some(job) = jobs.last_mut() {
            continues = in_savepoint(&transaction, continues, &mut **job)?;
            if jobs.len() >= BATCH {
                break;
            }
            match next_work(&self.work, jobs.len() < self.company) {
                Some(Work::Write(job)) => jobs.push(job),
                other => {
                    *waiting = other;
                    break;
                }
            }
        }
        transaction.commit()?;
        self.last_version = continues.then_some(version);
        Ok(())
    }
}

/// Runs one write so that it alone is undone where it fails; false then.
fn in_savepoint(
    transaction: &Transaction<'_>,
    continues: bool,
    job: &mut dyn Job,
) -> Result<bool, SqliteError> {
    transaction.prepare_cached("SAVEPOINT job")?.execute(())?;
    let is_done = job.run(&Writing {
        transaction,
        continues,
    });
    if transaction.is_autocommit() {
        // SQLite ends a transaction by itself where the disk is full or broken: nothing of the batch is kept.
        return Err(SqliteError::broken_off());
    }
    if !is_done {
        transaction.prepare_cached("ROLLBACK TO job")?.execute(())?;
    }
    transaction.prepare_cached("RELEASE job")?.execute(())?;
    Ok(is_done)
}

fn next_work(work: &mpsc::Receiver<Work>, expects_company: bool) -> Option<Work> {
    match work.try_recv() {
        Ok(next) => Some(next),
        Err(_) if expects_company => work.recv_timeout(COMPANY).ok(),
        Err(_) => None,
    }
}

/// Changes where another connection has written.
fn data_version(transaction: &Transaction<'_>) -> Result<i64, SqliteError> {
    let mut statement = transaction.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row((), |row| row.get(0))?)
}

fn view<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let transaction = connection.transaction()?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn connect(path: &Path) -> Result<Connection, SqliteError> {
    let mut connection = Connection::open(path)?;
    connection.busy_handler(Some(wait_for_other_writers))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    use_wal(&connection)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(connection)
}

/// SQLite's own handler sleeps ever longer, up to 100 ms, and starves beside a process that writes often.
fn wait_for_other_writers(attempts: i32) -> bool {
    thread::sleep(BUSY_PAUSE);
    attempts < BUSY_ATTEMPTS
}

/// Processes that open a new file at once hinder each other here, and for this one step SQLite does not
/// wait by itself. The file stays in WAL mode from then on.
fn use_wal(connection: &Connection) -> Result<(), SqliteError> {
    let mut attempts = 0;
    loop {
        let mode: rusqlite::Result<String> =
            connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0));
        match mode {
            Ok(_) => return Ok(()),
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && attempts < WAL_ATTEMPTS =>
            {
                attempts += 1;
                thread::sleep(WAL_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
