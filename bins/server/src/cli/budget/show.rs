//! Budgets and where they stand.

use std::process::ExitCode;

use meterbox_core::Scope;

use super::{Done, Printer, note_a_stop};
use crate::{
    administration::{
        Administration,
        wire::{BudgetView, SettingView, Standing},
    },
    cli::{exit, table, text},
};

pub(super) async fn list(target: &dyn Administration, out: Printer) -> Done {
    let all = target.budgets().await?;
    out.print(&all.budgets, || listed(&all.budgets))?;
    for (budget, setting) in all.budgets.iter().filter_map(edited) {
        text::note(&format!(
            "{} was set by an administrator; {} says {}, and counts again when it changes.",
            budget.scope, setting.name, setting.limit
        ));
    }
    note_a_stop(all.stopped.as_ref());
    Ok(ExitCode::SUCCESS)
}

fn edited(budget: &BudgetView) -> Option<(&BudgetView, &SettingView)> {
    let setting = budget.setting.as_ref().filter(|setting| setting.edited)?;
    Some((budget, setting))
}

/// Which of both counts: the setting, or what somebody made of it.
fn set_by(budget: &BudgetView) -> &str {
    match &budget.setting {
        Some(setting) if !setting.edited => &setting.name,
        _ => "administrator",
    }
}

fn listed(budgets: &[BudgetView]) -> String {
    let rows = budgets.iter().map(|budget| {
        let status = budget.status.as_ref();
        let of = |part: fn(&Standing) -> String| status.map_or_else(|| "–".to_owned(), part);
        vec![
            budget.scope.to_string(),
            budget.window.clone(),
            of(|status| status.spent.to_string()),
            of(|status| status.held.to_string()),
            of(|status| status.remaining.to_string()),
            status.map_or(budget.limit, |status| status.limit).to_string(),
            of(|status| status.state.as_str().to_owned()),
            set_by(budget).to_owned(),
        ]
    });
    let header = [
        "Scope", "Window", "Spent", "Held", "Left", "Limit", "State", "Set by",
    ];
    table::grid(&header, &["Spent", "Held", "Left", "Limit"], rows)
}

pub(super) async fn status(target: &dyn Administration, scope: &Scope, out: Printer) -> Done {
    let status = target.standing(scope).await?;
    out.print(&status, || in_words(&status))?;
    // Only an administrator of a server is told; anybody may ask where their own budget stands.
    if let Ok(all) = target.budgets().await {
        note_a_stop(all.stopped.as_ref());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn in_words(status: &Standing) -> String {
    let mut lines = vec![
        format!("{}: {}", status.scope, status.state.as_str()),
        format!("Spent     {} of {}", status.spent, status.limit),
        format!("Held      {}", status.held),
        format!("Left      {}", status.remaining),
    ];
    if !status.extra.is_zero() {
        lines.push(format!(
            "Extra     {} of the limit are carried over or topped up",
            status.extra
        ));
    }
    if !status.overspent.is_zero() {
        lines.push(format!("Overspent {}", status.overspent));
    }
    if let Some(at) = status.resets_at {
        lines.push(format!("Afresh    {at}"));
    }
    lines.join("\n")
}

pub(super) async fn verify(target: &dyn Administration, out: Printer) -> Done {
    let report = target.verify().await?;
    let is_clean = report.problems.is_empty();
    out.print(&report, || {
        let sizes = format!(
            "{} entries, {} holds ({} open), {} balances",
            report.entries, report.holds, report.open_holds, report.balances
        );
        if is_clean {
            return format!("Every balance is the sum of its entries: {sizes}.");
        }
        format!(
            "The ledger does not add up: {sizes}.\n{}",
            report.problems.join("\n")
        )
    })?;
    if is_clean {
        return Ok(ExitCode::SUCCESS);
    }
    text::note("Keep a copy of ledger.sqlite3, and move it away to begin a new one.");
    Ok(ExitCode::from(exit::FAILED))
}
