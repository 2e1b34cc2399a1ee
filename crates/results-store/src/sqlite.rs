use std::path::Path;

use async_trait::async_trait;
use meterbox_core::{AnalysisId, Scope, StorageError, Timestamp, contract::AnalysisResult};
use meterbox_sqlite::{
    Database, Migration, SqliteError,
    rusqlite::{OptionalExtension, Row, Transaction, params},
};

use crate::{
    Page, PageRequest, ResultsError, ResultsStore,
    stored::{Stored, document_of, name_of, page_of},
};

const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("../migrations/sqlite/001_results.sql"),
    },
    Migration {
        sql: include_str!("../migrations/sqlite/002_age.sql"),
    },
];

/// Results in a SQLite file. What was answered is on the disk; several processes may share the file.
#[derive(Debug, Clone)]
pub struct SqliteResults {
    database: Database,
}

impl SqliteResults {
    /// Opens the results in this file, or begins it. Blocks while it does.
    ///
    /// # Errors
    /// A [`StorageError`] that names the file and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Database::open(path.as_ref(), MIGRATIONS).map(|database| Self { database })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }
}

#[async_trait]
impl ResultsStore for SqliteResults {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        let document = document_of(result)?;
        let status = name_of(result.status)?;
        let row = (
            result.principal.to_string(),
            result.id.to_string(),
            result.contract_version,
            status,
            result.created_at.as_micros(),
            document,
        );
        // The id's own unique index keeps another principal's result from being replaced.
        let sql = "INSERT INTO results (principal, id, contract_version, status, created_at, document)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (id) DO UPDATE SET
                       contract_version = excluded.contract_version, status = excluded.status,
                       created_at = excluded.created_at, document = excluded.document
                   WHERE principal = excluded.principal
                       AND (status IN ('queued', 'running') OR excluded.status NOT IN ('queued', 'running'))";
        let is_own = "SELECT 1 FROM results WHERE principal = ?1 AND id = ?2";
        let saved = self
            .database
            .write(move |results| {
                let saved = results
                    .prepare_cached(sql)?
                    .execute(params![row.0, row.1, row.2, row.3, row.4, row.5])?
                    > 0;
                Ok(saved || results.prepare_cached(is_own)?.exists((&row.0, &row.1))?)
            })
            .await?;
        if !saved {
            return Err(ResultsError::IdTaken(result.id));
        }
        Ok(())
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        let key = (principal.to_string(), id.to_string());
        let sql = "SELECT id, contract_version, document FROM results WHERE principal = ?1 AND id = ?2";
        let stored = self
            .database
            .read(move |results| {
                let mut statement = results.prepare_cached(sql)?;
                let row = statement
                    .query_row(key, |row| Ok(Stored::from_row(row)))
                    .optional()?;
                row.transpose()
            })
            .await?;
        stored
            .map(|stored| stored.read().map_err(ResultsError::Unreadable))
            .transpose()
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        let principal = principal.to_string();
        let before = request.before.map(|id| id.to_string());
        let limit = request.clamped_limit();
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let sql = "SELECT id, contract_version, document FROM results
                   WHERE principal = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3";
        let rows = self
            .database
            .read(move |results| {
                let mut statement = results.prepare_cached(sql)?;
                let mut rows = statement.query(params![principal, before, one_more])?;
                let mut stored = Vec::new();
                while let Some(row) = rows.next()? {
                    stored.push(Stored::from_row(row)?);
                }
                Ok(stored)
            })
            .await?;
        Ok(page_of(rows, limit))
    }

    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        let key = (principal.to_string(), id.to_string());
        let sql = "DELETE FROM results WHERE principal = ?1 AND id = ?2";
        let deleted = self
            .database
            .write(move |results| Ok(results.prepare_cached(sql)?.execute(key)?))
            .await?;
        Ok(deleted > 0)
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        let bounds = (before.as_micros(), i64::try_from(most).unwrap_or(i64::MAX));
        let sql = "DELETE FROM results WHERE id IN (
                       SELECT id FROM results WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
        let expired = self
            .database
            .write(move |results| Ok(results.prepare_cached(sql)?.execute(bounds)?))
            .await?;
        Ok(expired)
    }

    async fn check(&self) -> Result<(), ResultsError> {
        let one = |results: &Transaction<'_>| {
            let found = results.query_row("SELECT 1 FROM results LIMIT 1", (), |_| Ok(()));
            Ok(found.optional()?)
        };
        self.database.read(one).await?;
        Ok(())
    }
}

impl Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, SqliteError> {
        let id: String = row.get(0)?;
        let id = id
            .parse()
            .map_err(|_| SqliteError::corrupt("a result has no proper id"))?;
        Ok(Self {
            id,
            contract_version: row.get(1)?,
            document: row.get(2)?,
        })
    }
}
