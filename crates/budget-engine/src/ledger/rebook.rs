//! Entries of one ledger booked in another, where the hold may have another amount.

use meterbox_core::{Usd, contract::CostLine};

use super::{EntryKind, HoldRecord, HoldState, NewEntry};
use crate::BudgetError;

impl<B> HoldRecord<B> {
    /// Books what an entry says was drawn, taken back or ended. Where `at_most` is given, no more than that is drawn
    /// in all. Entries that move no money of an open hold are passed over.
    ///
    /// # Errors
    /// Sums too large to be counted.
    pub(super) fn rebook(
        &mut self,
        entry: &NewEntry,
        at_most: Option<Usd>,
        entries: &mut Vec<NewEntry>,
    ) -> Result<(), BudgetError> {
        let state = match entry.kind {
            EntryKind::Drawn => {
                if let Some(line) = entry.line.as_deref() {
                    let room = at_most.map_or(Usd::MAX, |most| most.saturating_sub(self.drawn));
                    let amount = line.amount.min(room);
                    let line = CostLine {
                        amount,
                        ..line.clone()
                    };
                    entries.push(self.draw(line, entry.counts_at)?);
                }
                return Ok(());
            }
            EntryKind::Corrected => {
                if let (Some(line), Some(counts_at)) = (entry.line.as_deref(), entry.counts_at) {
                    let amount = entry.amount.min(self.drawn);
                    entries.push(self.take_back(line.clone(), amount, counts_at));
                }
                return Ok(());
            }
            EntryKind::Settled => HoldState::Settled,
            EntryKind::Released => HoldState::Released,
            EntryKind::Dropped => HoldState::Dropped,
            EntryKind::Expired => HoldState::Expired,
            _ => return Ok(()),
        };
        self.close(state, entries)
    }
}
