//! API keys and the audit log at the data folder.

use std::time::Duration;

use async_trait::async_trait;
use meterbox_access::{AuditPage, KeyGrant, KeyId};
use meterbox_core::Clock;

use super::Local;
use crate::administration::{
    AdminError, KeyAdministration,
    wire::{AuditLog, AuditQuery, CreatedKeyView, KeyView, Keys, NewKey},
};

const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl KeyAdministration for Local {
    async fn keys(&self) -> Result<Keys, AdminError> {
        let now = self.clock.now();
        let keys = self.access.keys().await?;
        Ok(Keys {
            keys: keys.into_iter().map(|key| KeyView::new(key, now)).collect(),
        })
    }

    async fn create_key(&self, key: NewKey) -> Result<CreatedKeyView, AdminError> {
        let now = self.clock.now();
        let mut grant = KeyGrant::new(key.name, key.role, key.scopes);
        if let Some(days) = key.expires_in_days {
            grant = grant.expiring_at(now.saturating_add(days_long(days)?));
        }
        let created = self.access.create_key(&self.actor, grant).await?;
        Ok(CreatedKeyView::new(created, now))
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<KeyView, AdminError> {
        let revoked = self.access.revoke_key(&self.actor, id, self.is_remote).await?;
        Ok(KeyView::new(revoked, self.clock.now()))
    }

    async fn rotate_key(&self, id: &KeyId, grace: Duration) -> Result<CreatedKeyView, AdminError> {
        if grace > LONGEST_GRACE {
            return Err(AdminError::invalid(
                "grace_seconds",
                "an old key works at most 30 days more",
            ));
        }
        let created = self.access.rotate_key(&self.actor, id, grace).await?;
        Ok(CreatedKeyView::new(created, self.clock.now()))
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditLog, AdminError> {
        let usual = AuditPage::default();
        let limit = query.limit.unwrap_or(usual.limit);
        if !(1..=1_000).contains(&limit) {
            return Err(AdminError::invalid("limit", "a page has 1 to 1,000 entries"));
        }
        let page = AuditPage {
            before: query.before,
            limit,
        };
        let entries = self.access.audit(page).await?;
        let next = entries
            .last()
            .filter(|last| entries.len() == limit && last.seq > 1);
        Ok(AuditLog {
            next: next.map(|last| last.seq),
            entries: entries.into_iter().map(Into::into).collect(),
        })
    }
}

fn days_long(days: u32) -> Result<Duration, AdminError> {
    if !(1..=36_500).contains(&days) {
        return Err(AdminError::invalid(
            "expires_in_days",
            "a key lives 1 to 36,500 days",
        ));
    }
    Ok(DAY * days)
}
