//! Who administered what, when, and from where.

use meterbox_core::Timestamp;
use meterbox_sqlite::{SqliteError, Writing, rusqlite::params};
use serde::Serialize;
use serde_json::Value;

use crate::{Access, AccessError, KeyId, rows};

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// In words, such as `user/ana` or `uid 1000`.
    pub name: String,
    /// By which key; `None` at the machine itself.
    pub key: Option<KeyId>,
    /// A network address, or `command line`.
    pub origin: String,
}

/// What somebody is about to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// A word of the kind `budget.set`.
    pub name: &'static str,
    /// To what: a scope, the id of a key.
    pub target: String,
    /// What is so before.
    pub before: Option<Value>,
    /// What is to be so after.
    pub after: Option<Value>,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// By which key; `None` at the machine itself.
    pub key: Option<KeyId>,
    /// From where.
    pub origin: String,
    /// What.
    pub act: String,
    /// To what.
    pub target: String,
    /// What was so before.
    pub before: Option<Value>,
    /// What was to be so after.
    pub after: Option<Value>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused or failed; nothing changed.
    Failed,
    /// The process ended in the middle: it may or may not have been done.
    Unknown,
}

/// Which entries to read, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPage {
    /// Entries before this one; `None` for the newest.
    pub before: Option<u64>,
    /// At most so many; 1 to 1,000.
    pub limit: usize,
}

/// An act that is written down and about to be done: say how it ended.
#[derive(Debug)]
#[must_use = "say how the act ended"]
pub struct Pending {
    access: Access,
    seq: i64,
}

impl Actor {
    /// Somebody at the machine itself.
    pub fn new(name: impl Into<String>, origin: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            key: None,
            origin: origin.into(),
        }
    }

    /// The same, by this key.
    #[must_use]
    pub fn with_key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }
}

impl Default for AuditPage {
    fn default() -> Self {
        Self {
            before: None,
            limit: 50,
        }
    }
}

impl Access {
    /// Writes down what somebody is about to do. Only then may it be done: no act without an entry.
    ///
    /// # Errors
    /// [`AccessError::Store`]; the act must not be done then.
    pub async fn begin(&self, actor: &Actor, act: Act) -> Result<Pending, AccessError> {
        let (actor, now) = (actor.clone(), self.now());
        let seq = self
            .database()
            .write(move |file| write_entry(file, now, &actor, &act))
            .await?;
        Ok(Pending {
            access: self.clone(),
            seq,
        })
    }

    /// A page of the audit log, newest first.
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub async fn audit(&self, page: AuditPage) -> Result<Vec<AuditEntry>, AccessError> {
        let before = page
            .before
            .map_or(i64::MAX, |seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let limit = i64::try_from(page.limit.clamp(1, 1_000)).unwrap_or(1);
        let sql = "SELECT audit.seq, audit.at, actor, key_id, origin, act, target, state_before, state_after,
                       outcome, reason
                   FROM audit LEFT JOIN audit_outcomes USING (seq)
                   WHERE audit.seq < ?1 ORDER BY audit.seq DESC LIMIT ?2";
        let entries = self
            .database()
            .read(move |file| {
                let mut statement = file.prepare_cached(sql)?;
                let mut found = statement.query((before, limit))?;
                let mut entries = Vec::new();
                while let Some(row) = found.next()? {
                    entries.push(rows::audit_entry(row)?);
                }
                Ok(entries)
            })
            .await?;
        Ok(entries)
    }
}

impl Pending {
    /// It was done.
    ///
    /// # Errors
    /// [`AccessError::Store`]; the entry stays, with its outcome unknown.
    pub async fn done(self) -> Result<(), AccessError> {
        self.ended(Outcome::Done, None).await
    }

    /// It was refused or failed, and changed nothing.
    ///
    /// # Errors
    /// [`AccessError::Store`]; the entry stays, with its outcome unknown.
    pub async fn failed(self, reason: impl ToString) -> Result<(), AccessError> {
        self.ended(Outcome::Failed, Some(reason.to_string())).await
    }

    async fn ended(self, outcome: Outcome, reason: Option<String>) -> Result<(), AccessError> {
        let (seq, now) = (self.seq, self.access.now());
        self.access
            .database()
            .write(move |file| write_outcome(file, now, seq, outcome, reason.as_deref()))
            .await?;
        Ok(())
    }
}

/// An entry and its outcome, for an act that is done in the same transaction.
pub(crate) fn write_done(
    file: &Writing<'_>,
    now: Timestamp,
    actor: &Actor,
    act: &Act,
) -> Result<(), SqliteError> {
    let seq = write_entry(file, now, actor, act)?;
    write_outcome(file, now, seq, Outcome::Done, None)
}

fn write_entry(file: &Writing<'_>, now: Timestamp, actor: &Actor, act: &Act) -> Result<i64, SqliteError> {
    let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    file.prepare_cached(
        "INSERT INTO audit (at, actor, key_id, origin, act, target, state_before, state_after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        now.as_micros(),
        actor.name,
        actor.key.as_ref().map(ToString::to_string),
        actor.origin,
        act.name,
        act.target,
        json(&act.before),
        json(&act.after),
    ])?;
    Ok(file.last_insert_rowid())
}

fn write_outcome(
    file: &Writing<'_>,
    now: Timestamp,
    seq: i64,
    outcome: Outcome,
    reason: Option<&str>,
) -> Result<(), SqliteError> {
    file.prepare_cached("INSERT INTO audit_outcomes (seq, at, outcome, reason) VALUES (?1, ?2, ?3, ?4)")?
        .execute((seq, now.as_micros(), outcome.as_str(), reason))?;
    Ok(())
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}
