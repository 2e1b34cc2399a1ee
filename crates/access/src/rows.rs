//! Rows of the file as what they mean. A row that makes no sense is damage, never a default.

use meterbox_core::{Scope, Timestamp};
use meterbox_sqlite::{SqliteError, rusqlite::Row};

use crate::{AuditEntry, KeyId, KeyRecord, Outcome, key::Hash};

pub(crate) const KEY_COLUMNS: &str = "id, secret_hash, name, role, scopes, created_at, created_by, expires_at, \
                                      revoked_at, replaced_by, last_used_at";

/// A key and the hash of its secret, from [`KEY_COLUMNS`].
pub(crate) fn key(row: &Row<'_>) -> Result<(KeyRecord, Hash), SqliteError> {
    let id = key_id(&row.get::<_, String>("id")?)?;
    let damaged = |what: &str| SqliteError::corrupt(format!("the key {id} has no proper {what}"));
    let scopes: Vec<Scope> =
        serde_json::from_str(&row.get::<_, String>("scopes")?).map_err(|_| damaged("scopes"))?;
    if scopes.is_empty() {
        return Err(damaged("scopes"));
    }
    let role = row.get::<_, String>("role")?;
    let replaced_by = row.get::<_, Option<String>>("replaced_by")?;
    let record = KeyRecord {
        name: row.get("name")?,
        role: role.parse().map_err(|_| damaged("role"))?,
        scopes,
        created_at: time(row.get("created_at")?)?,
        created_by: row.get("created_by")?,
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(time).transpose()?,
        revoked_at: row.get::<_, Option<i64>>("revoked_at")?.map(time).transpose()?,
        replaced_by: replaced_by.as_deref().map(key_id).transpose()?,
        last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(time).transpose()?,
        id,
    };
    Ok((record, Hash(row.get("secret_hash")?)))
}

pub(crate) fn audit_entry(row: &Row<'_>) -> Result<AuditEntry, SqliteError> {
    let seq: i64 = row.get("seq")?;
    let damaged =
        |what: &str| SqliteError::corrupt(format!("entry {seq} of the audit log has no proper {what}"));
    let json = |column: &str| {
        let text = row.get::<_, Option<String>>(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| damaged("state")))
            .transpose()
    };
    let outcome = match row.get::<_, Option<String>>("outcome")?.as_deref() {
        None => Outcome::Unknown,
        Some("done") => Outcome::Done,
        Some("failed") => Outcome::Failed,
        Some(_) => return Err(damaged("outcome")),
    };
    let key = row.get::<_, Option<String>>("key_id")?;
    Ok(AuditEntry {
        seq: u64::try_from(seq).map_err(|_| damaged("number"))?,
        at: time(row.get("at")?)?,
        actor: row.get("actor")?,
        key: key.as_deref().map(key_id).transpose()?,
        origin: row.get("origin")?,
        act: row.get("act")?,
        target: row.get("target")?,
        before: json("state_before")?,
        after: json("state_after")?,
        outcome,
        reason: row.get("reason")?,
    })
}

fn key_id(text: &str) -> Result<KeyId, SqliteError> {
    text.parse()
        .map_err(|_| SqliteError::corrupt("a key has no proper id"))
}

fn time(micros: i64) -> Result<Timestamp, SqliteError> {
    Timestamp::from_micros(micros).ok_or_else(|| SqliteError::corrupt("a time is out of range"))
}
