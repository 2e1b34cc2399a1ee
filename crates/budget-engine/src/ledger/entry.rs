use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use serde::Serialize;

use super::{HoldId, HoldRecord, HoldState, IntentState};

/// One line of the ledger. Entries are only ever added; every balance is the sum of their changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its place in the ledger, rising from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub body: NewEntry,
}

/// An entry before it has its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewEntry {
    /// What happened.
    pub kind: EntryKind,
    /// To which hold; its scopes are those the changes apply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
    /// To which budget, where a limit was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// How much money it is about.
    pub amount: Usd,
    /// What was used, for draws and intents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Box<CostLine>>,
    /// The idempotency key of a draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// Why, for top-ups and stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// In whose piece of a rolling window spending counts, where that is not the time of the entry: a paid call
    /// counts when it was intended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_at: Option<Timestamp>,
    /// By how many nano-dollars the held balance of each claim changes.
    pub held_change: i64,
    /// By how many nano-dollars the spent balance of each claim changes.
    pub spent_change: i64,
}

/// What an [`Entry`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// Money was set aside.
    Held,
    /// The worst case of a paid call was written down.
    Intended,
    /// Money was spent.
    Drawn,
    /// A worst case that had been booked was taken back, because the use became known.
    Corrected,
    /// The hold was settled; what was left is free.
    Settled,
    /// The hold was given up; what was left is free.
    Released,
    /// The hold was abandoned by its owner; what was left is free.
    Dropped,
    /// The hold outlived its time; what was left is free.
    Expired,
    /// A limit was set.
    LimitSet,
    /// A limit was removed.
    LimitRemoved,
    /// A limit was topped up.
    ToppedUp,
    /// All spending was stopped.
    Stopped,
    /// Spending may go on.
    Resumed,
}

impl EntryKind {
    /// Its name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToppedUp => "topped_up",
            Self::Stopped => "stopped",
            Self::Resumed => "resumed",
            Self::Held => "held",
            Self::Intended => "intended",
            Self::Drawn => "drawn",
            Self::Corrected => "corrected",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Dropped => "dropped",
            Self::Expired => "expired",
            Self::LimitSet => "limit_set",
            Self::LimitRemoved => "limit_removed",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Held,
            Self::Intended,
            Self::Drawn,
            Self::Corrected,
            Self::Settled,
            Self::Released,
            Self::Dropped,
            Self::Expired,
            Self::LimitSet,
            Self::LimitRemoved,
            Self::ToppedUp,
            Self::Stopped,
            Self::Resumed,
        ];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl NewEntry {
    pub(crate) fn of_hold(hold: HoldId, kind: EntryKind, amount: Usd) -> Self {
        Self {
            hold: Some(hold),
            ..Self::bare(kind, amount)
        }
    }

    pub(crate) fn of_limit(scope: Scope, kind: EntryKind, limit: Usd) -> Self {
        Self {
            scope: Some(scope),
            ..Self::bare(kind, limit)
        }
    }

    pub(crate) fn bare(kind: EntryKind, amount: Usd) -> Self {
        Self {
            kind,
            hold: None,
            scope: None,
            amount,
            line: None,
            key: None,
            note: None,
            counts_at: None,
            held_change: 0,
            spent_change: 0,
        }
    }
}

/// An account of the double entry: money of a budget is available, held, or spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Free for new holds.
    Available,
    /// Set aside.
    Held,
    /// Gone.
    Spent,
}

/// Money that moves from one account of a budget to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Posting {
    /// Where it leaves.
    pub from: Account,
    /// Where it arrives.
    pub to: Account,
    /// How much; more than zero.
    pub amount: Usd,
}

impl NewEntry {
    /// The entry as double entry, the same for every budget its hold counts against. Spending that no hold covers
    /// (drawn late, or beyond the hold) comes straight out of what is available, below zero if need be: debt.
    pub fn postings(&self) -> Vec<Posting> {
        let moved = |from, to, nanos: i128| {
            let amount = Usd::from_nanos(u64::try_from(nanos).ok()?).ok()?;
            (!amount.is_zero()).then_some(Posting { from, to, amount })
        };
        let (held, spent) = (i128::from(self.held_change), i128::from(self.spent_change));
        let covered = spent.clamp(0, held.saturating_neg().max(0));
        let freed = held.saturating_neg().saturating_sub(covered);
        let uncovered = spent.saturating_sub(covered);
        [
            moved(Account::Available, Account::Held, held),
            moved(Account::Held, Account::Spent, covered),
            moved(Account::Held, Account::Available, freed),
            moved(Account::Available, Account::Spent, uncovered),
            moved(Account::Spent, Account::Available, uncovered.saturating_neg()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Which entries to read, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPage {
    /// Entries after this `seq`; 0 for the first.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

impl Default for EntryPage {
    fn default() -> Self {
        Self { after: 0, limit: 100 }
    }
}

/// Which holds to read, by id, which is oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldPage {
    /// Holds after this one; `None` for the first.
    pub after: Option<HoldId>,
    /// At most so many.
    pub limit: usize,
    /// Which of them.
    pub only: HoldFilter,
}

/// Which holds a page is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldFilter {
    /// All of them.
    #[default]
    All,
    /// Those that still set money aside.
    Open,
    /// Those with a paid call that is booked at its worst case because its use never became known.
    Estimated,
}

impl Default for HoldPage {
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
            only: HoldFilter::All,
        }
    }
}

impl HoldFilter {
    /// Does it take this hold?
    pub fn takes<B>(self, hold: &HoldRecord<B>) -> bool {
        match self {
            Self::All => true,
            Self::Open => hold.state == HoldState::Open,
            Self::Estimated => hold
                .intents
                .iter()
                .any(|intent| intent.state == IntentState::Booked),
        }
    }
}
