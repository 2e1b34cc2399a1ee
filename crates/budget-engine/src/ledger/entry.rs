use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use serde::Serialize;

use super::HoldId;

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
    pub line: Option<CostLine>,
    /// The idempotency key of a draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
}

impl EntryKind {
    /// Its name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
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

    fn bare(kind: EntryKind, amount: Usd) -> Self {
        Self {
            kind,
            hold: None,
            scope: None,
            amount,
            line: None,
            key: None,
            held_change: 0,
            spent_change: 0,
        }
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
