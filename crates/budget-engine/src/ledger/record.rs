use std::{fmt, str::FromStr};

use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use serde::Serialize;
use uuid::Uuid;

use super::OpenHold;
use crate::BudgetError;

/// Names a hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct HoldId(Uuid);

/// Names an intent of a hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(Uuid);

/// Everything a store keeps about one hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    /// Its name.
    pub id: HoldId,
    /// What was asked for, scopes sorted.
    pub scopes: Vec<Scope>,
    /// How much was asked for.
    pub requested: Usd,
    /// The least that would have done.
    pub at_least: Option<Usd>,
    /// How much was set aside.
    pub amount: Usd,
    /// What is drawn in total, however much was set aside.
    pub drawn: Usd,
    /// What for.
    pub purpose: String,
    /// The caller's key for retries.
    pub idempotency_key: Option<String>,
    /// Open, or how it ended.
    pub state: HoldState,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// The balances it counts against.
    pub claims: Vec<Claim>,
    /// Paid calls begun.
    pub intents: Vec<IntentRecord>,
}

/// One balance a hold counts against, and the limit it was admitted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub scope: Scope,
    /// In which period; stays what it was when the hold began.
    pub period: String,
    /// The limit then.
    pub limit: Usd,
}

/// A paid call: its worst case until its use is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentRecord {
    /// Its name.
    pub id: IntentId,
    /// Its worst case.
    pub line: CostLine,
    /// What is known.
    pub state: IntentState,
}

/// What is known of a paid call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IntentState {
    /// Nothing yet.
    Open,
    /// Its use, which is drawn.
    Resolved,
    /// Nothing, and the hold has ended: its worst case is drawn.
    Booked,
}

/// Whether a hold still sets money aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldState {
    /// It does.
    Open,
    /// Ended by its owner with what was drawn.
    Settled,
    /// Given up by its owner.
    Released,
    /// Abandoned by its owner.
    Dropped,
    /// Ended by time.
    Expired,
}

/// What became of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settlement {
    /// Which.
    pub hold: HoldId,
    /// How it ended.
    pub state: HoldState,
    /// What had been set aside.
    pub held: Usd,
    /// What was spent.
    pub drawn: Usd,
    /// What is free again.
    pub freed: Usd,
    /// What was spent beyond the hold.
    pub overdrawn: Usd,
    /// Paid calls whose use never became known, booked at their worst case.
    pub estimated: Vec<CostLine>,
}

impl HoldRecord {
    /// What is still set aside.
    pub fn left(&self) -> Usd {
        match self.state {
            HoldState::Open => self.amount.saturating_sub(self.drawn),
            _ => Usd::ZERO,
        }
    }

    /// What is set aside and not yet meant for a paid call.
    pub fn available(&self) -> Usd {
        let open = self
            .intents
            .iter()
            .filter(|intent| intent.state == IntentState::Open);
        open.fold(self.left(), |left, intent| {
            left.saturating_sub(intent.line.amount)
        })
    }

    /// What became, or would now become, of it.
    pub fn settlement(&self) -> Settlement {
        let booked = self
            .intents
            .iter()
            .filter(|intent| intent.state == IntentState::Booked);
        Settlement {
            hold: self.id,
            state: self.state,
            held: self.amount,
            drawn: self.drawn,
            freed: self.amount.saturating_sub(self.drawn),
            overdrawn: self.drawn.saturating_sub(self.amount),
            estimated: booked
                .map(|intent| CostLine {
                    estimated: true,
                    ..intent.line.clone()
                })
                .collect(),
        }
    }

    /// Answers a request whose idempotency key this hold carries.
    ///
    /// # Errors
    /// [`BudgetError::KeyReused`] where the request is another, [`BudgetError::AlreadyEnded`] where the
    /// hold has ended.
    pub fn replay(self, open: &OpenHold) -> Result<Self, BudgetError> {
        let request = &open.request;
        let asked = (
            &request.scopes,
            request.amount,
            request.at_least,
            &request.purpose,
        );
        if (&self.scopes, self.requested, self.at_least, &self.purpose) != asked {
            return Err(BudgetError::KeyReused {
                key: request.idempotency_key.clone().unwrap_or_default(),
            });
        }
        if self.state != HoldState::Open {
            return Err(BudgetError::AlreadyEnded(Box::new(self.settlement())));
        }
        Ok(self)
    }
}

impl HoldState {
    /// Its name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Dropped => "dropped",
            Self::Expired => "expired",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Open,
            Self::Settled,
            Self::Released,
            Self::Dropped,
            Self::Expired,
        ];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

impl IntentState {
    /// Its name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Booked => "booked",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Resolved, Self::Booked]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

impl HoldId {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl IntentId {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

macro_rules! uuid_text {
    ($id:ty) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $id {
            type Err = BudgetError;

            fn from_str(text: &str) -> Result<Self, BudgetError> {
                let invalid = |_| BudgetError::Invalid("not the id of a hold or an intent".to_owned());
                Uuid::try_parse(text).map(Self).map_err(invalid)
            }
        }
    };
}
uuid_text!(HoldId);
uuid_text!(IntentId);

impl From<HoldId> for String {
    fn from(id: HoldId) -> Self {
        id.to_string()
    }
}
