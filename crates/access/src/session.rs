//! Browser sessions: a page signs in with a key once and then holds a token that scripts cannot read.

use std::{fmt, str::FromStr, time::Duration};

use meterbox_core::Timestamp;
use meterbox_sqlite::rusqlite::OptionalExtension;

use crate::{
    Access, AccessError, Denied, KeyRecord, MalformedKey,
    key::{Hash, is_random_text, random_text},
    rows::{self, KEY_COLUMNS},
};

const TOKEN_CHARS: usize = 43;
/// A working day; never longer than the key lives.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// A session just begun.
#[derive(Debug, Clone)]
pub struct Session {
    /// What the browser shows from now on.
    pub token: SessionToken,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// 43 random characters of `0-9A-Za-z` (256 bits).
#[derive(Clone)]
pub struct SessionToken(String);

impl SessionToken {
    /// The token in full, for the cookie.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionToken {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        if !is_random_text(text, TOKEN_CHARS) {
            return Err(MalformedKey);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl Access {
    /// Begins a session of this key. It lasts 12 hours, and at most as long as the key.
    ///
    /// # Errors
    /// [`AccessError::Randomness`], [`AccessError::Store`].
    pub async fn open_session(&self, key: &KeyRecord) -> Result<Session, AccessError> {
        let token = SessionToken(random_text(TOKEN_CHARS)?);
        let now = self.now();
        let longest = now.saturating_add(LIFETIME);
        let expires_at = key.expires_at.map_or(longest, |end| end.min(longest));
        let row = (Hash::of(&token.0).0, key.id.to_string(), expires_at.as_micros());
        self.database()
            .write(move |file| {
                file.prepare_cached("DELETE FROM sessions WHERE expires_at <= ?1")?
                    .execute([now.as_micros()])?;
                file.prepare_cached(
                    "INSERT INTO sessions (token_hash, key_id, expires_at) VALUES (?1, ?2, ?3)",
                )?
                .execute(row)?;
                Ok(())
            })
            .await?;
        Ok(Session { token, expires_at })
    }

    /// The key that a browser signed in with. It is looked at anew each time, so revoking it signs browsers out.
    ///
    /// # Errors
    /// [`AccessError::Denied`] where session or key opens nothing; [`AccessError::Store`].
    pub async fn session(&self, token: &SessionToken) -> Result<KeyRecord, AccessError> {
        let hash = Hash::of(&token.0).0;
        let now = self.now();
        // The look-up is by a hash of the token, so its timing tells nothing of tokens near by.
        let sql = format!(
            "SELECT {KEY_COLUMNS} FROM keys WHERE id =
                 (SELECT key_id FROM sessions WHERE token_hash = ?1 AND expires_at > ?2)"
        );
        let found = self
            .database()
            .read(move |file| {
                let mut statement = file.prepare_cached(&sql)?;
                let found = statement.query_row((hash, now.as_micros()), |row| Ok(rows::key(row)));
                found.optional()?.transpose()
            })
            .await?;
        let (key, _) = found.ok_or(Denied::SessionOver)?;
        self.usable(key)
    }

    /// Ends a session; one that is unknown is over already.
    ///
    /// # Errors
    /// [`AccessError::Store`].
    pub async fn close_session(&self, token: &SessionToken) -> Result<(), AccessError> {
        let hash = Hash::of(&token.0).0;
        self.database()
            .write(move |file| {
                file.prepare_cached("DELETE FROM sessions WHERE token_hash = ?1")?
                    .execute([hash])?;
                Ok(())
            })
            .await?;
        Ok(())
    }
}
