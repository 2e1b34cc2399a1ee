//! Budgets, top-ups and the switch as they are written.

use meterbox_core::{Scope, Timestamp};
use meterbox_postgres::{ClientWrapper, Fault};

use super::batch::Values;
use crate::{Stop, TopUp, ledger::Defined};

/// What a step changes beside holds, entries and balances.
#[derive(Debug)]
pub(super) enum RuleChange {
    Budget(Defined),
    Removal(Scope),
    TopUp(TopUp),
    Stop(Option<Stop>),
}

pub(super) async fn write(client: &ClientWrapper, changes: &[RuleChange]) -> Result<(), Fault> {
    for change in changes {
        match change {
            RuleChange::Budget(Defined {
                budget,
                since,
                setting,
            }) => {
                let setting = setting.as_ref().map(serde_json::to_string).transpose();
                let setting = setting
                    .map_err(|error| Fault::corrupt(format!("a setting cannot be written: {error}")))?;
                let sql = "INSERT INTO budgets (scope, spend_limit, time_window, warn_percent, degrade_percent,
                        carry_over, degraded_allowance, since, features_off_percent, squeeze_percent, squeeze_to,
                        setting)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                    ON CONFLICT (scope) DO UPDATE SET spend_limit = excluded.spend_limit,
                        time_window = excluded.time_window, warn_percent = excluded.warn_percent,
                        degrade_percent = excluded.degrade_percent, carry_over = excluded.carry_over,
                        degraded_allowance = excluded.degraded_allowance, since = excluded.since,
                        features_off_percent = excluded.features_off_percent,
                        squeeze_percent = excluded.squeeze_percent, squeeze_to = excluded.squeeze_to,
                        setting = excluded.setting";
                let params: Values<'_, _> = [
                    &budget.scope.to_string(),
                    &budget.limit.nanos(),
                    &budget.window.to_string(),
                    &i16::from(budget.soft_caps.warn_percent),
                    &i16::from(budget.soft_caps.degrade_percent),
                    &budget.carry_over.nanos(),
                    &budget.degraded_allowance.nanos(),
                    &since.as_micros(),
                    &i16::from(budget.soft_caps.features_off_percent),
                    &i16::from(budget.soft_caps.squeeze_percent),
                    &i32::from(budget.soft_caps.squeeze_to),
                    &setting,
                ];
                client.execute(sql, &params).await?;
            }
            RuleChange::Removal(scope) => {
                let scope = scope.to_string();
                client
                    .execute("DELETE FROM budgets WHERE scope = $1", &[&scope])
                    .await?;
                client
                    .execute("DELETE FROM top_ups WHERE scope = $1", &[&scope])
                    .await?;
            }
            RuleChange::TopUp(top_up) => {
                let sql = "INSERT INTO top_ups VALUES ($1::text::uuid, $2, $3, $4, $5, $6)";
                let params: Values<'_, _> = [
                    &top_up.id.to_string(),
                    &top_up.scope.to_string(),
                    &top_up.amount.nanos(),
                    &top_up.granted_at.as_micros(),
                    &top_up.expires_at.map(Timestamp::as_micros),
                    &top_up.note,
                ];
                client.execute(sql, &params).await?;
            }
            RuleChange::Stop(stop) => {
                client.execute("DELETE FROM stop", &[]).await?;
                if let Some(stop) = stop {
                    let sql = "INSERT INTO stop (one, since, reason) VALUES (1, $1, $2)";
                    client
                        .execute(sql, &[&stop.since.as_micros(), &stop.reason])
                        .await?;
                }
            }
        }
    }
    Ok(())
}
