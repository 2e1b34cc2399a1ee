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
        let mut before = self.known_budget(&change.scope).await?;
        let mut edits_left = MOST_EDITS;
        loop {
            let after = changed(before.clone(), &change)?;
            edits_left = edits_left.saturating_sub(1);
            match self.edit(before, after.clone()).await {
                Err(AdminError::Budget(BudgetError::Changed { found, .. })) if edits_left > 0 => {
                    before = found.map(|found| *found);
                }
                edited => {
                    edited?;
                    return self.view(after, &self.engine.provisions().await?).await;
                }
            }
        }
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
