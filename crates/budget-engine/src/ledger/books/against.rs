//! What a hold counts against, shared by all holds that count against the same.

use std::{slice, sync::Arc};

use meterbox_core::{Scope, Timestamp, Usd};

use super::{AccountId, AccountRow, Books, Standing, row::Account};
use crate::ledger::{Basis, Claim, HoldRecord, HoldRequest};

/// What a hold of these books counts against.
#[derive(Debug, Clone)]
pub(super) enum Counts {
    /// The one scope that was asked for. Account and limit say it all, so that among a million scopes nothing else of
    /// it needs to be looked at.
    One { account: AccountId, limit: Usd },
    /// More scopes than one, or fewer budgets than scopes.
    Many(Arc<Against>),
}

/// What was asked for, and the accounts of its claims.
#[derive(Debug)]
pub(super) struct Against {
    basis: Arc<Basis>,
    accounts: Box<[AccountId]>,
}

impl Books {
    /// A purpose, which most often is that of the hold before.
    pub(super) fn shared(&mut self, purpose: &str) -> Arc<str> {
        if *self.purpose != *purpose {
            self.purpose = purpose.into();
        }
        Arc::clone(&self.purpose)
    }

    /// What a hold with these standings counts against.
    pub(super) fn counts(
        &mut self,
        now: Timestamp,
        request: &HoldRequest,
        standings: &[(usize, Standing)],
    ) -> Counts {
        if let ([scope], [(_, standing)]) = (&*request.scopes, standings)
            && let Some(account) = self.account_for(now, scope, standing)
        {
            let limit = standing.limit;
            return Counts::One { account, limit };
        }
        let first = standings.first().and_then(|(_, standing)| standing.account);
        if let Some(first) = first.and_then(|first| self.accounts.account(first))
            && let Some(last) = first
                .last
                .peek(|last| last.filter(|last| last.is_of(request, standings)).cloned())
        {
            return Counts::Many(last);
        }
        self.new_counts(now, request, standings)
    }

    fn new_counts(
        &mut self,
        now: Timestamp,
        request: &HoldRequest,
        standings: &[(usize, Standing)],
    ) -> Counts {
        let mut claims = Vec::with_capacity(standings.len());
        let mut accounts = Vec::with_capacity(standings.len());
        for (index, standing) in standings {
            let scope = request.scopes.get(*index);
            let account = scope.and_then(|scope| self.account_for(now, scope, standing));
            if let Some(account) = account
                && let Some(known) = self.accounts.account(account)
            {
                accounts.push(account);
                claims.push(known.claim(standing.limit));
            }
        }
        let basis = Basis {
            scopes: request.scopes.as_slice().into(),
            claims: claims.into(),
        };
        Counts::Many(self.remembered(Arc::new(basis), accounts.into()))
    }

    /// The account of a standing, which may be that of a new period.
    fn account_for(&mut self, now: Timestamp, scope: &Scope, standing: &Standing) -> Option<AccountId> {
        if standing.account.is_some() {
            return standing.account;
        }
        let in_force = self.in_force(scope, self.accounts.rows.get(scope))?;
        let (key, ends_at) = {
            let period = in_force.period_at(now);
            (Arc::clone(&period.key), period.ends_at())
        };
        Some(self.accounts.add_new(scope, &key, ends_at))
    }

    fn remembered(&self, basis: Arc<Basis>, accounts: Box<[AccountId]>) -> Arc<Against> {
        let first = accounts.first().and_then(|first| self.accounts.account(*first));
        let against = Arc::new(Against { basis, accounts });
        if let Some(first) = first {
            first.last.set(Arc::clone(&against));
        }
        against
    }

    /// The hold with what it counts against in words.
    pub(super) fn record(&self, kept: &HoldRecord<Counts>) -> HoldRecord {
        kept.with_basis(match &kept.basis {
            Counts::One { account, limit } => self.basis_of_one(*account, *limit),
            Counts::Many(against) => Arc::clone(&against.basis),
        })
    }

    /// Most often it is what it was for the hold before, and then they share it: records are many.
    fn basis_of_one(&self, id: AccountId, limit: Usd) -> Arc<Basis> {
        let Some(account) = self.accounts.account(id) else {
            return Arc::default();
        };
        let is_same = |last: &&Arc<Against>| {
            last.basis.is_of_one_scope() && last.basis.claims.iter().all(|claim| claim.limit == limit)
        };
        if let Some(last) = account
            .last
            .peek(|last| last.filter(is_same).map(|last| Arc::clone(&last.basis)))
        {
            return last;
        }
        let basis = Arc::new(Basis {
            scopes: [account.row.scope.clone()].into(),
            claims: [account.claim(limit)].into(),
        });
        self.remembered(Arc::clone(&basis), [id].into());
        basis
    }
}

impl Counts {
    /// Of a hold with this basis, given the accounts of its claims.
    pub(super) fn of(basis: &Arc<Basis>, accounts: Vec<AccountId>) -> Self {
        match (&*accounts, &*basis.claims) {
            ([account], [claim]) if basis.is_of_one_scope() => Self::One {
                account: *account,
                limit: claim.limit,
            },
            _ => Self::Many(Arc::new(Against {
                basis: Arc::clone(basis),
                accounts: accounts.into(),
            })),
        }
    }

    pub(super) fn accounts(&self) -> &[AccountId] {
        match self {
            Self::One { account, .. } => slice::from_ref(account),
            Self::Many(against) => &against.accounts,
        }
    }
}

impl Against {
    /// Is this what the request counts against, given where its budgets stand? An account is of one scope and period,
    /// so that only scopes without a budget, which are passed over, need to be compared.
    fn is_of(&self, request: &HoldRequest, standings: &[(usize, Standing)]) -> bool {
        let Basis { scopes, claims } = &*self.basis;
        let mut accounts = self.accounts.iter().zip(standings);
        let mut limits = claims.iter().zip(standings);
        claims.len() == standings.len()
            && scopes.len() == request.scopes.len()
            && accounts.all(|(account, (_, standing))| standing.account == Some(*account))
            && limits.all(|(claim, (_, standing))| standing.limit == claim.limit)
            && (scopes.len() == claims.len() || **scopes == *request.scopes)
    }
}

impl Basis {
    /// Was one scope asked for, and is that the one it counts against?
    fn is_of_one_scope(&self) -> bool {
        matches!((&*self.scopes, &*self.claims), ([scope], [claim]) if *scope == claim.scope)
    }
}

impl Account {
    fn claim(&self, limit: Usd) -> Claim {
        let AccountRow {
            scope,
            period,
            ends_at,
            ..
        } = &self.row;
        Claim {
            // One text for all that is said of a scope.
            scope: scope.clone(),
            period: Arc::clone(period),
            ends_at: *ends_at,
            limit,
        }
    }
}
