use std::{
    fmt,
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

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to one open file. Clones share the connection, which closes with the last of them.
#[derive(Clone)]
pub struct Database {
    queue: mpsc::Sender<Work>,
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
        let (queue, work) = mpsc::channel::<Work>();
        thread::Builder::new()
            .name("meterbox-sqlite".into())
            .spawn(move || {
                while let Ok(work) = work.recv() {
                    work(&mut connection);
                }
            })
            .map_err(|error| {
                StorageError::new(StorageErrorKind::Unavailable, "no thread could be started")
                    .caused_by(error)
            })?;
        Ok(Self {
            queue,
            path: Arc::new(path.to_owned()),
        })
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
        self.transact(TransactionBehavior::Deferred, work).await
    }

    /// Runs `work` as the only writer; what it wrote is on the disk when this returns `Ok`, and gone
    /// where `work` returns an error. Dropping the future does not stop work that was sent.
    ///
    /// # Errors
    /// What `work` fails with, or SQLite itself.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        self.transact(TransactionBehavior::Immediate, work).await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn transact<T, F>(&self, behavior: TransactionBehavior, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Work = Box::new(move |connection| {
            // Nobody may be waiting any more; the work counts all the same.
            drop(answer.send(run(connection, behavior, work)));
        });
        self.queue.send(job).map_err(|_| self.stopped())?;
        let result = answered.await.map_err(|_| self.stopped())?;
        result.map_err(|error| error.of_file(&self.path))
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

fn run<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let transaction = connection.transaction_with_behavior(behavior)?;
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
