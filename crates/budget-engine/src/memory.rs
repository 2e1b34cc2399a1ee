use std::sync::PoisonError;

use async_trait::async_trait;
use meterbox_core::{Scope, Timestamp, Usd};

use crate::{
    AtOnce, Budget, BudgetError, BudgetStatus, Entry, EntryKind, EntryPage, HoldId, HoldPage, HoldState,
    LedgerStore, Settlement, Stop, TopUp, VerifyReport,
    audit::Auditor,
    ledger::{Books, HoldAction, HoldRecord, HoldStatus, NewEntry, OpenHold},
    memory_events::MemoryEvents,
    sync::{Mutex, MutexGuard},
};

/// A ledger in memory: gone with the process, and growing with every hold, by about a hundred and thirty bytes, and with
/// every draw by more. For tests and for programs that budget one run of themselves.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    kept: Mutex<Kept>,
    pub(crate) events: MemoryEvents,
}

#[derive(Debug, Default)]
struct Kept {
    books: Books,
    lines: Vec<Line>,
}

/// An entry as it is kept: its place is its number, and most say little.
#[derive(Debug)]
enum Line {
    /// Money is set aside, or what was left of it is free again.
    Bare {
        /// Microseconds after the time in the hold's name: half the room of a point in time.
        after: u32,
        kind: EntryKind,
        hold: HoldId,
        amount: Usd,
    },
    Full(Box<(Timestamp, NewEntry)>),
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere leaves the books whole: a step that cannot be done changes nothing.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step, written down.
    fn step<T>(
        &self,
        now: Timestamp,
        step: impl FnOnce(&mut Books) -> Result<T, BudgetError>,
    ) -> Result<T, BudgetError> {
        let mut kept = self.kept();
        let done = step(&mut kept.books);
        let Kept { books, lines } = &mut *kept;
        books.each_entry(|entry| lines.push(Line::new(now, entry)));
        done
    }
}

impl Kept {
    /// The entries after so many.
    fn entries(&self, after: usize) -> impl Iterator<Item = Entry> + '_ {
        let numbered = (1..).zip(&self.lines).skip(after);
        numbered.map(|(seq, line)| line.entry(seq))
    }
}

impl Line {
    /// Takes the entry out where there is more to it.
    #[inline]
    fn new(at: Timestamp, entry: &mut NewEntry) -> Self {
        Self::bare(at, entry).unwrap_or_else(|| {
            let empty = NewEntry::bare(entry.kind, Usd::ZERO);
            Self::Full(Box::new((at, std::mem::replace(entry, empty))))
        })
    }

    /// The entry without what most do not say; `None` where this one does.
    #[inline]
    fn bare(at: Timestamp, entry: &NewEntry) -> Option<Self> {
        match *entry {
            NewEntry {
                kind,
                hold: Some(hold),
                scope: None,
                amount,
                line: None,
                key: None,
                note: None,
                counts_at: None,
                held_change,
                spent_change: 0,
            } if held_change == set_aside(kind, amount) => Some(Self::Bare {
                after: hold.micros_until(at)?,
                kind,
                hold,
                amount,
            }),
            _ => None,
        }
    }

    fn entry(&self, seq: u64) -> Entry {
        match self {
            Self::Full(line) => Entry {
                seq,
                at: line.0,
                body: line.1.clone(),
            },
            Self::Bare {
                after,
                kind,
                hold,
                amount,
            } => Entry {
                seq,
                at: hold.after(*after),
                body: NewEntry {
                    held_change: set_aside(*kind, *amount),
                    ..NewEntry::of_hold(*hold, *kind, *amount)
                },
            },
        }
    }
}

fn set_aside(kind: EntryKind, amount: Usd) -> i64 {
    match kind {
        EntryKind::Held => amount.nanos(),
        _ => amount.nanos().saturating_neg(),
    }
}

#[async_trait]
impl LedgerStore for MemoryLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        self.step(now, |books| books.define(now, budget).map(drop))
    }

    async fn edit(&self, now: Timestamp, before: Option<Budget>, after: Budget) -> Result<(), BudgetError> {
        self.step(now, |books| books.edit(now, before.as_ref(), after).map(drop))
    }

    async fn provision(&self, now: Timestamp, budget: Budget) -> Result<bool, BudgetError> {
        self.step(now, |books| Ok(books.provision(now, budget)?.is_some()))
    }

    async fn provisions(&self) -> Result<Vec<Budget>, BudgetError> {
        Ok(self.kept().books.provisions())
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        self.step(now, |books| Ok(books.remove(scope)))
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        Ok(self.kept().books.budgets())
    }

    async fn top_up(&self, now: Timestamp, top_up: TopUp) -> Result<bool, BudgetError> {
        self.step(now, |books| books.top_up(top_up))
    }

    async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError> {
        Ok(self.kept().books.top_ups(scope).to_vec())
    }

    async fn stop(&self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError> {
        self.step(now, |books| books.stop(now, reason))
    }

    async fn stopped(&self) -> Result<Option<Stop>, BudgetError> {
        Ok(self.kept().books.stopped().cloned())
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError> {
        AtOnce::open(self, now, &open)
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        AtOnce::act(self, now, hold, action)
    }

    fn at_once(&self) -> Option<&dyn AtOnce> {
        Some(self)
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        self.step(now, |books| books.expire(now))
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        Ok(self.kept().books.status(now, scope))
    }

    async fn hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError> {
        Ok(self.kept().books.hold(id))
    }

    async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError> {
        Ok(self.kept().books.page(page))
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        let kept = self.kept();
        let skipped = usize::try_from(page.after).unwrap_or(usize::MAX);
        Ok(kept.entries(skipped).take(page.limit).collect())
    }

    async fn spending(&self, scope: &Scope, from: Timestamp, to: Timestamp) -> Result<i64, BudgetError> {
        let kept = self.kept();
        let counts = kept.entries(0).filter(|entry| {
            let at = entry.body.counts_at.unwrap_or(entry.at);
            let in_time = entry.body.spent_change != 0 && from <= at && at < to;
            let hold = entry.body.hold.filter(|_| in_time);
            hold.is_some_and(|id| kept.books.is_of(id, scope))
        });
        Ok(counts.fold(0, |sum: i64, entry| sum.saturating_add(entry.body.spent_change)))
    }

    async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        let kept = self.kept();
        let mut auditor = Auditor::default();
        kept.books.holds().for_each(|record| auditor.hold(record));
        kept.entries(0).for_each(|entry| auditor.entry(&entry));
        kept.books.accounts().for_each(|account| auditor.balance(account));
        Ok(auditor.finish())
    }
}

impl AtOnce for MemoryLedger {
    fn open(&self, now: Timestamp, open: &OpenHold) -> Result<HoldStatus, BudgetError> {
        self.step(now, |books| books.open(now, open))
    }

    fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        self.step(now, |books| books.act(now, hold, action))
    }

    fn close(&self, now: Timestamp, hold: HoldId, state: HoldState) -> Result<HoldStatus, BudgetError> {
        self.step(now, |books| books.close(now, hold, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of an entry is all of it, however long after the beginning of its hold, or before.
    #[test]
    fn a_line_is_the_entry_it_was_made_of() {
        let begun = 1_700_000_000_123_000;
        let at = |micros: i64| Timestamp::from_micros(begun + micros).unwrap();
        let hold = HoldId::new(at(999));
        assert_eq!(hold.after(0), at(0));
        let longest = i64::from(u32::MAX);
        for (after, is_bare) in [
            (-1, false),
            (0, true),
            (999, true),
            (longest, true),
            (longest + 1, false),
        ] {
            let amount = Usd::from_dollars(2);
            for kind in [EntryKind::Held, EntryKind::Settled] {
                let body = NewEntry {
                    held_change: set_aside(kind, amount),
                    ..NewEntry::of_hold(hold, kind, amount)
                };
                let line = Line::new(at(after), &mut body.clone());
                assert_eq!(matches!(line, Line::Bare { .. }), is_bare, "{after}");
                let entry = Entry {
                    seq: 7,
                    at: at(after),
                    body,
                };
                assert_eq!(line.entry(7), entry);
            }
        }
        assert_eq!(size_of::<Line>(), 32);
    }
}

/// `RUSTFLAGS="--cfg shuttle" cargo test -p meterbox-budget-engine --lib shuttle`
#[cfg(all(test, shuttle))]
mod shuttle_tests {
    use std::{sync::Arc, time::Duration};

    use meterbox_core::contract::CostLine;
    use shuttle::{future::block_on, thread};

    use super::*;
    use crate::{HoldRequest, Unbudgeted, Window};

    const THREADS: u8 = 3;

    fn usd(cents: u64) -> Usd {
        Usd::from_nanos(cents * 10_000_000).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000).unwrap()
    }

    /// Three owners, five dollars, two asked for each time; one is late, so that its hold expires under it.
    fn owners_at_once() {
        let ledger = Arc::new(MemoryLedger::new());
        let scope: Scope = "user/ana".parse().unwrap();
        let budget = Budget::new(scope.clone(), usd(500), Window::Lifetime);
        block_on(ledger.define(at(0), budget)).unwrap();
        let owners: Vec<_> = (0..THREADS)
            .map(|owner| {
                let (ledger, scope) = (Arc::clone(&ledger), scope.clone());
                thread::spawn(move || {
                    let request = HoldRequest::new([scope.clone()], usd(200), "shuttle")
                        .ttl(Duration::from_secs(10))
                        .grace(Duration::ZERO);
                    let open = OpenHold {
                        id: HoldId::new(at(owner.into())),
                        request,
                        unbudgeted: Unbudgeted::Refuse,
                    };
                    let Ok(hold) = block_on(ledger.open(at(0), open)) else {
                        return 0;
                    };
                    let line = CostLine {
                        item: "call".into(),
                        quantity: 1,
                        unit: "calls".into(),
                        amount: usd(150),
                        estimated: false,
                        price: None,
                    };
                    if owner == 0 {
                        block_on(ledger.expire(at(10))).unwrap();
                    }
                    block_on(ledger.act(at(10), hold.id, HoldAction::Draw { key: None, line })).unwrap();
                    let status = block_on(ledger.status(at(10), &scope)).unwrap().unwrap();
                    assert!(status.spent <= status.limit);
                    let close = HoldAction::Close {
                        state: HoldState::Settled,
                    };
                    block_on(ledger.act(at(10), hold.id, close)).unwrap();
                    150
                })
            })
            .collect();
        let drawn: u64 = owners.into_iter().map(|owner| owner.join().unwrap()).sum();
        let status = block_on(ledger.status(at(20), &scope)).unwrap().unwrap();
        assert_eq!((status.spent, status.held), (usd(drawn), Usd::ZERO));
        assert!(block_on(ledger.verify()).unwrap().is_clean());
    }

    #[test]
    fn shuttle_no_interleaving_oversells_or_loses() {
        shuttle::check_pct(owners_at_once, 20_000, 3);
        shuttle::check_random(owners_at_once, 20_000);
    }
}
