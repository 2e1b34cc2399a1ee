//! The command line from the outside: answers, budget, bad input, hostile scripts, the state of the machine.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{collections::HashMap, fs};

use meterbox_core::contract::{AnalysisResult, FailureKind};
use meterbox_tests::{Ended, Terminal, repository};

const SALES: &str = "product,revenue\nTea,10\nCoffee,32\nCake,5\n";
const QUESTION: &str = "top 5 products by revenue";

fn shop() -> String {
    repository().join("examples/data/shop").display().to_string()
}

fn document(ended: &Ended) -> AnalysisResult {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The five products with the most revenue, added up from the files.
fn best_sellers() -> Vec<String> {
    let read = |name| fs::read_to_string(repository().join("examples/data/shop").join(name)).unwrap();
    let mut revenue: HashMap<String, f64> = HashMap::new();
    for line in read("order_lines.csv").lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        let number = |cell: usize| cells[cell].parse::<f64>();
        if let (Ok(quantity), Ok(price)) = (number(3), number(4)) {
            let discount = number(5).unwrap_or_default();
            *revenue.entry(cells[2].to_owned()).or_default() += quantity * price - discount;
        }
    }
    let products = read("products.csv");
    let names: HashMap<_, _> = products
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(id, rest)| (id, rest.split(',').next().unwrap()))
        .collect();
    let mut best: Vec<_> = revenue.into_iter().collect();
    best.sort_by(|left, right| right.1.total_cmp(&left.1));
    best.iter()
        .take(5)
        .map(|(id, _)| names[id.as_str()].to_owned())
        .collect()
}

#[test]
fn a_question_is_answered_with_table_chart_reading_and_cost() {
    let terminal = Terminal::new();
    let ended = terminal.run(&["ask", QUESTION, "--data", &shop()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows: Vec<_> = ended
        .stdout
        .lines()
        .skip(2)
        .filter(|row| !row.trim().is_empty())
        .collect();
    let best = best_sellers();
    assert_eq!(rows.len(), best.len(), "{}", ended.stdout);
    for (row, product) in rows.iter().zip(best) {
        assert!(row.trim_start().starts_with(&product), "{row} is not {product}");
    }
    for part in [
        "run it in the sandbox",
        "Reading   Top 5 products by revenue",
        "Today     means 2025-12-31",
        "Cost ",
        "left this month",
    ] {
        assert!(ended.stderr.contains(part), "no {part}: {}", ended.stderr);
    }
    let chart = ended
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("Chart"))
        .unwrap();
    assert!(fs::read(chart.trim()).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
}

#[test]
fn json_is_one_document_and_quiet_is_quiet() {
    let terminal = Terminal::new();
    let data = terminal.write("sales.csv", SALES).display().to_string();
    let ended = terminal.run(&["ask", QUESTION, "--data", &data, "--json", "--quiet"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    assert!(document(&ended).answer.is_some());
}

#[test]
fn what_the_budget_does_not_cover_is_refused() {
    let terminal = Terminal::new();
    let data = terminal.write("sales.csv", SALES).display().to_string();
    let ask = ["ask", QUESTION, "--data", &data, "--json"];
    let by_call = terminal.run(&[&ask[..], &["--max-cost", "0.000001"]].concat());
    let by_setting = terminal.run_with(&ask, &[("DEFAULT_BUDGET_LIMIT", "0.000001")]);
    for ended in [by_call, by_setting] {
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert_eq!(document(&ended).failure.unwrap().kind, FailureKind::Budget);
    }
}

#[test]
fn scripts_print_answer_and_draw_on_one_budget() {
    let terminal = Terminal::new();
    let data = terminal.write("sales.csv", SALES).display().to_string();
    terminal.write(
        "sum.py",
        "print('adding up')\nresult = tables['sales'].groupby('product').sum()\n",
    );
    let shown = terminal.run(&["run", "sum.py", "--data", &data, "--show-code"]);
    assert!(
        shown.stdout.contains("Coffee") && shown.stdout.contains("32"),
        "{shown:?}"
    );
    assert!(shown.stderr.contains("groupby('product')"), "{shown:?}");
    let run = || terminal.run(&["run", "sum.py", "--data", &data, "--json"]);
    let (first, second) = (run(), run());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?}");
    assert!(first.stderr.contains("adding up"), "{}", first.stderr);
    assert!(document(&second).remaining.unwrap() < document(&first).remaining.unwrap());
}

#[test]
fn bad_calls_and_settings_name_the_fix() {
    let terminal = Terminal::new();
    let data = terminal.write("sales.csv", SALES).display().to_string();
    terminal.write("latin.py", b"result = '\xe9'");
    for (arguments, code, said) in [
        (["ask", "", "--data", &data], 2, "the question is empty"),
        (
            ["ask", QUESTION, "--data", "nowhere.csv"],
            4,
            "there is no nowhere.csv",
        ),
        (
            ["run", "missing.py", "--data", &data],
            2,
            "missing.py cannot be read",
        ),
        (["run", "latin.py", "--data", &data], 2, "save it as UTF-8"),
    ] {
        let ended = terminal.run(&arguments);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    for setting in [
        ("MAX_BUDGET_PER_ANALYSIS", "five"),
        ("METERBOX_LISTEN", "somewhere"),
        ("METERBOX_PUBLIC_URL", "box.example.com"),
    ] {
        let ended = terminal.run_with(&["doctor"], &[setting]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains(setting.0) && ended.stderr.contains("Fix: "),
            "{ended:?}"
        );
    }
    let ended = terminal.run_with(&["doctor"], &[("METERBOX_LISTEN", "0.0.0.0:3000")]);
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.stdout.contains("meterbox keys create"), "{ended:?}");
}

#[test]
fn bad_data_and_questions_are_named_with_a_next_step() {
    let terminal = Terminal::new();
    let good = terminal.write("sales.csv", SALES).display().to_string();
    fs::create_dir(terminal.folder().join("nothing")).unwrap();
    for (name, bytes, message, hint) in [
        ("empty.csv", &b""[..], "empty.csv is empty", "Export it again"),
        (
            "picture.csv",
            b"\x89PNG\r\n\x1a\n",
            "its bytes say a PNG picture",
            "Rename it to what it is",
        ),
        (
            "noheader.csv",
            b"1,2\n3,4\n",
            "not a row of column names",
            "Add a first row",
        ),
        ("header.csv", b"a,b\n", "a header and no rows", "Export it again"),
        ("broken.json", b"{", "it is no JSON", "list of records"),
        (
            "words.docx",
            b"words",
            "no file of a kind that can be read",
            "Export it as CSV",
        ),
    ] {
        terminal.write(name, bytes);
        let ended = terminal.run(&["ask", QUESTION, "--data", name]);
        assert_eq!(ended.code, Some(4), "{name}: {ended:?}");
        for said in [name, message, hint] {
            assert!(ended.stderr.contains(said), "{name} lacks {said:?}: {ended:?}");
        }
    }
    let folder = terminal.run(&["ask", QUESTION, "--data", "nothing"]);
    assert!(
        folder.code == Some(4) && folder.stderr.contains("holds no data file"),
        "{folder:?}"
    );

    terminal.write(
        "names.csv",
        "price,price,,\u{202e}b\u{1b}[31m\n1,2,3,4\n5,6,7,8\n",
    );
    let names = terminal.run(&["ask", "total price", "--data", "names.csv", "--json"]);
    assert_eq!(names.code, Some(0), "{names:?}");
    assert!(
        !names.stdout.contains('\u{1b}') && !names.stderr.contains('\u{1b}'),
        "{names:?}"
    );

    let long = "revenue ".repeat(12_500);
    let long = terminal.run(&["ask", &long, "--data", &good]);
    assert_eq!(long.code, Some(2), "{long:?}");
    assert!(long.stderr.contains("ask it in 2000 or fewer"), "{long:?}");
}

#[test]
fn hostile_scripts_end_and_the_data_stays() {
    let terminal = Terminal::new();
    let data = terminal.write("sales.csv", SALES).display().to_string();
    // Typing the data takes a larger hold than the scripts get.
    assert_eq!(terminal.run(&["ask", QUESTION, "--data", &data]).code, Some(0));
    for (name, script, kind, said) in [
        ("spin", "while True: pass", FailureKind::LimitWall, ""),
        (
            "sleep",
            "import time\ntime.sleep(600)",
            FailureKind::LimitWall,
            "did not finish within",
        ),
        (
            "fork",
            "import os\nos.fork()",
            FailureKind::ProgramError,
            "Operation not permitted",
        ),
        (
            "memory",
            "result = bytearray(1 << 40)",
            FailureKind::LimitMemory,
            "of memory",
        ),
        (
            "flood",
            "while True: print('x' * 65536)",
            FailureKind::LimitOutput,
            "printed or returned more",
        ),
        (
            "socket",
            "import socket\nsocket.socket()",
            FailureKind::ProgramError,
            "Operation not permitted",
        ),
        (
            "raise",
            "raise ValueError('no')",
            FailureKind::ProgramError,
            "ValueError (line 1): no",
        ),
        (
            "syntax",
            "result = (",
            FailureKind::ProgramError,
            "SyntaxError (line 1)",
        ),
        (
            "nothing",
            "x = 1",
            FailureKind::ProgramError,
            "without setting `result`",
        ),
        (
            "exit",
            "import os\nos._exit(0)",
            FailureKind::ProgramError,
            "exit code 0",
        ),
    ] {
        let file = format!("{name}.py");
        terminal.write(&file, script);
        // Enough for a few seconds.
        let ended = terminal.run(&["run", &file, "--data", &data, "--max-cost", "0.0001", "--json"]);
        assert_eq!(ended.code, Some(4), "{name}: {ended:?}");
        let failure = document(&ended).failure.unwrap();
        // A program that only computes uses up its processor time and its time at the same moment.
        let spun = name == "spin" && failure.kind == FailureKind::LimitCpu;
        assert!(failure.kind == kind || spun, "{name}: {failure:?}");
        assert!(
            failure.message.contains(said) && !failure.hint.is_empty(),
            "{name}: {failure:?}"
        );
    }
    terminal.write(
        "delete.py",
        "import shutil\nfor folder in ['/data', '/']:\n    shutil.rmtree(folder, ignore_errors=True)\n",
    );
    let _ = terminal.run(&["run", "delete.py", "--data", &data]);
    assert_eq!(fs::read_to_string(&data).unwrap(), SALES);
    let next = terminal.run(&["ask", QUESTION, "--data", &data]);
    assert_eq!(next.code, Some(0), "{next:?}");
}

#[test]
fn what_a_terminal_would_obey_reaches_it_inert() {
    let terminal = Terminal::new();
    let data = terminal.write("sales.csv", SALES).display().to_string();
    let words = "'\\x1b]0;title\\x07\\x1b]52;c;aGFybQ==\\x07\\x1b]8;;http://127.0.0.1\\x07\\x9b2J\\r\\u202e'";
    terminal.write(
        "answers.py",
        format!("words = {words}\nprint(words)\nresult = pd.DataFrame({{words: [words, words]}})\n"),
    );
    terminal.write(
        "raises.py",
        format!("words = {words}\nprint(words)\nraise ValueError(words)\n"),
    );
    for (script, more) in [
        ("answers.py", "--show-code"),
        ("raises.py", "--show-code"),
        ("answers.py", "--json"),
        ("raises.py", "--json"),
    ] {
        let ended = terminal.run(&["run", script, "--data", &data, more]);
        for said in [&ended.stdout, &ended.stderr] {
            let obeyed = said.contains(['\u{1b}', '\u{9b}', '\u{7}', '\r', '\u{202e}']);
            assert!(!obeyed, "{script} {more}: {ended:?}");
        }
        assert!(
            ended.stdout.contains("]0;title") || ended.stderr.contains("]0;title"),
            "{script}: the words are shown"
        );
    }
}

#[test]
fn the_machine_is_well_and_an_absent_runtime_is_said() {
    let terminal = Terminal::new();
    let doctor = terminal.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    assert!(doctor.stdout.contains("All is well."), "{doctor:?}");
    assert_eq!(terminal.run(&["runtime", "status"]).code, Some(0));
    let empty = terminal.folder().join("empty").display().to_string();
    let absent = terminal.run_with(&["runtime", "status"], &[("METERBOX_RUNTIME_DIR", &empty)]);
    assert_eq!(absent.code, Some(6), "{absent:?}");
    assert!(absent.stderr.contains("meterbox runtime install"), "{absent:?}");

    // Offline, from a folder that has nothing: refused with the fix, and still absent.
    fs::create_dir_all(&empty).unwrap();
    let arguments = ["runtime", "install", "--full", "--wheelhouse", &empty];
    let runtime = terminal.folder().join("runtime").display().to_string();
    let settings = [("METERBOX_RUNTIME_DIR", &*runtime)];
    let refused = terminal.run_with(&arguments, &settings);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.stderr.contains("into the wheelhouse"), "{refused:?}");
    let absent = terminal.run_with(&["runtime", "status"], &settings);
    assert!(absent.stdout.contains("There is no runtime"), "{absent:?}");
}

#[test]
fn a_damaged_runtime_is_refused_with_the_command_that_mends_it() {
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    let whole = meterbox_testkit::test_runtime();
    let name = whole.venv.parent().unwrap().file_name().unwrap();
    let folder = terminal.folder().join("damaged");
    fs::create_dir_all(folder.join(name)).unwrap();
    fs::write(folder.join(name).join("manifest.json"), "{}").unwrap();
    let folder = folder.display().to_string();
    let settings = [("METERBOX_RUNTIME_DIR", &*folder)];
    for arguments in [
        &["ask", QUESTION, "--data", "sales.csv"][..],
        &["runtime", "status"],
    ] {
        let ended = terminal.run_with(arguments, &settings);
        assert_eq!(ended.code, Some(6), "{ended:?}");
        let said = ended.stdout + &ended.stderr;
        assert!(
            said.contains("manifest cannot be read") && said.contains("`meterbox runtime install`"),
            "{said}"
        );
    }
    let doctor = terminal.run_with(&["doctor"], &settings);
    assert!(
        doctor.stdout.contains("fix: meterbox runtime install"),
        "{doctor:?}"
    );
}

#[test]
fn a_sandbox_weaker_than_is_asked_for_is_refused_by_name() {
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    let arguments = ["ask", QUESTION, "--data", "sales.csv"];
    let no_group = terminal.folder().join("no-group").display().to_string();
    let settings = [
        ("METERBOX_MIN_TIER", "ns+cg"),
        ("METERBOX_CONTROL_GROUP", &*no_group),
    ];
    let ended = terminal.run_with(&arguments, &settings);
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(
        ended.stderr.contains("ns+cg") && ended.stderr.contains(&no_group),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("Delegate=yes"), "{ended:?}");
    let ended = terminal.run_with(&arguments, &[("METERBOX_MIN_TIER", "docker")]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("METERBOX_MIN_TIER") && ended.stderr.contains("Fix: "),
        "{ended:?}"
    );
}
