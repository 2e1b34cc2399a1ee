use std::{cell::Cell, fmt, sync::Arc};

use meterbox_core::Scope;

use super::{AccountId, AccountRow, Against, InForce, Key};
use crate::{TopUp, window::Piece};

/// What there is about a scope. Most scopes have one account and nothing else, so that is kept in place: who has found a
/// scope among a million has found all that a step needs: two neighbouring lines of the processor's cache, which it fetches
/// together.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub(super) struct Row {
    key: Key,
    hash: u64,
    /// In the order in which scopes came.
    number: u32,
    /// The number of its kind.
    kind: u32,
    /// The account that ends last.
    newest: Option<Account>,
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default)]
struct More {
    own: Option<InForce>,
    top_ups: Vec<TopUp>,
    /// The other accounts, by their end.
    earlier: Vec<Account>,
}

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) row: AccountRow,
    /// Among those of its scope, in the order in which they came.
    number: u32,
    /// What the last hold counted against whose first account this is.
    pub(super) last: Last,
}

/// What the last hold counted against, if that is known. Looked at by taking it out for as long, which needs no room for
/// counting who looks.
#[derive(Default)]
pub(super) struct Last(Cell<Option<Arc<Against>>>);

impl Last {
    pub(super) fn peek<T>(&self, look: impl FnOnce(Option<&Arc<Against>>) -> T) -> T {
        let last = self.0.take();
        let seen = look(last.as_ref());
        self.0.set(last);
        seen
    }

    pub(super) fn set(&self, last: Arc<Against>) {
        self.0.set(Some(last));
    }
}

impl Clone for Last {
    fn clone(&self) -> Self {
        Self(Cell::new(self.peek(|last| last.cloned())))
    }
}

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peek(|last| f.debug_tuple("Last").field(&last).finish())
    }
}

impl Row {
    pub(super) fn new(scope: &Scope, kind: u32, hash: u64, number: u32) -> Self {
        Self {
            key: scope.into(),
            hash,
            number,
            kind,
            newest: None,
            more: None,
        }
    }

    pub(super) fn is_of(&self, scope: &Scope) -> bool {
        self.key.is_of(scope)
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn kind(&self) -> u32 {
        self.kind
    }

    /// Names an account of it.
    pub(super) fn id(&self, account: &Account) -> AccountId {
        AccountId {
            hash: self.hash,
            scope: self.number,
            number: account.number,
        }
    }

    /// The budget of exactly this scope.
    pub(super) fn own(&self) -> Option<&InForce> {
        self.more.as_ref()?.own.as_ref()
    }

    pub(super) fn set_own(&mut self, own: InForce) {
        self.more_mut().own = Some(own);
    }

    pub(super) fn take_own(&mut self) -> Option<InForce> {
        self.more.as_mut()?.own.take()
    }

    pub(super) fn top_ups(&self) -> &[TopUp] {
        self.more.as_ref().map_or(&[], |more| &more.top_ups)
    }

    pub(super) fn add_top_up(&mut self, top_up: TopUp) {
        self.more_mut().top_ups.push(top_up);
    }

    pub(super) fn clear_top_ups(&mut self) {
        if let Some(more) = &mut self.more {
            more.top_ups.clear();
        }
    }

    /// The account of this period. Nearly always it is the one that ends last.
    pub(super) fn account_of(&self, period: &Arc<str>) -> Option<&Account> {
        self.first(|account| account.is_of(period))
    }

    /// The accounts, by their end.
    pub(super) fn accounts(&self) -> impl DoubleEndedIterator<Item = &Account> {
        self.earlier().iter().chain(&self.newest)
    }

    /// The account of this number.
    pub(super) fn account(&self, number: u32) -> Option<&Account> {
        self.first(|account| account.number == number)
    }

    /// The account of this number.
    pub(super) fn account_mut(&mut self, number: u32) -> Option<&mut Account> {
        let is_meant = |account: &&mut Account| account.number == number;
        self.newest
            .as_mut()
            .filter(is_meant)
            .or_else(|| self.more.as_mut()?.earlier.iter_mut().rev().find(is_meant))
    }

    /// The account of a piece of a rolling window. Past pieces are many, so it is looked for where it must be.
    pub(super) fn piece(&self, piece: &Piece) -> Option<&Account> {
        let earlier = self.earlier();
        let end = earlier.partition_point(|account| account.row.ends_at <= piece.ends_at);
        let before = earlier.get(..end).unwrap_or_default().iter().rev();
        let mut candidates = before
            .take_while(|account| account.row.ends_at == piece.ends_at)
            .chain(&self.newest);
        candidates.find(|account| account.is_of(&piece.key))
    }

    /// Of the accounts that this is true of, the one that ends last.
    fn first(&self, is_meant: impl Fn(&Account) -> bool) -> Option<&Account> {
        let newest = self.newest.as_ref().filter(|account| is_meant(account));
        newest.or_else(|| self.earlier().iter().rev().find(|account| is_meant(account)))
    }

    /// Adds an account.
    pub(super) fn add_account(&mut self, row: AccountRow) -> AccountId {
        let count = self.earlier().len().saturating_add(self.newest.iter().len());
        let added = Account {
            row,
            number: u32::try_from(count).unwrap_or(u32::MAX),
            last: Last::default(),
        };
        let id = self.id(&added);
        let ends_at = added.row.ends_at;
        match self.newest.take() {
            None => self.newest = Some(added),
            Some(newest) if newest.row.ends_at <= ends_at => {
                self.newest = Some(added);
                self.more_mut().earlier.push(newest);
            }
            Some(newest) => {
                self.newest = Some(newest);
                let earlier = &mut self.more_mut().earlier;
                let place = earlier.partition_point(|known| known.row.ends_at <= ends_at);
                earlier.insert(place, added);
            }
        }
        id
    }

    fn earlier(&self) -> &[Account] {
        self.more.as_ref().map_or(&[], |more| &more.earlier)
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

impl Account {
    fn is_of(&self, period: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.row.period, period) || self.row.period == *period
    }
}

#[cfg(test)]
mod tests {
    use meterbox_core::{Timestamp, Usd};

    use super::*;
    use crate::window::piece_at;

    #[test]
    fn a_piece_is_found_among_others_of_its_time_and_of_any_other() {
        let scope: Scope = "user/ana".parse().unwrap();
        let mut row = Row::new(&scope, 0, 7, 3);
        let piece = |series: &str, second: i64| {
            let at = Timestamp::from_micros(second * 1_000_000).unwrap();
            piece_at(series, at).unwrap()
        };
        let (hour, day) = ("rolling 1h", "rolling 1d");
        let add = |row: &mut Row, piece: &Piece| {
            row.add_account(AccountRow {
                scope: scope.clone(),
                period: Arc::clone(&piece.key),
                ends_at: piece.ends_at,
                limit: Usd::ZERO,
                spent: 0,
                held: 0,
            })
        };
        let mut known = Vec::new();
        for minute in [5, 3, 900, 4, 1_400, 0, 1_399] {
            for series in [hour, day] {
                let piece = piece(series, minute * 60);
                if row.piece(&piece).is_none() {
                    known.push((add(&mut row, &piece), piece));
                }
                assert!(known.iter().all(|(id, piece)| {
                    let found = row.piece(piece).map(|account| row.id(account));
                    found == Some(*id) && found == row.account_of(&piece.key).map(|account| row.id(account))
                }));
            }
        }
        // An hour's pieces are a minute long, a day's are 24.
        assert_eq!(known.len(), 7 + 3);
        assert!(row.piece(&piece(hour, 6 * 60)).is_none());
    }

    #[test]
    fn a_row_is_two_lines_of_a_cache() {
        assert_eq!((size_of::<Row>(), align_of::<Row>()), (128, 128));
    }

    /// Whatever the order in which accounts come, each keeps its number, and the one that ends last is looked at first.
    #[test]
    fn an_account_keeps_its_number_while_others_come() {
        let scope: Scope = "user/ana".parse().unwrap();
        for ends in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [2, 1, 3], [5, 5, 5]] {
            let mut row = Row::new(&scope, 0, 7, 3);
            let mut ids = Vec::new();
            for (name, end) in ends.iter().enumerate() {
                ids.push(row.add_account(AccountRow {
                    scope: scope.clone(),
                    period: name.to_string().into(),
                    ends_at: Timestamp::from_micros(*end).unwrap(),
                    limit: Usd::ZERO,
                    spent: 0,
                    held: 0,
                }));
                for (name, id) in ids.iter().enumerate() {
                    let period: Arc<str> = name.to_string().into();
                    assert_eq!(row.account(id.number).unwrap().row.period, period);
                    assert_eq!(row.account_mut(id.number).unwrap().row.period, period);
                    assert_eq!(row.id(row.account_of(&period).unwrap()), *id);
                }
            }
            let by_end: Vec<i64> = row
                .accounts()
                .map(|account| account.row.ends_at.as_micros())
                .collect();
            assert!(by_end.is_sorted() && by_end.len() == 3, "{by_end:?}");
            assert_eq!(row.newest.as_ref().unwrap().row.ends_at.as_micros(), by_end[2]);
        }
    }
}
