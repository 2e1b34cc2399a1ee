//! What is spent and held, moved in all accounts of a hold or in none.

use std::{mem, sync::Arc};

use meterbox_core::{Scope, Timestamp, Usd};

use super::{AccountChange, AccountId, AccountRow, Map, Rows, row::Account};
use crate::{BudgetError, ledger::NewEntry, window::piece_at};

/// The accounts of all scopes.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) rows: Rows,
    /// How many there are in all rows.
    count: usize,
    changes: Vec<AccountChange>,
    /// Kept for its allocation.
    moves: Vec<AccountChange>,
}

impl Accounts {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn account(&self, id: AccountId) -> Option<&Account> {
        self.rows.of(id)?.account(id.number)
    }

    pub(super) fn account_of(&self, scope: &Scope, period: &Arc<str>) -> Option<AccountId> {
        let row = self.rows.get(scope)?;
        Some(row.id(row.account_of(period)?))
    }

    pub(super) fn account_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.rows.of_mut(id)?.account_mut(id.number)
    }

    pub(super) fn add_new(&mut self, scope: &Scope, period: &Arc<str>, ends_at: Timestamp) -> AccountId {
        self.add(AccountRow {
            scope: scope.clone(),
            period: Arc::clone(period),
            ends_at,
            limit: Usd::ZERO,
            spent: 0,
            held: 0,
        })
    }

    pub(super) fn add(&mut self, row: AccountRow) -> AccountId {
        self.count = self.count.saturating_add(1);
        self.rows.entry(&row.scope).add_account(row)
    }

    /// What changed since the last time, each account once, in the order in which they changed first.
    pub(super) fn take_changes(&mut self) -> Vec<AccountChange> {
        let mut sums: Vec<AccountChange> = Vec::new();
        let mut places: Map<AccountId, usize> = Map::default();
        for change in mem::take(&mut self.changes) {
            let place = *places.entry(change.account).or_insert(sums.len());
            match sums.get_mut(place) {
                Some(sum) => sum.add(change),
                None => sums.push(change),
            }
        }
        sums
    }

    pub(super) fn forget_changes(&mut self) {
        self.changes.clear();
    }

    /// Sets so much aside in an account, under this limit.
    pub(super) fn hold(&mut self, account: AccountId, amount: Usd, limit: Usd) {
        // Within a limit, so within what can be counted.
        self.move_in(AccountChange {
            account,
            held: amount.nanos(),
            spent: 0,
            limit: Some(limit),
        });
    }

    /// Applies the entries to each of these accounts; to none where a sum would overflow.
    pub(super) fn book(
        &mut self,
        now: Timestamp,
        accounts: &[AccountId],
        entries: &[NewEntry],
    ) -> Result<(), BudgetError> {
        // What most steps are: they free what was set aside in one account.
        if let ([account], [entry]) = (accounts, entries)
            && entry.spent_change == 0
            && entry.held_change != 0
        {
            let freed = AccountChange {
                account: *account,
                held: entry.held_change,
                spent: 0,
                limit: None,
            };
            return self.move_in(freed).ok_or_else(uncountable);
        }
        // A call that is only meant changes no account: then no store has to write one, and nobody to read it again.
        if entries
            .iter()
            .all(|entry| entry.held_change == 0 && entry.spent_change == 0)
        {
            return Ok(());
        }
        let mut moves = mem::take(&mut self.moves);
        moves.clear();
        for account in accounts {
            for entry in entries {
                let (held, spent) = (entry.held_change, entry.spent_change);
                let piece = match spent {
                    0 => None,
                    _ => self.piece_of(*account, entry.counts_at.unwrap_or(now)),
                };
                moves.push(AccountChange {
                    account: *account,
                    held,
                    spent: if piece.is_none() { spent } else { 0 },
                    limit: None,
                });
                moves.extend(piece.map(|piece| AccountChange {
                    account: piece,
                    held: 0,
                    spent,
                    limit: None,
                }));
            }
        }
        let moved = self.move_all(&moves);
        self.moves = moves;
        moved
    }

    /// Where spending at this time counts, given the account of a hold; `None` where that is this account itself.
    fn piece_of(&mut self, account: AccountId, at: Timestamp) -> Option<AccountId> {
        let row = &self.account(account)?.row;
        let piece = piece_at(&row.period, at)?;
        let scope = row.scope.clone();
        let known = self.rows.of(account).and_then(|row| {
            let known = row.piece(&piece)?;
            Some(row.id(known))
        });
        Some(known.unwrap_or_else(|| self.add_new(&scope, &piece.key, piece.ends_at)))
    }

    fn move_all(&mut self, moves: &[AccountChange]) -> Result<(), BudgetError> {
        for (done, step) in moves.iter().enumerate() {
            if self.move_in(*step).is_some() {
                continue;
            }
            // The last first, so that each sum on the way back is one that was there.
            for step in moves.iter().take(done).rev() {
                self.move_in(AccountChange {
                    held: step.held.saturating_neg(),
                    spent: step.spent.saturating_neg(),
                    ..*step
                });
            }
            return Err(uncountable());
        }
        Ok(())
    }

    /// Adds these changes to their account; `None`, and nothing is changed, where a sum would overflow.
    fn move_in(&mut self, change: AccountChange) -> Option<()> {
        let row = &mut self.account_mut(change.account)?.row;
        let (held, spent) = (
            row.held.checked_add(change.held)?,
            row.spent.checked_add(change.spent)?,
        );
        (row.held, row.spent) = (held, spent);
        row.limit = change.limit.unwrap_or(row.limit);
        self.changes.push(change);
        Some(())
    }
}

pub(super) fn uncountable() -> BudgetError {
    BudgetError::Invalid("the sum would be larger than can be counted".to_owned())
}

impl AccountChange {
    /// Adds what changed after it.
    pub(crate) fn add(&mut self, next: Self) {
        self.held = self.held.saturating_add(next.held);
        self.spent = self.spent.saturating_add(next.spent);
        self.limit = next.limit.or(self.limit);
    }
}
