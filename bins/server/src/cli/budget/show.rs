//! Budgets and where they stand.

use std::process::ExitCode;

use meterbox_budget_engine::{Budget, BudgetEngine, BudgetState, BudgetStatus};
use meterbox_core::Scope;
use serde::Serialize;

use super::{Done, Printer, note_a_stop};
use crate::cli::{exit, table, text};

/// A budget, and where it stands if it is not a wildcard's.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    budget: Budget,
    status: Option<BudgetStatus>,
}

pub(super) async fn list(engine: &BudgetEngine, out: Printer) -> Done {
    let mut budgets = Vec::new();
    for budget in engine.budgets().await? {
        let status = if budget.scope.is_wildcard() {
            None
        } else {
            Some(engine.status(&budget.scope).await?)
        };
        budgets.push(Listed { budget, status });
    }
    out.print(&budgets, || listed(&budgets))?;
    note_a_stop(engine).await?;
    Ok(ExitCode::SUCCESS)
}

fn listed(budgets: &[Listed]) -> String {
    let rows = budgets.iter().map(|Listed { budget, status }| {
        let of = |part: fn(&BudgetStatus) -> String| status.as_ref().map_or_else(|| "–".to_owned(), part);
        vec![
            budget.scope.to_string(),
            budget.window.to_string(),
            of(|status| status.spent.to_string()),
            of(|status| status.held.to_string()),
            of(|status| status.remaining.to_string()),
            status
                .as_ref()
                .map_or(budget.limit, |status| status.limit)
                .to_string(),
            of(|status| word(status.state).to_owned()),
        ]
    });
    let header = ["Scope", "Window", "Spent", "Held", "Left", "Limit", "State"];
    table::grid(&header, &["Spent", "Held", "Left", "Limit"], rows)
}

pub(super) async fn status(engine: &BudgetEngine, scope: &Scope, out: Printer) -> Done {
    let status = engine.status(scope).await?;
    out.print(&status, || in_words(&status))?;
    note_a_stop(engine).await?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn in_words(status: &BudgetStatus) -> String {
    let mut lines = vec![
        format!("{}: {}", status.scope, word(status.state)),
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

const fn word(state: BudgetState) -> &'static str {
    match state {
        BudgetState::Active => "active",
        BudgetState::Warned => "warned",
        BudgetState::Degraded => "degraded",
        BudgetState::Stopped => "stopped",
        _ => "unknown",
    }
}

pub(super) async fn verify(engine: &BudgetEngine, out: Printer) -> Done {
    let report = engine.verify().await?;
    out.print(&report, || {
        let sizes = format!(
            "{} entries, {} holds ({} open), {} balances",
            report.entries, report.holds, report.open_holds, report.balances
        );
        if report.is_clean() {
            return format!("Every balance is the sum of its entries: {sizes}.");
        }
        format!(
            "The ledger does not add up: {sizes}.\n{}",
            report.problems.join("\n")
        )
    })?;
    if report.is_clean() {
        return Ok(ExitCode::SUCCESS);
    }
    text::note("Keep a copy of ledger.sqlite3, and move it away to begin a new one.");
    Ok(ExitCode::from(exit::FAILED))
}
