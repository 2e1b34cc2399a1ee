use std::path::Path;

use async_trait::async_trait;
use meterbox_core::{
    AnalysisId, Scope, StorageError, StorageErrorKind,
    contract::{AnalysisResult, CONTRACT_VERSION},
};
use meterbox_sqlite::{
    Database, Migration, SqliteError,
    rusqlite::{OptionalExtension, Row, params},
};

use crate::{Page, PageRequest, ResultsError, ResultsStore, Unreadable};

const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("../migrations/001_results.sql"),
}];

/// Results in a SQLite file. What was answered is on the disk; several processes may share the file.
#[derive(Debug, Clone)]
pub struct SqliteResults {
    database: Database,
}

/// A row whose document nobody has read yet.
struct Stored {
    id: AnalysisId,
    contract_version: u32,
    document: String,
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
        let document = serde_json::to_string(result).map_err(unwritable)?;
        let status = serde_json::to_value(result.status).map_err(unwritable)?;
        let row = (
            result.principal.to_string(),
            result.id.to_string(),
            result.contract_version,
            status.as_str().unwrap_or_default().to_owned(),
            result.created_at.as_micros(),
            document,
        );
        // The id's own unique index keeps another principal's result from being replaced.
        let sql = "INSERT INTO results (principal, id, contract_version, status, created_at, document)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (id) DO UPDATE SET
                       contract_version = excluded.contract_version, status = excluded.status,
                       created_at = excluded.created_at, document = excluded.document
                   WHERE principal = excluded.principal";
        let saved = self
            .database
            .write(move |results| Ok(results.prepare_cached(sql)?.execute(row)?))
            .await?;
        if saved == 0 {
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
        let mut rows = self
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
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut page = Page {
            next: rows.last().filter(|_| more).map(|last| last.id),
            ..Page::default()
        };
        for stored in rows {
            match stored.read() {
                Ok(result) => page.results.push(result),
                Err(unreadable) => page.unreadable.push(unreadable),
            }
        }
        Ok(page)
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

    /// Older versions are read by the contract's own defaults; newer ones as far as they fit.
    fn read(self) -> Result<AnalysisResult, Unreadable> {
        serde_json::from_str(&self.document).map_err(|error| {
            let version = self.contract_version;
            let reason = if version > CONTRACT_VERSION {
                format!(
                    "it was written under contract version {version}, newer than {CONTRACT_VERSION} ({error})"
                )
            } else {
                error.to_string()
            };
            Unreadable {
                id: self.id,
                contract_version: version,
                reason,
            }
        })
    }
}

/// No result that the contract's types can hold ends here.
fn unwritable(error: serde_json::Error) -> StorageError {
    StorageError::new(
        StorageErrorKind::Incompatible,
        "the result cannot be written as JSON",
    )
    .caused_by(error)
}
