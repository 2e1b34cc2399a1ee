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
use meterbox_budget_engine::{Budget, BudgetEngine, Outcome, ReplayReport, SoftCaps, TimeRange, Window};
use meterbox_core::{Scope, Timestamp, Usd};
use serde::Deserialize;

use super::{Done, Failed, Printer, parse_moment};
use crate::cli::table;

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
    budget: Vec<Wanted>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    scope: Scope,
    limit: Usd,
    window: String,
    #[serde(default)]
    carry_over: Usd,
    #[serde(default)]
    degraded_allowance: Usd,
    warn_percent: Option<u8>,
    degrade_percent: Option<u8>,
}

pub(super) async fn replay(args: ReplayArgs, engine: &BudgetEngine, out: Printer) -> Done {
    let file = args.policy.display();
    let text = fs::read_to_string(&args.policy)
        .map_err(|error| Failed::Usage(format!("{file} cannot be read: {error}")))?;
    let policy = parse(&text).map_err(|error| Failed::Usage(format!("{file} is no policy: {error}")))?;
    let range = TimeRange {
        since: args.since,
        until: args.until,
    };
    let report = engine.replay(policy, range).await?;
    out.print(&report, || in_words(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn parse(text: &str) -> Result<Vec<Budget>, String> {
    let policy: Policy = toml::from_str(text).map_err(|error| error.to_string())?;
    if policy.budget.is_empty() {
        return Err("it has no [[budget]]; write one for each scope".to_owned());
    }
    policy.budget.into_iter().map(Wanted::budget).collect()
}

impl Wanted {
    fn budget(self) -> Result<Budget, String> {
        let window: Window = self
            .window
            .parse()
            .map_err(|error| format!("the window of {}: {error}", self.scope))?;
        let default = SoftCaps::default();
        let mut budget = Budget::new(self.scope, self.limit, window)
            .carrying_over(self.carry_over)
            .with_degraded_allowance(self.degraded_allowance);
        budget.soft_caps = SoftCaps::new(
            self.warn_percent.unwrap_or(default.warn_percent),
            self.degrade_percent.unwrap_or(default.degrade_percent),
        );
        Ok(budget)
    }
}

fn in_words(report: &ReplayReport) -> String {
    let mut parts = vec![format!(
        "Of {} holds, {} would be as they were, {} smaller, {} larger, {} refused.",
        report.holds, report.unchanged, report.shrunk, report.enlarged, report.refused
    )];
    if !report.differences.is_empty() {
        let rows = report.differences.iter().take(MAX_ROWS).map(|hold| {
            vec![
                hold.at.to_string(),
                hold.purpose.clone(),
                word(hold.outcome).to_owned(),
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

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Admitted => "admitted",
        Outcome::Shrunk => "smaller",
        Outcome::Enlarged => "larger",
        Outcome::Refused => "refused",
        _ => "unknown",
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
            (
                policy[0].soft_caps.warn_percent,
                policy[0].soft_caps.degrade_percent
            ),
            (50, 95)
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
                "[[budget]]\nscope = 'user/*'\nlimit = 1\nwindow = 'fortnight'",
                "is no window",
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
