use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use meterbox_core::{StorageError, StorageErrorKind};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::{
    Migration, SqliteError,
    migration::migrate,
    readers::{Readers, view},
};

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

/// As many connections read at once as there are processors, and no more than this: what is read is in memory most of the
/// time.
const MOST_READERS: usize = 4;

/// A handle to one open file. Clones share the connections, which close with the last of them.
#[derive(Clone)]
pub struct Database {
    writer: mpsc::Sender<Box<dyn Job>>,
    readers: Arc<Readers>,
    path: Arc<PathBuf>,
    opened: Opened,
}

/// The transaction that a write runs in.
#[derive(Debug)]
pub struct Writing<'batch> {
    transaction: &'batch Transaction<'batch>,
    epoch: u64,
}

/// Which file it is, whatever it is called. One that was removed or replaced can be read and written on by whoever has it
/// open, apart from all who open what is there now: neither would know of the other's money, keys and stops. SQLite looks
/// for that by itself, but not in WAL mode.
#[derive(Debug, Clone)]
struct Opened {
    /// Whatever the current folder becomes.
    path: Arc<PathBuf>,
    id: Option<(u64, u64)>,
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
        let readers = (0..readers())
            .map(|_| connect_to_read(path))
            .collect::<Result<_, _>>()
            .map_err(|error| error.of_file(path))?;
        let (writer, work) = mpsc::channel();
        let opened = Opened::at(path);
        let path = Arc::new(path.to_owned());
        let worker = Worker {
            connection,
            work,
            path: Arc::clone(&path),
            opened: opened.clone(),
            last_version: None,
            epoch: 0,
            company: 0,
        };
        thread::Builder::new()
            .name("meterbox-sqlite".into())
            .spawn(move || worker.run())
            .map_err(|error| {
                StorageError::new(StorageErrorKind::Unavailable, "no thread could be started")
                    .caused_by(error)
            })?;
        Ok(Self {
            writer,
            readers: Arc::new(Readers::new(readers)),
            path,
            opened,
        })
    }

    /// Runs `work` on one consistent view of the file, which has every write that was answered before. It does not wait
    /// for writers; several run at once. `work` cannot write.
    ///
    /// # Errors
    /// What `work` fails with, or SQLite itself.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let (path, opened) = (Arc::clone(&self.path), self.opened.clone());
        self.readers.ask(Box::new(move |connection| {
            let done = opened.require().and_then(|()| view(connection, work));
            let done = done.map_err(|error| error.of_file(&path));
            // Nobody may be waiting any more.
            drop(answer.send(done));
        }));
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
        self.writer.send(job).map_err(|_| self.stopped())?;
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
    /// A number above 0 that grows where anybody but this handle has written to the file, and where a write of this handle
    /// was undone: what a caller remembers of the file, with its own writes, is still so as long as the number is the
    /// same.
    pub fn epoch(&self) -> u64 {
        self.epoch
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

/// The thread that owns the connection that writes.
struct Worker {
    connection: Connection,
    work: mpsc::Receiver<Box<dyn Job>>,
    path: Arc<PathBuf>,
    opened: Opened,
    /// The file's version after the last batch, where that was kept.
    last_version: Option<i64>,
    epoch: u64,
    /// How many writes the last commit had.
    company: usize,
}

impl Opened {
    fn at(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            id: id_of(&path),
            path: Arc::new(path),
        }
    }

    fn require(&self) -> Result<(), SqliteError> {
        if id_of(&self.path) == self.id {
            Ok(())
        } else {
            Err(SqliteError::moved())
        }
    }
}

#[cfg(unix)]
fn id_of(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// Elsewhere a file that is open can be neither removed nor replaced.
#[cfg(not(unix))]
fn id_of(_: &Path) -> Option<(u64, u64)> {
    None
}

impl Worker {
    fn run(mut self) {
        while let Ok(job) = self.work.recv() {
            self.batch(job);
        }
    }

    /// Does this write and those that wait behind it in one transaction.
    fn batch(&mut self, first: Box<dyn Job>) {
        let mut jobs = vec![first];
        let committed = self
            .transact(&mut jobs)
            .map_err(|error| error.of_file(&self.path));
        self.company = jobs.len();
        for job in jobs {
            job.answer(committed.as_ref().copied());
        }
    }

    fn transact(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<(), SqliteError> {
        let last_version = self.last_version.take();
        self.opened.require()?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = data_version(&transaction)?;
        if last_version != Some(version) {
            self.epoch = self.epoch.saturating_add(1);
        }
        while let Some(job) = jobs.last_mut() {
            let is_kept = in_savepoint(&transaction, self.epoch, &mut **job)?;
            if !is_kept {
                self.epoch = self.epoch.saturating_add(1);
            }
            if jobs.len() >= BATCH {
                break;
            }
            match next_job(&self.work, jobs.len() < self.company) {
                Some(job) => jobs.push(job),
                None => break,
            }
        }
        // Waiting for others can take long.
        self.opened.require()?;
        transaction.commit()?;
        self.last_version = Some(version);
        Ok(())
    }
}

/// Runs one write so that it alone is undone where it fails; false then.
fn in_savepoint(transaction: &Transaction<'_>, epoch: u64, job: &mut dyn Job) -> Result<bool, SqliteError> {
    transaction.prepare_cached("SAVEPOINT job")?.execute(())?;
    let is_done = job.run(&Writing { transaction, epoch });
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

fn next_job(work: &mpsc::Receiver<Box<dyn Job>>, expects_company: bool) -> Option<Box<dyn Job>> {
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

fn connect(path: &Path) -> Result<Connection, SqliteError> {
    let mut connection = Connection::open(path)?;
    connection.busy_handler(Some(wait_for_other_writers))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    use_wal(&connection)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(connection)
}

fn readers() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_READERS)
}

/// The file is there and in WAL mode by then.
fn connect_to_read(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_for_other_writers))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.execute_batch("PRAGMA query_only = ON;")?;
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
