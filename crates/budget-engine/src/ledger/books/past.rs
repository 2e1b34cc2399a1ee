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
    created_at: Timestamp,
    terms: Arc<Terms>,
    state: HoldState,
}

/// What most often is as it was of the hold that ended before, and then they share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    purpose: Arc<str>,
    time: Duration,
    grace: Duration,
}

impl Past {
    /// The hold of this name as it was before it ended, but for its end.
    pub(super) fn kept(&self, id: HoldId) -> Cow<'_, Kept> {
        match self {
            Self::Plain(plain) => Cow::Owned(plain.kept(id)),
            Self::Other(kept) => Cow::Borrowed(kept),
        }
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Other(kept) => kept.idempotency_key.as_deref(),
        }
    }

    /// As [`kept`](Self::kept).
    pub(super) fn into_kept(self, id: HoldId) -> Kept {
        match self {
            Self::Plain(plain) => plain.kept(id),
            Self::Other(kept) => *kept,
        }
    }
}

impl Past {
    /// A hold that has ended, given the terms of the one before.
    pub(super) fn new(kept: Kept, last: &mut Arc<Terms>) -> Self {
        let time = kept.expires_at.duration_since(kept.created_at);
        let is_plain = kept.requested == kept.amount
            && kept.at_least.is_none()
            && kept.idempotency_key.is_none()
            && !kept.degraded
            && kept.intents.is_empty()
            && kept.created_at.saturating_add(time) == kept.expires_at;
        let Counts::One { account, limit } = kept.basis else {
            return Self::Other(Box::new(kept));
        };
        if !is_plain {
            return Self::Other(Box::new(kept));
        }
        if last.time != time || last.grace != kept.grace || last.purpose != kept.purpose {
            *last = Arc::new(Terms {
                purpose: kept.purpose,
                time,
                grace: kept.grace,
            });
        }
        Self::Plain(Plain {
            account,
            limit,
            amount: kept.amount,
            drawn: kept.drawn,
            created_at: kept.created_at,
            terms: Arc::clone(last),
            state: kept.state,
        })
    }
}

impl Plain {
    fn kept(&self, id: HoldId) -> Kept {
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
            purpose: Arc::clone(&self.terms.purpose),
            idempotency_key: None,
            state: self.state,
            created_at: self.created_at,
            expires_at: self.created_at.saturating_add(self.terms.time),
            grace: self.terms.grace,
            degraded: false,
            intents: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{IntentId, IntentRecord, IntentState};
    use meterbox_core::contract::CostLine;

    fn kept() -> Kept {
        let at = Timestamp::UNIX_EPOCH;
        let account = AccountId {
            hash: 7,
            scope: 3,
            number: 1,
        };
        Kept {
            id: HoldId::new(at),
            basis: Counts::One {
                account,
                limit: Usd::from_dollars(9),
            },
            requested: Usd::from_dollars(5),
            at_least: None,
            amount: Usd::from_dollars(5),
            drawn: Usd::from_dollars(2),
            purpose: "a test".into(),
            idempotency_key: None,
            state: HoldState::Expired,
            created_at: at,
            expires_at: at.saturating_add(Duration::from_secs(7)),
            grace: Duration::from_secs(3),
            degraded: false,
            intents: Vec::new(),
        }
    }

    fn intent() -> IntentRecord {
        let line = CostLine {
            item: "call".into(),
            quantity: 1,
            unit: "calls".into(),
            amount: Usd::from_dollars(1),
            estimated: false,
            price: None,
        };
        IntentRecord {
            id: IntentId::new(Timestamp::UNIX_EPOCH),
            line,
            at: Timestamp::UNIX_EPOCH,
            reference: None,
            metered: Usd::ZERO,
            state: IntentState::Booked,
        }
    }

    #[test]
    fn whatever_a_hold_has_is_there_when_it_has_ended() {
        let changes: [fn(&mut Kept); 9] = [
            |_| {},
            |kept| kept.purpose = "another test".into(),
            |kept| kept.grace = Duration::ZERO,
            |kept| kept.expires_at = Timestamp::from_micros(-1).unwrap(),
            |kept| kept.requested = Usd::from_dollars(6),
            |kept| kept.at_least = Some(Usd::from_dollars(4)),
            |kept| kept.idempotency_key = Some("key".to_owned()),
            |kept| kept.degraded = true,
            |kept| kept.intents.push(intent()),
        ];
        let mut terms = Arc::default();
        for change in changes {
            let mut before = kept();
            change(&mut before);
            let past = Past::new(before.clone(), &mut terms);
            assert_eq!(format!("{:?}", past.kept(before.id)), format!("{before:?}"));
            let after = past.into_kept(before.id);
            assert_eq!(format!("{after:?}"), format!("{before:?}"));
        }
    }
}
