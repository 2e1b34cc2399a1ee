//! `meterbox keys` and `meterbox audit`: who may do what, and who did what.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use meterbox_access::{KeyId, Role};
use meterbox_core::{Scope, Timestamp};
use serde_json::Value;

use super::{
    print::{self, Done, Printer},
    table,
    target::TargetArgs,
    text,
};
use crate::{
    administration::{
        Administration,
        wire::{AuditQuery, AuditView, CreatedKeyView, KeyView, NewKey, USUAL_DAYS},
    },
    settings::Settings,
};

#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,

    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON on standard output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key; it is shown this once
    Create(CreateArgs),
    /// All keys, and which of them work
    List,
    /// Revoke a key, at once
    Revoke {
        /// The 12 characters after mbx_
        #[arg(value_parser = key_id)]
        id: KeyId,
    },
    /// Replace a key by a new one of the same rights
    Rotate {
        /// The 12 characters after mbx_
        #[arg(value_parser = key_id)]
        id: KeyId,

        /// How long the old key still works, such as 24h [default: not at all]
        #[arg(long, value_name = "TIME", value_parser = super::budget::parse_duration)]
        grace: Option<Duration>,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Whose budgets pay: one user, such as user/ana, and the groups they are in, such as team/ops org/acme
    #[arg(required = true, num_args = 1..)]
    scopes: Vec<Scope>,

    /// viewer (reads), analyst (also asks) or admin (also manages budgets and keys)
    #[arg(long, default_value_t = Role::Analyst)]
    role: Role,

    /// What people call the key [default: the user's name]
    #[arg(long)]
    name: Option<String>,

    /// After how many days it expires, or never
    #[arg(long, default_value_t = Expiry(Some(USUAL_DAYS)), value_name = "DAYS")]
    expires: Expiry,
}

/// Days, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expiry(Option<u32>);

impl std::str::FromStr for Expiry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "never" {
            return Ok(Self(None));
        }
        let days = text.strip_suffix('d').unwrap_or(text).parse().ok();
        days.filter(|days| (1..=36_500).contains(days))
            .map(|days| Self(Some(days)))
            .ok_or("write a number of days like 90, or never")
    }
}

impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(days) => write!(f, "{days}"),
            None => f.write_str("never"),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// How many acts, newest first
    #[arg(long, default_value_t = 50)]
    limit: usize,

    /// Only acts before the one of this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,

    #[command(flatten)]
    target: TargetArgs,

    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn keys(args: KeysArgs, settings: &Settings) -> ExitCode {
    let out = Printer { json: args.json };
    print::ended(run(args.command, &args.target, out, settings).await)
}

pub(super) async fn audit(args: AuditArgs, settings: &Settings) -> ExitCode {
    print::ended(show_audit(args, settings).await)
}

async fn run(command: KeysCommand, target: &TargetArgs, out: Printer, settings: &Settings) -> Done {
    let target = target.open(settings).await?;
    match command {
        KeysCommand::Create(args) => {
            let user = args.scopes.iter().find(|scope| scope.kind() == "user");
            let name = args.name.or_else(|| user.map(|user| user.id().to_owned()));
            let created = target
                .create_key(NewKey {
                    name: name.unwrap_or_else(|| "a key".to_owned()),
                    role: args.role,
                    scopes: args.scopes,
                    expires_in_days: args.expires.0,
                })
                .await?;
            show_created(&created, out)
        }
        KeysCommand::List => list(&*target, out).await,
        KeysCommand::Revoke { id } => {
            let revoked = target.revoke_key(&id).await?;
            out.print(&revoked, || {
                format!("{id} ({}) opens nothing any more.", revoked.name)
            })?;
            Ok(ExitCode::SUCCESS)
        }
        KeysCommand::Rotate { id, grace } => {
            let created = target.rotate_key(&id, grace.unwrap_or_default()).await?;
            show_created(&created, out)
        }
    }
}

/// The key alone on standard output, so that it can be piped to where it is kept.
fn show_created(created: &CreatedKeyView, out: Printer) -> Done {
    let key = &created.key;
    out.print(created, || created.secret.clone())?;
    let end = key
        .expires_at
        .map_or_else(|| "never expires".to_owned(), |at| format!("expires {at}"));
    let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
    text::note(&format!(
        "This is the only time the key is shown. {} ({}): {} of {}, {end}.",
        key.id,
        key.name,
        key.role,
        scopes.join(" "),
    ));
    Ok(ExitCode::SUCCESS)
}

async fn list(target: &dyn Administration, out: Printer) -> Done {
    let keys = target.keys().await?.keys;
    out.print(&keys, || {
        if keys.is_empty() {
            return "There are no keys: whoever sits at this machine may do everything, others nothing."
                .to_owned();
        }
        let header = ["Id", "Name", "Role", "Scopes", "State", "Expires", "Last used"];
        table::grid(&header, &[], keys.iter().map(row))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(key: &KeyView) -> Vec<String> {
    let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
    let day = |time: Option<Timestamp>| {
        let day = time.map(|time| time.to_string());
        day.and_then(|text| text.get(..10).map(str::to_owned))
    };
    vec![
        key.id.clone(),
        key.name.clone(),
        key.role.to_string(),
        scopes.join(" "),
        key.state.clone(),
        day(key.expires_at).unwrap_or_else(|| "never".to_owned()),
        day(key.last_used_at).unwrap_or_else(|| "–".to_owned()),
    ]
}

async fn show_audit(args: AuditArgs, settings: &Settings) -> Done {
    let out = Printer { json: args.json };
    let query = AuditQuery {
        before: args.before,
        limit: Some(args.limit),
    };
    let log = args.target.open(settings).await?.audit(query).await?;
    out.print(&log.entries, || {
        if log.entries.is_empty() {
            return "Nothing was administered yet.".to_owned();
        }
        let header = ["No", "When", "Who", "From", "What", "To", "Change", "Outcome"];
        table::grid(&header, &["No"], log.entries.iter().map(act))
    })?;
    if let Some(next) = log.next {
        text::note(&format!("Older ones: meterbox audit --before {next}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn act(entry: &AuditView) -> Vec<String> {
    let outcome = match &entry.reason {
        Some(reason) => format!("{}: {reason}", entry.outcome),
        None => entry.outcome.clone(),
    };
    vec![
        entry.seq.to_string(),
        entry.at.to_string(),
        entry.actor.clone(),
        entry.origin.clone(),
        entry.act.clone(),
        entry.target.clone(),
        change(entry.before.as_ref(), entry.after.as_ref()),
        outcome,
    ]
}

/// Only what differs, as `limit 5 → 10`.
fn change(before: Option<&Value>, after: Option<&Value>) -> String {
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (members(before), members(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let known = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(Value::to_string);
    let shown = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    names
        .into_iter()
        .map(|name| (name, known(before.get(name)), known(after.get(name))))
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| format!("{name} {} → {}", shown(before), shown(after)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn key_id(text: &str) -> Result<KeyId, String> {
    text.parse()
        .map_err(|_| "write the 12 letters and digits that `meterbox keys list` shows".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expiry_is_days_or_never() {
        assert_eq!("30".parse(), Ok(Expiry(Some(30))));
        assert_eq!("30d".parse(), Ok(Expiry(Some(30))));
        assert_eq!("never".parse(), Ok(Expiry(None)));
        for wrong in ["", "0", "-1", "36501", "soon", "1.5"] {
            assert!(wrong.parse::<Expiry>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_is_what_differs() {
        let (before, after) = (
            json!({ "limit": 5, "window": "month UTC" }),
            json!({ "limit": 10, "window": "month UTC" }),
        );
        assert_eq!(change(Some(&before), Some(&after)), "limit 5 → 10");
        assert_eq!(change(None, Some(&json!({ "limit": 1 }))), "limit – → 1");
        assert_eq!(change(None, None), "");
    }
}
