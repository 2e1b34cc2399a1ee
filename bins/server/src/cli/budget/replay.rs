//! The ledger under another policy, which is a TOML file:
//!
//! ```toml
//! [[budget]]
//! scope = "user/*"
//! limit = 5                  # dollars, also 0.25 or "0.25"
//! window = "month UTC"       # or lifetime, day Europe/Berlin, rolling 24h, …
//! carry_over = 1             # this and the rest may be left out
//! degraded_allowance = 0.05
//! warn_percent = 80
//! degrade_percent = 95
//! ```

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Args;
use meterbox_core::Timestamp;
use serde::Deserialize;

use super::{Done, Failed, Printer, parse_moment};
use crate::{
    administration::{
        Administration,
        wire::{PolicyBudget, ReplayRequest, ReplayView},
    },
    cli::table,
};

/// More rows than a screen shows are better read in the JSON.
const MAX_ROWS: usize = 50;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A TOML file of `[[budget]]` tables: scope, limit, window, and carry_over, degraded_allowance, warn_percent,
    /// degrade_percent where wanted
    policy: PathBuf,

    /// Ask only holds that began on this day or time or later; earlier ones count as they were
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,

    /// Leave out holds that began on this day or time or later
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(default)]
    budget: Vec<PolicyBudget>,
}

pub(super) async fn replay(args: ReplayArgs, target: &dyn Administration, out: Printer) -> Done {
    let file = args.policy.display();
    let text = fs::read_to_string(&args.policy)
        .map_err(|error| Failed::Usage(format!("{file} cannot be read: {error}")))?;
    let budgets = parse(&text).map_err(|error| Failed::Usage(format!("{file} is no policy: {error}")))?;
    let request = ReplayRequest {
        budgets,
        since: args.since,
        until: args.until,
    };
    let report = target.replay(request).await?;
    out.print(&report, || in_words(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn parse(text: &str) -> Result<Vec<PolicyBudget>, String> {
    let policy: Policy = toml::from_str(text).map_err(|error| error.to_string())?;
    if policy.budget.is_empty() {
        return Err("it has no [[budget]]; write one for each scope".to_owned());
    }
    Ok(policy.budget)
}

fn in_words(report: &ReplayView) -> String {
    let mut parts = vec![format!(
        "Of {} holds, {} would be as they were, {} smaller, {} larger, {} refused.",
        report.holds, report.unchanged, report.shrunk, report.enlarged, report.refused
    )];
    if !report.differences.is_empty() {
        let rows = report.differences.iter().take(MAX_ROWS).map(|hold| {
            vec![
                hold.at.to_string(),
                hold.purpose.clone(),
                word(&hold.outcome).to_owned(),
                hold.recorded.held.to_string(),
                hold.replayed.held.to_string(),
                hold.recorded.spent.to_string(),
                hold.replayed.spent.to_string(),
                hold.reason.clone().unwrap_or_default(),
            ]
        });
        let header = [
            "Time",
            "Purpose",
            "Outcome",
            "Held",
            "→ held",
            "Spent",
            "→ spent",
            "Reason",
        ];
        parts.push(table::grid(
            &header,
            &["Held", "→ held", "Spent", "→ spent"],
            rows,
        ));
        let rest = report.differences.len().saturating_sub(MAX_ROWS);
        if rest > 0 {
            parts.push(format!("and {rest} more; --json has all"));
        }
    }
    let rows = report.scopes.iter().map(|total| {
        vec![
            total.scope.to_string(),
            total.holds.to_string(),
            total.shrunk.to_string(),
            total.refused.to_string(),
            total.recorded.spent.to_string(),
            total.replayed.spent.to_string(),
        ]
    });
    let header = ["Scope", "Holds", "Smaller", "Refused", "Spent", "→ spent"];
    parts.push(table::grid(&header, &header[1..], rows));
    parts.push(format!("SHA-256 {}", report.sha256));
    parts.join("\n\n")
}

fn word(outcome: &str) -> &str {
    match outcome {
        "shrunk" => "smaller",
        "enlarged" => "larger",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_exactly_and_a_wrong_one_is_explained() {
        let policy = parse(
            "[[budget]]\nscope = 'user/*'\nlimit = 0.25\nwindow = 'day UTC'\ncarry_over = '0.1'\nwarn_percent = 50\n",
        )
        .unwrap();
        assert_eq!(policy[0].limit, "0.25".parse().unwrap());
        assert_eq!(policy[0].carry_over, "0.1".parse().unwrap());
        assert_eq!(
            (policy[0].warn_percent, policy[0].degrade_percent),
            (Some(50), None)
        );
        for (text, said) in [
            ("", "no [[budget]]"),
            (
                "[[budget]]\nscope = 'user/*'\nlimit = 1",
                "missing field `window`",
            ),
            (
                "[[budget]]\nscope = 'user/*'\nlimit = -1\nwindow = 'lifetime'",
                "negative",
            ),
            (
                "[[budget]]\nscope = 'user'\nlimit = 1\nwindow = 'lifetime'",
                "kind/id",
            ),
            (
                "[[budget]]\nscope = 'user/*'\nlimit = 1\nwindow = 'lifetime'\ncary = 1",
                "unknown field `cary`",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
