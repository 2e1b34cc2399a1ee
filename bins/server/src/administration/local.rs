//! Administration at the data folder itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_access::{Access, Act, Actor, AuditPage, KeyGrant, KeyId};
use meterbox_budget_engine::{
    Budget, BudgetEngine, BudgetError, ExportFormat, ForecastOptions, HoldRequest, Reconciliation, SoftCaps,
    TimeRange, UsageRecord, Window,
};
use meterbox_core::{Clock, Scope};
use serde_json::{Value, json};

use super::{
    AdminError, Administration, Export,
    export::LocalExport,
    spending,
    wire::{
        AuditLog, AuditQuery, BudgetChange, BudgetView, Budgets, CheckReply, CheckRequest, CreatedKeyView,
        ForecastQuery, ForecastView, KeyView, Keys, NewKey, NewTopUp, RangeQuery, SoftCapsChange,
        SpendingView, Standing, StopReply, StopView, TopUpView, VerifyView,
    },
};
use crate::wiring;

const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The ledger and the keys of a data folder, in the hands of one actor.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    engine: BudgetEngine,
    access: Access,
    clock: Arc<dyn Clock>,
    actor: Actor,
    is_remote: bool,
}

impl Local {
    pub(crate) fn new(engine: BudgetEngine, access: Access, clock: Arc<dyn Clock>, actor: Actor) -> Self {
        Self {
            engine,
            access,
            clock,
            actor,
            is_remote: false,
        }
    }

    /// The same for somebody who could not undo losing the last key that may administer.
    pub(crate) fn for_remote(self, actor: Actor) -> Self {
        Self {
            actor,
            is_remote: true,
            ..self
        }
    }

    /// The ledger, for what only whoever sits at it may do.
    pub(crate) fn engine(&self) -> &BudgetEngine {
        &self.engine
    }

    /// Corrects worst cases by what was really used, as this source says.
    pub(crate) async fn reconcile(
        &self,
        source: &str,
        records: Vec<UsageRecord>,
        dry_run: bool,
    ) -> Result<Reconciliation, AdminError> {
        if dry_run {
            return Ok(self.engine.reconcile(records, true).await?);
        }
        let act = Act {
            name: "ledger.reconcile",
            target: source.to_owned(),
            before: None,
            after: Some(json!({ "records": records.len() })),
        };
        let engine = self.engine.clone();
        self.audited(act, async move { engine.reconcile(records, false).await })
            .await
    }

    async fn known_budget(&self, scope: &Scope) -> Result<Option<Budget>, AdminError> {
        let budgets = self.engine.budgets().await?;
        Ok(budgets.into_iter().find(|budget| budget.scope == *scope))
    }

    async fn view(&self, budget: Budget) -> Result<BudgetView, AdminError> {
        let status = if budget.scope.is_wildcard() {
            None
        } else {
            match self.engine.status(&budget.scope).await {
                // Somebody removed it meanwhile.
                Err(BudgetError::NoBudget { .. }) => None,
                status => Some(status?),
            }
        };
        let setting = setting_of(&budget.scope)?.map(|(setting, _)| setting);
        Ok(BudgetView::new(budget, setting, status))
    }

    /// Notes the act, does it, and notes how it ended. It is a task of its own, so that a client who hangs up leaves
    /// no act half noted.
    async fn audited<T: Send + 'static>(
        &self,
        act: Act,
        work: impl Future<Output = Result<T, BudgetError>> + Send + 'static,
    ) -> Result<T, AdminError> {
        let (access, actor) = (self.access.clone(), self.actor.clone());
        let task = tokio::spawn(async move {
            let pending = access.begin(&actor, act).await?;
            let done = work.await;
            let noted = match &done {
                Ok(_) => pending.done().await,
                Err(error) => pending.failed(error).await,
            };
            if let Err(error) = noted {
                // What was done is done; the log says that its end is unknown.
                tracing::warn!(%error, "the end of an administrative act could not be noted");
            }
            Ok::<_, AdminError>(done?)
        });
        task.await.map_err(|_| AdminError::Interrupted)?
    }

    async fn stop_reply(&self, changed: bool) -> Result<StopReply, AdminError> {
        Ok(StopReply {
            stopped: self.engine.stopped().await?.map(StopView::from),
            changed,
        })
    }
}

#[async_trait]
impl Administration for Local {
    async fn budgets(&self) -> Result<Budgets, AdminError> {
        let mut budgets = Vec::new();
        for budget in self.engine.budgets().await? {
            budgets.push(self.view(budget).await?);
        }
        let stopped = self.engine.stopped().await?.map(StopView::from);
        Ok(Budgets { budgets, stopped })
    }

    async fn standing(&self, scope: &Scope) -> Result<Standing, AdminError> {
        Ok(self.engine.status(scope).await?.into())
    }

    async fn set_budget(&self, change: BudgetChange) -> Result<BudgetView, AdminError> {
        refuse_settings(&change.scope)?;
        let before = self.known_budget(&change.scope).await?;
        let budget = changed(before.clone(), change)?;
        let act = Act {
            name: "budget.set",
            target: budget.scope.to_string(),
            before: before.map(described).transpose()?,
            after: Some(described(budget.clone())?),
        };
        let (engine, wanted) = (self.engine.clone(), budget.clone());
        self.audited(act, async move { engine.define(wanted).await })
            .await?;
        self.view(budget).await
    }

    async fn remove_budget(&self, scope: &Scope) -> Result<(), AdminError> {
        refuse_settings(scope)?;
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

    async fn verify(&self) -> Result<VerifyView, AdminError> {
        Ok(self.engine.verify().await?.into())
    }

    async fn export(&self, format: ExportFormat, range: RangeQuery) -> Result<Box<dyn Export>, AdminError> {
        let range = TimeRange {
            since: range.since,
            until: range.until,
        };
        Ok(Box::new(LocalExport::new(self.engine.export(range), format)?))
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

    async fn keys(&self) -> Result<Keys, AdminError> {
        let now = self.clock.now();
        let keys = self.access.keys().await?;
        Ok(Keys {
            keys: keys.into_iter().map(|key| KeyView::new(key, now)).collect(),
        })
    }

    async fn create_key(&self, key: NewKey) -> Result<CreatedKeyView, AdminError> {
        let now = self.clock.now();
        let mut grant = KeyGrant::new(key.name, key.role, key.scopes);
        if let Some(days) = key.expires_in_days {
            grant = grant.expiring_at(now.saturating_add(days_long(days)?));
        }
        let created = self.access.create_key(&self.actor, grant).await?;
        Ok(CreatedKeyView::new(created, now))
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<KeyView, AdminError> {
        let revoked = self.access.revoke_key(&self.actor, id, self.is_remote).await?;
        Ok(KeyView::new(revoked, self.clock.now()))
    }

    async fn rotate_key(&self, id: &KeyId, grace: Duration) -> Result<CreatedKeyView, AdminError> {
        if grace > LONGEST_GRACE {
            return Err(AdminError::invalid(
                "grace_seconds",
                "an old key works at most 30 days more",
            ));
        }
        let created = self.access.rotate_key(&self.actor, id, grace).await?;
        Ok(CreatedKeyView::new(created, self.clock.now()))
    }

    async fn audit(&self, query: AuditQuery) -> Result<AuditLog, AdminError> {
        let usual = AuditPage::default();
        let limit = query.limit.unwrap_or(usual.limit);
        if !(1..=1_000).contains(&limit) {
            return Err(AdminError::invalid("limit", "a page has 1 to 1,000 entries"));
        }
        let page = AuditPage {
            before: query.before,
            limit,
        };
        let entries = self.access.audit(page).await?;
        let next = entries
            .last()
            .filter(|last| entries.len() == limit && last.seq > 1);
        Ok(AuditLog {
            next: next.map(|last| last.seq),
            entries: entries.into_iter().map(Into::into).collect(),
        })
    }
}

/// The setting that a budget follows, and what may be done instead of changing it.
fn setting_of(scope: &Scope) -> Result<Option<(&'static str, &'static str)>, AdminError> {
    if *scope == wiring::local_user()?.wildcard() {
        return Ok(Some((
            "DEFAULT_BUDGET_LIMIT",
            "give one user a budget of their own, such as user/ana",
        )));
    }
    if *scope == wiring::everybody()? {
        return Ok(Some((
            "GLOBAL_BUDGET_LIMIT",
            "use the kill switch to stop all spending",
        )));
    }
    Ok(None)
}

fn refuse_settings(scope: &Scope) -> Result<(), AdminError> {
    match setting_of(scope)? {
        None => Ok(()),
        Some((setting, instead)) => Err(AdminError::FollowsSetting {
            scope: scope.clone(),
            setting,
            instead,
        }),
    }
}

/// The budget as it is to be.
fn changed(known: Option<Budget>, change: BudgetChange) -> Result<Budget, AdminError> {
    let window: Option<Window> = match change.window {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|error| AdminError::invalid("window", error))?,
        ),
    };
    let mut budget = match known {
        Some(known) => known,
        None => Budget::new(change.scope, change.limit, Window::month("UTC")?),
    };
    budget.limit = change.limit;
    budget.window = window.unwrap_or(budget.window);
    budget.carry_over = change.carry_over.unwrap_or(budget.carry_over);
    budget.degraded_allowance = change.degraded_allowance.unwrap_or(budget.degraded_allowance);
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

fn days_long(days: u32) -> Result<Duration, AdminError> {
    if !(1..=36_500).contains(&days) {
        return Err(AdminError::invalid(
            "expires_in_days",
            "a key lives 1 to 36,500 days",
        ));
    }
    Ok(DAY * days)
}
