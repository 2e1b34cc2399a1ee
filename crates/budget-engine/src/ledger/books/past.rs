//! Holds that have ended, kept small: memory is what a ledger without a disk runs out of.

use std::{borrow::Cow, sync::Arc, time::Duration};

use meterbox_core::{Timestamp, Usd};

use super::{AccountId, Counts, Kept};
use crate::ledger::{HoldId, HoldState};

/// A hold that has ended, without its name.
#[derive(Debug, Clone)]
pub(super) enum Past {
    /// What most are: of one scope, with all that was asked for, without paid calls and without a key.
    Plain(Plain),
    Other(Box<Kept>),
}

#[derive(Debug, Clone)]
pub(super) struct Plain {
    account: AccountId,
    limit: Usd,
    amount: Usd,
    drawn: Usd,
    purpose: Arc<str>,
    created_at: Timestamp,
    expires_at: Timestamp,
    grace: Duration,
    state: HoldState,
}

impl Past {
    /// The hold of this name as it was before it ended, but for its end.
    pub(super) fn kept(&self, id: HoldId) -> Cow<'_, Kept> {
        match self {
            Self::Plain(plain) => Cow::Owned(plain.clone().kept(id)),
            Self::Other(kept) => Cow::Borrowed(kept),
        }
    }

    /// As [`kept`](Self::kept).
    pub(super) fn into_kept(self, id: HoldId) -> Box<Kept> {
        match self {
            Self::Plain(plain) => Box::new(plain.kept(id)),
            Self::Other(kept) => kept,
        }
    }
}

impl From<Box<Kept>> for Past {
    fn from(kept: Box<Kept>) -> Self {
        let Counts::One { account, limit } = kept.basis else {
            return Self::Other(kept);
        };
        let is_plain = kept.requested == kept.amount
            && kept.at_least.is_none()
            && kept.idempotency_key.is_none()
            && !kept.degraded
            && kept.intents.is_empty();
        if !is_plain {
            return Self::Other(kept);
        }
        Self::Plain(Plain {
            account,
            limit,
            amount: kept.amount,
            drawn: kept.drawn,
            created_at: kept.created_at,
            expires_at: kept.expires_at,
            grace: kept.grace,
            state: kept.state,
            purpose: kept.purpose,
        })
    }
}

impl Plain {
    fn kept(self, id: HoldId) -> Kept {
        Kept {
            id,
            basis: Counts::One {
                account: self.account,
                limit: self.limit,
            },
            requested: self.amount,
            at_least: None,
            amount: self.amount,
            drawn: self.drawn,
            purpose: self.purpose,
            idempotency_key: None,
            state: self.state,
            created_at: self.created_at,
            expires_at: self.expires_at,
            grace: self.grace,
            degraded: false,
            intents: Vec::new(),
        }
    }
}
