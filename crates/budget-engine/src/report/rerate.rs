//! A recorded ledger at other prices.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
};

use meterbox_core::{Scope, Timestamp, Usd, contract::PriceTag};
use serde::Serialize;

use super::TimeRange;
use crate::{BudgetEngine, BudgetError, Entry, EntryKind, EntryPage, HoldId};

const PAGE: usize = 500;
/// So many lines that would cost something else are listed one by one.
const MAX_LISTED: usize = 1_000;

/// What was spent, and what it would have cost at other prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RerateReport {
    /// Lines that the other prices are known for.
    pub rerated: u64,
    /// What they cost.
    pub recorded: Usd,
    /// What they would have cost.
    pub would_be: Usd,
    /// Lines that say no price, or one that the other prices have no equal of: what they cost stays as it is.
    pub left: u64,
    /// What those cost.
    pub left_recorded: Usd,
    /// By rate, without the book; by name.
    pub rates: Vec<RateTotals>,
    /// By scope; what counts in several budgets is in each of them.
    pub scopes: Vec<RatedScope>,
    /// The first thousand lines that would have cost something else, in the order of the ledger.
    pub differences: Vec<RatedLine>,
}

/// All lines of one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateTotals {
    /// Its name in a price book.
    pub rate: String,
    /// Fingerprints of the books it was priced by.
    pub books: Vec<String>,
    /// How much was used.
    pub quantity: u64,
    /// What it cost.
    pub recorded: Usd,
    /// What it would have cost.
    pub would_be: Usd,
}

/// All lines that count in one budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RatedScope {
    /// Whose.
    pub scope: Scope,
    /// What they cost, also those that are left as they are.
    pub recorded: Usd,
    /// What they would have cost.
    pub would_be: Usd,
}

/// A line that would have cost something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RatedLine {
    /// The entry's place in the ledger.
    pub seq: u64,
    /// When it counts.
    pub at: Timestamp,
    /// Of which hold.
    pub hold: HoldId,
    /// What was used.
    pub item: String,
    /// How much of it.
    pub quantity: u64,
    /// By which rate of which book it was priced.
    pub price: PriceTag,
    /// What it cost.
    pub recorded: Usd,
    /// What it would have cost.
    pub would_be: Usd,
}

impl BudgetEngine {
    /// What the spending of a stretch of time would have cost at other prices: those that `price` has for a rate, at
    /// the moment when the spending counts, for so much. Nothing is written.
    ///
    /// Spending belongs to the time when it was done, not when it was booked or corrected. Worst cases that stand, and
    /// lines without a price of a book, stay as they are. The ledger is read page by page.
    ///
    /// # Errors
    /// Store errors.
    pub async fn rerate(
        &self,
        range: TimeRange,
        price: impl Fn(&str, Timestamp, u64) -> Option<Usd> + Send + Sync,
    ) -> Result<RerateReport, BudgetError> {
        let mut rerating = Rerating::default();
        let mut page = EntryPage {
            after: 0,
            limit: PAGE,
        };
        loop {
            let entries = self.entries(page).await?;
            let Some(last) = entries.last().map(|entry| entry.seq) else {
                return Ok(rerating.report());
            };
            page.after = last;
            for entry in &entries {
                let counts_at = entry.body.counts_at.unwrap_or(entry.at);
                let Some(hold) = entry.body.hold.filter(|_| range.contains(counts_at)) else {
                    continue;
                };
                let scopes = self.scopes_of(&mut rerating, hold).await?;
                rerating.take(entry, hold, counts_at, &scopes, &price);
            }
        }
    }

    async fn scopes_of(&self, rerating: &mut Rerating, hold: HoldId) -> Result<Arc<[Scope]>, BudgetError> {
        if let Some((known, scopes)) = &rerating.last_hold
            && *known == hold
        {
            return Ok(Arc::clone(scopes));
        }
        let record = self.find_hold(hold).await?;
        let basis = record.map(|record| record.basis).unwrap_or_default();
        let scopes: Arc<[Scope]> = basis.claims.iter().map(|claim| claim.scope.clone()).collect();
        rerating.last_hold = Some((hold, Arc::clone(&scopes)));
        Ok(scopes)
    }
}

/// Sums are signed while corrections come and go.
#[derive(Debug, Default)]
struct Rerating {
    last_hold: Option<(HoldId, Arc<[Scope]>)>,
    /// What was drawn of a paid call and may be taken back, by hold and the time it counts.
    open: HashMap<(HoldId, Timestamp), Vec<Line>>,
    lines: Totals,
    left: Totals,
    rates: BTreeMap<String, (Vec<String>, Totals)>,
    scopes: BTreeMap<Scope, Totals>,
    differences: Vec<RatedLine>,
}

#[derive(Debug, Clone)]
struct Line {
    seq: u64,
    price: Option<PriceTag>,
    quantity: u64,
    recorded: i128,
    would_be: i128,
    is_rated: bool,
}

#[derive(Debug, Default)]
struct Totals {
    lines: i128,
    quantity: i128,
    recorded: i128,
    would_be: i128,
}

impl Rerating {
    fn take(
        &mut self,
        entry: &Entry,
        hold: HoldId,
        counts_at: Timestamp,
        scopes: &[Scope],
        price: &impl Fn(&str, Timestamp, u64) -> Option<Usd>,
    ) {
        let key = (hold, counts_at);
        match entry.body.kind {
            EntryKind::Drawn => {
                let Some(drawn) = entry.body.line.as_deref() else {
                    return;
                };
                let rate = drawn.price.as_ref();
                let would_be = rate.and_then(|tag| price(tag.rate(), counts_at, drawn.quantity));
                let line = Line {
                    seq: entry.seq,
                    price: drawn.price.clone(),
                    quantity: drawn.quantity,
                    recorded: drawn.amount.nanos().into(),
                    would_be: would_be.unwrap_or(drawn.amount).nanos().into(),
                    is_rated: would_be.is_some(),
                };
                self.count(&line, scopes, 1);
                if let (Some(would_be), Some(tag)) = (would_be, rate)
                    && would_be != drawn.amount
                    && self.differences.len() < MAX_LISTED
                {
                    self.differences.push(RatedLine {
                        seq: entry.seq,
                        at: counts_at,
                        hold,
                        item: drawn.item.clone(),
                        quantity: drawn.quantity,
                        price: tag.clone(),
                        recorded: drawn.amount,
                        would_be,
                    });
                }
                if entry.body.counts_at.is_some() {
                    self.open.entry(key).or_default().push(line);
                }
            }
            EntryKind::Corrected => self.take_back(key, entry.body.amount.nanos().into(), scopes),
            EntryKind::Settled | EntryKind::Released | EntryKind::Dropped | EntryKind::Expired => {
                // Only worst cases may still be corrected.
                self.open
                    .retain(|(of, _), lines| *of != hold || lines.iter().any(|line| !line.is_rated));
            }
            _ => {}
        }
    }

    /// A correction takes back whole lines of its call, the latest first.
    fn take_back(&mut self, key: (HoldId, Timestamp), amount: i128, scopes: &[Scope]) {
        let mut lines = self.open.remove(&key).unwrap_or_default();
        let mut rest = amount;
        while rest > 0 {
            let Some(line) = lines.pop() else {
                // Drawn before the range; it stays as it is on both sides.
                let unknown = Line {
                    seq: 0,
                    price: None,
                    quantity: 0,
                    recorded: rest,
                    would_be: rest,
                    is_rated: false,
                };
                self.count(&unknown, scopes, -1);
                break;
            };
            rest = rest.saturating_sub(line.recorded);
            self.count(&line, scopes, -1);
            self.differences.retain(|difference| difference.seq != line.seq);
        }
        if !lines.is_empty() {
            self.open.insert(key, lines);
        }
    }

    fn count(&mut self, line: &Line, scopes: &[Scope], sign: i128) {
        let totals = if line.is_rated {
            &mut self.lines
        } else {
            &mut self.left
        };
        totals.add(line, sign);
        for scope in scopes {
            self.scopes.entry(scope.clone()).or_default().add(line, sign);
        }
        let Some(tag) = line.price.as_ref().filter(|_| line.is_rated) else {
            return;
        };
        let (books, totals) = self.rates.entry(tag.rate().to_owned()).or_default();
        if !books.iter().any(|book| book == tag.book()) {
            books.push(tag.book().to_owned());
        }
        totals.add(line, sign);
    }

    fn report(mut self) -> RerateReport {
        let rates = mem::take(&mut self.rates).into_iter();
        let rates = rates.filter(|(_, (_, totals))| totals.lines > 0);
        RerateReport {
            rerated: whole(self.lines.lines),
            recorded: usd(self.lines.recorded),
            would_be: usd(self.lines.would_be),
            left: whole(self.left.lines),
            left_recorded: usd(self.left.recorded),
            rates: rates
                .map(|(rate, (books, totals))| RateTotals {
                    rate,
                    books,
                    quantity: whole(totals.quantity),
                    recorded: usd(totals.recorded),
                    would_be: usd(totals.would_be),
                })
                .collect(),
            scopes: self
                .scopes
                .into_iter()
                .map(|(scope, totals)| RatedScope {
                    scope,
                    recorded: usd(totals.recorded),
                    would_be: usd(totals.would_be),
                })
                .collect(),
            differences: self.differences,
        }
    }
}

impl Totals {
    fn add(&mut self, line: &Line, sign: i128) {
        let signed = |amount: i128| amount.saturating_mul(sign);
        self.lines = self.lines.saturating_add(sign);
        self.quantity = self.quantity.saturating_add(signed(line.quantity.into()));
        self.recorded = self.recorded.saturating_add(signed(line.recorded));
        self.would_be = self.would_be.saturating_add(signed(line.would_be));
    }
}

fn whole(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}

fn usd(nanos: i128) -> Usd {
    Usd::from_nanos(whole(nanos)).unwrap_or(Usd::MAX)
}
