//! Export, forecast and reconciliation on ledgers made by real calls.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeMap, time::Duration};

use meterbox_budget_engine::{
    Account, Budget, BudgetEngine, BudgetErrorKind, Call, EntryPage, ExportFormat, ForecastOptions,
    HoldRequest, MemoryLedger, RowWriter, SqliteLedger, TimeRange, UsageRecord, unguarded,
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};
use meterbox_testkit::ManualClock;

const MINUTE: Duration = Duration::from_secs(60);

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

fn line(amount: &str) -> CostLine {
    CostLine {
        item: "output".into(),
        quantity: 7,
        unit: "tokens".into(),
        amount: usd(amount),
        estimated: false,
        price: None,
    }
}

async fn engine() -> (BudgetEngine, ManualClock) {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    define(&engine, "user/*", "10", "month Europe/Berlin").await;
    (engine, clock)
}

async fn define(engine: &BudgetEngine, of: &str, limit: &str, window: &str) {
    let budget = Budget::new(scope(of), usd(limit), window.parse().unwrap());
    engine.define(budget).await.unwrap();
}

async fn spend(engine: &BudgetEngine, of: &str, amount: &str) {
    let hold = engine
        .hold(HoldRequest::new([scope(of)], usd(amount), "a test"))
        .await
        .unwrap();
    hold.draw(line(amount)).await.unwrap();
    hold.settle().await.unwrap();
}

/// A bit of everything: several scopes and windows, debt, metering, a worst case that is corrected later, a top-up, a
/// stop, and texts that spreadsheets would run.
async fn lively(engine: &BudgetEngine, clock: &ManualClock) {
    define(engine, "user/*", "10", "month Europe/Berlin").await;
    define(engine, "org/a%2Cb%22", "30", "rolling 1h").await;
    define(engine, "team/ops", "20", "lifetime").await;
    engine
        .top_up(&scope("user/ana"), usd("1"), None, "=HYPERLINK(\"x\")")
        .await
        .unwrap();
    let all = [scope("user/ana"), scope("org/a%2Cb%22"), scope("team/ops")];
    for round in 0..4_u32 {
        let request = HoldRequest::new(all.clone(), usd("2"), format!("@round {round}"));
        let hold = engine.hold(request).await.unwrap();
        hold.draw_once(
            "-key",
            CostLine {
                item: "+1,5".into(),
                unit: "a\"b".into(),
                ..line("0.25")
            },
        )
        .await
        .unwrap();
        let call = hold
            .intend_known_as(format!("'req-{round}"), line("1"))
            .await
            .unwrap();
        clock.advance(MINUTE * 5);
        call.meter([line("0.000000001")]).await.unwrap();
        match round {
            0 => drop(call.resolve([line("0.75")]).await.unwrap()),
            1 => drop(hold.draw(line("2.5")).await.unwrap()),
            _ => {}
        }
        hold.settle().await.unwrap();
    }
    engine.stop_all("-no more").await.unwrap();
    engine.resume().await.unwrap();
    let record = UsageRecord {
        call: Call::Reference("'req-2".into()),
        lines: vec![line("0.1")],
    };
    engine.reconcile([record], false).await.unwrap();
    // Still open when all is exported.
    std::mem::forget(
        engine
            .hold(HoldRequest::new(all, usd("0.5"), "open"))
            .await
            .unwrap(),
    );
}

async fn exported(engine: &BudgetEngine, format: ExportFormat, range: TimeRange) -> String {
    let mut out = Vec::new();
    let mut writer = RowWriter::new(format, &mut out).unwrap();
    let mut export = engine.export(range);
    while let Some(rows) = export.next_page().await.unwrap() {
        rows.iter().for_each(|row| writer.write(row).unwrap());
    }
    writer.finish().unwrap();
    String::from_utf8(out).unwrap()
}

type Cells = BTreeMap<String, String>;

fn imported(csv: &str) -> Vec<Cells> {
    csv::Reader::from_reader(csv.as_bytes())
        .deserialize()
        .map(|row| row.unwrap())
        .collect()
}

/// Adds up what each account of each budget and period received less what left it, in nano-dollars.
fn balances(rows: &[Cells]) -> BTreeMap<(String, String, String), i128> {
    let mut balances: BTreeMap<(String, String, String), i128> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row["debit"].is_empty()) {
        let amount = i128::from(usd(&row["amount"]).nanos());
        for (side, sign) in [("debit", 1), ("credit", -1)] {
            let account = &row[side];
            let in_piece = account == "spent" && !row["piece"].is_empty();
            let period = if in_piece { &row["piece"] } else { &row["period"] };
            let key = (row["scope"].clone(), period.clone(), account.clone());
            *balances.entry(key).or_default() += sign * amount;
        }
    }
    balances
}

#[tokio::test]
async fn an_imported_export_adds_up_to_the_balances() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let path = folder.path().join("ledger.sqlite3");
    let engine = BudgetEngine::new(SqliteLedger::open(&path).unwrap(), clock.clone());
    lively(&engine, &clock).await;
    assert!(engine.verify().await.unwrap().is_clean());
    let csv = exported(&engine, ExportFormat::Csv, TimeRange::default()).await;
    let rows = imported(&csv);

    let mut balances = balances(&rows);
    for name in ["user/ana", "team/ops", "org/a%2Cb%22"] {
        let of_scope = balances.iter().filter(|((scope, ..), _)| scope == name);
        assert_eq!(
            of_scope.map(|(_, sum)| sum).sum::<i128>(),
            0,
            "debits are credits in {name}"
        );
    }
    balances.retain(|(_, _, account), sum| account != "available" && *sum != 0);
    let kept = rusqlite::Connection::open(&path).unwrap();
    let mut statement = kept
        .prepare("SELECT scope, period, spent, held FROM balances")
        .unwrap();
    let stored = statement.query_map((), |row| {
        let (scope, period): (String, String) = (row.get(0)?, row.get(1)?);
        let (spent, held): (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok([
            ((scope.clone(), period.clone(), "spent".to_owned()), spent),
            ((scope, period, "held".to_owned()), held),
        ])
    });
    let stored: BTreeMap<_, _> = stored
        .unwrap()
        .flat_map(|row| row.unwrap())
        .filter(|(_, sum)| *sum != 0)
        .map(|(key, sum)| (key, i128::from(sum)))
        .collect();
    assert_eq!(balances, stored);
    // Two budgets of one balance each, and pieces of a rolling window.
    assert!(stored.len() >= 8, "{stored:?}");

    // Every entry is there, and every text comes back.
    let mut entries = Vec::new();
    while let page @ [_, ..] = engine
        .entries(EntryPage {
            after: entries.len() as u64,
            limit: 10,
        })
        .await
        .unwrap()
        .as_slice()
    {
        entries.extend_from_slice(page);
    }
    for entry in &entries {
        let row = rows
            .iter()
            .find(|row| row["seq"] == entry.seq.to_string())
            .unwrap();
        assert_eq!(row["kind"], entry.body.kind.as_str());
        assert_eq!(
            unguarded(&row["note"]),
            entry.body.note.as_deref().unwrap_or_default()
        );
        assert_eq!(
            unguarded(&row["key"]),
            entry.body.key.as_deref().unwrap_or_default()
        );
        let line = entry.body.line.as_deref();
        assert_eq!(unguarded(&row["item"]), line.map_or("", |line| &line.item));
        assert_eq!(unguarded(&row["unit"]), line.map_or("", |line| &line.unit));
    }
    for cell in rows.iter().flat_map(BTreeMap::values) {
        assert!(
            !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
            "{cell:?} is a formula"
        );
    }
}

#[tokio::test]
async fn json_lines_say_the_same_as_csv() {
    let (engine, clock) = engine().await;
    lively(&engine, &clock).await;
    let csv = imported(&exported(&engine, ExportFormat::Csv, TimeRange::default()).await);
    let json = exported(&engine, ExportFormat::JsonLines, TimeRange::default()).await;
    let json: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(csv.len(), json.len());
    for (cells, object) in csv.iter().zip(&json) {
        assert_eq!(cells.len(), object.as_object().unwrap().len());
        assert_eq!(
            usd(&cells["amount"]),
            serde_json::from_value(object["amount"].clone()).unwrap()
        );
        for (name, cell) in cells.iter().filter(|(name, _)| *name != "amount") {
            let value = match &object[name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(unguarded(cell), value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_range_is_cut_by_the_time_of_the_entry() {
    let (engine, clock) = engine().await;
    spend(&engine, "user/ana", "1").await;
    clock.advance(MINUTE);
    let since = clock_now(&clock);
    spend(&engine, "user/ana", "2").await;
    let rows = async |since, until| {
        imported(&exported(&engine, ExportFormat::Csv, TimeRange { since, until }).await)
    };
    let (earlier, later) = (rows(None, Some(since)).await, rows(Some(since), None).await);
    assert!(earlier.iter().any(|row| row["amount"] == "1") && earlier.iter().all(|row| row["amount"] != "2"));
    assert!(later.iter().any(|row| row["amount"] == "2") && later.iter().all(|row| row["amount"] != "1"));
    assert_eq!(earlier.len() + later.len(), rows(None, None).await.len());
}

fn clock_now(clock: &ManualClock) -> Timestamp {
    meterbox_core::Clock::now(clock)
}

/// $6 in 5 minutes is $72 an hour: with the $6 that makes 78.
#[tokio::test]
async fn b15_six_dollars_in_five_minutes_project_to_78_in_an_hour() {
    let (engine, clock) = engine().await;
    define(&engine, "user/*", "100", "month Europe/Berlin").await;
    for dollars in ["1", "2", "3"] {
        spend(&engine, "user/ana", dollars).await;
        clock.advance(MINUTE);
    }
    let options = ForecastOptions {
        last: MINUTE * 5,
        horizon: Some(MINUTE * 60),
        ..ForecastOptions::default()
    };
    let forecast = engine.forecast(&scope("user/ana"), options).await.unwrap();
    assert_eq!((forecast.recent, forecast.per_hour), (usd("6"), usd("72")));
    assert_eq!(forecast.projected, Some(usd("78")));
    // $94 are left, at $72 an hour: 78 minutes and 20 seconds.
    let reached = clock_now(&clock).saturating_add(Duration::from_secs(78 * 60 + 20));
    assert_eq!(forecast.limit_reached_at, Some(reached));
}

#[tokio::test]
async fn a_forecast_runs_to_the_end_of_the_period() {
    let clock = ManualClock::at("2026-11-23T18:00:00Z".parse().unwrap());
    let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
    define(&engine, "user/ana", "10", "day UTC").await;
    define(&engine, "user/bob", "10", "lifetime").await;
    for user in ["user/ana", "user/bob"] {
        spend(&engine, user, "1").await;
    }
    let options = ForecastOptions {
        last: MINUTE * 60,
        ..ForecastOptions::default()
    };
    let ana = engine.forecast(&scope("user/ana"), options).await.unwrap();
    assert_eq!(ana.until, Some("2026-11-24T00:00:00Z".parse().unwrap()));
    assert_eq!(ana.projected, Some(usd("7")));
    assert_eq!(ana.limit_reached_at, None, "the day ends first");
    let bob = engine.forecast(&scope("user/bob"), options).await.unwrap();
    assert_eq!((bob.until, bob.projected), (None, None));
    assert_eq!(
        bob.limit_reached_at,
        Some("2026-11-24T03:00:00Z".parse().unwrap())
    );

    clock.advance(MINUTE * 2);
    let quiet = engine
        .forecast(
            &scope("user/ana"),
            ForecastOptions {
                last: MINUTE,
                ..options
            },
        )
        .await
        .unwrap();
    assert_eq!((quiet.recent, quiet.projected), (Usd::ZERO, Some(usd("1"))));
    spend(&engine, "user/ana", "9").await;
    let spent = engine.forecast(&scope("user/ana"), options).await.unwrap();
    assert_eq!(spent.limit_reached_at, Some(clock_now(&clock)));
}

#[tokio::test]
async fn a_spike_is_faster_than_the_time_before_and_worth_a_word() {
    let (engine, clock) = engine().await;
    // Ten cents an hour.
    for _ in 0..4 {
        spend(&engine, "user/ana", "0.1").await;
        clock.advance(MINUTE * 60);
    }
    let options = ForecastOptions {
        spike_window: MINUTE * 60,
        spike_baseline: MINUTE * 240,
        spike_factor: 3,
        spike_minimum: usd("0.3"),
        ..ForecastOptions::default()
    };
    let spike = async |options| engine.forecast(&scope("user/ana"), options).await.unwrap().spike;
    clock.advance(Duration::from_micros(1));
    spend(&engine, "user/ana", "0.299999999").await;
    let almost = spike(options).await;
    assert!(!almost.is_spike, "{almost:?}");
    assert_eq!(
        (almost.recent, almost.baseline, almost.expected),
        (usd("0.299999999"), usd("0.4"), usd("0.1"))
    );
    spend(&engine, "user/ana", "0.000000001").await;
    assert!(spike(options).await.is_spike);
    assert!(
        !spike(ForecastOptions {
            spike_minimum: usd("0.4"),
            ..options
        })
        .await
        .is_spike
    );
    assert!(
        !spike(ForecastOptions {
            spike_factor: 4,
            ..options
        })
        .await
        .is_spike
    );
    let wrong = ForecastOptions {
        last: Duration::ZERO,
        ..options
    };
    let error = engine.forecast(&scope("user/ana"), wrong).await.unwrap_err();
    assert_eq!(error.kind(), BudgetErrorKind::Invalid);
}

#[tokio::test]
async fn only_worst_cases_are_corrected_and_only_once() {
    let (engine, _clock) = engine().await;
    let hold = engine
        .hold(HoldRequest::new([scope("user/ana")], usd("8"), "calls"))
        .await
        .unwrap();
    let intend = async |name: &str, worst: &str| hold.intend_known_as(name, line(worst)).await.unwrap();
    let known = intend("known", "1").await;
    known.resolve([line("0.5")]).await.unwrap();
    let lost = intend("lost", "1").await.id();
    for (name, worst) in [("billed", "2"), ("twice", "1"), ("twice", "1")] {
        let _ = intend(name, worst).await;
    }
    hold.settle().await.unwrap();
    let open = engine
        .hold(HoldRequest::new([scope("user/ana")], usd("1"), "open"))
        .await
        .unwrap();
    let _under_way = open.intend_known_as("under way", line("1")).await.unwrap();

    let named = |name: &str, amount| UsageRecord {
        call: Call::Reference(name.into()),
        lines: vec![line(amount)],
    };
    let records = || {
        vec![
            named("billed", "0.25"),
            named("billed", "0.5"),
            UsageRecord {
                call: Call::Intent(lost),
                lines: vec![],
            },
            named("lost", "9"),
            named("known", "0.1"),
            named("twice", "0.1"),
            named("under way", "0.1"),
            named("nobody's", "0.1"),
        ]
    };
    let spent = async || engine.status(&scope("user/ana")).await.unwrap().spent;
    assert_eq!(spent().await, usd("5.5"));
    let tried = engine.reconcile(records(), true).await.unwrap();
    assert_eq!(spent().await, usd("5.5"), "a dry run changes nothing");
    let done = engine.reconcile(records(), false).await.unwrap();
    assert_eq!(tried, done);
    let corrected: Vec<_> = done
        .corrected
        .iter()
        .map(|one| (one.call.as_str(), one.from, one.to))
        .collect();
    assert_eq!(
        corrected,
        [("billed", usd("2"), usd("0.75")), ("lost", usd("1"), usd("9"))]
    );
    assert_eq!(done.already_known, ["known"]);
    assert_eq!(done.under_way, ["under way"]);
    assert_eq!(done.ambiguous, ["twice", &lost.to_string()]);
    assert_eq!(done.unmatched, ["nobody's"]);
    let after = spent().await;
    assert_eq!(after, usd("12.25"));

    let again = engine.reconcile(records(), false).await.unwrap();
    assert_eq!(again.corrected, []);
    assert_eq!(again.already_known, ["billed", "known", "lost"]);
    assert_eq!(spent().await, after);
    assert!(engine.verify().await.unwrap().is_clean());

    let broken = UsageRecord {
        call: Call::Reference("twice".into()),
        lines: vec![CostLine {
            item: String::new(),
            ..line("1")
        }],
    };
    assert_eq!(
        engine.reconcile([broken], false).await.unwrap_err().kind(),
        BudgetErrorKind::Invalid
    );
}

#[test]
fn accounts_have_the_names_of_their_json() {
    for account in [Account::Available, Account::Held, Account::Spent] {
        assert_eq!(
            serde_json::to_string(&account).unwrap(),
            format!("\"{}\"", account.as_str())
        );
    }
}
