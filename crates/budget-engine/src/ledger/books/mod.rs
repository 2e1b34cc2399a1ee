mod accounts;
mod administration;
mod against;
mod balances;
mod due;
mod ended;
mod holds;
mod key;
mod loading;
mod open;
mod past;
mod row;
mod rows;

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

use self::{
    accounts::Accounts,
    against::{Against, Counts},
    due::Due,
    ended::Ended,
    key::Key,
    open::OpenHolds,
    past::PastHolds,
    row::Row,
    rows::Rows,
};
use super::{HoldId, HoldRecord, NewEntry, Setting};
use crate::{Budget, Period, Stop};

type Map<K, V> = HashMap<K, V, RandomState>;

/// A ledger, or the part of it that a step needs.
///
/// Each method is one step: it does all of what it says or, with an error, nothing. What it changed is in
/// [`Books::take_changes`].
#[derive(Debug, Clone, Default)]
pub struct Books {
    stop: Option<Stop>,
    /// By the number of their kind.
    wildcards: Map<u32, InForce>,
    accounts: Accounts,
    open: OpenHolds,
    /// Kept apart, so that looking for an open hold stays as fast however many there were.
    past: PastHolds,
    due: Due,
    by_key: Map<Box<str>, HoldId>,
    draws_by_key: Map<(HoldId, Box<str>), CostLine>,
    /// But for those of accounts, which keep them.
    changes: Changes,
    /// Of the last hold.
    purpose: Arc<str>,
    /// Kept for its allocation.
    standings: Vec<(usize, Standing)>,
}

/// A budget and since when there is one for its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// The budget.
    pub budget: Budget,
    /// Since when; a change of the limit does not count.
    pub since: Timestamp,
    /// What a setting last said of it, where one began it.
    pub setting: Option<Box<Setting>>,
}

/// What a step changed, in the words of a store.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// To be added to the ledger, in this order.
    pub entries: Vec<NewEntry>,
    /// Holds that are new; [`Books::hold`] has them.
    pub opened: Vec<HoldId>,
    /// Holds that changed.
    pub holds: Vec<HoldId>,
    /// Accounts that changed.
    pub accounts: Vec<AccountChange>,
}

/// Names an account in these books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    /// Of the text of its scope.
    hash: u64,
    /// The number of its scope.
    scope: u32,
    /// Of the accounts of its scope.
    number: u32,
}

/// What to add to an account; [`Books::account_row`] has what it is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountChange {
    /// Which.
    pub account: AccountId,
    /// Nano-dollars.
    pub held: i64,
    /// Nano-dollars.
    pub spent: i64,
    /// The limit, without additions, that a new hold found, which may be nothing.
    pub limit: Option<Usd>,
}

/// What is spent and held of a scope in one period, or in one piece of a rolling window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Whose.
    pub scope: Scope,
    /// The name of the period or piece.
    pub period: Arc<str>,
    /// When it has no more bearing on its window.
    pub ends_at: Timestamp,
    /// The limit, without additions, that the last hold found.
    pub limit: Usd,
    /// Nano-dollars.
    pub spent: i64,
    /// Nano-dollars.
    pub held: i64,
}

/// A budget, and the period it was last asked in: calendars are slow to look into.
#[derive(Debug, Clone)]
struct InForce {
    defined: Defined,
    period: RefCell<Period>,
}

/// A hold as it is kept.
type Kept = HoldRecord<Counts>;

/// A budget that applies to a scope, and what is used of it in the present period.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// `None` where nothing was ever used in this period.
    account: Option<AccountId>,
    limit: Usd,
    extra: Usd,
    spent: i64,
    held: i64,
    degraded_allowance: Usd,
}
