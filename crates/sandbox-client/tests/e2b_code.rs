//! What the client makes of code that IPython's own kernels execute.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use meterbox_sandbox_client::e2b::{
    E2bClient, E2bError, E2bErrorKind, ExecutionError, ExecutionEvent, ExecutionRequest, ExecutionResult,
    NewSandbox, SandboxAccess, http_client,
};
use meterbox_testkit::{E2B_KEY, E2bDouble, E2bFault};
use serde_json::json;

/// Far more than a kernel needs, far less than for ever.
const PATIENCE: Duration = Duration::from_secs(120);

struct Machine {
    double: E2bDouble,
    client: E2bClient,
    access: SandboxAccess,
}

impl Machine {
    async fn new() -> Self {
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let double = E2bDouble::start().await;
        let client = E2bClient::builder(http_client().unwrap(), E2B_KEY)
            .api_url(double.url())
            .sandbox_url(double.url())
            .request_timeout(PATIENCE)
            .build()
            .unwrap();
        let access = client
            .create(&NewSandbox::new("code-interpreter-v1"))
            .await
            .unwrap();
        Self {
            double,
            client,
            access,
        }
    }

    async fn all(&self, request: &ExecutionRequest) -> Result<Vec<ExecutionEvent>, E2bError> {
        let mut execution = self.client.execute(&self.access, request).await?;
        let mut events = Vec::new();
        while let Some(event) = execution.next().await? {
            // It says nothing of the code, and comes when a machine is slow.
            if event != ExecutionEvent::KeepAlive {
                events.push(event);
            }
        }
        Ok(events)
    }

    async fn events(&self, request: &ExecutionRequest) -> Vec<ExecutionEvent> {
        let events = self.all(request).await.unwrap();
        assert!(
            matches!(events.first(), Some(ExecutionEvent::Count(_))),
            "{events:?}"
        );
        assert_eq!(events.last(), Some(&ExecutionEvent::End));
        events
    }

    async fn results(&self, code: &str) -> Vec<ExecutionResult> {
        let events = self.events(&request(code)).await;
        let results = events.into_iter().filter_map(|event| match event {
            ExecutionEvent::Result(result) => Some(*result),
            ExecutionEvent::Error(error) => panic!("{code}: {error:?}"),
            _ => None,
        });
        results.collect()
    }

    async fn error(&self, request: &ExecutionRequest) -> ExecutionError {
        let events = self.all(request).await.unwrap();
        let error = events.iter().find_map(|event| match event {
            ExecutionEvent::Error(error) => Some(error.clone()),
            _ => None,
        });
        error.unwrap_or_else(|| panic!("{events:?}"))
    }
}

fn request(code: &str) -> ExecutionRequest {
    ExecutionRequest {
        limit: PATIENCE,
        ..ExecutionRequest::new(code)
    }
}

fn within(context: &str, code: &str) -> ExecutionRequest {
    ExecutionRequest {
        context_id: Some(context.to_owned()),
        ..request(code)
    }
}

#[tokio::test]
async fn code_tells_what_it_prints_and_shows_in_order() {
    let machine = Machine::new().await;
    let code =
        "import sys, time\nprint('out')\ntime.sleep(0.5)\nprint('err', file=sys.stderr)\nx = 41\nx + 1";
    let events = machine.events(&request(code)).await;
    let answer = ExecutionResult {
        is_main_result: true,
        text: Some("42".to_owned()),
        ..ExecutionResult::default()
    };
    assert_eq!(
        events,
        [
            ExecutionEvent::Count(1),
            ExecutionEvent::Stdout("out\n".to_owned()),
            ExecutionEvent::Stderr("err\n".to_owned()),
            ExecutionEvent::Result(Box::new(answer)),
            ExecutionEvent::End,
        ]
    );
    assert_eq!(machine.events(&request("x")).await[0], ExecutionEvent::Count(2));

    let table = "import pandas as pd\npd.DataFrame({'n': range(100), 'x': [float('nan')] + [0.5] * 99})";
    let [table] = &machine.results(table).await[..] else {
        panic!("one result")
    };
    assert!(table.is_main_result && table.html.as_ref().unwrap().contains("<td>99</td>"));
    let data = table.data.as_ref().unwrap();
    assert_eq!((&data["n"][99], &data["x"][0]), (&json!(99), &json!(null)));

    let figure = "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4])\nplt.title('T')\nplt.show()";
    let [figure] = &machine.results(figure).await[..] else {
        panic!("one result")
    };
    let picture = STANDARD.decode(figure.png.as_ref().unwrap()).unwrap();
    assert!(!figure.is_main_result && picture.starts_with(b"\x89PNG"));
    let chart = figure.chart.as_ref().unwrap();
    assert_eq!((&chart["type"], &chart["title"]), (&json!("line"), &json!("T")));
    assert_eq!(chart["elements"][0]["points"], json!([[1.0, 3.0], [2.0, 4.0]]));

    let shown = machine
        .results(
            "from IPython.display import *\ndisplay(Markdown('*m*'))\ndisplay(SVG('<svg/>'))\ndisplay(Latex('$l$'))\n\
             display(Javascript('1'))\ndisplay({'application/pdf': 'JVBERi0=', 'image/jpeg': '/9j/', \
             'text/html': ['odd'], 'application/x-own': 1}, raw=True)\n[1, {'two': None}]",
        )
        .await;
    let [markdown, svg, latex, javascript, raw, list] = &shown[..] else {
        panic!("{shown:?}")
    };
    let texts = [
        &markdown.markdown,
        &svg.svg,
        &latex.latex,
        &javascript.javascript,
        &raw.pdf,
    ];
    let expected = ["*m*", "<svg/>", "$l$", "1", "JVBERi0="];
    assert_eq!(texts.map(|text| text.as_deref().unwrap()), expected);
    assert_eq!(
        (raw.jpeg.as_deref(), raw.html.as_deref()),
        (Some("/9j/"), Some("[\"odd\"]"))
    );
    assert_eq!(
        raw.extra,
        BTreeMap::from([("application/x-own".to_owned(), json!(1))])
    );
    assert_eq!(list.json, Some(json!([1, { "two": null }])));

    let error = machine
        .error(&request("def f():\n    raise KeyError('k')\nf()"))
        .await;
    assert_eq!((error.name.as_str(), error.value.as_str()), ("KeyError", "'k'"));
    assert!(error.traceback.contains("----> 2"), "{}", error.traceback);
}

#[tokio::test]
async fn a_variable_is_set_for_one_execution() {
    let machine = Machine::new().await;
    let mut asked = request("import os\nos.environ.get('FOR_ONE')");
    asked.env.insert("FOR_ONE".to_owned(), "a b".to_owned());
    let shows = |events: &[ExecutionEvent]| {
        events.iter().any(
            |event| matches!(event, ExecutionEvent::Result(result) if result.text.as_deref() == Some("a b")),
        )
    };
    assert!(shows(&machine.events(&asked).await));
    asked.env.clear();
    assert!(!shows(&machine.events(&asked).await));
    // What would become code does not leave.
    asked.env.insert("FOR_ONE".to_owned(), "it's".to_owned());
    let before = machine.double.requests().len();
    let error = machine.all(&asked).await.unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::Invalid);
    assert_eq!(machine.double.requests().len(), before);
}

#[tokio::test]
async fn contexts_are_apart_and_begin_afresh() {
    let machine = Machine::new().await;
    let (client, access) = (&machine.client, &machine.access);
    let default = client.contexts(access).await.unwrap().remove(0);
    let own = client.create_context(access, "python", "/tmp").await.unwrap();
    assert_eq!((own.language.as_str(), own.cwd.as_str()), ("python", "/tmp"));
    let mut listed: Vec<_> = client.contexts(access).await.unwrap();
    listed.retain(|context| *context != default);
    assert_eq!(listed, std::slice::from_ref(&own));
    machine.events(&within(&own.id, "x = 1")).await;
    let unknown = request("x");
    assert_eq!(machine.error(&unknown).await.name, "NameError");
    client.restart_context(access, &own.id).await.unwrap();
    assert_eq!(machine.error(&within(&own.id, "x")).await.name, "NameError");
    client.remove_context(access, &own.id).await.unwrap();
    for gone in [
        machine.all(&within(&own.id, "1")).await.map(drop),
        client.restart_context(access, &own.id).await,
        client.remove_context(access, &own.id).await,
    ] {
        assert_eq!(gone.unwrap_err().kind(), E2bErrorKind::NotFound);
    }
    let both = ExecutionRequest {
        language: Some("python".to_owned()),
        ..within(&default.id, "1")
    };
    assert_eq!(
        machine.all(&both).await.unwrap_err().kind(),
        E2bErrorKind::Rejected
    );
    let error = client.create_context(access, "cobol", "/tmp").await.unwrap_err();
    assert_eq!(error.kind(), E2bErrorKind::Server, "{error}");
}

#[tokio::test]
async fn output_beyond_its_limit_ends_the_execution() {
    let machine = Machine::new().await;
    for code in [
        "print('x' * 100_000)",
        "while True: print('x' * 1000)",
        "from IPython.display import *\ndisplay({'image/png': 'x' * 100_000}, raw=True)",
        "import pandas as pd\npd.DataFrame({'n': range(50_000)})",
    ] {
        let context = machine
            .client
            .create_context(&machine.access, "python", "/tmp")
            .await
            .unwrap();
        let mut greedy = within(&context.id, code);
        greedy.output_limit = 10_000;
        let error = machine.all(&greedy).await.unwrap_err();
        assert_eq!(error.kind(), E2bErrorKind::TooLarge, "{code}");
    }
}

/// Keep-alives come for as long as code runs, so it is the deadline of the whole that ends it.
#[tokio::test]
async fn time_beyond_its_limit_ends_the_execution_and_interrupts_the_code() {
    let machine = Machine::new().await;
    let (client, access) = (&machine.client, &machine.access);
    let own = client.create_context(access, "python", "/tmp").await.unwrap();
    let code =
        "import time\ntry:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    open('interrupted', 'w')";
    let mut slow = within(&own.id, code);
    // Longer than the pause between two keep-alives.
    slow.limit = Duration::from_secs(7);
    let mut execution = client.execute(access, &slow).await.unwrap();
    let mut events = Vec::new();
    let error = loop {
        match execution.next().await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => panic!("{events:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), E2bErrorKind::DeadlinePassed);
    assert!(events.contains(&ExecutionEvent::KeepAlive), "{events:?}");
    drop(execution);
    let interrupted = async {
        while client
            .read_file(access, "/tmp/interrupted", "user", 10)
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, interrupted).await.unwrap();
    // The way on is a new context.
    let next = client.create_context(access, "python", "/tmp").await.unwrap();
    machine.events(&within(&next.id, "1")).await;
}

#[tokio::test]
async fn whatever_goes_under_code_ends_its_stream() {
    let machine = Machine::new().await;
    let (client, access) = (&machine.client, &machine.access);
    let error = machine.error(&request("import os\nos._exit(1)")).await;
    assert_eq!(error.name, "ContextRestarting");

    let own = client.create_context(access, "python", "/tmp").await.unwrap();
    let endless = within(&own.id, "import time\ntime.sleep(600)");
    let started = async |request| {
        let mut execution = client.execute(access, request).await.unwrap();
        while !matches!(execution.next().await.unwrap(), Some(ExecutionEvent::Count(_))) {}
        execution
    };
    let mut execution = started(&endless).await;
    client.restart_context(access, &own.id).await.unwrap();
    let event = loop {
        match execution.next().await.unwrap() {
            Some(ExecutionEvent::KeepAlive) => {}
            event => break event,
        }
    };
    assert!(
        matches!(&event, Some(ExecutionEvent::Error(error)) if error.name == "UnexpectedEndOfExecution"),
        "{event:?}"
    );
    assert_eq!(execution.next().await.unwrap(), Some(ExecutionEvent::End));

    // It comes up in the meantime, and then its machine is gone.
    let not_ready =
        r#"{"message": "The sandbox is running but port is not open", "port": 49999, "code": 502}"#;
    for _ in 0..3 {
        let fault = E2bFault::Status(502, Vec::new(), not_ready.to_owned());
        machine.double.fail_next("POST /execute", fault);
    }
    let mut execution = started(&endless).await;
    machine.double.lose(access.id.as_str());
    let error = loop {
        match execution.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it has no end"),
            Err(error) => break error,
        }
    };
    let cut = [E2bErrorKind::Cut, E2bErrorKind::Broken];
    assert!(cut.contains(&error.kind()), "{error}");
    let gone = machine.all(&request("1")).await.unwrap_err();
    assert_eq!(gone.kind(), E2bErrorKind::NotFound, "{gone}");
}
