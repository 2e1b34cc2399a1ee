//! What a hold counts against, shared by all holds that count against the same.

use std::sync::Arc;

use meterbox_core::Usd;

use super::{Account, Against, Books, Place, Standing};
use crate::ledger::{Basis, Claim, HoldRequest};

impl Books {
    /// A purpose, which most often is that of the hold before.
    pub(super) fn shared(&mut self, purpose: &str) -> Arc<str> {
        if *self.purpose != *purpose {
            self.purpose = purpose.into();
        }
        Arc::clone(&self.purpose)
    }

    /// What a hold with these standings counts against.
    pub(super) fn against(&mut self, request: &HoldRequest, standings: &[(usize, Standing)]) -> Against {
        let first = standings.first().and_then(|(_, standing)| standing.account());
        let last = first.and_then(|first| self.accounts.get(first)?.last.as_ref());
        if let Some(last) = last.filter(|last| last.is_of(request, standings)) {
            return last.clone();
        }
        let mut claims = Vec::with_capacity(standings.len());
        let mut accounts = Vec::with_capacity(standings.len());
        for (index, standing) in standings {
            let Some(scope) = request.scopes.get(*index) else {
                continue;
            };
            let account = match &standing.place {
                Place::Known(account) => *account,
                Place::New(period) => self.new_account(scope, &period.key, period.ends_at()),
            };
            accounts.push(account);
            if let Some(Account { row, .. }) = self.accounts.get(account) {
                claims.push(Claim {
                    // One text for all that is said of a scope.
                    scope: row.scope.clone(),
                    period: Arc::clone(&row.period),
                    ends_at: row.ends_at,
                    limit: standing.limit,
                });
            }
        }
        let basis = Basis {
            scopes: request.scopes.as_slice().into(),
            claims: claims.into(),
        };
        let against = Against {
            limit: basis.claims.first().map_or(Usd::ZERO, |claim| claim.limit),
            basis: Arc::new(basis),
            accounts: accounts.as_slice().into(),
        };
        let first = against.accounts.get(0);
        if let Some(account) = first.and_then(|first| self.accounts.get_mut(first)) {
            account.last = Some(against.clone());
        }
        against
    }
}

impl Against {
    /// Is this what the request counts against, given where its budgets stand? An account is of one scope and period,
    /// so that only scopes without a budget, which are passed over, need to be compared.
    fn is_of(&self, request: &HoldRequest, standings: &[(usize, Standing)]) -> bool {
        let Basis { scopes, claims } = &*self.basis;
        let is_first_alike = standings
            .first()
            .is_none_or(|(_, first)| first.limit == self.limit);
        let mut others = claims.iter().zip(standings).skip(1);
        let mut accounts = self.accounts.iter().zip(standings);
        is_first_alike
            && claims.len() == standings.len()
            && scopes.len() == request.scopes.len()
            && accounts.all(|(account, (_, standing))| standing.account() == Some(account))
            && others.all(|(claim, (_, standing))| standing.limit == claim.limit)
            && (scopes.len() == claims.len() || **scopes == *request.scopes)
    }
}
