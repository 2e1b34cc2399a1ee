//! The ledger read from its beginning, page by page.

use std::{collections::HashMap, sync::Arc};

use super::{ExportRow, TimeRange};
use crate::{
    BudgetEngine, BudgetError, Entry, EntryPage, HoldId, Posting,
    ledger::{Claim, HoldRecord},
    window::piece_at,
};

const PAGE: usize = 500;
/// So many holds are remembered between pages.
const MAX_HOLDS: usize = 2_000;

/// A ledger under export: see [`BudgetEngine::export`].
#[derive(Debug)]
pub struct Export {
    engine: BudgetEngine,
    range: TimeRange,
    after: u64,
    holds: HashMap<HoldId, Arc<HoldRecord>>,
}

impl BudgetEngine {
    /// The entries written in this range as rows, one page at a time and never all of it in memory.
    ///
    /// Entries that are added meanwhile may or may not be in it. All of the ledger is read, also for a small range:
    /// clocks may jump, and only the order of the entries is certain.
    pub fn export(&self, range: TimeRange) -> Export {
        Export {
            engine: self.clone(),
            range,
            after: 0,
            holds: HashMap::new(),
        }
    }
}

impl Export {
    /// The rows of the next page, which may be none; `None` at the end. After an error, or a future dropped midway,
    /// the same page is read again.
    ///
    /// # Errors
    /// Store errors.
    pub async fn next_page(&mut self) -> Result<Option<Vec<ExportRow>>, BudgetError> {
        let page = EntryPage {
            after: self.after,
            limit: PAGE,
        };
        let entries = self.engine.entries(page).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        let range = self.range;
        for entry in entries.iter().filter(|entry| range.contains(entry.at)) {
            let hold = match entry.body.hold {
                Some(id) => self.hold(id).await?,
                None => None,
            };
            add_rows(entry, hold.as_deref(), &mut rows);
        }
        self.after = last;
        Ok(Some(rows))
    }

    async fn hold(&mut self, id: HoldId) -> Result<Option<Arc<HoldRecord>>, BudgetError> {
        if let Some(known) = self.holds.get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(record) = self.engine.find_hold(id).await?.map(Arc::new) else {
            return Ok(None);
        };
        if self.holds.len() >= MAX_HOLDS {
            self.holds.clear();
        }
        self.holds.insert(id, Arc::clone(&record));
        Ok(Some(record))
    }
}

fn add_rows(entry: &Entry, hold: Option<&HoldRecord>, rows: &mut Vec<ExportRow>) {
    let postings = entry.body.postings();
    let claims = hold.map(|hold| &*hold.basis.claims).unwrap_or_default();
    if postings.is_empty() {
        rows.push(row(entry, hold, None, None));
    } else if claims.is_empty() {
        rows.extend(
            postings
                .into_iter()
                .map(|posting| row(entry, hold, None, Some(posting))),
        );
    } else {
        for claim in claims {
            let of_claim = postings
                .iter()
                .map(|posting| row(entry, hold, Some(claim), Some(*posting)));
            rows.extend(of_claim);
        }
    }
}

fn row(
    entry: &Entry,
    hold: Option<&HoldRecord>,
    claim: Option<&Claim>,
    posting: Option<Posting>,
) -> ExportRow {
    let body = &entry.body;
    let line = body.line.as_deref();
    let counts_at = body.counts_at.unwrap_or(entry.at);
    ExportRow {
        seq: entry.seq,
        at: entry.at,
        counts_at: body.counts_at,
        kind: body.kind,
        hold: body.hold,
        purpose: hold.map(|hold| hold.purpose.to_string()),
        scope: claim
            .map(|claim| claim.scope.clone())
            .or_else(|| body.scope.clone()),
        period: claim.map(|claim| claim.period.to_string()),
        piece: claim
            .and_then(|claim| piece_at(&claim.period, counts_at))
            .map(|piece| piece.key.to_string()),
        debit: posting.map(|posting| posting.to),
        credit: posting.map(|posting| posting.from),
        amount: posting.map_or(body.amount, |posting| posting.amount),
        item: line.map(|line| line.item.clone()),
        quantity: line.map(|line| line.quantity),
        unit: line.map(|line| line.unit.clone()),
        estimated: line.map(|line| line.estimated),
        price: line.and_then(|line| line.price.clone()),
        key: body.key.clone(),
        note: body.note.clone(),
    }
}
