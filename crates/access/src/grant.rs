use meterbox_core::{Scope, Timestamp};
use serde::Serialize;

use crate::{AccessError, KeyId, Role};

const USER: &str = "user";
const MAX_SCOPES: usize = 8;
const MAX_NAME_BYTES: usize = 100;

/// What a new key is to allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyGrant {
    /// What people call it, such as `laptop of Ana`.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Whose budgets pay: one `user/…`, to whom the answers belong, and the groups it is in.
    pub scopes: Vec<Scope>,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
}

/// What is known of a key; never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRecord {
    /// Its public name.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Whose budgets pay; the first is the user.
    pub scopes: Vec<Scope>,
    /// Since when there is this key.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// Since when it opens nothing.
    pub revoked_at: Option<Timestamp>,
    /// The key that took its place.
    pub replaced_by: Option<KeyId>,
    /// When it was used, to the hour: enough to tell which keys nobody needs.
    pub last_used_at: Option<Timestamp>,
}

/// Whether a key opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl KeyGrant {
    /// A grant without an end.
    pub fn new(name: impl Into<String>, role: Role, scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            name: name.into(),
            role,
            scopes: scopes.into_iter().collect(),
            expires_at: None,
        }
    }

    /// The same, until then.
    #[must_use]
    pub fn expiring_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The grant with its user first and each scope once.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] names what is wrong.
    pub(crate) fn checked(mut self, now: Timestamp) -> Result<Self, AccessError> {
        let invalid = |message: String| Err(AccessError::Invalid(message));
        let name = self.name.trim();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return invalid(format!(
                "the name of a key is 1 to {MAX_NAME_BYTES} bytes without control characters"
            ));
        }
        self.name = name.to_owned();
        self.scopes
            .sort_by(|a, b| (a.kind() != USER, a).cmp(&(b.kind() != USER, b)));
        self.scopes.dedup();
        if self.scopes.len() > MAX_SCOPES {
            return invalid(format!("a key has at most {MAX_SCOPES} scopes"));
        }
        if let Some(wildcard) = self.scopes.iter().find(|scope| scope.is_wildcard()) {
            return invalid(format!(
                "{wildcard} stands for many scopes; name the one whose money is meant"
            ));
        }
        if self.scopes.iter().filter(|scope| scope.kind() == USER).count() != 1 {
            return invalid("a key has exactly one user, such as user/ana, beside its groups".to_owned());
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return invalid("a key cannot expire before it is made".to_owned());
        }
        Ok(self)
    }
}

impl KeyRecord {
    /// To whom the answers belong.
    pub fn user(&self) -> &Scope {
        // The rows are checked when they are written and when they are read.
        &self.scopes[0]
    }

    /// The further scopes that pay.
    pub fn groups(&self) -> &[Scope] {
        &self.scopes[1..]
    }

    /// Does it open anything at this time?
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}
