//! Holds that have ended, kept small: memory is what a ledger without a disk runs out of.

use std::{borrow::Cow, sync::Arc, time::Duration};

use meterbox_core::{Timestamp, Usd};

use super::{AccountId, Counts, Ended, Kept};
use crate::ledger::{HoldId, HoldState};

/// Among so many of the last terms those of a hold are looked for.
const RECENT: usize = 8;

/// The holds that have ended.
#[derive(Debug, Clone, Default)]
pub(super) struct PastHolds {
    holds: Ended<Past>,
    terms: Vec<Terms>,
}

/// A hold that has ended, without its name.
#[derive(Debug, Clone)]
enum Past {
    /// What most are: of one scope, with all that was asked for, without paid calls and without a key.
    Plain(Plain),
    Other(Box<Kept>),
}

#[derive(Debug, Clone)]
struct Plain {
    account: AccountId,
    limit: Usd,
    amount: Usd,
    drawn: Usd,
    /// When it was created, in microseconds after the time in its name.
    after: u16,
    /// Which of all terms.
    terms: u32,
    state: HoldState,
}

/// What most often is as it was of a hold that ended shortly before, and then they share it.
#[derive(Debug, Clone)]
struct Terms {
    purpose: Arc<str>,
    /// Microseconds.
    time: u64,
    grace: Duration,
}

impl PastHolds {
    pub(super) fn len(&self) -> usize {
        self.holds.len()
    }

    pub(super) fn has(&self, id: HoldId) -> bool {
        self.holds.get(id).is_some()
    }

    pub(super) fn get(&self, id: HoldId) -> Option<Cow<'_, Kept>> {
        self.kept(id, self.holds.get(id)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cow<'_, Kept>> {
        self.holds.iter().filter_map(|(id, past)| self.kept(id, past))
    }

    pub(super) fn remove(&mut self, id: HoldId) -> Option<Kept> {
        match self.holds.remove(id)? {
            Past::Plain(plain) => plain.kept(id, &self.terms),
            Past::Other(kept) => Some(*kept),
        }
    }

    pub(super) fn insert(&mut self, kept: Kept) {
        if !self.insert_plain(&kept) {
            self.holds.insert(kept.id, Past::Other(Box::new(kept)));
        }
    }

    /// Takes the hold in where it is a plain one. False where it is not, and has to be [inserted](Self::insert).
    pub(super) fn insert_plain(&mut self, kept: &Kept) -> bool {
        let plain = self.plain(kept);
        let is_plain = plain.is_some();
        if let Some(plain) = plain {
            self.holds.insert(kept.id, Past::Plain(plain));
        }
        is_plain
    }

    /// The hold as a plain one, if it is one.
    fn plain(&mut self, kept: &Kept) -> Option<Plain> {
        let Counts::One { account, limit } = kept.basis else {
            return None;
        };
        let time = kept
            .expires_at
            .as_micros()
            .checked_sub(kept.created_at.as_micros())?;
        let time = u64::try_from(time).ok()?;
        let is_plain = kept.requested == kept.amount
            && kept.at_least.is_none()
            && kept.idempotency_key.is_none()
            && !kept.degraded
            && kept.intents.is_empty()
            && kept.expires_at <= Timestamp::MAX;
        if !is_plain {
            return None;
        }
        Some(Plain {
            account,
            limit,
            amount: kept.amount,
            drawn: kept.drawn,
            after: kept.id.micros_until(kept.created_at)?,
            terms: self.terms_of(kept, time)?,
            state: kept.state,
        })
    }

    fn terms_of(&mut self, kept: &Kept, time: u64) -> Option<u32> {
        let is_same = |(_, known): &(usize, &Terms)| {
            let is_purpose = Arc::ptr_eq(&known.purpose, &kept.purpose) || known.purpose == kept.purpose;
            is_purpose && known.time == time && known.grace == kept.grace
        };
        let last_first = self.terms.iter().enumerate().rev();
        let known = last_first.take(RECENT).find(is_same).map(|(place, _)| place);
        let place = known.unwrap_or_else(|| {
            self.terms.push(Terms {
                purpose: Arc::clone(&kept.purpose),
                time,
                grace: kept.grace,
            });
            self.terms.len().saturating_sub(1)
        });
        u32::try_from(place).ok()
    }

    fn kept<'a>(&'a self, id: HoldId, past: &'a Past) -> Option<Cow<'a, Kept>> {
        match past {
            Past::Plain(plain) => plain.kept(id, &self.terms).map(Cow::Owned),
            Past::Other(kept) => Some(Cow::Borrowed(kept)),
        }
    }
}

impl Plain {
    fn kept(&self, id: HoldId, terms: &[Terms]) -> Option<Kept> {
        let terms = terms.get(usize::try_from(self.terms).ok()?)?;
        let created_at = id.after(self.after.into());
        Some(Kept {
            id,
            basis: Counts::One {
                account: self.account,
                limit: self.limit,
            },
            requested: self.amount,
            at_least: None,
            amount: self.amount,
            drawn: self.drawn,
            purpose: Arc::clone(&terms.purpose),
            idempotency_key: None,
            state: self.state,
            created_at,
            expires_at: created_at.saturating_add(Duration::from_micros(terms.time)),
            grace: terms.grace,
            degraded: false,
            intents: Vec::new(),
        })
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
        let changes: [fn(&mut Kept); 11] = [
            |_| {},
            |kept| kept.purpose = "another test".into(),
            |kept| kept.grace = Duration::ZERO,
            |kept| kept.expires_at = Timestamp::from_micros(-1).unwrap(),
            |kept| kept.created_at = Timestamp::from_micros(65_535).unwrap(),
            |kept| kept.created_at = Timestamp::from_micros(65_536).unwrap(),
            |kept| kept.requested = Usd::from_dollars(6),
            |kept| kept.at_least = Some(Usd::from_dollars(4)),
            |kept| kept.idempotency_key = Some("key".to_owned()),
            |kept| kept.degraded = true,
            |kept| kept.intents.push(intent()),
        ];
        let (mut past, mut ids) = (PastHolds::default(), Vec::new());
        for change in changes {
            let mut before = kept();
            change(&mut before);
            past.insert(before.clone());
            assert_eq!(
                format!("{:?}", past.get(before.id).unwrap()),
                format!("{before:?}")
            );
            let after = past.remove(before.id).unwrap();
            assert_eq!(format!("{after:?}"), format!("{before:?}"));
            past.insert(after);
            ids.push(before.id);
        }
        let kept: Vec<HoldId> = past.iter().map(|kept| kept.id).collect();
        assert_eq!(kept, ids);
        assert_eq!(size_of::<Past>(), 48);
    }

    /// What alternates with each hold is kept once, not once a hold.
    #[test]
    fn terms_that_come_again_are_shared() {
        let mut past = PastHolds::default();
        for round in 0..1_000 {
            let purpose = ["ask", "plan", "write"][round % 3];
            past.insert(Kept {
                purpose: purpose.into(),
                ..kept()
            });
        }
        assert_eq!(past.terms.len(), 3);
        let purposes: Vec<_> = past.iter().map(|kept| Arc::clone(&kept.purpose)).collect();
        assert_eq!(
            [&*purposes[0], &*purposes[998], &*purposes[999]],
            ["ask", "write", "ask"]
        );
    }
}
