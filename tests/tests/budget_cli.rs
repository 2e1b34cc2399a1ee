//! `meterbox budget`, `stop-all` and `resume` from the outside, on a ledger made by real runs.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::process::Stdio;

use meterbox_core::Usd;
use meterbox_tests::{Ended, Terminal, lose_calls};
use serde_json::Value;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// A terminal in whose data folder two scripts were run.
fn used() -> Terminal {
    let terminal = Terminal::new();
    terminal.write("sales.csv", "product,revenue\nTea,10\nCoffee,32\n");
    terminal.write("sum.py", "result = tables['sales'].groupby('product').sum()\n");
    for _ in 0..2 {
        let ran = terminal.run(&["run", "sum.py", "--data", "sales.csv", "--quiet"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    terminal
}

fn well(terminal: &Terminal, arguments: &[&str]) -> Ended {
    let ended = terminal.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended
}

fn json(terminal: &Terminal, arguments: &[&str]) -> Value {
    let ended = well(terminal, &[arguments, &["--json"]].concat());
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ended:?}"))
}

/// The budget of this scope, as the list has it.
fn listed(terminal: &Terminal, scope: &str) -> Value {
    let list = json(terminal, &["budget", "list"]);
    let mut budgets = list.as_array().unwrap().iter();
    budgets.find(|budget| budget["scope"] == scope).unwrap().clone()
}

fn dollars(value: &Value) -> Usd {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn budgets_are_defined_listed_and_topped_up() {
    let terminal = used();
    let list = well(&terminal, &["budget", "list"]).stdout;
    assert!(
        list.contains("user/*") && list.contains("month UTC") && list.contains("$10"),
        "{list}"
    );
    let status = json(&terminal, &["budget", "status", "user/local"]);
    assert!(
        dollars(&status["spent"]) > Usd::ZERO && status["state"] == "active",
        "{status}"
    );

    well(
        &terminal,
        &[
            "budget",
            "set",
            "org/acme",
            "20",
            "--window",
            "day Europe/Berlin",
            "--carry-over",
            "2",
        ],
    );
    let changed = json(&terminal, &["budget", "set", "org/acme", "25"]);
    assert_eq!(
        (&changed["window"], dollars(&changed["carry_over"])),
        (&"day Europe/Berlin".into(), usd("2"))
    );
    well(
        &terminal,
        &[
            "budget",
            "top-up",
            "org/acme",
            "5",
            "--note",
            "a busy day",
            "--expires",
            "2999-01-01",
        ],
    );
    let status = json(&terminal, &["budget", "status", "org/acme"]);
    assert_eq!(
        dollars(&status["limit"]),
        usd("30"),
        "nothing is carried over on the first day: {status}"
    );
    let acme = listed(&terminal, "org/acme");
    assert_eq!(dollars(&acme["status"]["extra"]), usd("5"), "{acme}");

    let verified = well(&terminal, &["budget", "verify"]).stdout;
    assert!(
        verified.contains("Every balance is the sum of its entries"),
        "{verified}"
    );
    assert_eq!(
        json(&terminal, &["budget", "verify"])["problems"],
        Value::Array(vec![])
    );
    well(&terminal, &["budget", "remove", "org/acme"]);
    assert_eq!(terminal.run(&["budget", "status", "org/acme"]).code, Some(2));
}

/// Two processes at once change each another part, time and again: neither undoes what the other did.
#[test]
fn two_at_once_change_each_a_part() {
    let terminal = Terminal::new();
    well(&terminal, &["budget", "set", "org/acme", "20"]);
    for round in 1..=8 {
        let part = round.to_string();
        let changes = [["--carry-over", &part], ["--warn-percent", &part]];
        let changing = changes.map(|change| {
            let mut command = terminal.command(&[&["budget", "set", "org/acme"], &change[..]].concat(), &[]);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        for changed in changing {
            let ended = changed.wait_with_output().unwrap();
            assert!(ended.status.success(), "{ended:?}");
        }
        let acme = listed(&terminal, "org/acme");
        assert_eq!(
            [dollars(&acme["limit"]), dollars(&acme["carry_over"])],
            [usd("20"), usd(&part)]
        );
        assert_eq!(acme["soft_caps"]["warn_percent"], round, "{acme}");
    }
}

/// What an administrator makes of a budget of a setting lasts over starts, until the setting changes as well.
#[test]
fn an_edit_counts_until_the_setting_changes() {
    let terminal = used();
    let limit_of = |scope: &str| {
        let budget = listed(&terminal, scope);
        (dollars(&budget["limit"]), budget["setting"]["edited"].clone())
    };
    let run = |settings: &[(&str, &str)]| {
        let ran = terminal.run_with(&["run", "sum.py", "--data", "sales.csv", "--quiet"], settings);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    assert_eq!(limit_of("user/*"), (usd("10"), false.into()));

    well(&terminal, &["budget", "set", "user/*", "20"]);
    well(
        &terminal,
        &["budget", "set", "global/all", "50", "--warn-percent", "40"],
    );
    // Starts with the settings as they were leave it alone, and so does a look with others.
    run(&[]);
    let other = [("DEFAULT_BUDGET_LIMIT", "7")];
    let looked = terminal.run_with(&["budget", "list"], &other);
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert_eq!(limit_of("user/*"), (usd("20"), true.into()));
    assert_eq!(limit_of("global/all"), (usd("50"), true.into()));
    let list = terminal.run(&["budget", "list"]);
    assert!(
        list.stderr
            .contains("user/* was set by an administrator; DEFAULT_BUDGET_LIMIT says $10"),
        "{list:?}"
    );
    let doctor = terminal.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("$20, as an administrator set it; DEFAULT_BUDGET_LIMIT says $10"),
        "{doctor:?}"
    );

    // The setting of the one changes, and counts again; the edit of the other stays.
    run(&other);
    assert_eq!(limit_of("user/*"), (usd("7"), false.into()));
    assert_eq!(limit_of("global/all"), (usd("50"), true.into()));
    let list = well(&terminal, &["budget", "list"]).stdout;
    assert!(
        list.contains("DEFAULT_BUDGET_LIMIT") && list.contains("administrator"),
        "{list}"
    );

    // Zero stops all spending, whatever was kept for degraded requests, and lasts.
    well(&terminal, &["budget", "set", "user/*", "0"]);
    for _ in 0..2 {
        let ran = terminal.run_with(&["run", "sum.py", "--data", "sales.csv", "--quiet"], &other);
        assert_eq!(ran.code, Some(5), "{ran:?}");
    }
    well(&terminal, &["budget", "verify"]);
}

/// Every format is written from real data, read again, and agrees with the balance.
#[test]
fn b19_every_export_format_works_on_real_data() {
    let terminal = used();
    lose_calls(&terminal, &["req-1"]);
    let spent = dollars(&json(&terminal, &["budget", "status", "user/local"])["spent"]);
    let as_csv = well(&terminal, &["budget", "export"]).stdout;
    let as_json = well(&terminal, &["budget", "export", "--format", "json"]).stdout;
    assert_eq!(
        well(&terminal, &["budget", "export", "--format", "csv"]).stdout,
        as_csv
    );

    let mut csv = csv::Reader::from_reader(as_csv.as_bytes());
    let cells: Vec<std::collections::BTreeMap<String, String>> =
        csv.deserialize().map(Result::unwrap).collect();
    let own = cells.iter().filter(|row| row["scope"] == "user/local");
    let from_csv = own.fold(0, |sum, row| {
        let nanos = usd(&row["amount"]).nanos();
        let debit = if row["debit"] == "spent" { nanos } else { 0 };
        let credit = if row["credit"] == "spent" { nanos } else { 0 };
        sum + debit - credit
    });
    assert_eq!(from_csv, spent.nanos());
    assert!(
        cells.iter().any(|row| row["purpose"] == "'=a call"),
        "a formula is guarded"
    );

    let objects: Vec<Value> = as_json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), cells.len());
    let from_json = objects
        .iter()
        .filter(|row| row["scope"] == "user/local" && row["debit"] == "spent");
    let from_json: i64 = from_json.map(|row| dollars(&row["amount"]).nanos()).sum();
    let taken_back = objects
        .iter()
        .filter(|row| row["scope"] == "user/local" && row["credit"] == "spent");
    let taken_back: i64 = taken_back.map(|row| dollars(&row["amount"]).nanos()).sum();
    assert_eq!(from_json - taken_back, spent.nanos());

    let future = well(&terminal, &["budget", "export", "--since", "2999-01-01"]).stdout;
    assert_eq!(future.lines().count(), 1, "only the header: {future}");
    let past = well(
        &terminal,
        &["budget", "export", "--until", "2020-01-01T00:00:00Z", "--json"],
    )
    .stdout;
    assert_eq!(past, "");

    for command in ["list", "verify"] {
        json(&terminal, &["budget", command]);
    }
    for command in ["status", "forecast"] {
        json(&terminal, &["budget", command, "user/local"]);
    }
}

#[test]
fn a_forecast_is_made_of_what_was_spent() {
    let terminal = used();
    let asked = [
        "budget",
        "forecast",
        "user/local",
        "--last",
        "1h",
        "--horizon",
        "2h",
    ];
    let forecast = json(&terminal, &asked);
    let (spent, recent) = (
        dollars(&forecast["status"]["spent"]),
        dollars(&forecast["recent"]),
    );
    assert!(
        spent > Usd::ZERO && recent == spent && dollars(&forecast["per_hour"]) == spent,
        "{forecast}"
    );
    let tripled = spent.checked_add(spent).unwrap().checked_add(spent).unwrap();
    assert_eq!(dollars(&forecast["projected"]), tripled);
    let spiking = terminal.run(&[&asked[..], &["--spike-minimum", "0.000000001"]].concat());
    assert!(spiking.stdout.contains("an hour"), "{spiking:?}");
    assert!(
        spiking.stderr.contains("Spending just became faster"),
        "{spiking:?}"
    );
}

#[test]
fn a_dry_run_says_what_a_hold_would_get() {
    let terminal = Terminal::new();
    well(
        &terminal,
        &["budget", "set", "org/acme", "2", "--window", "lifetime"],
    );
    let fits = well(&terminal, &["budget", "check", "user/local", "org/acme", "2"]).stdout;
    assert!(
        fits.contains("$2 would be admitted") && fits.contains("org/acme"),
        "{fits}"
    );
    let refused = terminal.run(&["budget", "check", "user/local", "org/acme", "2.000000001"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(
        refused.stderr.contains("the budget of org/acme has $2 left"),
        "{refused:?}"
    );
    let unknown = terminal.run(&["budget", "check", "team/ops", "1", "--json"]);
    assert_eq!(unknown.code, Some(5), "{unknown:?}");
    let answer: Value = serde_json::from_str(&unknown.stdout).unwrap();
    assert_eq!(answer["admitted"], false);
    assert_eq!(
        json(&terminal, &["budget", "check", "org/acme", "1"])["admitted"],
        true
    );
    assert_eq!(
        dollars(&json(&terminal, &["budget", "status", "org/acme"])["held"]),
        Usd::ZERO
    );
}

#[test]
fn a_replay_shows_what_another_policy_would_have_done() {
    let terminal = used();
    let policy =
        |limit: &str| format!("[[budget]]\nscope = \"user/*\"\nlimit = {limit}\nwindow = \"month UTC\"\n");
    terminal.write("same.toml", policy("10"));
    terminal.write("tight.toml", policy("\"0.000000001\""));
    let same = json(&terminal, &["budget", "replay", "same.toml"]);
    assert!(same["holds"].as_u64().unwrap() >= 2, "{same}");
    assert_eq!(
        (&same["unchanged"], &same["differences"]),
        (&same["holds"], &Value::Array(vec![]))
    );
    assert_eq!(
        json(&terminal, &["budget", "replay", "same.toml"])["sha256"],
        same["sha256"]
    );
    let tight = json(&terminal, &["budget", "replay", "tight.toml"]);
    assert_eq!(tight["refused"], tight["holds"], "{tight}");
    let shown = well(&terminal, &["budget", "replay", "tight.toml"]).stdout;
    assert!(shown.contains("refused") && shown.contains("SHA-256"), "{shown}");
}

#[test]
fn calls_of_unknown_use_are_corrected_from_files() {
    let terminal = used();
    lose_calls(&terminal, &["req-1", "req-2", "i1abc"]);
    let spent = || dollars(&json(&terminal, &["budget", "status", "user/local"])["spent"]);
    let before = spent();
    terminal.write("usage.csv", "reference,item,quantity,unit,amount\nreq-1,input,10,tokens,0.1\nreq-1,output,5,tokens,0.15\nreq-9,x,1,u,1\n");
    let tried = json(&terminal, &["budget", "reconcile", "usage.csv", "--dry-run"]);
    assert_eq!(dollars(&tried["corrected"][0]["to"]), usd("0.25"), "{tried}");
    assert_eq!(spent(), before);
    let done = well(&terminal, &["budget", "reconcile", "usage.csv"]).stdout;
    assert!(
        done.contains("1 corrected") && done.contains("Not in this ledger: req-9"),
        "{done}"
    );
    assert_eq!(spent(), before.checked_sub(usd("0.75")).unwrap());
    let again = json(&terminal, &["budget", "reconcile", "usage.csv"]);
    assert_eq!(again["already_known"], serde_json::json!(["req-1"]));

    terminal.write(
        "usage.jsonl",
        "{\"reference\":\"req-2\",\"item\":\"output\",\"quantity\":1,\"unit\":\"tokens\",\"amount\":0.5}\n",
    );
    well(&terminal, &["budget", "reconcile", "usage.jsonl"]);
    terminal.write(
        "events.json",
        r#"[{"id":"e1","type":"sandbox.lifecycle.killed","sandbox_id":"i1abc","event_data":{"execution":
            {"started_at":"2026-08-06T20:58:24Z","vcpu_count":2,"memory_mb":2048,"execution_time":1000}}}]"#,
    );
    let sandbox = json(
        &terminal,
        &["budget", "reconcile", "events.json", "--format", "e2b"],
    );
    assert_eq!(
        dollars(&sandbox["corrected"][0]["to"]),
        usd("0.000037"),
        "{sandbox}"
    );
    let left = usd("2.249963");
    assert_eq!(spent(), before.checked_sub(left).unwrap());
    well(&terminal, &["budget", "verify"]);
}

#[test]
fn the_switch_stops_real_runs_and_lets_them_go_on() {
    let terminal = used();
    let run = ["run", "sum.py", "--data", "sales.csv"];
    well(&terminal, &["stop-all", "a runaway"]);
    assert!(
        well(&terminal, &["stop-all", "again"])
            .stdout
            .contains("stopped already")
    );
    let stopped = terminal.run(&run);
    assert_ne!(stopped.code, Some(0), "{stopped:?}");
    assert!(stopped.stderr.contains("a runaway"), "{stopped:?}");
    let listed = well(&terminal, &["budget", "list"]);
    assert!(listed.stderr.contains("a runaway"), "{listed:?}");
    assert_eq!(
        terminal.run(&["budget", "check", "user/local", "1"]).code,
        Some(5)
    );
    assert_eq!(json(&terminal, &["resume"])["changed"], true);
    assert_eq!(json(&terminal, &["resume"])["changed"], false);
    well(&terminal, &run);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let terminal = Terminal::new();
    terminal.write(
        "bad.csv",
        "reference,item,quantity,unit,amount\nreq-1,output,many,tokens,1\n",
    );
    terminal.write(
        "bad.toml",
        "[[budget]]\nscope = 'user/*'\nlimit = 1\nwindow = 'fortnight'\n",
    );
    terminal.write("usage.txt", "");
    for (arguments, said) in [
        (&["status", "user"][..], "kind/id"),
        (&["status", "user/*"], "name one of them"),
        (&["status", "team/ops"], "meterbox budget set team/ops 10"),
        (&["remove", "global/all"], "GLOBAL_BUDGET_LIMIT"),
        (&["remove", "user/*"], "set its limit instead"),
        (&["set", "user/*", "5", "--window", "day UTC"], "month UTC"),
        (&["set", "org/acme", "-5"], "-5"),
        (&["set", "org/acme", "--warn-percent", "50"], "say its limit"),
        (&["set", "org/acme", "5", "--window", "fortnight"], "is no window"),
        (
            &[
                "set",
                "org/acme",
                "5",
                "--window",
                "lifetime",
                "--carry-over",
                "1",
            ],
            "calendar window",
        ),
        (&["top-up", "user/local", "0"], "changes nothing"),
        (&["top-up", "team/ops", "1"], "no budget is defined for team/ops"),
        (&["remove", "team/ops"], "no budget is defined for team/ops"),
        (&["forecast", "user/local", "--last", "soon"], "like 90s"),
        (&["forecast", "user/local", "--last", "0s"], "more than nothing"),
        (&["export", "--format", "pdf"], "use csv or json"),
        (&["export", "--since", "yesterday"], "like 2026-01-31"),
        (&["replay", "nowhere.toml"], "nowhere.toml cannot be read"),
        (&["replay", "bad.toml"], "is no window"),
        (&["reconcile", "nowhere.csv"], "nowhere.csv"),
        (&["reconcile", "usage.txt"], "--format csv"),
        (
            &["reconcile", "bad.csv"],
            "bad.csv, line 2, quantity: \"many\" is no whole number",
        ),
    ] {
        let ended = terminal.run(&[&["budget"], arguments].concat());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.contains(said),
            "{arguments:?} lacks {said:?}: {ended:?}"
        );
    }
    let nowhere = terminal.run_with(&["budget", "list"], &[("METERBOX_DATA_DIR", "/proc/nothing")]);
    assert_eq!(nowhere.code, Some(6), "{nowhere:?}");
}
