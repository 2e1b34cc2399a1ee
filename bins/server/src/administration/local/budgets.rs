//! Budgets, top-ups and the kill switch at the data folder.

use std::time::Duration;

use async_trait::async_trait;
use meterbox_access::Act;
use meterbox_budget_engine::{Budget, BudgetError, ForecastOptions, HoldRequest, SoftCaps, Window};
use meterbox_core::{Clock, Scope};
use serde_json::{Value, json};

use super::{Local, spending};
use crate::{
    administration::{
        AdminError, BudgetAdministration,
        wire::{
            BudgetChange, BudgetView, Budgets, CheckReply, CheckRequest, ForecastQuery, ForecastView,
            NewTopUp, RangeQuery, SettingView, SoftCapsChange, SpendingView, Standing, StopReply, StopView,
            TopUpView,
        },
    },
    wiring,
};

/// A change is made anew of what somebody else made of the budget meanwhile, so often at most: each time others were
/// faster, one of them got something done.
const MOST_EDITS: u32 = 20;

#[async_trait]
impl BudgetAdministration for Local {
    async fn budgets(&self) -> Result<Budgets, AdminError> {
        let as_set = self.engine.provisions().await?;
        let mut budgets = Vec::new();
        for budget in self.engine.budgets().await? {
            budgets.push(self.view(budget, &as_set).await?);
        }
        let stopped = self.engine.stopped().await?.map(StopView::from);
        Ok(Budgets { budgets, stopped })
    }

    async fn standing(&self, scope: &Scope) -> Result<Standing, AdminError> {
        Ok(self.engine.status(scope).await?.into())
    }

    async fn set_budget(&self, change: BudgetChange) -> Result<BudgetView, AdminError> {
        let before = self.known_budget(&change.scope).await?;
        let after = edited(before, &change, async |before, after| {
            self.edit(before, after).await
        })
        .await?;
        self.view(after, &self.engine.provisions().await?).await
    }

    async fn remove_budget(&self, scope: &Scope) -> Result<(), AdminError> {
        if let Some(setting) = wiring::setting_of(scope) {
            return Err(AdminError::MadeBySetting {
                scope: scope.clone(),
                setting,
            });
        }
        let missing = || BudgetError::NoBudget {
            scopes: vec![scope.clone()],
        };
        let before = self.known_budget(scope).await?.ok_or_else(missing)?;
        let act = Act {
            name: "budget.remove",
            target: scope.to_string(),
            before: Some(described(before)?),
            after: None,
        };
        let (engine, wanted) = (self.engine.clone(), scope.clone());
        let is_removed = self
            .audited(act, async move { engine.remove(&wanted).await })
            .await?;
        // Somebody else was faster.
        if is_removed { Ok(()) } else { Err(missing().into()) }
    }

    async fn top_up(&self, scope: &Scope, top_up: NewTopUp) -> Result<TopUpView, AdminError> {
        let act = Act {
            name: "budget.top_up",
            target: scope.to_string(),
            before: None,
            after: Some(json!(top_up)),
        };
        let (engine, scope) = (self.engine.clone(), scope.clone());
        let done = self
            .audited(act, async move {
                let NewTopUp {
                    amount,
                    expires_at,
                    note,
                } = top_up;
                engine.top_up(&scope, amount, expires_at, &note).await
            })
            .await?;
        Ok(done.into())
    }

    async fn check(&self, request: CheckRequest) -> Result<CheckReply, AdminError> {
        let found = self
            .engine
            .dry_run(HoldRequest::new(request.scopes, request.amount, "dry run"))
            .await;
        let refusal = match found {
            Ok(admitted) => {
                return Ok(CheckReply {
                    admitted: true,
                    amount: Some(admitted.amount),
                    reason: None,
                    retry_after_seconds: None,
                    budgets: admitted.budgets.into_iter().map(Standing::from).collect(),
                });
            }
            Err(
                refusal @ (BudgetError::Refused { .. }
                | BudgetError::NoBudget { .. }
                | BudgetError::Stopped(_)),
            ) => refusal,
            Err(error) => return Err(error.into()),
        };
        Ok(CheckReply {
            admitted: false,
            amount: None,
            reason: Some(refusal.to_string()),
            retry_after_seconds: refusal.retry_after().map(|wait| wait.as_secs()),
            budgets: Vec::new(),
        })
    }

    async fn forecast(&self, scope: &Scope, query: ForecastQuery) -> Result<ForecastView, AdminError> {
        let usual = ForecastOptions::default();
        let time = |seconds: Option<u64>, usual| seconds.map_or(usual, Duration::from_secs);
        let options = ForecastOptions {
            last: time(query.last, usual.last),
            horizon: query.horizon.map(Duration::from_secs),
            spike_window: time(query.spike_window, usual.spike_window),
            spike_baseline: time(query.spike_baseline, usual.spike_baseline),
            spike_factor: query.spike_factor.unwrap_or(usual.spike_factor),
            spike_minimum: query.spike_minimum.unwrap_or(usual.spike_minimum),
        };
        Ok(self.engine.forecast(scope, options).await?.into())
    }

    async fn spending(&self, range: RangeQuery) -> Result<SpendingView, AdminError> {
        let this_month = Window::month("UTC")?.period_at(self.clock.now()).starts_at;
        let range = RangeQuery {
            since: range.since.or(this_month),
            ..range
        };
        Ok(spending::spending(&self.engine, range, &wiring::everybody()?).await?)
    }

    async fn stop_all(&self, reason: String) -> Result<StopReply, AdminError> {
        let act = Act {
            name: "spending.stop",
            target: "all".to_owned(),
            before: Some(json!({ "stopped": self.engine.stopped().await?.map(StopView::from) })),
            after: Some(json!({ "stopped": { "reason": reason } })),
        };
        let engine = self.engine.clone();
        let changed = self
            .audited(act, async move { engine.stop_all(&reason).await })
            .await?;
        self.stop_reply(changed).await
    }

    async fn resume(&self) -> Result<StopReply, AdminError> {
        let act = Act {
            name: "spending.resume",
            target: "all".to_owned(),
            before: Some(json!({ "stopped": self.engine.stopped().await?.map(StopView::from) })),
            after: Some(json!({ "stopped": null })),
        };
        let engine = self.engine.clone();
        let changed = self.audited(act, async move { engine.resume().await }).await?;
        self.stop_reply(changed).await
    }
}

impl Local {
    /// Of a budget that somebody else has changed since it was read nothing is changed, and the audit log says so.
    async fn edit(&self, before: Option<Budget>, after: Budget) -> Result<(), AdminError> {
        let act = Act {
            name: "budget.set",
            target: after.scope.to_string(),
            before: before.clone().map(described).transpose()?,
            after: Some(described(after.clone())?),
        };
        let engine = self.engine.clone();
        self.audited(act, async move { engine.edit(before, after).await })
            .await
    }

    async fn known_budget(&self, scope: &Scope) -> Result<Option<Budget>, AdminError> {
        let budgets = self.engine.budgets().await?;
        Ok(budgets.into_iter().find(|budget| budget.scope == *scope))
    }

    async fn view(&self, budget: Budget, as_set: &[Budget]) -> Result<BudgetView, AdminError> {
        let status = if budget.scope.is_wildcard() {
            None
        } else {
            match self.engine.status(&budget.scope).await {
                // Somebody removed it meanwhile.
                Err(BudgetError::NoBudget { .. }) => None,
                status => Some(status?),
            }
        };
        let as_set = as_set.iter().find(|set| set.scope == budget.scope);
        let setting = as_set.map(|set| SettingView {
            name: wiring::setting_of(&budget.scope)
                .unwrap_or("a setting")
                .to_owned(),
            limit: set.limit,
            edited: *set != budget,
        });
        Ok(BudgetView::new(budget, setting, status))
    }

    async fn stop_reply(&self, changed: bool) -> Result<StopReply, AdminError> {
        Ok(StopReply {
            stopped: self.engine.stopped().await?.map(StopView::from),
            changed,
        })
    }
}

/// Makes the edit, of what others make of the budget meanwhile. What somebody has removed is not made anew by who has not
/// heard of it, and may know a part of it only.
async fn edited<Edit: Future<Output = Result<(), AdminError>>>(
    mut before: Option<Budget>,
    change: &BudgetChange,
    edit: impl Fn(Option<Budget>, Budget) -> Edit,
) -> Result<Budget, AdminError> {
    let mut edits_left = MOST_EDITS;
    loop {
        let after = changed(before.clone(), change)?;
        edits_left = edits_left.saturating_sub(1);
        match edit(before, after.clone()).await {
            Err(AdminError::Budget(BudgetError::Changed {
                found: Some(found), ..
            })) if edits_left > 0 => before = Some(*found),
            done => return done.map(|()| after),
        }
    }
}

/// The budget as it is to be.
fn changed(known: Option<Budget>, change: &BudgetChange) -> Result<Budget, AdminError> {
    let window: Option<Window> = match &change.window {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|error| AdminError::invalid("window", error))?,
        ),
    };
    let mut budget = match (known, change.limit) {
        (Some(known), _) => known,
        (None, Some(limit)) => Budget::new(change.scope.clone(), limit, Window::month("UTC")?),
        (None, None) => {
            let message = format!("{} has no budget of its own yet; say its limit", change.scope);
            return Err(AdminError::invalid("limit", message));
        }
    };
    budget.limit = change.limit.unwrap_or(budget.limit);
    budget.window = window.unwrap_or(budget.window);
    budget.carry_over = change.carry_over.unwrap_or(budget.carry_over);
    budget.degraded_allowance = change
        .degraded_allowance
        .unwrap_or_else(|| budget.degraded_allowance.min(budget.limit));
    budget.soft_caps = changed_caps(budget.soft_caps, change.soft_caps.unwrap_or_default());
    Ok(budget)
}

/// The later steps never come before an earlier one that was moved, unless they are named as well.
fn changed_caps(known: SoftCaps, change: SoftCapsChange) -> SoftCaps {
    let degrade_percent = change.degrade_percent.unwrap_or(known.degrade_percent);
    let features_off_percent = change
        .features_off_percent
        .unwrap_or_else(|| known.features_off_percent.max(degrade_percent));
    SoftCaps {
        warn_percent: change.warn_percent.unwrap_or(known.warn_percent),
        degrade_percent,
        features_off_percent,
        squeeze_percent: change
            .squeeze_percent
            .unwrap_or_else(|| known.squeeze_percent.max(features_off_percent)),
        squeeze_to: change.squeeze_to.unwrap_or(known.squeeze_to),
    }
}

/// A budget as the audit log has it: what it is, not how much of it is spent.
fn described(budget: Budget) -> Result<Value, AdminError> {
    let mut described = json!(BudgetView::new(budget, None, None));
    if let Some(members) = described.as_object_mut() {
        members.remove("status");
    }
    Ok(described)
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::Mutex};

    use meterbox_core::Usd;

    use super::*;

    fn budget(limit: u32) -> Budget {
        let scope = "org/acme".parse().unwrap();
        Budget::new(scope, Usd::from_dollars(limit), Window::Lifetime)
    }

    fn change(whole: Value) -> BudgetChange {
        serde_json::from_value(whole).unwrap()
    }

    /// What a change comes to that is begun at a limit of 10, where others make this of the budget, one after the other; and
    /// from which limit to which each try was.
    async fn edited_beside(
        others: &[Option<Budget>],
        change: &BudgetChange,
    ) -> (Result<Budget, AdminError>, Vec<(i64, i64)>) {
        let (mut others, tries) = (others.iter().cloned(), Vec::new());
        let state = Mutex::new((&mut others, tries));
        let after = edited(Some(budget(10)), change, |before, after| {
            let dollars = |budget: &Budget| budget.limit.nanos() / 1_000_000_000;
            let (others, tries) = &mut *state.lock().unwrap();
            tries.push((before.as_ref().map_or(0, dollars), dollars(&after)));
            ready(others.next().map_or(Ok(()), |found| {
                Err(AdminError::Budget(BudgetError::Changed {
                    scope: after.scope,
                    found: found.map(Box::new),
                }))
            }))
        })
        .await;
        let (_, tries) = state.into_inner().unwrap();
        (after, tries)
    }

    #[tokio::test]
    async fn a_change_is_made_of_what_others_made_meanwhile() {
        let carry = change(serde_json::json!({ "scope": "org/acme", "carry_over": 1 }));
        let (after, tries) = edited_beside(&[Some(budget(20)), Some(budget(30))], &carry).await;
        let after = after.unwrap();
        assert_eq!(
            [after.limit, after.carry_over],
            [Usd::from_dollars(30), Usd::from_dollars(1)]
        );
        assert_eq!(tries, [(10, 10), (20, 20), (30, 30)]);
    }

    #[tokio::test]
    async fn what_was_removed_meanwhile_is_not_made_anew() {
        let limit = change(serde_json::json!({ "scope": "org/acme", "limit": 25 }));
        let (after, tries) = edited_beside(&[None], &limit).await;
        let refused = after.unwrap_err();
        let is_gone = matches!(
            refused,
            AdminError::Budget(BudgetError::Changed { found: None, .. })
        );
        assert!(is_gone, "{refused:?}");
        assert_eq!(tries, [(10, 25)]);
    }

    #[tokio::test]
    async fn whoever_is_always_too_late_is_told_so() {
        let limit = change(serde_json::json!({ "scope": "org/acme", "limit": 25 }));
        let (after, tries) = edited_beside(&vec![Some(budget(20)); 100], &limit).await;
        assert!(matches!(
            after,
            Err(AdminError::Budget(BudgetError::Changed { .. }))
        ));
        assert_eq!(tries.len(), usize::try_from(MOST_EDITS).unwrap());
    }
}
