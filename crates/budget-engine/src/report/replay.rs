//! A recorded ledger under another policy.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use meterbox_core::{Scope, Timestamp, Usd};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::TimeRange;
use crate::{
    Budget, BudgetEngine, BudgetError, Entry, EntryKind, EntryPage, HoldId, HoldRequest, TopUp,
    ledger::{Books, HoldRecord, NewEntry, OpenHold},
};

const PAGE: usize = 500;

/// What a ledger would have been under another policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Entries read.
    pub entries: u64,
    /// Holds replayed.
    pub holds: u64,
    /// Holds that would have got as much as they got.
    pub unchanged: u64,
    /// Holds that would have got less.
    pub shrunk: u64,
    /// Holds that would have got more, having got less than they asked for.
    pub enlarged: u64,
    /// Holds that would have been refused.
    pub refused: u64,
    /// Every hold that would have got, or spent, something else, in the order of the ledger.
    pub differences: Vec<HoldDifference>,
    /// By scope.
    pub scopes: Vec<ScopeTotals>,
    /// SHA-256 over the policy, what became of each hold, and the totals, in hexadecimal: the same for the same
    /// ledger and policy, whatever the order of the budgets.
    pub sha256: String,
}

/// A hold that would have been another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldDifference {
    /// Which.
    pub hold: HoldId,
    /// When it began.
    pub at: Timestamp,
    /// What for.
    pub purpose: String,
    /// Whose.
    pub scopes: Vec<Scope>,
    /// How much was asked for.
    pub requested: Usd,
    /// What it was.
    pub recorded: Replayed,
    /// What it would have been.
    pub replayed: Replayed,
    /// What would have become of it.
    pub outcome: Outcome,
    /// Why, where it would have been refused.
    pub reason: Option<String>,
}

/// What a hold got and spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// How much was set aside.
    pub held: Usd,
    /// How much was spent.
    pub spent: Usd,
}

/// What would have become of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It would have got as much.
    Admitted,
    /// It would have got less.
    Shrunk,
    /// It would have got more.
    Enlarged,
    /// It would have got nothing.
    Refused,
}

/// The holds of one scope, as they were and as they would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScopeTotals {
    /// Whose.
    pub scope: Scope,
    /// How many.
    pub holds: u64,
    /// How many would have got less.
    pub shrunk: u64,
    /// How many would have been refused.
    pub refused: u64,
    /// What was held and spent in all.
    pub recorded: Replayed,
    /// What would have been.
    pub replayed: Replayed,
}

impl BudgetEngine {
    /// What the holds that began in this range would have been if these budgets, and no others, had been in force.
    ///
    /// Each of them is asked for again, at its time, by the rules every ledger goes by; what was drawn, corrected and
    /// freed follows in the recorded order, also after the range. Earlier holds count in the budgets as they were;
    /// later ones are left out. Top-ups are granted again where the policy has a budget for their scope; recorded
    /// limits and stops are not. Three things a ledger cannot tell are taken to be so:
    ///
    /// - What was refused then is not in the ledger, and is not asked for again.
    /// - A hold that gets less spends no more than it gets, as the work is cut to the hold.
    /// - A hold that gets more spends what it spent.
    ///
    /// Nothing is written. The ledger is read page by page; kept in memory is what there is to say about each hold,
    /// about a kilobyte.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] for a budget that could not be defined, or two for one scope; store errors.
    pub async fn replay(
        &self,
        policy: impl IntoIterator<Item = Budget> + Send,
        range: TimeRange,
    ) -> Result<ReplayReport, BudgetError> {
        let policy = in_order(policy)?;
        let mut replay = Replay {
            range,
            ..Replay::default()
        };
        let mut page = EntryPage {
            after: 0,
            limit: PAGE,
        };
        loop {
            let entries = self.entries(page).await?;
            let Some(last) = entries.last().map(|entry| entry.seq) else {
                break;
            };
            if page.after == 0
                && let Some(first) = entries.first()
            {
                replay.define(first.at, &policy)?;
            }
            page.after = last;
            for entry in &entries {
                self.replay_entry(&mut replay, entry).await?;
            }
        }
        replay.report(&policy)
    }

    async fn replay_entry(&self, replay: &mut Replay, entry: &Entry) -> Result<(), BudgetError> {
        replay.entries = replay.entries.saturating_add(1);
        let body = &entry.body;
        match (body.kind, body.hold, &body.scope) {
            (EntryKind::Held, Some(id), _) => {
                let is_meant = replay.range.contains(entry.at) || replay.range.is_before(entry.at);
                if is_meant && let Some(record) = self.find_hold(id).await? {
                    replay.open(entry.at, record, body.amount, self.unbudgeted)?;
                }
            }
            (_, Some(id), _) => replay.book(entry.at, id, body)?,
            (EntryKind::ToppedUp, None, Some(scope)) => {
                let granted = self.top_ups(scope).await?;
                let same = |top_up: &TopUp| top_up.granted_at == entry.at && top_up.amount == body.amount;
                for top_up in granted.into_iter().filter(same) {
                    replay.top_up(top_up)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Replay {
    books: Books,
    range: TimeRange,
    entries: u64,
    /// That began before the range.
    earlier: HashSet<HoldId>,
    /// In the order of the ledger.
    holds: Vec<HoldDifference>,
    places: HashMap<HoldId, usize>,
}

impl Replay {
    fn define(&mut self, at: Timestamp, policy: &[Budget]) -> Result<(), BudgetError> {
        for budget in policy {
            self.books.define(at, budget.clone())?;
        }
        self.forget_changes();
        Ok(())
    }

    fn top_up(&mut self, top_up: TopUp) -> Result<(), BudgetError> {
        match self.books.top_up(top_up) {
            Ok(_) | Err(BudgetError::NoBudget { .. }) => {}
            Err(error) => return Err(error),
        }
        self.forget_changes();
        Ok(())
    }

    fn open(
        &mut self,
        at: Timestamp,
        record: HoldRecord,
        held: Usd,
        unbudgeted: crate::Unbudgeted,
    ) -> Result<(), BudgetError> {
        let request = HoldRequest {
            scopes: record.basis.scopes.to_vec(),
            amount: record.requested,
            at_least: record.at_least,
            purpose: record.purpose.to_string(),
            // Each recorded hold was a new one, and ends when the ledger says.
            idempotency_key: None,
            ttl: Duration::MAX,
            grace: Duration::ZERO,
            degraded: record.degraded,
        };
        let open = OpenHold {
            id: record.id,
            request,
            unbudgeted,
        };
        if self.range.is_before(at) {
            self.books.reopen(at, &open, held)?;
            self.earlier.insert(record.id);
            self.forget_changes();
            return Ok(());
        }
        let (got, reason) = match self.books.open(at, &open) {
            Ok(status) => (status.amount, None),
            Err(refusal @ (BudgetError::Refused { .. } | BudgetError::NoBudget { .. })) => {
                (Usd::ZERO, Some(refusal.to_string()))
            }
            Err(error) => return Err(error),
        };
        self.forget_changes();
        let outcome = match got {
            _ if reason.is_some() => Outcome::Refused,
            got if got < held => Outcome::Shrunk,
            got if got > held => Outcome::Enlarged,
            _ => Outcome::Admitted,
        };
        let nothing_spent = |held| Replayed {
            held,
            spent: Usd::ZERO,
        };
        self.places.insert(record.id, self.holds.len());
        self.holds.push(HoldDifference {
            hold: record.id,
            at,
            purpose: record.purpose.to_string(),
            scopes: record.basis.scopes.to_vec(),
            requested: record.requested,
            recorded: nothing_spent(held),
            replayed: nothing_spent(got),
            outcome,
            reason,
        });
        Ok(())
    }

    fn book(&mut self, at: Timestamp, id: HoldId, entry: &NewEntry) -> Result<(), BudgetError> {
        if self.earlier.contains(&id) {
            self.books.rebook(at, id, entry, None)?;
            self.forget_changes();
            return Ok(());
        }
        let Some(hold) = self.places.get(&id).and_then(|place| self.holds.get_mut(*place)) else {
            return Ok(());
        };
        hold.recorded.spent = moved(hold.recorded.spent, entry.spent_change);
        if hold.outcome == Outcome::Refused {
            return Ok(());
        }
        let at_most = (hold.outcome == Outcome::Shrunk).then_some(hold.replayed.held);
        hold.replayed.spent = self.books.rebook(at, id, entry, at_most)?.drawn;
        self.forget_changes();
        Ok(())
    }

    fn forget_changes(&mut self) {
        self.books.each_entry(|_| {});
    }

    fn report(self, policy: &[Budget]) -> Result<ReplayReport, BudgetError> {
        let count = |wanted| {
            let counted = self.holds.iter().filter(|hold| hold.outcome == wanted).count();
            u64::try_from(counted).unwrap_or(u64::MAX)
        };
        let scopes = totals(&self.holds);
        let sha256 = fingerprint(policy, &self.holds, &scopes)?;
        Ok(ReplayReport {
            entries: self.entries,
            holds: u64::try_from(self.holds.len()).unwrap_or(u64::MAX),
            unchanged: count(Outcome::Admitted),
            shrunk: count(Outcome::Shrunk),
            enlarged: count(Outcome::Enlarged),
            refused: count(Outcome::Refused),
            differences: self
                .holds
                .into_iter()
                .filter(|hold| hold.recorded != hold.replayed)
                .collect(),
            scopes,
            sha256,
        })
    }
}

/// The budgets checked and sorted by scope, which is all that their order can matter for.
fn in_order(policy: impl IntoIterator<Item = Budget>) -> Result<Vec<Budget>, BudgetError> {
    let mut budgets: Vec<Budget> = policy.into_iter().collect();
    budgets.iter().try_for_each(Budget::check)?;
    budgets.sort_by(|left, right| left.scope.cmp(&right.scope));
    let twice = budgets.windows(2).find_map(|pair| match pair {
        [one, other] if one.scope == other.scope => Some(&one.scope),
        _ => None,
    });
    if let Some(scope) = twice {
        return Err(BudgetError::Invalid(format!(
            "the policy has two budgets of {scope}; keep one of them"
        )));
    }
    Ok(budgets)
}

fn totals(holds: &[HoldDifference]) -> Vec<ScopeTotals> {
    let mut totals: BTreeMap<&Scope, ScopeTotals> = BTreeMap::new();
    for hold in holds {
        for scope in &hold.scopes {
            let total = totals.entry(scope).or_insert_with(|| ScopeTotals {
                scope: scope.clone(),
                holds: 0,
                shrunk: 0,
                refused: 0,
                recorded: Replayed::default(),
                replayed: Replayed::default(),
            });
            total.holds = total.holds.saturating_add(1);
            let outcome = hold.outcome;
            total.shrunk = total.shrunk.saturating_add(u64::from(outcome == Outcome::Shrunk));
            total.refused = total
                .refused
                .saturating_add(u64::from(outcome == Outcome::Refused));
            total.recorded = total.recorded.plus(hold.recorded);
            total.replayed = total.replayed.plus(hold.replayed);
        }
    }
    totals.into_values().collect()
}

/// Over JSON, an object a line: each budget, each hold, each scope.
fn fingerprint(
    policy: &[Budget],
    holds: &[HoldDifference],
    scopes: &[ScopeTotals],
) -> Result<String, BudgetError> {
    fn add<T: Serialize>(digest: &mut Sha256, objects: &[T]) -> Result<(), BudgetError> {
        for object in objects {
            let json = serde_json::to_vec(object)
                .map_err(|error| BudgetError::Invalid(format!("a part of the report is no JSON: {error}")))?;
            digest.update(&json);
            digest.update(b"\n");
        }
        Ok(())
    }
    let mut digest = Sha256::new();
    add(&mut digest, policy)?;
    add(&mut digest, holds)?;
    add(&mut digest, scopes)?;
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

impl Replayed {
    fn plus(self, other: Self) -> Self {
        Self {
            held: self.held.saturating_add(other.held),
            spent: self.spent.saturating_add(other.spent),
        }
    }
}

fn moved(spent: Usd, change: i64) -> Usd {
    let amount = Usd::from_nanos(change.unsigned_abs()).unwrap_or(Usd::MAX);
    if change < 0 {
        spent.saturating_sub(amount)
    } else {
        spent.saturating_add(amount)
    }
}
