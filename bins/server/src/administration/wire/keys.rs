//! API keys and the audit log.

use meterbox_access::{AuditEntry, CreatedKey, KeyRecord, KeyState, Outcome, Role};
use meterbox_core::{Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All API keys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Keys {
    /// Oldest first, revoked ones too.
    pub(crate) keys: Vec<KeyView>,
}

/// An API key, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyView {
    /// Its public name; the key is `mbx_<id>_…`.
    pub(crate) id: String,
    pub(crate) name: String,
    #[schemars(with = "RoleName")]
    pub(crate) role: Role,
    /// Whose budgets pay; the first is the user.
    pub(crate) scopes: Vec<Scope>,
    /// `active`, `expired` or `revoked`.
    pub(crate) state: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    /// The key that took its place.
    pub(crate) replaced_by: Option<String>,
    /// To the hour.
    pub(crate) last_used_at: Option<Timestamp>,
}

/// How the schema names a role.
#[derive(JsonSchema)]
#[schemars(rename = "Role", rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum RoleName {
    /// Reads the answers and the budget of its principal.
    Viewer,
    /// Also asks and cancels.
    Analyst,
    /// Also manages budgets and keys, and reads the audit log.
    Admin,
}

/// An API key to make.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What people call it.
    pub(crate) name: String,
    #[schemars(with = "RoleName")]
    pub(crate) role: Role,
    /// Whose budgets pay: one `user/…`, to whom the answers belong, and groups such as `org/acme`.
    pub(crate) scopes: Vec<Scope>,
    /// Days until it expires; 90 where left out, for ever where null.
    #[serde(default = "usual_days")]
    #[schemars(range(min = 1, max = 36_500))]
    pub(crate) expires_in_days: Option<u32>,
}

/// Short enough that a forgotten key ends by itself.
pub(crate) const USUAL_DAYS: u32 = 90;

#[expect(clippy::unnecessary_wraps, reason = "serde wants the type of the member")]
fn usual_days() -> Option<u32> {
    Some(USUAL_DAYS)
}

/// How a key is to be replaced.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateRequest {
    /// How long the old key still works, in seconds; not at all where left out.
    #[serde(default)]
    #[schemars(range(max = 2_592_000))]
    pub(crate) grace_seconds: u64,
}

/// A new key. Its secret is here and nowhere else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CreatedKeyView {
    /// The key in full. It cannot be shown again.
    pub(crate) secret: String,
    pub(crate) key: KeyView,
}

/// A page of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AuditLog {
    /// Newest first.
    pub(crate) entries: Vec<AuditView>,
    /// `before` of the next page; null at the end.
    pub(crate) next: Option<u64>,
}

/// An administrative act.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AuditView {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    /// Who.
    pub(crate) actor: String,
    /// By which key; null at the machine itself.
    pub(crate) key: Option<String>,
    /// From where: a network address, or `command line`.
    pub(crate) origin: String,
    /// What, such as `budget.set`.
    pub(crate) act: String,
    /// To what.
    pub(crate) target: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    /// `done`, `failed`, or `unknown` where the service stopped in the middle.
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
}

/// Which page of the audit log.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// Entries before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<u64>,
    /// How many; 50 where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) limit: Option<usize>,
}

impl KeyView {
    pub(crate) fn new(key: KeyRecord, now: Timestamp) -> Self {
        let state = match key.state(now) {
            KeyState::Active => "active",
            KeyState::Expired => "expired",
            _ => "revoked",
        };
        Self {
            id: key.id.to_string(),
            name: key.name,
            role: key.role,
            scopes: key.scopes,
            state: state.to_owned(),
            created_at: key.created_at,
            created_by: key.created_by,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            replaced_by: key.replaced_by.map(String::from),
            last_used_at: key.last_used_at,
        }
    }
}

impl CreatedKeyView {
    pub(crate) fn new(created: CreatedKey, now: Timestamp) -> Self {
        Self {
            secret: created.key.reveal(),
            key: KeyView::new(created.record, now),
        }
    }
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let outcome = match entry.outcome {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            _ => "unknown",
        };
        Self {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor,
            key: entry.key.map(String::from),
            origin: entry.origin,
            act: entry.act,
            target: entry.target,
            before: entry.before,
            after: entry.after,
            outcome: outcome.to_owned(),
            reason: entry.reason,
        }
    }
}
