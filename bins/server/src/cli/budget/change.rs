//! Limits, top-ups, the kill switch, and what a hold would get.

use std::process::ExitCode;

use clap::Args;
use meterbox_budget_engine::Window;
use meterbox_core::{Scope, Timestamp, Usd};
use serde_json::json;

use super::{Done, Printer, parse_moment, show};
use crate::{
    administration::{
        Administration,
        wire::{BudgetChange, CheckRequest, NewTopUp, SoftCapsChange},
    },
    cli::{exit, target::TargetArgs, text},
    settings::Settings,
};

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Such as user/ana, or org/* for each organisation
    scope: Scope,

    /// The most that may be spent in the window, in dollars; 0 stops all spending [default: what it is]
    limit: Option<Usd>,

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

pub(super) async fn set(args: SetArgs, target: &dyn Administration, out: Printer) -> Done {
    let caps = SoftCapsChange {
        warn_percent: args.warn_percent,
        degrade_percent: args.degrade_percent,
        features_off_percent: args.features_off_percent,
        squeeze_percent: args.squeeze_percent,
        squeeze_to: args.squeeze_to,
    };
    let change = BudgetChange {
        scope: args.scope,
        limit: args.limit,
        window: args.window.map(|window| window.to_string()),
        soft_caps: Some(caps),
        carry_over: args.carry_over,
        degraded_allowance: args.degraded_allowance,
    };
    let budget = target.set_budget(change).await?;
    out.print(&budget, || {
        format!(
            "{} may spend {} in the window {}.",
            budget.scope, budget.limit, budget.window
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(target: &dyn Administration, scope: &Scope, out: Printer) -> Done {
    target.remove_budget(scope).await?;
    out.print(&json!({ "scope": scope, "removed": true }), || {
        format!("The budget of {scope} is removed; what was spent stays in the ledger.")
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn top_up(args: TopUpArgs, target: &dyn Administration, out: Printer) -> Done {
    let top_up = NewTopUp {
        amount: args.amount,
        expires_at: args.expires,
        note: args.note,
    };
    let done = target.top_up(&args.scope, top_up).await?;
    out.print(&done, || {
        let end = done
            .expires_at
            .map(|at| format!(", until {at}"))
            .unwrap_or_default();
        format!("{} has {} more{end}.", done.scope, done.amount)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(
    target: &dyn Administration,
    scopes: Vec<Scope>,
    amount: Usd,
    out: Printer,
) -> Done {
    let found = target.check(CheckRequest { scopes, amount }).await?;
    if found.admitted {
        out.print(&found, || {
            let budgets: Vec<String> = found.budgets.iter().map(show::in_words).collect();
            format!("{amount} would be admitted.\n\n{}", budgets.join("\n\n"))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if out.json {
        out.print(&found, String::new)?;
    } else {
        let reason = found.reason.unwrap_or_default();
        text::complain(&format!("{amount} would be refused: {reason}"));
    }
    Ok(ExitCode::from(exit::REFUSED))
}

pub(super) async fn stop_all(reason: String, target: &TargetArgs, out: Printer, settings: &Settings) -> Done {
    let reply = target.open(settings).await?.stop_all(reason).await?;
    out.print(&reply, || match &reply.stopped {
        Some(stop) if !reply.changed => format!(
            "All spending was stopped already, since {}: {}",
            stop.since, stop.reason
        ),
        _ => "All spending is stopped. `meterbox resume` lets it go on.".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(target: &TargetArgs, out: Printer, settings: &Settings) -> Done {
    let reply = target.open(settings).await?.resume().await?;
    out.print(&reply, || {
        let words = if reply.changed {
            "Spending may go on."
        } else {
            "Nothing was stopped."
        };
        words.to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}
