//! What the binary tells a collector: which spans with which attributes, whose, at which cost, and which words are never
//! in them.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use meterbox_budget_engine::{BudgetEngine, SqliteLedger};
use meterbox_core::{
    SystemClock, Usd,
    contract::{AnalysisResult, Status},
    telemetry as attribute,
};
use meterbox_testkit::{
    LANGFUSE_KEYS, MODEL_KEY, ModelAnswer, ModelDouble, ModelFault, OtlpSink, SunkSpan, WireFault,
};
use meterbox_tests::{Server, Terminal};
use serde_json::{Value, json};

/// A city that occurs twice, a product that occurs once, and an address: each must be found nowhere.
const SALES: &str = "product,city,revenue,customer_email\nCanaryTea,CanaryTown,10.50,canary@example.com\n\
                     Coffee,CanaryTown,32.00,tom@example.com\nCake,Paris,5.25,canary@example.com\nTea,Paris,4.50,mia@example.com\n";
const QUESTION: &str =
    "which canaryquestion product would somebody most likely bring along, going by takings";
const PROGRAM: &str = "canary_variable = tables['sales']\n\
                       result = canary_variable.groupby('product', as_index=False)['revenue'].sum()";
const RAISES: &str = "canary_variable = tables['sales']\nprint('canary_printed')\n\
                      if len(canary_variable): raise ValueError('canary_raised ' + str(canary_variable['product'][0]))\nresult = 1";
const UNKNOWN_COLUMN: &str =
    "canary_variable = tables['sales']\nresult = canary_variable['canary_column'].sum()";
const CANARY: &str = "canary";

type Settings = Vec<(&'static str, String)>;

fn model(double: &ModelDouble) -> Settings {
    vec![
        ("AZURE_OPENAI_ENDPOINT", double.azure_url()),
        ("AZURE_OPENAI_API_KEY", MODEL_KEY.to_owned()),
        ("AZURE_OPENAI_DEPLOYMENT_NAME", "analyst".to_owned()),
    ]
}

fn langfuse(sink: &OtlpSink) -> Settings {
    vec![
        ("LANGFUSE_BASE_URL", sink.url()),
        ("LANGFUSE_PUBLIC_KEY", LANGFUSE_KEYS.0.to_owned()),
        ("LANGFUSE_SECRET_KEY", LANGFUSE_KEYS.1.to_owned()),
        ("METERBOX_ENV", "Prod EU".to_owned()),
    ]
}

fn with_content(mut settings: Settings) -> Settings {
    settings.push(("METERBOX_TRACE_CONTENT", "on".to_owned()));
    settings
}

fn reply(code: &str) -> ModelAnswer {
    let reply = serde_json::json!({ "reading": "canary_reading", "assumptions": [], "code": code });
    ModelAnswer::text(reply.to_string()).using(1_000, 200).cached(400)
}

/// One analysis with everything that can happen to it: a call that fails, a program that is not run, one that raises, and
/// one that answers.
fn script(double: &ModelDouble) {
    double.fail_next(ModelFault::Overloaded);
    double.answer_next(reply(UNKNOWN_COLUMN));
    double.answer_next(reply(RAISES));
    double.answer_next(reply(PROGRAM));
}

fn ask(terminal: &Terminal, further: &[&str], settings: &Settings) -> AnalysisResult {
    let arguments = [&["ask", QUESTION, "--data", "sales.csv", "--json"], further].concat();
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let ended = tokio::task::block_in_place(|| terminal.run_with(&arguments, &settings));
    for secret in [MODEL_KEY, LANGFUSE_KEYS.0, LANGFUSE_KEYS.1] {
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret));
    }
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn terminal() -> Terminal {
    let terminal = Terminal::new();
    terminal.write("sales.csv", SALES);
    terminal
}

fn named<'sink>(spans: &'sink [SunkSpan], name: &str) -> Vec<&'sink SunkSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// A span's name and those it is below, from the first one on.
fn path(spans: &[SunkSpan], span: &SunkSpan) -> String {
    let parent = spans.iter().find(|parent| parent.span_id == span.parent_id);
    match parent {
        Some(parent) => format!("{} > {}", path(spans, parent), span.name),
        None => span.name.clone(),
    }
}

fn all_text(sink: &OtlpSink) -> String {
    let bodies = sink.requests().into_iter().map(|request| request.body);
    bodies
        .map(|body| String::from_utf8_lossy(&body).to_lowercase())
        .collect()
}

/// What every analysis of this script tells, in order.
const PATHS: [&str; 18] = [
    "meterbox ask",
    "meterbox ask > budget.reserve",
    "meterbox ask > execute_tool python_sandbox",
    "meterbox ask > codegen",
    "meterbox ask > codegen > chat analyst",
    "meterbox ask > codegen > chat analyst",
    "meterbox ask > codegen > code.check",
    "meterbox ask > repair",
    "meterbox ask > repair > codegen",
    "meterbox ask > repair > codegen > chat analyst",
    "meterbox ask > repair > codegen > code.check",
    "meterbox ask > repair > execute_tool python_sandbox",
    "meterbox ask > repair",
    "meterbox ask > repair > codegen",
    "meterbox ask > repair > codegen > chat analyst",
    "meterbox ask > repair > codegen > code.check",
    "meterbox ask > repair > execute_tool python_sandbox",
    "meterbox ask > budget.settle",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_analysis_is_one_tree_of_spans_whose_costs_are_the_ledgers() {
    let (double, sink) = (ModelDouble::start().await, OtlpSink::start().await);
    script(&double);
    let settings = [model(&double), langfuse(&sink)].concat();
    let terminal = terminal();
    let result = ask(&terminal, &[], &settings);
    assert_eq!(result.status, Status::Ok, "{result:?}");
    let spans = sink.spans();

    let mut paths: Vec<_> = spans.iter().map(|span| path(&spans, span)).collect();
    let mut expected = PATHS.map(str::to_owned).to_vec();
    paths.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paths, expected);
    assert_eq!(
        sink.requests()
            .iter()
            .filter(|request| request.status != 200)
            .count(),
        0
    );

    let sessions: BTreeSet<_> = spans.iter().map(|span| span.text(attribute::SESSION)).collect();
    assert_eq!(sessions.len(), 1);
    for span in &spans {
        check(span, WHOSE);
        assert_eq!(span.text(attribute::USER), Some("user/local"), "{span:?}");
        assert_eq!(span.attributes[attribute::TRACE_TAGS], json!(["command_line"]));
        assert_eq!(span.resource["langfuse.environment"], "prod-eu");
        assert_eq!(span.resource["service.name"], "meterbox");
        assert_eq!(span.events, 0);
        let (_, kind, contract) = CONTRACT
            .iter()
            .find(|(name, ..)| *name == span.name)
            .unwrap_or_else(|| panic!("{} is in no contract", span.name));
        assert_eq!(span.kind, *kind, "{}", span.name);
        check(span, contract);
        let known: BTreeSet<_> = [WHOSE, contract].concat().iter().map(|(name, _)| *name).collect();
        let told: BTreeSet<_> = span.attributes.keys().map(String::as_str).collect();
        let beyond: Vec<_> = told.difference(&known).collect();
        assert!(
            beyond.is_empty(),
            "{} tells more than its contract has: {beyond:?}",
            span.name
        );
    }

    // To the nano-dollar: the analysis, each line of its bill, and the ledger.
    let sum = |spans: &[&SunkSpan]| {
        spans
            .iter()
            .fold(Usd::ZERO, |sum, span| sum.checked_add(cost_of(span)).unwrap())
    };
    let priced: Vec<_> = spans
        .iter()
        .filter(|span| span.attributes.contains_key(attribute::COST_DETAILS))
        .collect();
    assert_eq!(sum(&priced), result.cost);
    let tokens = result.cost_lines.iter().filter(|line| line.unit == "tokens");
    let of_models = tokens.fold(Usd::ZERO, |sum, line| sum.checked_add(line.amount).unwrap());
    let chats = named(&spans, "chat analyst");
    assert_eq!(sum(&chats), of_models);
    // 600 new, 400 cached and 200 written, at $0.40, $0.10 and $1.60 a million.
    let details: BTreeMap<String, Usd> =
        serde_json::from_str(chats[1].text(attribute::COST_DETAILS).unwrap()).unwrap();
    let usd = |text: &str| text.parse::<Usd>().unwrap();
    let expected = [
        ("input", "0.00024"),
        ("input_cached_tokens", "0.00004"),
        ("output", "0.00032"),
        ("total", "0.0006"),
    ];
    assert_eq!(
        details,
        expected
            .map(|(name, amount)| (name.to_owned(), usd(amount)))
            .into()
    );
    let settled = named(&spans, "budget.settle")[0];
    assert_eq!(
        settled.number(attribute::BUDGET_ACTUAL),
        Some(result.cost.nanos())
    );
    let ledger = SqliteLedger::open(terminal.folder().join("kept/ledger.sqlite3")).unwrap();
    let engine = BudgetEngine::new(ledger, SystemClock::default());
    let status = engine.status(&"user/local".parse().unwrap()).await.unwrap();
    assert_eq!(
        (status.spent, status.remaining.nanos()),
        (result.cost, settled.number(attribute::BUDGET_REMAINING).unwrap())
    );

    // Each in its place.
    let retries: Vec<_> = chats
        .iter()
        .map(|chat| chat.number(attribute::RETRY_INDEX).unwrap())
        .collect();
    assert_eq!(retries, [0, 1, 0, 0]);
    assert!(
        chats[0].is_error && chats[0].text(attribute::ERROR_TYPE) == Some("http_5xx"),
        "{:?}",
        chats[0]
    );
    assert_eq!(chats[1].attributes[attribute::FINISH_REASONS], json!(["stop"]));
    assert_eq!(
        chats[1].text(attribute::RESPONSE_MODEL),
        Some("gpt-4.1-mini-2025-04-14")
    );
    let checks = named(&spans, "code.check");
    assert_eq!(
        checks[0].attributes[attribute::CHECK_RULES],
        json!(["unknown_column"])
    );
    assert!(checks[0].is_error && !checks[1].is_error && !checks[2].is_error);
    let runs = named(&spans, "execute_tool python_sandbox");
    let ends: Vec<_> = runs
        .iter()
        .map(|run| (run.text(attribute::RUN_PURPOSE), run.text(attribute::RUN_EXIT)))
        .collect();
    let end = |purpose, exit| (Some(purpose), Some(exit));
    assert!(
        ends.contains(&end("import", "exited")) && ends.contains(&end("program", "exited")),
        "{ends:?}"
    );
    assert!(ends.contains(&end("program", "raised")), "{ends:?}");
    let root = named(&spans, "meterbox ask")[0];
    assert_eq!(root.text(attribute::ANALYSIS_ID), Some(&*result.id.to_string()));
    assert!(root.parent_id.is_empty() && spans.iter().all(|span| span.trace_id == root.trace_id));
    // No word of anybody.
    let sent = all_text(&sink);
    assert!(!sent.contains(CANARY), "{sent}");
}

/// What is said of an attribute.
#[derive(Debug, Clone, Copy)]
enum Is {
    /// There, and a text that is not empty.
    Text,
    /// There, and this.
    This(&'static str),
    /// There, and a whole number that is not negative.
    Number,
    /// There, and true or false.
    Flag,
    /// There, and an array of texts.
    Texts,
    /// There, and dollars as JSON with a total that is the sum of the rest.
    Dollars,
    /// Perhaps there.
    Optional,
}

type Attributes = &'static [(&'static str, Is)];

const WHOSE: Attributes = &[
    (attribute::USER, Is::Text),
    (attribute::SESSION, Is::Text),
    (attribute::TRACE_NAME, Is::Text),
    (attribute::TRACE_TAGS, Is::Texts),
];
const INTERNAL: &str = "SPAN_KIND_INTERNAL";
const ROOT: Attributes = &[
    (attribute::OBSERVATION_TYPE, Is::This("span")),
    (attribute::ANALYSIS_ID, Is::Text),
    (attribute::BUDGET_SCOPE, Is::Text),
    (attribute::ANALYSIS_STATUS, Is::Text),
    (attribute::ANALYSIS_SOURCE, Is::Text),
    (attribute::ANALYSIS_COST, Is::Number),
    (attribute::LEVEL, Is::Text),
    (attribute::ERROR_TYPE, Is::Optional),
];
const REQUEST: Attributes = &[
    (attribute::OBSERVATION_TYPE, Is::This("span")),
    (attribute::ANALYSIS_ID, Is::Text),
    (attribute::BUDGET_SCOPE, Is::Text),
    (attribute::ANALYSIS_STATUS, Is::Text),
    (attribute::ANALYSIS_SOURCE, Is::Text),
    (attribute::ANALYSIS_COST, Is::Number),
    (attribute::LEVEL, Is::Text),
    (attribute::ERROR_TYPE, Is::Optional),
    (attribute::HTTP_METHOD, Is::This("POST")),
    (attribute::HTTP_ROUTE, Is::This("/api/execute")),
    (attribute::URL_PATH, Is::This("/api/execute")),
    (attribute::HTTP_STATUS, Is::Number),
];
const SETTLE: Attributes = &[
    (attribute::OBSERVATION_TYPE, Is::This("guardrail")),
    (attribute::BUDGET_RESERVED, Is::Number),
    (attribute::BUDGET_ACTUAL, Is::Number),
    (attribute::BUDGET_ESTIMATED, Is::Number),
    (attribute::BUDGET_REMAINING, Is::Number),
    (attribute::LEVEL, Is::Optional),
];

/// Each span's kind and attributes: those without which it is useless, and those it may have.
const CONTRACT: &[(&str, &str, Attributes)] = &[
    ("meterbox ask", INTERNAL, ROOT),
    ("POST /api/execute", "SPAN_KIND_SERVER", REQUEST),
    (
        "budget.reserve",
        INTERNAL,
        &[
            (attribute::OBSERVATION_TYPE, Is::This("guardrail")),
            (attribute::BUDGET_WANTED, Is::Number),
            (attribute::BUDGET_RESERVED, Is::Number),
            (attribute::BUDGET_REMAINING, Is::Number),
            (attribute::BUDGET_DEGRADED, Is::Flag),
            (attribute::LEVEL, Is::Optional),
        ],
    ),
    ("budget.settle", INTERNAL, SETTLE),
    (
        "codegen",
        INTERNAL,
        &[
            (attribute::OBSERVATION_TYPE, Is::This("chain")),
            (attribute::CODEGEN_ATTEMPTS, Is::Number),
            (attribute::CODEGEN_CACHE_HIT, Is::Optional),
            (attribute::PROMPT_VERSION, Is::Optional),
            (attribute::ANALYSIS_SOURCE, Is::Optional),
            (attribute::LEVEL, Is::Optional),
            (attribute::ERROR_TYPE, Is::Optional),
        ],
    ),
    (
        "chat analyst",
        "SPAN_KIND_CLIENT",
        &[
            (attribute::OBSERVATION_TYPE, Is::This("generation")),
            (attribute::OPERATION, Is::This("chat")),
            (attribute::PROVIDER, Is::This("azure.ai.openai")),
            (attribute::REQUEST_MODEL, Is::This("analyst")),
            (attribute::REQUEST_MAX_TOKENS, Is::Number),
            (attribute::OUTPUT_TYPE, Is::Text),
            (attribute::SERVER_ADDRESS, Is::This("127.0.0.1")),
            (attribute::SERVER_PORT, Is::Number),
            (attribute::RETRY_INDEX, Is::Number),
            (attribute::COST_DETAILS, Is::Dollars),
            (attribute::COST_ESTIMATED, Is::Flag),
            (attribute::PRICE_BOOK, Is::Optional),
            (attribute::RESPONSE_MODEL, Is::Optional),
            (attribute::RESPONSE_ID, Is::Optional),
            (attribute::FINISH_REASONS, Is::Optional),
            (attribute::INPUT_TOKENS, Is::Optional),
            (attribute::CACHE_READ_TOKENS, Is::Optional),
            (attribute::CACHE_CREATION_TOKENS, Is::Optional),
            (attribute::OUTPUT_TOKENS, Is::Optional),
            (attribute::REASONING_TOKENS, Is::Optional),
            (attribute::ERROR_TYPE, Is::Optional),
            (attribute::HTTP_STATUS, Is::Optional),
            (attribute::LEVEL, Is::Optional),
        ],
    ),
    (
        "code.check",
        INTERNAL,
        &[
            (attribute::OBSERVATION_TYPE, Is::This("guardrail")),
            (attribute::CHECK_RULES, Is::Optional),
            (attribute::ERROR_TYPE, Is::Optional),
            (attribute::LEVEL, Is::Optional),
        ],
    ),
    (
        "execute_tool python_sandbox",
        INTERNAL,
        &[
            (attribute::OBSERVATION_TYPE, Is::This("tool")),
            (attribute::OPERATION, Is::This("execute_tool")),
            (attribute::TOOL_NAME, Is::This("python_sandbox")),
            (attribute::RUN_PURPOSE, Is::Text),
            (attribute::RUN_EXIT, Is::Text),
            (attribute::RUN_WALL_MS, Is::Number),
            (attribute::RUN_CPU_MS, Is::Number),
            (attribute::RUN_OUTPUT_BYTES, Is::Number),
            (attribute::COST_DETAILS, Is::Dollars),
            (attribute::COST_ESTIMATED, Is::Flag),
            (attribute::PRICE_BOOK, Is::Text),
            (attribute::ERROR_TYPE, Is::Optional),
            (attribute::LEVEL, Is::Optional),
        ],
    ),
    (
        "repair",
        INTERNAL,
        &[
            (attribute::OBSERVATION_TYPE, Is::This("chain")),
            (attribute::REPAIR_NUMBER, Is::Number),
            (attribute::REPAIR_REASON, Is::Text),
        ],
    ),
];

fn check(span: &SunkSpan, contract: &[(&str, Is)]) {
    for (name, is) in contract {
        let value = span.attributes.get(*name);
        let holds = match is {
            Is::Text => value.and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
            Is::This(text) => value.and_then(Value::as_str) == Some(text),
            Is::Number => value.is_some_and(Value::is_u64),
            Is::Flag => value.is_some_and(Value::is_boolean),
            Is::Texts => value
                .and_then(Value::as_array)
                .is_some_and(|texts| texts.iter().all(Value::is_string)),
            Is::Dollars => {
                let total = cost_of(span);
                let details: BTreeMap<String, Usd> =
                    serde_json::from_str(value.and_then(Value::as_str).unwrap_or_default()).unwrap();
                let parts = details.iter().filter(|(name, _)| *name != "total");
                let sum = parts.fold(Usd::ZERO, |sum, (_, part)| sum.checked_add(*part).unwrap());
                details.len() == 1 || sum == total
            }
            Is::Optional => true,
        };
        assert!(holds, "{}: {name} is {value:?} and not {is:?}", span.name);
    }
}

fn cost_of(span: &SunkSpan) -> Usd {
    let details = span.text(attribute::COST_DETAILS).unwrap_or("{}");
    let details: BTreeMap<String, Usd> = serde_json::from_str(details).unwrap();
    details.get("total").copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_told_only_where_switched_on_and_as_far_as_the_level_allows() {
    // At each level: the question, the first prompt, the model's program, what went wrong with it, and the answer.
    for (level, told, hidden) in [
        ("0", &[][..], &[CANARY][..]),
        (
            "1",
            &["canaryquestion", "canary_variable", "customer_email"],
            &[
                "canarytea",
                "canarytown",
                "canary@example.com",
                "canary_raised",
                "canary_printed",
            ],
        ),
        (
            "2",
            &["canaryquestion", "canary_variable", "canarytown"],
            &[
                "canarytea",
                "canary@example.com",
                "canary_raised",
                "canary_printed",
            ],
        ),
        (
            "3",
            &[
                "canaryquestion",
                "canary_variable",
                "canarytown",
                "canarytea",
                "canary_raised",
            ],
            &[],
        ),
    ] {
        let (double, sink) = (ModelDouble::start().await, OtlpSink::start().await);
        script(&double);
        let settings = with_content([model(&double), langfuse(&sink)].concat());
        let result = ask(&terminal(), &["--privacy", level], &settings);
        assert_eq!(result.status, Status::Ok, "{level}: {result:?}");
        let sent = all_text(&sink);
        for word in told {
            assert!(sent.contains(word), "level {level} tells no {word}");
        }
        for word in hidden {
            assert!(!sent.contains(word), "level {level} tells {word}: {sent}");
        }
        for span in sink.spans() {
            for name in attribute::CONTENT {
                let longest = 8 * attribute::LONGEST_CONTENT;
                assert!(
                    span.text(name).is_none_or(|text| text.len() <= longest),
                    "{name} of {}",
                    span.name
                );
            }
        }
    }
}

/// Where the data says nothing of privacy, a model on this machine is told frequent values; a collector is not.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_here_may_know_a_collector_may_not() {
    let (double, sink) = (ModelDouble::start().await, OtlpSink::start().await);
    double.answer_next(reply(PROGRAM));
    let settings = with_content([model(&double), langfuse(&sink)].concat());
    ask(&terminal(), &[], &settings);
    assert!(double.calls()[0].prompt().contains("CanaryTown"));
    let sent = all_text(&sink);
    assert!(
        sent.contains("canaryquestion") && !sent.contains("canarytown"),
        "{sent}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_requests_budget_events_and_metrics_and_flushes_when_it_ends() {
    let sink = OtlpSink::start().await;
    sink.needs("api-key", "k3y");
    let terminal = terminal();
    let kept = terminal.folder().join("kept");
    std::fs::create_dir_all(&kept).unwrap();
    let url = sink.url();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k3y"),
    ];
    let data = terminal.folder().join("sales.csv");
    tokio::task::block_in_place(|| {
        let server = Server::start_with(&kept, &data, &settings);
        let question = json!({ "query": "revenue by city", "datasets": ["sales"] });
        let (status, answer) = server.post("/api/execute", &question);
        assert_eq!((status, &answer["status"]), (200, &json!("ok")), "{answer}");
        let (status, _) = server.post("/api/execute", &json!({}));
        assert_eq!(status, 422);
        let stopped = terminal.run(&["stop-all", "canary reason"]);
        assert_eq!(stopped.code, Some(0), "{stopped:?}");
        let (status, refused) = server.post("/api/execute", &question);
        assert!(status >= 400, "{refused}");
        wait_until(|| sink.spans().iter().any(|span| span.name == "budget.event"));
        // Dropped, it is asked to end.
        drop(server);
    });

    let spans = sink.spans();
    let requests = named(&spans, "POST /api/execute");
    let statuses: Vec<_> = requests
        .iter()
        .map(|span| span.number(attribute::HTTP_STATUS))
        .collect();
    assert_eq!(statuses[..2], [Some(200), Some(422)], "{statuses:?}");
    check(requests[0], WHOSE);
    check(requests[0], REQUEST);
    assert_eq!(
        (requests[0].kind, requests[0].parent_id.as_str()),
        ("SPAN_KIND_SERVER", "")
    );
    let below: BTreeSet<_> = spans
        .iter()
        .filter(|span| span.trace_id == requests[0].trace_id)
        .map(|span| span.name.as_str())
        .collect();
    for name in [
        "budget.reserve",
        "codegen",
        "execute_tool python_sandbox",
        "budget.settle",
    ] {
        assert!(below.contains(name), "{below:?}");
    }
    // The last request was begun after the stop, and its spans came with the end of the process.
    let refused = spans
        .iter()
        .find(|span| span.name == "budget.reserve" && span.is_error)
        .unwrap();
    assert_eq!(refused.trace_id, requests[2].trace_id);
    assert_eq!(refused.text(attribute::LEVEL), Some("ERROR"));
    let event = named(&spans, "budget.event")[0];
    assert_eq!(event.text(attribute::EVENT_TYPE), Some("stopped"));
    assert_eq!(event.text(attribute::OBSERVATION_TYPE), Some("event"));
    check(event, WHOSE);
    assert!(!all_text(&sink).contains(CANARY));

    let metrics = sink.metrics();
    for name in [
        "meterbox.budget.reserved",
        "meterbox.budget.spent",
        "meterbox.budget.refusals",
        "meterbox.budget.events",
    ] {
        assert!(metrics.contains_key(name), "{name}: {metrics:?}");
    }
    let spent: f64 = metrics["meterbox.budget.spent"]
        .points
        .iter()
        .map(|point| point.sum)
        .sum();
    let settled: i64 = named(&spans, "budget.settle")
        .iter()
        .filter_map(|span| span.number(attribute::BUDGET_ACTUAL))
        .sum();
    assert_eq!(spent as i64, settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_misbehaves_is_told_of_once_and_delays_nothing() {
    let sink = OtlpSink::start().await;
    let terminal = terminal();
    let kept = terminal.folder().join("kept");
    std::fs::create_dir_all(&kept).unwrap();
    let data = terminal.folder().join("sales.csv");
    let settings = langfuse(&sink);
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    tokio::task::block_in_place(|| {
        for (fault, says) in [
            (WireFault::Hang, None),
            (
                WireFault::Status(401, Vec::new(), String::new()),
                Some("does not accept the key (401)"),
            ),
            (
                WireFault::Status(500, Vec::new(), String::new()),
                Some("answers 500"),
            ),
        ] {
            sink.fail_always(fault.clone());
            let server = Server::start_with(&kept, &data, &settings);
            let question = json!({ "query": "revenue by city", "datasets": ["sales"] });
            let begun = real_time();
            for _ in 0..3 {
                let (status, answer) = server.post("/api/execute", &question);
                assert_eq!((status, &answer["status"]), (200, &json!("ok")), "{answer}");
                // Each is exported by itself, so that a second failure could be told.
                std::thread::sleep(Duration::from_millis(1_100));
            }
            // The pauses, and less than one time-out of the exporter in all.
            assert!(
                begun.elapsed() < Duration::from_secs(3 + 9),
                "{fault:?}: {:?}",
                begun.elapsed()
            );
            if let Some(says) = says {
                let told = || server.log().matches("traces are not taken").count();
                wait_until(|| told() > 0);
                let log = server.log();
                assert_eq!(told(), 1, "{log}");
                assert!(log.contains(says) && log.contains("traces: 127.0.0.1"), "{log}");
                for secret in [LANGFUSE_KEYS.0, LANGFUSE_KEYS.1] {
                    assert!(!log.contains(secret));
                }
            }
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "delays of another process are a matter of real time"
)]
fn real_time() -> std::time::Instant {
    std::time::Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_a_hanging_collector_ends_soon_after_its_answer() {
    let sink = OtlpSink::start().await;
    sink.fail_always(WireFault::Hang);
    let terminal = terminal();
    let settings = langfuse(&sink);
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let arguments = ["ask", "revenue by city", "--data", "sales.csv", "--quiet"];
    let ended = tokio::task::block_in_place(|| terminal.run_with(&arguments, &settings));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("some spans did not reach their collector"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_and_wrong_settings_stop_the_start() {
    let sink = OtlpSink::start().await;
    let terminal = terminal();
    let settings = langfuse(&sink);
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    tokio::task::block_in_place(|| {
        let doctor = terminal.run_with(&["doctor", "--online"], &settings);
        assert!(doctor.stdout.contains("✓ online: traces"), "{doctor:?}");
        assert!(
            doctor.stdout.contains("as prod-eu, without content"),
            "{doctor:?}"
        );
        sink.forgets_keys();
        let doctor = terminal.run_with(&["doctor", "--online"], &settings);
        assert!(
            doctor.stdout.contains("✗ online: traces") && doctor.stdout.contains("(401)"),
            "{doctor:?}"
        );
        assert!(doctor.stdout.contains("LANGFUSE_SECRET_KEY"), "{doctor:?}");
        assert!(!doctor.stdout.contains(LANGFUSE_KEYS.1), "{doctor:?}");
        let arguments = ["ask", "revenue by city", "--data", "sales.csv"];
        for (settings, said) in [
            (
                vec![("LANGFUSE_PUBLIC_KEY", "pk-lf-1")],
                "LANGFUSE_SECRET_KEY is not",
            ),
            (vec![("METERBOX_TRACE_CONTENT", "on")], "nowhere to send"),
        ] {
            let ended = terminal.run_with(&arguments, &settings);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(
                ended.stderr.contains(said) && ended.stderr.contains("Fix: "),
                "{ended:?}"
            );
        }
    });
    // A file beside the data may name keys and address together, and never the address alone.
    terminal.write(".env", format!("LANGFUSE_BASE_URL={}\n", sink.url()));
    let keys = [
        ("LANGFUSE_PUBLIC_KEY", LANGFUSE_KEYS.0),
        ("LANGFUSE_SECRET_KEY", LANGFUSE_KEYS.1),
    ];
    let ended = tokio::task::block_in_place(|| terminal.run_with(&["doctor"], &keys));
    assert!(ended.stderr.contains("is set in an .env file"), "{ended:?}");
    assert!(sink.spans().is_empty());
}

fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it does not come");
}
