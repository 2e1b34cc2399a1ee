//! Limits, top-ups, the kill switch, and what a hold would get.

use std::process::ExitCode;

use clap::Args;
use meterbox_budget_engine::{Budget, BudgetEngine, BudgetError, HoldRequest, SoftCaps, Window};
use meterbox_core::{Scope, Timestamp, Usd};
use serde_json::json;

use super::{Done, Failed, Printer, parse_moment, show};
use crate::{
    cli::{exit, text},
    settings::Settings,
    wiring::{self, Meterbox, StartError},
};

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Such as user/ana, or org/* for each organisation
    scope: Scope,

    /// The most that may be spent in the window, in dollars; 0 stops all spending
    limit: Usd,

    /// lifetime, month UTC (or minute, hour, day, week, quarter, year and any time zone), rolling 24h
    /// [default: what it is, or else month UTC]
    #[arg(long)]
    window: Option<Window>,

    /// Carry up to this much of what is left over to the next period
    #[arg(long, value_name = "USD")]
    carry_over: Option<Usd>,

    /// Keep this much of the limit for degraded requests
    #[arg(long, value_name = "USD")]
    degraded_allowance: Option<Usd>,

    /// Warn from this share of the limit on
    #[arg(long, value_name = "PERCENT")]
    warn_percent: Option<u8>,

    /// Move to cheaper models, and report the budget as degraded, from this share of the limit on
    #[arg(long, value_name = "PERCENT")]
    degrade_percent: Option<u8>,

    /// Leave out what a request can do without from this share of the limit on
    #[arg(long, value_name = "PERCENT")]
    features_off_percent: Option<u8>,

    /// Let only a few requests go on at once from this share of the limit on
    #[arg(long, value_name = "PERCENT")]
    squeeze_percent: Option<u8>,

    /// How many those few are
    #[arg(long, value_name = "N")]
    squeeze_to: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct TopUpArgs {
    /// Such as user/ana
    scope: Scope,

    /// In dollars
    amount: Usd,

    /// When what is left of it is gone: a day or a time [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    expires: Option<Timestamp>,

    /// What for, in a few words; kept in the ledger
    #[arg(long, default_value = "top-up")]
    note: String,
}

pub(super) async fn set(args: SetArgs, engine: &BudgetEngine, out: Printer) -> Done {
    refuse_the_settings_budget(&args.scope)?;
    let known = engine
        .budgets()
        .await?
        .into_iter()
        .find(|budget| budget.scope == args.scope);
    let mut budget = match known {
        Some(known) => known,
        None => Budget::new(args.scope.clone(), args.limit, Window::month("UTC")?),
    };
    budget.limit = args.limit;
    budget.soft_caps = soft_caps(&args, budget.soft_caps);
    budget.window = args.window.unwrap_or(budget.window);
    budget.carry_over = args.carry_over.unwrap_or(budget.carry_over);
    budget.degraded_allowance = args.degraded_allowance.unwrap_or(budget.degraded_allowance);
    engine.define(budget.clone()).await?;
    out.print(&budget, || {
        format!(
            "{} may spend {} in the window {}.",
            budget.scope, budget.limit, budget.window
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The later steps never come before an earlier one that was moved, unless they are named as well.
fn soft_caps(args: &SetArgs, known: SoftCaps) -> SoftCaps {
    let degrade_percent = args.degrade_percent.unwrap_or(known.degrade_percent);
    let features_off_percent = args
        .features_off_percent
        .unwrap_or_else(|| known.features_off_percent.max(degrade_percent));
    SoftCaps {
        warn_percent: args.warn_percent.unwrap_or(known.warn_percent),
        degrade_percent,
        features_off_percent,
        squeeze_percent: args
            .squeeze_percent
            .unwrap_or_else(|| known.squeeze_percent.max(features_off_percent)),
        squeeze_to: args.squeeze_to.unwrap_or(known.squeeze_to),
    }
}

pub(super) async fn remove(engine: &BudgetEngine, scope: &Scope, out: Printer) -> Done {
    refuse_the_settings_budget(scope)?;
    let is_removed = engine.remove(scope).await?;
    if !is_removed {
        return Err(BudgetError::NoBudget {
            scopes: vec![scope.clone()],
        }
        .into());
    }
    out.print(&json!({ "scope": scope, "removed": true }), || {
        format!("The budget of {scope} is removed; what was spent stays in the ledger.")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Some budgets are settings, and would be set back at the next start.
fn refuse_the_settings_budget(scope: &Scope) -> Result<(), Failed> {
    let local_user = wiring::local_user().map_err(StartError::from)?;
    let everybody = wiring::everybody().map_err(StartError::from)?;
    let (setting, instead) = if *scope == local_user.wildcard() {
        let own = format!(", or give one of them a budget of its own: meterbox budget set {local_user} 20");
        ("DEFAULT_BUDGET_LIMIT", own)
    } else if *scope == everybody {
        ("GLOBAL_BUDGET_LIMIT", String::new())
    } else {
        return Ok(());
    };
    Err(Failed::Usage(format!(
        "the budget of {scope} follows the setting {setting}. Fix: change the setting{instead}"
    )))
}

pub(super) async fn top_up(args: TopUpArgs, engine: &BudgetEngine, out: Printer) -> Done {
    let top_up = engine
        .top_up(&args.scope, args.amount, args.expires, &args.note)
        .await?;
    out.print(&top_up, || {
        let end = top_up
            .expires_at
            .map(|at| format!(", until {at}"))
            .unwrap_or_default();
        format!("{} has {} more{end}.", top_up.scope, top_up.amount)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(engine: &BudgetEngine, scopes: Vec<Scope>, amount: Usd, out: Printer) -> Done {
    let found = engine.dry_run(HoldRequest::new(scopes, amount, "dry run")).await;
    let refusal = match found {
        Ok(admitted) => {
            out.print(
                &json!({ "admitted": true, "amount": admitted.amount, "budgets": admitted.budgets }),
                || {
                    let budgets = admitted.budgets.iter().map(show::in_words);
                    let budgets: Vec<String> = budgets.collect();
                    format!(
                        "{} would be admitted.\n\n{}",
                        admitted.amount,
                        budgets.join("\n\n")
                    )
                },
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(
            refusal @ (BudgetError::Refused { .. } | BudgetError::NoBudget { .. } | BudgetError::Stopped(_)),
        ) => refusal,
        Err(error) => return Err(error.into()),
    };
    if out.json {
        let seconds = refusal.retry_after().map(|wait| wait.as_secs());
        let answer =
            json!({ "admitted": false, "reason": refusal.to_string(), "retry_after_seconds": seconds });
        out.print(&answer, String::new)?;
    } else {
        text::complain(&format!("{amount} would be refused: {refusal}"));
    }
    Ok(ExitCode::from(exit::REFUSED))
}

pub(super) async fn stop_all(reason: &str, out: Printer, settings: &Settings) -> Done {
    let engine = Meterbox::open_ledger(settings).await?;
    let is_new = engine.stop_all(reason).await?;
    let stop = engine.stopped().await?;
    out.print(&json!({ "stopped": stop, "changed": is_new }), || match &stop {
        Some(stop) if !is_new => format!(
            "All spending was stopped already, since {}: {}",
            stop.since, stop.reason
        ),
        _ => "All spending is stopped. `meterbox resume` lets it go on.".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(out: Printer, settings: &Settings) -> Done {
    let engine = Meterbox::open_ledger(settings).await?;
    let is_new = engine.resume().await?;
    out.print(&json!({ "stopped": null, "changed": is_new }), || {
        let words = if is_new {
            "Spending may go on."
        } else {
            "Nothing was stopped."
        };
        words.to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}
