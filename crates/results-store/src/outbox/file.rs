//! The file of what waits.

use std::path::Path;

use meterbox_core::{AnalysisId, Scope, StorageError, Timestamp, contract::AnalysisResult};
use meterbox_sqlite::{
    Database, Migration, SqliteError,
    rusqlite::{OptionalExtension, Row, Transaction, params},
};

use super::OutboxLimits;
use crate::{
    store::has_ended,
    stored::{Stored, document_of},
};

const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("../../migrations/outbox/001_outbox.sql"),
}];

/// Of so many deliveries the ids are remembered.
const REMEMBERED: i64 = 10_000;

#[derive(Debug)]
pub(super) struct OutboxFile {
    database: Database,
    limits: OutboxLimits,
}

/// What became of a result that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Yes,
    IdTaken,
    Full,
}

/// The next to be delivered.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) seq: i64,
    revision: i64,
    pub(super) stored: Stored,
}

impl OutboxFile {
    pub(super) fn open(path: &Path, limits: OutboxLimits) -> Result<Self, StorageError> {
        let database = Database::open(path, MIGRATIONS)?;
        Ok(Self { database, limits })
    }

    pub(super) fn path(&self) -> &Path {
        self.database.path()
    }

    /// Keeps the newest state of this result, in the place of an earlier one.
    pub(super) async fn add(&self, result: &AnalysisResult) -> Result<Added, StorageError> {
        let document = document_of(result)?;
        let (principal, id) = (result.principal.to_string(), result.id.to_string());
        let (created_at, ended) = (result.created_at.as_micros(), has_ended(result.status));
        let bytes = i64::try_from(document.len()).unwrap_or(i64::MAX);
        let limits = self.limits;
        self.database
            .write(move |outbox| {
                if let Some((owner, had_ended)) = known(outbox, &id)? {
                    if owner != principal {
                        return Ok(Added::IdTaken);
                    }
                    if had_ended && !ended {
                        return Ok(Added::Yes);
                    }
                }
                let again =
                    "UPDATE waiting SET
                                 document = ?2, ended = ?3, bytes = ?4, revision = revision + 1, set_aside = NULL
                             WHERE id = ?1";
                let mut again = outbox.prepare_cached(again)?;
                if again.execute(params![id, document, ended, bytes])? > 0 {
                    return Ok(Added::Yes);
                }
                let (waiting, size): (i64, i64) = outbox
                    .prepare_cached("SELECT count(*), coalesce(sum(bytes), 0) FROM waiting")?
                    .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
                let size = size.saturating_add(bytes).unsigned_abs();
                if waiting.unsigned_abs() >= limits.results || size > limits.bytes {
                    return Ok(Added::Full);
                }
                let new = "INSERT INTO waiting (principal, id, created_at, ended, bytes, document)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                outbox
                    .prepare_cached(new)?
                    .execute(params![principal, id, created_at, ended, bytes, document])?;
                Ok(Added::Yes)
            })
            .await
    }

    pub(super) async fn find(
        &self,
        principal: &Scope,
        id: AnalysisId,
    ) -> Result<Option<Stored>, StorageError> {
        let key = (principal.to_string(), id.to_string());
        let sql = "SELECT id, document FROM waiting WHERE principal = ?1 AND id = ?2";
        self.database
            .read(move |outbox| {
                let mut statement = outbox.prepare_cached(sql)?;
                let found = statement.query_row(key, |row| Ok(stored_of(row))).optional()?;
                found.transpose()
            })
            .await
    }

    pub(super) async fn page(
        &self,
        principal: &Scope,
        before: Option<AnalysisId>,
        most: usize,
    ) -> Result<Vec<Stored>, StorageError> {
        let principal = principal.to_string();
        let before = before.map(|id| id.to_string());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT id, document FROM waiting
                   WHERE principal = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3";
        self.database
            .read(move |outbox| {
                let mut statement = outbox.prepare_cached(sql)?;
                let mut rows = statement.query(params![principal, before, most])?;
                let mut page = Vec::new();
                while let Some(row) = rows.next()? {
                    page.push(stored_of(row)?);
                }
                Ok(page)
            })
            .await
    }

    /// The oldest, and after a failure the oldest of whoever waits for a first attempt, or for the fewest.
    pub(super) async fn head(&self) -> Result<Option<Head>, StorageError> {
        let oldest = "SELECT id, document, seq, revision, attempts FROM waiting
                      WHERE set_aside IS NULL ORDER BY seq LIMIT 1";
        let in_turn = "SELECT id, document, seq, revision FROM waiting AS one
                       WHERE seq = (SELECT min(seq) FROM waiting WHERE principal = one.principal AND set_aside IS NULL)
                       ORDER BY attempts, seq LIMIT 1";
        self.database
            .read(move |outbox| {
                let to_head = |row: &Row<'_>| Ok(head_of(row));
                let mut statement = outbox.prepare_cached(oldest)?;
                let with_attempts = |row: &Row<'_>| Ok((head_of(row), row.get::<_, i64>(4)?));
                let head = match statement.query_row((), with_attempts).optional()? {
                    None => None,
                    Some((head, 0)) => Some(head),
                    Some(_) => outbox
                        .prepare_cached(in_turn)?
                        .query_row((), to_head)
                        .optional()?,
                };
                head.transpose()
            })
            .await
    }

    /// It has arrived. What was changed meanwhile waits on.
    pub(super) async fn delivered(&self, head: &Head) -> Result<(), StorageError> {
        let (seq, revision) = (head.seq, head.revision);
        self.database
            .write(move |outbox| {
                outbox.execute(
                    "INSERT OR REPLACE INTO delivered (seq, id, principal, ended)
                     SELECT seq, id, principal, ended FROM waiting WHERE seq = ?1",
                    [seq],
                )?;
                outbox.execute(
                    "DELETE FROM waiting WHERE seq = ?1 AND revision = ?2",
                    (seq, revision),
                )?;
                outbox.execute("UPDATE waiting SET attempts = 0 WHERE seq = ?1", [seq])?;
                outbox.execute(
                    "DELETE FROM delivered WHERE seq <= ?1",
                    [seq.saturating_sub(REMEMBERED)],
                )?;
                Ok(())
            })
            .await
    }

    pub(super) async fn failed(&self, seq: i64) -> Result<(), StorageError> {
        let sql = "UPDATE waiting SET attempts = attempts + 1 WHERE seq = ?1";
        self.database
            .write(move |outbox| Ok(outbox.execute(sql, [seq]).map(drop)?))
            .await
    }

    /// The store will never take it. What was changed meanwhile waits on: it may be another matter.
    pub(super) async fn set_aside(&self, head: &Head, reason: String) -> Result<(), StorageError> {
        let (seq, revision) = (head.seq, head.revision);
        let sql = "UPDATE waiting SET set_aside = ?3 WHERE seq = ?1 AND revision = ?2";
        self.database
            .write(move |outbox| Ok(outbox.execute(sql, (seq, revision, reason)).map(drop)?))
            .await
    }

    /// What was set aside waits again.
    pub(super) async fn reconsider(&self) -> Result<(), StorageError> {
        let sql = "UPDATE waiting SET set_aside = NULL, attempts = 0 WHERE set_aside IS NOT NULL";
        self.database
            .write(move |outbox| Ok(outbox.execute(sql, ()).map(drop)?))
            .await
    }

    pub(super) async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, StorageError> {
        let key = (principal.to_string(), id.to_string());
        let sql = "DELETE FROM waiting WHERE principal = ?1 AND id = ?2";
        self.database
            .write(move |outbox| Ok(outbox.execute(sql, key)? > 0))
            .await
    }

    pub(super) async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, StorageError> {
        let bounds = (before.as_micros(), i64::try_from(most).unwrap_or(i64::MAX));
        let sql = "DELETE FROM waiting WHERE seq IN (
                       SELECT seq FROM waiting WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
        self.database
            .write(move |outbox| Ok(outbox.execute(sql, bounds)?))
            .await
    }

    /// How many wait, since when, and how many were set aside.
    pub(super) async fn counts(&self) -> Result<(u64, Option<Timestamp>, u64), StorageError> {
        let sql = "SELECT count(*) FILTER (WHERE set_aside IS NULL), min(created_at) FILTER (WHERE set_aside IS NULL),
                       count(set_aside)
                   FROM waiting";
        self.database
            .read(move |outbox| {
                let mut statement = outbox.prepare_cached(sql)?;
                let counts = statement.query_row((), |row| {
                    let oldest: Option<i64> = row.get(1)?;
                    let oldest = oldest.and_then(Timestamp::from_micros);
                    let (waiting, set_aside): (i64, i64) = (row.get(0)?, row.get(2)?);
                    Ok((waiting.unsigned_abs(), oldest, set_aside.unsigned_abs()))
                })?;
                Ok(counts)
            })
            .await
    }
}

/// Whose this id is, and whether its result had ended.
fn known(outbox: &Transaction<'_>, id: &str) -> Result<Option<(String, bool)>, SqliteError> {
    let sql = "SELECT principal, ended FROM waiting WHERE id = ?1
               UNION ALL SELECT principal, ended FROM delivered WHERE id = ?1 ORDER BY ended DESC LIMIT 1";
    let mut statement = outbox.prepare_cached(sql)?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(statement.query_row([id], row).optional()?)
}

fn head_of(row: &Row<'_>) -> Result<Head, SqliteError> {
    Ok(Head {
        seq: row.get(2)?,
        revision: row.get(3)?,
        stored: stored_of(row)?,
    })
}

fn stored_of(row: &Row<'_>) -> Result<Stored, SqliteError> {
    let id: String = row.get(0)?;
    Ok(Stored {
        id: id
            .parse()
            .map_err(|_| SqliteError::corrupt("a result has no proper id"))?,
        // Nobody but this version and its neighbours wrote it a while ago.
        contract_version: meterbox_core::contract::CONTRACT_VERSION,
        document: row.get(1)?,
    })
}
