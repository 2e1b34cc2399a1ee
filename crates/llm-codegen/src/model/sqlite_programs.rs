use std::path::Path;

use async_trait::async_trait;
use meterbox_core::StorageError;
use meterbox_sqlite::{
    Database, Migration,
    rusqlite::{OptionalExtension, params},
};

use super::{KeptProgram, ProgramCache, ProgramKey};

const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("../../migrations/001_programs.sql"),
}];
/// So many programs are kept; the one that was kept first goes first.
const MOST: u32 = 10_000;

/// Programs in a SQLite file, which several processes may share. A file that cannot be read or written keeps nothing,
/// and is told of in the log.
#[derive(Debug, Clone)]
pub struct SqlitePrograms {
    database: Database,
}

impl SqlitePrograms {
    /// Opens the file, or begins it. Blocks while it does.
    ///
    /// # Errors
    /// A [`StorageError`] that names the file and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Database::open(path.as_ref(), MIGRATIONS).map(|database| Self { database })
    }
}

#[async_trait]
impl ProgramCache for SqlitePrograms {
    async fn find(&self, key: &ProgramKey) -> Option<KeptProgram> {
        let key = *key.as_bytes();
        let found = self.database.read(move |programs| {
            let mut statement = programs.prepare_cached("SELECT program FROM programs WHERE key = ?1")?;
            Ok(statement
                .query_row([key], |row| row.get::<_, String>(0))
                .optional()?)
        });
        let found = found.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "programs that answered before cannot be read");
            None
        })?;
        serde_json::from_str(&found).ok()
    }

    async fn keep(&self, key: ProgramKey, program: KeptProgram) {
        let key = *key.as_bytes();
        let Ok(program) = serde_json::to_string(&program) else {
            return;
        };
        let kept = self.database.write(move |programs| {
            programs
                .prepare_cached(
                    "INSERT OR REPLACE INTO programs (key, kept_at, program)
                     VALUES (?1, (SELECT coalesce(max(kept_at), 0) + 1 FROM programs), ?2)",
                )?
                .execute(params![key, program])?;
            programs
                .prepare_cached(
                    "DELETE FROM programs WHERE kept_at <= (SELECT max(kept_at) FROM programs) - ?1",
                )?
                .execute([MOST])?;
            Ok(())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a program that answered was not kept");
        }
    }
}
