//! What a database promises to the stores that use it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{fs, path::PathBuf, sync::mpsc, thread};

use meterbox_core::StorageErrorKind;
use meterbox_sqlite::{Database, Migration, SqliteError, Writing};

const FIRST: Migration = Migration {
    sql: "CREATE TABLE notes (text TEXT NOT NULL) STRICT",
};
const SECOND: Migration = Migration {
    sql: "ALTER TABLE notes ADD COLUMN read INTEGER NOT NULL DEFAULT 0",
};

fn new_file() -> PathBuf {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
        .keep()
        .join("notes.sqlite3")
}

async fn write(database: &Database, text: &'static str) {
    let sql = "INSERT INTO notes (text) VALUES (?1)";
    database
        .write(move |notes| Ok(notes.execute(sql, [text])?))
        .await
        .unwrap();
}

async fn count(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM notes";
    database
        .read(move |notes| Ok(notes.query_row(sql, (), |row| row.get(0))?))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_file_grows_by_the_migrations_it_lacks() {
    let file = new_file();
    let old = Database::open(&file, &[FIRST]).unwrap();
    write(&old, "one").await;
    drop(old);
    let new = Database::open(&file, &[FIRST, SECOND]).unwrap();
    let sql = "SELECT read FROM notes";
    let read: i64 = new
        .read(move |notes| Ok(notes.query_row(sql, (), |row| row.get(0))?))
        .await
        .unwrap();
    assert_eq!(read, 0);
    let error = Database::open(&file, &[FIRST]).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible);
    let error = Database::open(&file, &[SECOND, FIRST]).unwrap_err();
    assert!(error.to_string().contains("migration 1 differs"), "{error}");
}

#[test]
fn openers_at_once_migrate_once() {
    let file = new_file();
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let file = file.clone();
            thread::spawn(move || Database::open(&file, &[FIRST, SECOND]).map(drop))
        })
        .collect();
    for opener in openers {
        opener.join().unwrap().unwrap();
    }
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let file = new_file();
    drop(Database::open(&file, &[FIRST]).unwrap());
    let broken = Migration {
        sql: "CREATE TABLE more (x TEXT) STRICT; CREATE TABLE notes (text TEXT) STRICT",
    };
    assert!(Database::open(&file, &[FIRST, broken]).is_err());
    drop(Database::open(&file, &[FIRST, SECOND]).unwrap());
}

#[tokio::test]
async fn work_that_fails_writes_nothing() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let result: Result<(), _> = database
        .write(|notes| {
            notes.execute("INSERT INTO notes (text) VALUES ('half')", ())?;
            Err(SqliteError::corrupt("a row"))
        })
        .await;
    assert_eq!(result.unwrap_err().kind(), StorageErrorKind::Corrupt);
    assert_eq!(count(&database).await, 0);
}

#[tokio::test]
async fn work_that_was_sent_is_done_though_nobody_waits() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let blocker = database.write(move |_| Ok(wait.recv().is_ok()));
    let mut blocker = Box::pin(blocker);
    let insert = "INSERT INTO notes (text) VALUES ('late')";
    let mut abandoned = Box::pin(database.write(move |notes| Ok(notes.execute(insert, ())?)));
    std::future::poll_fn(|context| {
        assert!(blocker.as_mut().poll(context).is_pending());
        assert!(abandoned.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(abandoned);
    go.send(()).unwrap();
    assert!(blocker.await.unwrap());
    // A write that is answered comes after those that were sent before it.
    write(&database, "later").await;
    assert_eq!(count(&database).await, 2);
}

#[tokio::test]
async fn what_was_written_is_durable_and_shared() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let settings = database
        .write(|notes| {
            let mode: String = notes.query_row("PRAGMA journal_mode", (), |row| row.get(0))?;
            let synchronous: i64 = notes.query_row("PRAGMA synchronous", (), |row| row.get(0))?;
            Ok((mode, synchronous))
        })
        .await
        .unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2));
}

#[tokio::test]
async fn a_full_file_says_so_and_keeps_what_it_has() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    write(&database, "kept").await;
    // SQLite's own limit stands in for a full disk.
    let result = database
        .write(|notes| {
            notes.query_row("PRAGMA max_page_count = 4", (), |_| Ok(()))?;
            Ok(notes.execute("INSERT INTO notes (text) VALUES (?1)", ["x".repeat(1_000_000)])?)
        })
        .await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Full);
    assert!(error.to_string().contains("free some disk space"), "{error}");
    assert_eq!(count(&database).await, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_can_still_be_read() {
    let file = new_file();
    let database = Database::open(&file, &[FIRST]).unwrap();
    write(&database, "kept").await;
    // Root may write what nobody may, so SQLite itself is told.
    database
        .write(|notes| Ok(notes.execute_batch("PRAGMA query_only = ON")?))
        .await
        .unwrap();
    let insert = "INSERT INTO notes (text) VALUES ('no')";
    let error = database
        .write(move |notes| Ok(notes.execute(insert, ())?))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly);
    assert_eq!(count(&database).await, 1);
}

#[test]
fn a_folder_is_no_database() {
    let folder = new_file();
    fs::create_dir(&folder).unwrap();
    let error = Database::open(&folder, &[FIRST]).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable);
    assert!(error.to_string().contains("notes.sqlite3"), "{error}");
}

const INSERT: &str = "INSERT INTO notes (text) VALUES (?1)";

/// Sends these writes while the writer is kept busy by another one, so that they wait together.
async fn at_once<T, F>(database: &Database, writes: Vec<F>) -> Vec<Result<T, StorageErrorKind>>
where
    T: Send + 'static,
    F: FnOnce(&Writing<'_>) -> Result<T, SqliteError> + Send + 'static,
{
    let (go, wait) = mpsc::channel::<()>();
    let mut blocker = Box::pin(database.write(move |_| Ok(wait.recv().is_ok())));
    let mut writes: Vec<_> = writes
        .into_iter()
        .map(|write| Box::pin(database.write(write)))
        .collect();
    std::future::poll_fn(|context| {
        assert!(blocker.as_mut().poll(context).is_pending());
        for write in &mut writes {
            assert!(write.as_mut().poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    })
    .await;
    go.send(()).unwrap();
    // It shares their commit, and their fate.
    drop(blocker.await);
    let mut answers = Vec::new();
    for write in writes {
        answers.push(write.await.map_err(|error| error.kind()));
    }
    answers
}

#[tokio::test]
async fn of_writes_that_wait_together_one_that_fails_fails_alone() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let writes: Vec<_> = (0..5)
        .map(|number| {
            move |notes: &Writing<'_>| {
                notes.execute(INSERT, [number.to_string()])?;
                if number == 2 {
                    return Err(SqliteError::corrupt("this one"));
                }
                Ok(notes.epoch())
            }
        })
        .collect();
    let answers = at_once(&database, writes).await;
    let epochs: Vec<u64> = answers.iter().flatten().copied().collect();
    assert!(epochs[0] == epochs[1] && epochs[2] == epochs[3], "{epochs:?}");
    assert!(
        epochs[1] < epochs[2],
        "the one after a failure starts anew: {epochs:?}"
    );
    let failed: Vec<usize> = (0..5).filter(|number| answers[*number].is_err()).collect();
    assert_eq!(failed, [2]);
    assert_eq!(count(&database).await, 4);
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_batch_keeps_exactly_what_was_answered_so() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let writes: Vec<_> = [1, 1_000_000, 2]
        .map(|bytes: usize| {
            move |notes: &Writing<'_>| {
                notes.query_row("PRAGMA max_page_count = 4", (), |_| Ok(()))?;
                notes.execute(INSERT, ["x".repeat(bytes)])?;
                Ok(())
            }
        })
        .into();
    let answers = at_once(&database, writes).await;
    assert!(answers[1].is_err(), "{answers:?}");
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(
        count(&database).await,
        i64::try_from(kept).unwrap(),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_write_knows_whether_somebody_else_wrote() {
    let file = new_file();
    let (mine, other) = (
        Database::open(&file, &[FIRST]).unwrap(),
        Database::open(&file, &[FIRST]).unwrap(),
    );
    let epoch = |database: &Database| {
        let database = database.clone();
        async move {
            let write = |notes: &Writing<'_>| {
                notes.execute(INSERT, ["a note"])?;
                Ok(notes.epoch())
            };
            database.write(write).await.unwrap()
        }
    };
    let begun = epoch(&mine).await;
    assert!(begun > 0, "whoever knows nothing yet has 0");
    assert_eq!(epoch(&mine).await, begun);
    epoch(&other).await;
    let later = epoch(&mine).await;
    assert!(later > begun, "the other wrote");
    assert_eq!(
        epoch(&mine).await,
        later,
        "also for who did not see the write between"
    );
    let failing = mine.write(|_| Err::<(), _>(SqliteError::corrupt("a row")));
    failing.await.unwrap_err();
    assert!(
        epoch(&mine).await > later,
        "what was remembered may have been undone"
    );
}

/// A write that takes long, such as one that waits for the disk, keeps nobody from reading what was there before.
#[tokio::test]
async fn readers_wait_for_no_writer() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    write(&database, "before").await;
    let (go, wait) = mpsc::channel::<()>();
    let mut writing = Box::pin(database.write(move |notes| {
        notes.execute(INSERT, ["under way"])?;
        Ok(wait.recv().is_ok())
    }));
    std::future::poll_fn(|context| {
        assert!(writing.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!(count(&database).await, 1);
    go.send(()).unwrap();
    assert!(writing.await.unwrap());
    assert_eq!(count(&database).await, 2, "what was answered is seen");
}

/// One that reads long, such as an export, does not hold up the others, where there is more than one processor.
#[tokio::test]
async fn readers_wait_for_no_reader() {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let mut long = Box::pin(database.read(move |_| Ok(wait.recv().is_ok())));
    std::future::poll_fn(|context| {
        assert!(long.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    for _ in 0..100 {
        assert_eq!(count(&database).await, 0);
    }
    go.send(()).unwrap();
    assert!(long.await.unwrap());
}

/// Many who write and read at once: each sees what it wrote, whatever the others do.
#[tokio::test]
async fn whoever_was_answered_sees_what_was_written() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let database = database.clone();
            async move {
                for _ in 0..10 {
                    let before = count(&database).await;
                    write(&database, "one more").await;
                    assert!(count(&database).await > before);
                }
            }
        })
        .map(tokio::spawn)
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(count(&database).await, 160);
}

#[tokio::test]
async fn what_reads_cannot_write() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    let insert = "INSERT INTO notes (text) VALUES ('no')";
    let error = database
        .read(move |notes| Ok(notes.execute(insert, ())?))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::ReadOnly);
    assert_eq!(count(&database).await, 0);
}

/// Work that panics is answered as lost, and its connection goes on.
#[tokio::test]
async fn a_read_that_panics_is_lost_alone() {
    let database = Database::open(&new_file(), &[FIRST]).unwrap();
    for _ in 0..10 {
        let lost: Result<(), _> = database.read(|_| panic!("on purpose")).await;
        assert_eq!(lost.unwrap_err().kind(), StorageErrorKind::Unavailable);
    }
    write(&database, "kept").await;
    assert_eq!(count(&database).await, 1);
}

/// Whoever opened it before and whoever opens what is there now would each have a file of their own.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_replaced_or_removed_is_neither_written_nor_read() {
    let file = new_file();
    let database = Database::open(&file, &[FIRST]).unwrap();
    write(&database, "before").await;
    let away = file.with_extension("away");
    fs::rename(&file, &away).unwrap();
    let refused = async || {
        let written = database
            .write(|notes| Ok(notes.execute(INSERT, ["after"])?))
            .await;
        let read = database.read(|_| Ok(())).await;
        for error in [written.unwrap_err(), read.unwrap_err()] {
            assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("no longer the file"), "{error}");
        }
    };
    refused().await;
    fs::write(&file, "").unwrap();
    refused().await;
    // Put back, it is the file that was opened.
    fs::rename(&away, &file).unwrap();
    write(&database, "after").await;
    assert_eq!(count(&database).await, 2);
}
