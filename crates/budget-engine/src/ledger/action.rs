use meterbox_core::{Timestamp, Usd, contract::CostLine};

use super::{
    EntryKind, HoldRecord, HoldState, IntentId, IntentRecord, IntentState, NewEntry, check_line, check_text,
};
use crate::BudgetError;

/// What can be done to a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldAction {
    /// Let it live until then.
    Extend {
        /// When its time shall be over.
        until: Timestamp,
    },
    /// Write down the worst case of a paid call before it is made.
    Intend {
        /// The call's name.
        intent: IntentId,
        /// Its worst case.
        line: CostLine,
        /// What others call it, such as the request id that a provider's bill has.
        reference: Option<String>,
    },
    /// Spend part of a paid call's worst case while it goes on.
    Meter {
        /// The call's name.
        intent: IntentId,
        /// What was used since the last time.
        lines: Vec<CostLine>,
    },
    /// Replace the worst case of a paid call, and what was metered of it, by what it used in all; by nothing if it
    /// was never made.
    Resolve {
        /// The call's name.
        intent: IntentId,
        /// What it used.
        lines: Vec<CostLine>,
    },
    /// Spend.
    Draw {
        /// The caller's key for retries.
        key: Option<String>,
        /// What was used.
        line: CostLine,
    },
    /// End it: calls of unknown use are booked at their worst case, the rest is free.
    Close {
        /// How it ends; not `Open`.
        state: HoldState,
    },
}

impl<B> HoldRecord<B> {
    /// Changes the record and adds what must be added to the ledger with it: each entry's changes apply to the
    /// balance of every claim.
    ///
    /// Money that was spent is always booked, also after the end of the hold and beyond its amount.
    /// Ending a hold twice changes nothing.
    ///
    /// # Errors
    /// Whatever [`BudgetError`] says; record and entries are then not to be kept.
    pub fn apply(
        &mut self,
        now: Timestamp,
        action: HoldAction,
        entries: &mut Vec<NewEntry>,
    ) -> Result<(), BudgetError> {
        match action {
            HoldAction::Extend { until } => {
                self.require_open()?;
                self.expires_at = self.expires_at.max(until);
                Ok(())
            }
            HoldAction::Intend {
                intent,
                line,
                reference,
            } => {
                if let Some(reference) = &reference {
                    check_text("the reference of an intent", reference)?;
                }
                let intent = IntentRecord {
                    id: intent,
                    line,
                    at: now,
                    reference,
                    metered: Usd::ZERO,
                    state: IntentState::Open,
                };
                self.intend(now, intent, entries)
            }
            HoldAction::Meter { intent, lines } => self.meter(intent, lines, entries),
            HoldAction::Resolve { intent, lines } => self.resolve(intent, lines, entries),
            HoldAction::Draw { key, line } => {
                let drawn = self.draw(line, None)?;
                entries.push(NewEntry {
                    key: key.map(String::into_boxed_str),
                    ..drawn
                });
                Ok(())
            }
            HoldAction::Close { state } => self.close(state, entries),
        }
    }

    fn intend(
        &mut self,
        now: Timestamp,
        intent: IntentRecord,
        entries: &mut Vec<NewEntry>,
    ) -> Result<(), BudgetError> {
        self.require_open()?;
        if now >= self.expires_at {
            return Err(BudgetError::Lapsed { at: self.expires_at });
        }
        check_line(&intent.line)?;
        let (available, worst_case) = (self.available(), intent.line.amount);
        if worst_case > available {
            return Err(BudgetError::HoldTooSmall {
                available,
                worst_case,
            });
        }
        entries.push(NewEntry {
            line: Some(Box::new(intent.line.clone())),
            ..NewEntry::of_hold(self.id, EntryKind::Intended, worst_case)
        });
        self.intents.push(intent);
        Ok(())
    }

    fn meter(
        &mut self,
        id: IntentId,
        lines: Vec<CostLine>,
        entries: &mut Vec<NewEntry>,
    ) -> Result<(), BudgetError> {
        let intent = self.intent(id)?;
        // Once its use is known, or its worst case is booked, what was metered is in there.
        if intent.state != IntentState::Open {
            return Ok(());
        }
        let counts_at = intent.at;
        for line in lines {
            let amount = line.amount;
            entries.push(self.draw(line, Some(counts_at))?);
            let intent = self.intent(id)?;
            intent.metered = intent.metered.saturating_add(amount);
        }
        Ok(())
    }

    fn resolve(
        &mut self,
        id: IntentId,
        lines: Vec<CostLine>,
        entries: &mut Vec<NewEntry>,
    ) -> Result<(), BudgetError> {
        let intent = self.intent(id)?;
        let known = std::mem::replace(&mut intent.state, IntentState::Resolved);
        let metered = std::mem::take(&mut intent.metered);
        let (worst_case, counts_at) = (intent.line.clone(), intent.at);
        let booked = match known {
            IntentState::Resolved => return Ok(()),
            IntentState::Open => metered,
            IntentState::Booked => metered.max(worst_case.amount),
        };
        if !booked.is_zero() {
            entries.push(self.take_back(worst_case, booked, counts_at));
        }
        for line in lines {
            entries.push(self.draw(line, Some(counts_at))?);
        }
        Ok(())
    }

    /// What was booked of a paid call so far, before its use is known. Of an open hold it is set aside again.
    pub(super) fn take_back(&mut self, line: CostLine, amount: Usd, counts_at: Timestamp) -> NewEntry {
        let before = self.left();
        self.drawn = self.drawn.saturating_sub(amount);
        let set_aside = self.left().saturating_sub(before);
        NewEntry {
            // Of a call that was metered it is what was metered, and not the worst case.
            line: Some(Box::new(CostLine { amount, ..line })),
            counts_at: Some(counts_at),
            held_change: set_aside.nanos(),
            spent_change: negative(amount),
            ..NewEntry::of_hold(self.id, EntryKind::Corrected, amount)
        }
    }

    pub(super) fn draw(
        &mut self,
        line: CostLine,
        counts_at: Option<Timestamp>,
    ) -> Result<NewEntry, BudgetError> {
        check_line(&line)?;
        let amount = line.amount;
        let covered = amount.min(self.left());
        let too_large = || BudgetError::Invalid(format!("{amount} more would be too large a sum"));
        self.drawn = self.drawn.checked_add(amount).ok_or_else(too_large)?;
        Ok(NewEntry {
            line: Some(Box::new(line)),
            counts_at,
            held_change: negative(covered),
            spent_change: amount.nanos(),
            ..NewEntry::of_hold(self.id, EntryKind::Drawn, amount)
        })
    }

    pub(super) fn close(&mut self, state: HoldState, entries: &mut Vec<NewEntry>) -> Result<(), BudgetError> {
        let kind = match state {
            HoldState::Settled => EntryKind::Settled,
            HoldState::Released => EntryKind::Released,
            HoldState::Dropped => EntryKind::Dropped,
            HoldState::Expired => EntryKind::Expired,
            HoldState::Open => return Err(BudgetError::Invalid("a hold cannot be ended as open".to_owned())),
        };
        if self.state != HoldState::Open {
            return Ok(());
        }
        for (rest, counts_at) in self.book_open_intents() {
            entries.push(self.draw(rest, Some(counts_at))?);
        }
        let freed = self.left();
        self.state = state;
        entries.push(NewEntry {
            held_change: negative(freed),
            ..NewEntry::of_hold(self.id, kind, freed)
        });
        Ok(())
    }

    /// What is still to be drawn of the worst cases of calls whose use is unknown, and when it counts.
    fn book_open_intents(&mut self) -> Vec<(CostLine, Timestamp)> {
        let mut rests = Vec::new();
        for intent in &mut self.intents {
            if intent.state == IntentState::Open {
                intent.state = IntentState::Booked;
                let rest = CostLine {
                    estimated: true,
                    amount: intent.outstanding(),
                    ..intent.line.clone()
                };
                rests.push((rest, intent.at));
            }
        }
        rests
    }

    fn intent(&mut self, id: IntentId) -> Result<&mut IntentRecord, BudgetError> {
        let unknown = || BudgetError::Invalid(format!("the hold has no intent {id}"));
        self.intents
            .iter_mut()
            .find(|intent| intent.id == id)
            .ok_or_else(unknown)
    }

    fn require_open(&self) -> Result<(), BudgetError> {
        match self.state {
            HoldState::Open => Ok(()),
            _ => Err(BudgetError::AlreadyEnded(Box::new(self.settlement()))),
        }
    }
}

/// `Usd` is never negative, so its negation is always representable.
fn negative(amount: Usd) -> i64 {
    amount.nanos().saturating_neg()
}

/// Was this draw already made, given the line its key was first used with?
///
/// # Errors
/// [`BudgetError::KeyReused`] where that was another line.
pub(crate) fn replayed_draw(
    key: &str,
    line: &CostLine,
    first: Option<&CostLine>,
) -> Result<bool, BudgetError> {
    match first {
        None => Ok(false),
        Some(first) if first == line => Ok(true),
        Some(_) => Err(BudgetError::KeyReused { key: key.to_owned() }),
    }
}
