use std::{collections::BTreeMap, sync::Arc};

use meterbox_core::{Scope, Timestamp};
use serde::Serialize;

use crate::{
    Entry, EntryKind, HoldId, HoldState,
    ledger::{AccountRow, Claim, HoldRecord, NewEntry},
    window::piece_at,
};

const MAX_PROBLEMS: usize = 100;

/// What adding up the whole ledger anew found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Entries read.
    pub entries: u64,
    /// Holds read.
    pub holds: u64,
    /// Holds still open.
    pub open_holds: u64,
    /// Balances compared.
    pub balances: u64,
    /// What is wrong, in words; at most 100.
    pub problems: Vec<String>,
}

impl VerifyReport {
    /// True where nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Folds a ledger: give it all holds, then all entries in order, then all balances.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    holds: BTreeMap<HoldId, HoldFold>,
    balances: BTreeMap<(Scope, Arc<str>), Sum>,
    /// The pieces of rolling windows, by their end.
    pieces: BTreeMap<(Scope, Arc<str>), BTreeMap<Timestamp, i128>>,
    last_seq: u64,
    report: VerifyReport,
}

#[derive(Debug)]
struct HoldFold {
    record: HoldRecord,
    sum: Sum,
    begun: u32,
    ended: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    spent: i128,
    held: i128,
}

impl Sum {
    fn add(&mut self, entry: &NewEntry) {
        self.spent = self.spent.saturating_add(entry.spent_change.into());
        self.held = self.held.saturating_add(entry.held_change.into());
    }
}

impl Auditor {
    pub(crate) fn hold(&mut self, record: HoldRecord) {
        self.report.holds = self.report.holds.saturating_add(1);
        if record.state == HoldState::Open {
            self.report.open_holds = self.report.open_holds.saturating_add(1);
        }
        self.holds.insert(
            record.id,
            HoldFold {
                record,
                sum: Sum::default(),
                begun: 0,
                ended: 0,
            },
        );
    }

    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.report.entries = self.report.entries.saturating_add(1);
        if entry.seq <= self.last_seq {
            self.problem(format!("entry {} is out of order", entry.seq));
        }
        self.last_seq = entry.seq;
        let body = &entry.body;
        let Some(id) = body.hold else {
            if body.spent_change != 0 || body.held_change != 0 {
                self.problem(format!("entry {} moves money of no hold", entry.seq));
            }
            return;
        };
        let Some(fold) = self.holds.get_mut(&id) else {
            self.problem(format!(
                "entry {} belongs to hold {id}, which does not exist",
                entry.seq
            ));
            return;
        };
        fold.sum.add(body);
        match body.kind {
            EntryKind::Held => fold.begun = fold.begun.saturating_add(1),
            EntryKind::Settled | EntryKind::Released | EntryKind::Dropped | EntryKind::Expired => {
                fold.ended = fold.ended.saturating_add(1);
            }
            _ => {}
        }
        let basis = Arc::clone(&fold.record.basis);
        for claim in &basis.claims {
            let used = self.book(claim, entry);
            // Only a new hold must respect the limit: what was really spent is booked whatever the limit.
            if body.kind == EntryKind::Held && used > i128::from(claim.limit.nanos()) {
                self.problem(format!(
                    "entry {} was admitted beyond the limit of {} in {}",
                    entry.seq, claim.scope, claim.period
                ));
            }
        }
    }

    /// Adds an entry to the balances of a claim, and says what is then spent and held of its budget.
    fn book(&mut self, claim: &Claim, entry: &Entry) -> i128 {
        let body = &entry.body;
        let whole = (claim.scope.clone(), Arc::clone(&claim.period));
        let counts_at = body.counts_at.unwrap_or(entry.at);
        let Some(piece) = piece_at(&claim.period, counts_at) else {
            let sum = self.balances.entry(whole).or_default();
            sum.add(body);
            return sum.spent.saturating_add(sum.held);
        };
        let sum = self.balances.entry(whole.clone()).or_default();
        sum.held = sum.held.saturating_add(body.held_change.into());
        let held = sum.held;
        let pieces = self.pieces.entry(whole).or_default();
        if body.spent_change != 0 {
            let spent = pieces.entry(piece.ends_at).or_default();
            *spent = spent.saturating_add(body.spent_change.into());
            let part = self.balances.entry((claim.scope.clone(), piece.key)).or_default();
            part.spent = part.spent.saturating_add(body.spent_change.into());
        }
        let still_in = pieces.iter().filter(|(ends_at, _)| **ends_at > entry.at);
        still_in.fold(held, |sum, (_, spent)| sum.saturating_add(*spent))
    }

    pub(crate) fn balance(&mut self, row: &AccountRow) {
        self.report.balances = self.report.balances.saturating_add(1);
        let stored = Sum {
            spent: row.spent.into(),
            held: row.held.into(),
        };
        let key = (row.scope.clone(), Arc::clone(&row.period));
        let folded = self.balances.remove(&key).unwrap_or_default();
        if stored != folded {
            self.problem(format!(
                "the balance of {} in {} is {} spent and {} held, its entries add up to {} and {}",
                row.scope, row.period, row.spent, row.held, folded.spent, folded.held
            ));
        }
    }

    pub(crate) fn finish(mut self) -> VerifyReport {
        let missing = std::mem::take(&mut self.balances).into_iter();
        for ((scope, period), _) in missing.filter(|(_, sum)| *sum != Sum::default()) {
            self.problem(format!(
                "there are entries of {scope} in {period}, but no balance"
            ));
        }
        for (id, fold) in std::mem::take(&mut self.holds) {
            let expected = Sum {
                spent: fold.record.drawn.nanos().into(),
                held: fold.record.left().nanos().into(),
            };
            if fold.sum != expected {
                self.problem(format!(
                    "the entries of hold {id} do not add up to what it drew and holds"
                ));
            }
            let ended = u32::from(fold.record.state != HoldState::Open);
            if fold.begun != 1 || fold.ended != ended {
                self.problem(format!(
                    "hold {id} began {} times and ended {} times",
                    fold.begun, fold.ended
                ));
            }
        }
        self.report
    }

    fn problem(&mut self, problem: String) {
        if self.report.problems.len() < MAX_PROBLEMS {
            self.report.problems.push(problem);
        }
    }
}
