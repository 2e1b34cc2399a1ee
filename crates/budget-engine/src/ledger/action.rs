use meterbox_core::{Timestamp, Usd, contract::CostLine};

use super::{EntryKind, HoldRecord, HoldState, IntentId, IntentRecord, IntentState, NewEntry, check_line};
use crate::BudgetError;

/// What can be done to a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldAction {
    /// Let it live until then.
    Extend {
        /// When it shall end by itself.
        until: Timestamp,
    },
    /// Write down the worst case of a paid call before it is made.
    Intend {
        /// The call's name.
        intent: IntentId,
        /// Its worst case.
        line: CostLine,
    },
    /// Replace the worst case of a paid call by what it used; by nothing if it was never made.
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

impl HoldRecord {
    /// Changes the record and returns what must be added to the ledger with it: each entry's changes
    /// apply to the balance of every claim.
    ///
    /// Money that was spent is always booked, also after the end of the hold and beyond its amount.
    /// Ending a hold twice changes nothing.
    ///
    /// # Errors
    /// Whatever [`BudgetError`] says; the record is then not to be kept.
    pub fn apply(&mut self, action: HoldAction) -> Result<Vec<NewEntry>, BudgetError> {
        match action {
            HoldAction::Extend { until } => {
                self.require_open()?;
                self.expires_at = self.expires_at.max(until);
                Ok(Vec::new())
            }
            HoldAction::Intend { intent, line } => self.intend(intent, line),
            HoldAction::Resolve { intent, lines } => self.resolve(intent, lines),
            HoldAction::Draw { key, line } => Ok(vec![NewEntry {
                key,
                ..self.draw(line)?
            }]),
            HoldAction::Close { state } => self.close(state),
        }
    }

    fn intend(&mut self, id: IntentId, line: CostLine) -> Result<Vec<NewEntry>, BudgetError> {
        self.require_open()?;
        check_line(&line)?;
        let available = self.available();
        if line.amount > available {
            return Err(BudgetError::HoldTooSmall {
                available,
                worst_case: line.amount,
            });
        }
        let entry = NewEntry::of_hold(self.id, EntryKind::Intended, line.amount);
        self.intents.push(IntentRecord {
            id,
            line: line.clone(),
            state: IntentState::Open,
        });
        Ok(vec![NewEntry {
            line: Some(line),
            ..entry
        }])
    }

    fn resolve(&mut self, id: IntentId, lines: Vec<CostLine>) -> Result<Vec<NewEntry>, BudgetError> {
        let Some(intent) = self.intents.iter_mut().find(|intent| intent.id == id) else {
            return Err(BudgetError::Invalid(format!("the hold has no intent {id}")));
        };
        let known = std::mem::replace(&mut intent.state, IntentState::Resolved);
        let worst_case = intent.line.clone();
        let mut entries = Vec::new();
        match known {
            IntentState::Resolved => return Ok(entries),
            IntentState::Open => {}
            IntentState::Booked => entries.push(self.take_back(worst_case)?),
        }
        for line in lines {
            entries.push(self.draw(line)?);
        }
        Ok(entries)
    }

    /// The use of a call became known after the hold had ended at its worst case.
    fn take_back(&mut self, worst_case: CostLine) -> Result<NewEntry, BudgetError> {
        let amount = worst_case.amount;
        self.drawn = self.drawn.saturating_sub(amount);
        let entry = NewEntry::of_hold(self.id, EntryKind::Corrected, amount);
        Ok(NewEntry {
            line: Some(worst_case),
            spent_change: negative(amount),
            ..entry
        })
    }

    fn draw(&mut self, line: CostLine) -> Result<NewEntry, BudgetError> {
        check_line(&line)?;
        let amount = line.amount;
        let covered = amount.min(self.left());
        let too_large = || BudgetError::Invalid(format!("{amount} more would be too large a sum"));
        self.drawn = self.drawn.checked_add(amount).ok_or_else(too_large)?;
        let entry = NewEntry::of_hold(self.id, EntryKind::Drawn, amount);
        Ok(NewEntry {
            line: Some(line),
            held_change: negative(covered),
            spent_change: amount.nanos(),
            ..entry
        })
    }

    fn close(&mut self, state: HoldState) -> Result<Vec<NewEntry>, BudgetError> {
        let kind = match state {
            HoldState::Settled => EntryKind::Settled,
            HoldState::Released => EntryKind::Released,
            HoldState::Dropped => EntryKind::Dropped,
            HoldState::Expired => EntryKind::Expired,
            HoldState::Open => return Err(BudgetError::Invalid("a hold cannot be ended as open".to_owned())),
        };
        if self.state != HoldState::Open {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for worst_case in self.book_open_intents() {
            entries.push(self.draw(worst_case)?);
        }
        let freed = self.left();
        self.state = state;
        let entry = NewEntry::of_hold(self.id, kind, freed);
        entries.push(NewEntry {
            held_change: negative(freed),
            ..entry
        });
        Ok(entries)
    }

    fn book_open_intents(&mut self) -> Vec<CostLine> {
        let mut worst_cases = Vec::new();
        for intent in &mut self.intents {
            if intent.state == IntentState::Open {
                intent.state = IntentState::Booked;
                worst_cases.push(CostLine {
                    estimated: true,
                    ..intent.line.clone()
                });
            }
        }
        worst_cases
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
pub fn replayed_draw(key: &str, line: &CostLine, first: Option<&CostLine>) -> Result<bool, BudgetError> {
    match first {
        None => Ok(false),
        Some(first) if first == line => Ok(true),
        Some(_) => Err(BudgetError::KeyReused { key: key.to_owned() }),
    }
}
