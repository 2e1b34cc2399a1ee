use std::{path::Path, sync::Arc, time::Duration};

use meterbox_core::{Clock, StorageError, Timestamp};
use meterbox_sqlite::{
    Database, Migration, SqliteError, Writing,
    rusqlite::{OptionalExtension, Transaction, params},
};
use serde_json::{Value, json};

use crate::{
    AccessError, Act, Actor, ApiKey, Denied, KeyGrant, KeyId, KeyRecord, KeyState, Role,
    audit::write_done,
    key::Hash,
    rows::{self, KEY_COLUMNS},
};

const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("../migrations/001_access.sql"),
}];
/// A use is noted at most this often: a write per request would cost more than it tells.
const LAST_USED_STEP: Duration = Duration::from_secs(60 * 60);

/// The keys, sessions and audit log of one installation, in a SQLite file. Clones share it; so may processes.
#[derive(Debug, Clone)]
pub struct Access {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// A key just made, with the only copy of its secret.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// Show it once, then let go of it.
    pub key: ApiKey,
    /// What is kept of it.
    pub record: KeyRecord,
}

/// What a transaction found, decided inside it.
type Decided<T> = Result<T, AccessError>;

impl Access {
    /// Opens the file, or begins it. Blocks while it does.
    ///
    /// # Errors
    /// A [`StorageError`] that names the file and what to do.
    pub fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, StorageError> {
        Ok(Self {
            database: Database::open(path.as_ref(), MIGRATIONS)?,
            clock: Arc::new(clock),
        })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Is there, or was there ever, a key? From the first one on a key is needed: revoking or expiring the last one
    /// must not open the door.
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub async fn needs_key(&self) -> Result<bool, AccessError> {
        let read = |file: &Transaction<'_>| {
            let mut statement = file.prepare_cached("SELECT EXISTS (SELECT 1 FROM keys)")?;
            Ok(statement.query_row((), |row| row.get(0))?)
        };
        Ok(self.database.read(read).await?)
    }

    /// Is there a key now by which somebody could administer?
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub async fn has_admin(&self) -> Result<bool, AccessError> {
        let now = self.now();
        let keys = self.keys().await?;
        Ok(keys
            .iter()
            .any(|key| key.role == Role::Admin && key.state(now) == KeyState::Active))
    }

    /// Makes a key, and notes who did.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] for a grant that makes no sense; [`AccessError::Randomness`]; [`AccessError::Store`].
    pub async fn create_key(&self, actor: &Actor, grant: KeyGrant) -> Result<CreatedKey, AccessError> {
        let now = self.now();
        let grant = grant.checked(now)?;
        let created = CreatedKey::new(grant, now, actor)?;
        let (row, actor) = (created.clone(), actor.clone());
        self.database
            .write(move |file| {
                insert(file, &row)?;
                let act = Act {
                    name: "key.create",
                    target: row.record.id.to_string(),
                    before: None,
                    after: Some(described(&row.record)),
                };
                write_done(file, now, &actor, &act)
            })
            .await?;
        Ok(created)
    }

    /// All keys, oldest first, revoked ones too.
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, AccessError> {
        let read = |file: &Transaction<'_>| {
            let sql = format!("SELECT {KEY_COLUMNS} FROM keys ORDER BY created_at, id");
            let mut statement = file.prepare_cached(&sql)?;
            let mut found = statement.query(())?;
            let mut keys = Vec::new();
            while let Some(row) = found.next()? {
                keys.push(rows::key(row)?.0);
            }
            Ok(keys)
        };
        Ok(self.database.read(read).await?)
    }

    /// Revokes a key, at once and in every process that shares the file, and notes who did.
    ///
    /// With `keeps_an_admin`, the last key that may administer is not revoked: a remote administrator could not undo
    /// that.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`], [`AccessError::AlreadyRevoked`], [`AccessError::LastAdmin`], [`AccessError::Store`].
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        keeps_an_admin: bool,
    ) -> Result<KeyRecord, AccessError> {
        let (now, actor, id) = (self.now(), actor.clone(), id.clone());
        self.decide(move |file| {
            let key = match revocable(file, &id)? {
                Ok(key) => key,
                Err(error) => return Ok(Err(error)),
            };
            if keeps_an_admin && is_last_admin(file, &key, now)? {
                return Ok(Err(AccessError::LastAdmin(id)));
            }
            revoke(file, &id, now, None)?;
            let revoked = KeyRecord {
                revoked_at: Some(now),
                ..key.clone()
            };
            let act = Act {
                name: "key.revoke",
                target: id.to_string(),
                before: Some(described(&key)),
                after: Some(described(&revoked)),
            };
            write_done(file, now, &actor, &act)?;
            Ok(Ok(revoked))
        })
        .await
    }

    /// Makes a key that takes another's place: same name, role and scopes, and the same time to live as the old one
    /// had. The old one opens nothing from now on, or from `grace` later.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`], [`AccessError::AlreadyRevoked`], [`AccessError::Randomness`], [`AccessError::Store`].
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        grace: Duration,
    ) -> Result<CreatedKey, AccessError> {
        let (now, actor, id) = (self.now(), actor.clone(), id.clone());
        // Drawn before, so that a machine without randomness fails outside the transaction.
        let key = ApiKey::generate()?;
        self.decide(move |file| {
            let old = match revocable(file, &id)? {
                Ok(old) => old,
                Err(error) => return Ok(Err(error)),
            };
            let lifetime = old.expires_at.map(|end| end.duration_since(old.created_at));
            let grant = KeyGrant {
                name: old.name.clone(),
                role: old.role,
                scopes: old.scopes.clone(),
                expires_at: lifetime.map(|lifetime| now.saturating_add(lifetime)),
            };
            let new = CreatedKey::of(key, grant, now, &actor);
            insert(file, &new)?;
            let old_ends = now.saturating_add(grace);
            if grace.is_zero() {
                revoke(file, &id, now, Some(&new.record.id))?;
            } else {
                let sql = "UPDATE keys SET replaced_by = ?2, expires_at = min(coalesce(expires_at, ?3), ?3)
                           WHERE id = ?1";
                file.prepare_cached(sql)?.execute((
                    id.to_string(),
                    new.record.id.to_string(),
                    old_ends.as_micros(),
                ))?;
            }
            let mut after = described(&new.record);
            after["old_key_ends"] = json!(old_ends);
            let act = Act {
                name: "key.rotate",
                target: id.to_string(),
                before: Some(described(&old)),
                after: Some(after),
            };
            write_done(file, now, &actor, &act)?;
            Ok(Ok(new))
        })
        .await
    }

    /// Whose key this is, if it opens anything, and notes that it was used.
    ///
    /// Cancel-safe. Reads the file each time; nothing is remembered that a revocation would have to reach.
    ///
    /// # Errors
    /// [`AccessError::Denied`]; [`AccessError::Store`] where the keys cannot be read, and then nobody is let in.
    pub async fn authenticate(&self, text: &str) -> Result<KeyRecord, AccessError> {
        let key: ApiKey = text.parse().map_err(Denied::from)?;
        let id = key.id().clone();
        let found = self.database.read(move |file| find(file, &id)).await?;
        let (record, hash) = found.ok_or(Denied::Unknown)?;
        if !hash.is(&key.hash()) {
            return Err(Denied::Unknown.into());
        }
        let record = self.usable(record)?;
        self.note_use(&record).await;
        Ok(record)
    }

    /// The key, where it opens anything now.
    pub(crate) fn usable(&self, key: KeyRecord) -> Result<KeyRecord, AccessError> {
        if let Some(at) = key.revoked_at {
            return Err(Denied::Revoked(at).into());
        }
        match key.expires_at {
            Some(at) if at <= self.now() => Err(Denied::Expired(at).into()),
            _ => Ok(key),
        }
    }

    async fn note_use(&self, key: &KeyRecord) {
        let now = self.now();
        let is_noted = |last: Timestamp| now.duration_since(last) < LAST_USED_STEP && last <= now;
        if key.last_used_at.is_some_and(is_noted) {
            return;
        }
        let id = key.id.to_string();
        let hour = now.as_micros() - now.as_micros().rem_euclid(LAST_USED_STEP.as_micros() as i64);
        let noted = self.database.write(move |file| {
            file.prepare_cached("UPDATE keys SET last_used_at = ?2 WHERE id = ?1")?
                .execute((id, hour))?;
            Ok(())
        });
        // A full disk must not keep people out; the note is a convenience.
        drop(noted.await);
    }

    /// Runs a write that may decide against itself; what it wrote is gone then.
    async fn decide<T, F>(&self, work: F) -> Result<T, AccessError>
    where
        T: Send + 'static,
        F: FnOnce(&Writing<'_>) -> Result<Decided<T>, SqliteError> + Send + 'static,
    {
        // A decision against is made before anything is written.
        self.database.write(work).await?
    }
}

impl CreatedKey {
    fn new(grant: KeyGrant, now: Timestamp, actor: &Actor) -> Result<Self, AccessError> {
        Ok(Self::of(ApiKey::generate()?, grant, now, actor))
    }

    fn of(key: ApiKey, grant: KeyGrant, now: Timestamp, actor: &Actor) -> Self {
        let record = KeyRecord {
            id: key.id().clone(),
            name: grant.name,
            role: grant.role,
            scopes: grant.scopes,
            created_at: now,
            created_by: actor.name.clone(),
            expires_at: grant.expires_at,
            revoked_at: None,
            replaced_by: None,
            last_used_at: None,
        };
        Self { key, record }
    }
}

fn insert(file: &Writing<'_>, created: &CreatedKey) -> Result<(), SqliteError> {
    let CreatedKey { key, record } = created;
    let scopes = serde_json::to_string(&record.scopes)
        .map_err(|error| SqliteError::corrupt(format!("scopes cannot be written: {error}")))?;
    file.prepare_cached(
        "INSERT INTO keys (id, secret_hash, name, role, scopes, created_at, created_by, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        record.id.to_string(),
        key.hash().0,
        record.name,
        record.role.as_str(),
        scopes,
        record.created_at.as_micros(),
        record.created_by,
        record.expires_at.map(Timestamp::as_micros),
    ])?;
    Ok(())
}

fn find(file: &Transaction<'_>, id: &KeyId) -> Result<Option<(KeyRecord, Hash)>, SqliteError> {
    let sql = format!("SELECT {KEY_COLUMNS} FROM keys WHERE id = ?1");
    let mut statement = file.prepare_cached(&sql)?;
    let found = statement.query_row([id.to_string()], |row| Ok(rows::key(row)));
    found.optional()?.transpose()
}

fn revocable(file: &Transaction<'_>, id: &KeyId) -> Result<Decided<KeyRecord>, SqliteError> {
    let Some((key, _)) = find(file, id)? else {
        return Ok(Err(AccessError::UnknownKey(id.clone())));
    };
    Ok(match key.revoked_at {
        Some(at) => Err(AccessError::AlreadyRevoked { id: key.id, at }),
        None => Ok(key),
    })
}

fn is_last_admin(file: &Transaction<'_>, key: &KeyRecord, now: Timestamp) -> Result<bool, SqliteError> {
    if key.role != Role::Admin || key.state(now) != KeyState::Active {
        return Ok(false);
    }
    let sql = "SELECT count(*) FROM keys WHERE role = ?1 AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > ?2)";
    let admins: i64 = file
        .prepare_cached(sql)?
        .query_row((Role::Admin.as_str(), now.as_micros()), |row| row.get(0))?;
    Ok(admins <= 1)
}

fn revoke(
    file: &Writing<'_>,
    id: &KeyId,
    now: Timestamp,
    replaced_by: Option<&KeyId>,
) -> Result<(), SqliteError> {
    file.prepare_cached("UPDATE keys SET revoked_at = ?2, replaced_by = ?3 WHERE id = ?1")?
        .execute((
            id.to_string(),
            now.as_micros(),
            replaced_by.map(ToString::to_string),
        ))?;
    file.prepare_cached("DELETE FROM sessions WHERE key_id = ?1")?
        .execute([id.to_string()])?;
    Ok(())
}

/// A key as the audit log has it.
fn described(key: &KeyRecord) -> Value {
    json!({
        "id": key.id, "name": key.name, "role": key.role, "scopes": key.scopes,
        "expires_at": key.expires_at, "revoked_at": key.revoked_at,
    })
}
