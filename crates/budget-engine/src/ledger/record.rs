use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

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

/// Names a top-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct TopUpId(Uuid);

/// Names an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct EventId(Uuid);

/// Everything a store keeps about one hold. [`Books`](super::Books) keep what it counts against in a form of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord<B = Arc<Basis>> {
    /// Its name.
    pub id: HoldId,
    /// What it counts against.
    pub basis: B,
    /// How much was asked for.
    pub requested: Usd,
    /// The least that would have done.
    pub at_least: Option<Usd>,
    /// How much was set aside.
    pub amount: Usd,
    /// What is drawn in total, however much was set aside.
    pub drawn: Usd,
    /// What for.
    pub purpose: Arc<str>,
    /// The caller's key for retries.
    pub idempotency_key: Option<String>,
    /// Open, or how it ended.
    pub state: HoldState,
    /// When it began.
    pub created_at: Timestamp,
    /// When its time is over; it ends by itself `grace` later.
    pub expires_at: Timestamp,
    /// How long money stays set aside after that.
    pub grace: Duration,
    /// May it have what is kept for degraded requests?
    pub degraded: bool,
    /// Paid calls begun.
    pub intents: Vec<IntentRecord>,
}

/// What a hold counts against. Most often it is what it was for the hold before, and then they share it:
/// memory is what a ledger without a disk runs out of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// What was asked for, sorted.
    pub scopes: Box<[Scope]>,
    /// The balances it counts against.
    pub claims: Box<[Claim]>,
}

/// One balance a hold counts against, and the limit it was admitted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub scope: Scope,
    /// In which period; stays what it was when the hold began.
    pub period: Arc<str>,
    /// When that period ends.
    pub ends_at: Timestamp,
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
    /// When it was written down; all its spending counts at this time.
    pub at: Timestamp,
    /// What others call it, such as the request id a provider's bill has.
    pub reference: Option<String>,
    /// What is drawn of it while it goes on.
    pub metered: Usd,
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

/// Where a hold stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldStatus {
    /// Which.
    pub id: HoldId,
    /// Open, or how it ended.
    pub state: HoldState,
    /// What was set aside.
    pub amount: Usd,
    /// What is drawn in total.
    pub drawn: Usd,
    /// What is set aside and not yet meant for a paid call.
    pub available: Usd,
    /// When its time is over.
    pub expires_at: Timestamp,
    /// Paid calls whose use never became known, booked at their worst case.
    pub estimated: Vec<CostLine>,
    /// Somebody stopped all spending: end the work.
    pub stopped: bool,
}

impl HoldStatus {
    /// What is still set aside.
    pub fn left(&self) -> Usd {
        match self.state {
            HoldState::Open => self.amount.saturating_sub(self.drawn),
            _ => Usd::ZERO,
        }
    }

    /// What became, or would now become, of it.
    pub fn settlement(&self) -> Settlement {
        self.clone().into_settlement()
    }

    /// The same, of a status that is not needed any more.
    pub(crate) fn into_settlement(self) -> Settlement {
        Settlement {
            hold: self.id,
            state: self.state,
            held: self.amount,
            drawn: self.drawn,
            freed: self.amount.saturating_sub(self.drawn),
            overdrawn: self.drawn.saturating_sub(self.amount),
            estimated: self.estimated,
        }
    }
}

impl<B> HoldRecord<B> {
    /// The same hold, with what it counts against in another form.
    pub(super) fn with_basis<C>(&self, basis: C) -> HoldRecord<C> {
        HoldRecord {
            basis,
            id: self.id,
            requested: self.requested,
            at_least: self.at_least,
            amount: self.amount,
            drawn: self.drawn,
            purpose: Arc::clone(&self.purpose),
            idempotency_key: self.idempotency_key.clone(),
            state: self.state,
            created_at: self.created_at,
            expires_at: self.expires_at,
            grace: self.grace,
            degraded: self.degraded,
            intents: self.intents.clone(),
        }
    }

    /// When it ends by itself.
    pub fn ends_at(&self) -> Timestamp {
        self.expires_at.saturating_add(self.grace)
    }

    /// Where it stands.
    pub fn status(&self) -> HoldStatus {
        HoldStatus {
            id: self.id,
            state: self.state,
            amount: self.amount,
            drawn: self.drawn,
            available: self.available(),
            expires_at: self.expires_at,
            estimated: self.estimated(),
            stopped: false,
        }
    }

    /// Paid calls whose use never became known. Most holds have no paid calls at all.
    fn estimated(&self) -> Vec<CostLine> {
        if self.intents.is_empty() {
            return Vec::new();
        }
        let intents = self.intents.iter();
        let booked = intents.filter(|intent| intent.state == IntentState::Booked);
        booked
            .map(|intent| CostLine {
                estimated: true,
                ..intent.line.clone()
            })
            .collect()
    }

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
            left.saturating_sub(intent.outstanding())
        })
    }

    /// What became, or would now become, of it.
    pub fn settlement(&self) -> Settlement {
        self.status().into_settlement()
    }
}

impl HoldRecord {
    /// Answers a request whose idempotency key this hold carries.
    ///
    /// # Errors
    /// [`BudgetError::KeyReused`] where the request is another, [`BudgetError::AlreadyEnded`] where the
    /// hold has ended.
    pub fn replay(&self, open: &OpenHold) -> Result<HoldStatus, BudgetError> {
        let request = &open.request;
        let asked = (
            &*request.scopes,
            request.amount,
            request.at_least,
            &*request.purpose,
            request.degraded,
        );
        let mine = (
            &*self.basis.scopes,
            self.requested,
            self.at_least,
            &*self.purpose,
            self.degraded,
        );
        if mine != asked {
            return Err(BudgetError::KeyReused {
                key: request.idempotency_key.clone().unwrap_or_default(),
            });
        }
        if self.state != HoldState::Open {
            return Err(BudgetError::AlreadyEnded(Box::new(self.settlement())));
        }
        Ok(self.status())
    }
}

impl IntentRecord {
    /// What its worst case may still add to what is drawn.
    pub fn outstanding(&self) -> Usd {
        self.line.amount.saturating_sub(self.metered)
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
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(time_ordered(now))
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn uuid(self) -> Uuid {
        self.0
    }

    /// How many microseconds after the time in the name this is, if so many fit: less room than a point in time takes.
    #[inline]
    pub(crate) fn micros_until<T: TryFrom<i64>>(self, at: Timestamp) -> Option<T> {
        T::try_from(at.as_micros().checked_sub(self.micros())?).ok()
    }

    /// The point in time that many microseconds after the one in the name.
    pub(crate) fn after(self, micros: u32) -> Timestamp {
        // It was one before it was kept so.
        Timestamp::from_micros(self.micros().saturating_add(micros.into())).unwrap_or(Timestamp::MAX)
    }

    /// When it began, to the millisecond.
    #[inline]
    fn micros(self) -> i64 {
        let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
        i64::from_be_bytes([0, 0, a, b, c, d, e, f]).saturating_mul(1_000)
    }

    /// No hold that begins at this moment or later has an earlier id.
    pub(crate) fn before(at: Timestamp) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(millis(at), &[0; 10]).into_uuid())
    }
}

impl EventId {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(time_ordered(now))
    }
}

impl IntentId {
    #[cfg(feature = "postgres")]
    pub(crate) fn uuid(self) -> Uuid {
        self.0
    }

    pub(crate) fn new(now: Timestamp) -> Self {
        Self(time_ordered(now))
    }
}

impl TopUpId {
    /// A new name.
    pub fn new(now: Timestamp) -> Self {
        Self(time_ordered(now))
    }
}

/// A version 7 UUID of the time, a counter and bits drawn once per process: names need be unique, not secret, and
/// later ones land beside each other in an index.
fn time_ordered(now: Timestamp) -> Uuid {
    static PROCESS: LazyLock<[u8; 16]> = LazyLock::new(|| Uuid::new_v4().into_bytes());
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let [a, b, c, d] = COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [e, f, g, h, i, j, ..] = *PROCESS;
    // The layout takes six bits of the bytes for itself: the counter keeps clear of them.
    uuid::Builder::from_unix_timestamp_millis(millis(now), &[e, a, f, b, c, d, g, h, i, j]).into_uuid()
}

fn millis(at: Timestamp) -> u64 {
    at.as_micros().max(0).unsigned_abs() / 1_000
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
                let invalid = |_| {
                    BudgetError::Invalid("not the id of a hold, an intent, a top-up or an event".to_owned())
                };
                Uuid::try_parse(text).map(Self).map_err(invalid)
            }
        }
    };
}
uuid_text!(HoldId);
uuid_text!(IntentId);
uuid_text!(TopUpId);
uuid_text!(EventId);

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

impl From<TopUpId> for String {
    fn from(id: TopUpId) -> Self {
        id.to_string()
    }
}

impl From<HoldId> for String {
    fn from(id: HoldId) -> Self {
        id.to_string()
    }
}
