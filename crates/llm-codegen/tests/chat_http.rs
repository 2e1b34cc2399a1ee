//! Models behind HTTP against a double that keeps state and fails on command.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod models;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use meterbox_core::{Retryability, TokenUsage};
use meterbox_llm_codegen::chat::{
    Billed, ChatErrorKind, ChatModel, ChatRequest, Finish, Message, ProgramFormat, ReplySchema, RetryRule,
    Role,
    http::{
        Api, Effort, HttpModel, HttpModelBuilder, InstructionsRole, KeyStyle, OutputCapField, Secret,
        StructuredOutput, TokenSource,
    },
};
use meterbox_testkit::{MODEL_KEY, ModelAnswer, ModelDouble, ModelFault, ModelKind, WireFault};
use models::{MINUTE, asking, call, client};
use serde_json::{Value, json};

fn azure(double: &ModelDouble, deployment: &str) -> HttpModelBuilder {
    HttpModel::azure(client(), double.azure_url(), deployment).key(MODEL_KEY)
}

fn openai(double: &ModelDouble, model: &str) -> HttpModelBuilder {
    HttpModel::openai(client(), model)
        .base_url(double.openai_url())
        .key(MODEL_KEY)
}

fn anthropic(double: &ModelDouble) -> HttpModelBuilder {
    HttpModel::anthropic(client(), "claude-sonnet-4-5")
        .base_url(double.anthropic_url())
        .key(MODEL_KEY)
}

fn with_schema() -> ChatRequest {
    let schema = json!({
        "type": "object", "properties": { "code": { "type": "string" } }, "required": ["code"],
        "additionalProperties": false,
    });
    ChatRequest {
        messages: vec![
            Message {
                role: Role::User,
                text: "Write it.".to_owned(),
            },
            Message {
                role: Role::Assistant,
                text: "x".to_owned(),
            },
            Message {
                role: Role::User,
                text: "Better.".to_owned(),
            },
        ],
        schema: Some(ReplySchema {
            name: "program".to_owned(),
            schema,
        }),
        ..asking("")
    }
}

fn body_of(model: &HttpModel, request: &ChatRequest) -> Value {
    serde_json::from_slice(&model.encode(request).body).unwrap()
}

#[tokio::test]
async fn bodies_are_what_each_api_asks_for() {
    let double = ModelDouble::start().await;
    let request = with_schema();
    let schema = &request.schema.as_ref().unwrap().schema;
    let turns = [
        json!({ "role": "user", "content": "Write it." }),
        json!({ "role": "assistant", "content": "x" }),
        json!({ "role": "user", "content": "Better." }),
    ];
    let said_by = |role: &str| {
        let first = json!({ "role": role, "content": "You write short programs." });
        Value::from([&[first], turns.as_slice()].concat())
    };
    let reasoning = openai(&double, "gpt-5-mini").effort(Effort::Low).build().unwrap();
    assert_eq!(
        body_of(&reasoning, &request),
        json!({
            "model": "gpt-5-mini", "messages": said_by("developer"), "max_completion_tokens": 64,
            "reasoning_effort": "low",
            "response_format": {
                "type": "json_schema", "json_schema": { "name": "program", "strict": true, "schema": schema },
            },
        })
    );
    let responses = openai(&double, "gpt-5-codex")
        .effort(Effort::Low)
        .build()
        .unwrap();
    assert_eq!(
        body_of(&responses, &request),
        json!({
            "model": "gpt-5-codex", "instructions": "You write short programs.", "input": turns,
            "max_output_tokens": 64, "reasoning": { "effort": "low" }, "store": false,
            "text": { "format": { "type": "json_schema", "name": "program", "strict": true, "schema": schema } },
        })
    );
    let claude = anthropic(&double).effort(Effort::Low).build().unwrap();
    assert_eq!(
        body_of(&claude, &request),
        json!({
            "model": "claude-sonnet-4-5", "system": "You write short programs.", "messages": turns, "max_tokens": 64,
            "output_config": { "effort": "low", "format": { "type": "json_schema", "schema": schema } },
        })
    );
    let local = HttpModel::compatible(client(), "http://localhost:11434/v1", "qwen3")
        .build()
        .unwrap();
    assert_eq!(
        body_of(&local, &request),
        json!({ "model": "qwen3", "messages": said_by("system"), "max_tokens": 64, "temperature": 0.0 })
    );
    let set = HttpModel::compatible(client(), "http://localhost:11434/v1", "qwen3")
        .structured_output(StructuredOutput::JsonObject)
        .output_cap_field(OutputCapField::MaxCompletionTokens)
        .instructions_role(InstructionsRole::Developer)
        .temperature(Some(0.5))
        .build()
        .unwrap();
    assert_eq!(
        body_of(&set, &request),
        json!({
            "model": "qwen3", "messages": said_by("developer"), "max_completion_tokens": 64, "temperature": 0.5,
            "response_format": { "type": "json_object" },
        })
    );
    assert_eq!(set.card().program_format, ProgramFormat::JsonObject);
}

#[tokio::test]
async fn cards_say_what_is_known() {
    let double = ModelDouble::start().await;
    let card = azure(&double, "analyst")
        .underlying_model("gpt-5-mini")
        .build()
        .unwrap();
    let card = card.card();
    assert_eq!(
        (card.provider.as_str(), card.model.as_str()),
        ("azure", "analyst")
    );
    assert_eq!(
        (card.program_format, card.context_window),
        (ProgramFormat::JsonSchema, Some(400_000))
    );
    assert!(card.is_loopback && card.min_output_cap >= 1_000);
    let distant = HttpModel::azure(client(), "shop.openai.azure.com", "analyst")
        .key("k")
        .build()
        .unwrap();
    assert_eq!(
        (distant.card().server.as_str(), distant.card().is_loopback),
        ("shop.openai.azure.com", false)
    );
}

#[tokio::test]
async fn requests_go_where_and_with_what_the_settings_say() {
    let double = ModelDouble::start().await;
    double.otherwise(|_| ModelAnswer::text("1"));
    let dated = azure(&double, "analyst")
        .deployment_in_path(true)
        .api_version("2024-10-21")
        .build()
        .unwrap();
    let models = [
        azure(&double, "analyst").build().unwrap(),
        dated,
        azure(&double, "analyst")
            .key_style(KeyStyle::Bearer)
            .build()
            .unwrap(),
        openai(&double, "gpt-5-mini").api(Api::Responses).build().unwrap(),
        anthropic(&double).build().unwrap(),
    ];
    for model in &models {
        let outgoing = model.encode(&asking("Write one."));
        model.send(&outgoing, MINUTE).await.unwrap();
        assert!(outgoing.url.ends_with(&double.calls().last().unwrap().path));
    }
    let bearer = format!("Bearer {MODEL_KEY}");
    let seen: Vec<_> = double
        .calls()
        .into_iter()
        .map(|call| {
            let keys = ["api-key", "authorization", "x-api-key"];
            let keys: Vec<_> = keys
                .into_iter()
                .filter_map(|name| Some((name, call.headers.get(name)?.clone())))
                .collect();
            (call.path, call.query, keys)
        })
        .collect();
    let key = |name, value: &str| vec![(name, value.to_owned())];
    let at = |path: &str, query: &str, keys| (path.to_owned(), query.to_owned(), keys);
    assert_eq!(
        seen,
        [
            at("/openai/v1/chat/completions", "", key("api-key", MODEL_KEY)),
            at(
                "/openai/deployments/analyst/chat/completions",
                "api-version=2024-10-21",
                key("api-key", MODEL_KEY)
            ),
            at("/openai/v1/chat/completions", "", key("authorization", &bearer)),
            at("/v1/responses", "", key("authorization", &bearer)),
            at("/v1/messages", "", key("x-api-key", MODEL_KEY)),
        ]
    );
    // What was encoded for one is not sent by another.
    let error = models[0]
        .send(&models[4].encode(&asking("?")), MINUTE)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ChatErrorKind::Rejected);
    assert_eq!(double.calls().len(), 5);
}

#[tokio::test]
async fn usage_model_and_tier_are_told_in_one_counting() {
    let double = ModelDouble::start().await;
    let models = [
        azure(&double, "thinker")
            .underlying_model("gpt-5-mini")
            .build()
            .unwrap(),
        openai(&double, "gpt-5-mini").api(Api::Responses).build().unwrap(),
        anthropic(&double).build().unwrap(),
    ];
    for (model, (by, reasoning)) in models.iter().zip([
        ("gpt-5-mini-2025-08-07", 20),
        ("gpt-5-mini-2025-08-07", 20),
        // Of reasoning this one says nothing.
        ("claude-sonnet-4-5-20250929", 0),
    ]) {
        let answer = ModelAnswer::text("result = 1")
            .using(1_200, 50)
            .cached(1_000)
            .cache_write(100);
        double.answer_next(answer.reasoning(20).in_tier("priority"));
        let reply = call(model, &asking("Write one.")).await.unwrap();
        let expected = TokenUsage {
            input: 1_200,
            cached: 1_000,
            cache_write: 100,
            cache_write_1h: 0,
            output: 50,
            reasoning,
        };
        assert_eq!(reply.usage, Some(expected), "{model:?}");
        assert_eq!(
            (reply.text.as_str(), &reply.finish),
            ("result = 1", &Finish::Stop)
        );
        assert_eq!(reply.model.as_deref(), Some(by));
        assert_eq!(reply.service_tier.as_deref(), Some("priority"));
        assert!(reply.id.is_some());
        double.answer_next(ModelAnswer::text("result = 1").without_usage());
        let reply = call(model, &asking("Write one.")).await.unwrap();
        assert_eq!(reply.billed(), Billed::Unknown);
        double.answer_next(ModelAnswer::text("result = 1").finishing("pause_turn"));
        let reply = call(model, &asking("Write one.")).await.unwrap();
        assert_eq!(reply.finish, Finish::Other("pause_turn".to_owned()));
    }
}

/// What came and cannot be used was worked for all the same.
#[tokio::test]
async fn replies_that_cannot_be_used_are_told_apart_and_billed() {
    let double = ModelDouble::start().await;
    let models = [
        azure(&double, "analyst").build().unwrap(),
        openai(&double, "gpt-4.1-mini")
            .api(Api::Responses)
            .build()
            .unwrap(),
        anthropic(&double).build().unwrap(),
    ];
    for model in &models {
        for (answer, kind, says) in [
            (
                ModelAnswer::text("x".repeat(999)).using(9, 999),
                ChatErrorKind::Truncated,
                "cut off",
            ),
            (
                ModelAnswer::text("x").using(9, 999).reasoning(999),
                ChatErrorKind::Truncated,
                "reasoning",
            ),
            (
                ModelAnswer::refusal("I can't do that.").using(9, 64),
                ChatErrorKind::Refusal,
                "declined",
            ),
            (
                ModelAnswer::text(" ").using(9, 64),
                ChatErrorKind::Malformed,
                "empty",
            ),
        ] {
            double.answer_next(answer.clone());
            let error = call(model, &asking("Write one.")).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}: {answer:?}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(
                matches!(error.billed(), Billed::Tokens(used) if (used.input, used.output) == (9, 64)),
                "{error:?}"
            );
            assert_eq!(
                (error.retryability(), error.status()),
                (Retryability::Never, Some(200))
            );
        }
    }
    double.filters("forbidden");
    for model in &models[..2] {
        double.answer_next(ModelAnswer::text("forbidden").using(9, 3));
        let error = call(model, &asking("Write one.")).await.unwrap_err();
        assert_eq!(error.kind(), ChatErrorKind::ContentFilter);
        assert!(matches!(error.billed(), Billed::Tokens(used) if used.output == 3));
    }
}

#[tokio::test]
async fn refusals_of_each_server_are_understood() {
    let double = ModelDouble::start().await;
    let models = [
        azure(&double, "analyst").build().unwrap(),
        openai(&double, "gpt-4.1-mini").build().unwrap(),
        openai(&double, "gpt-4.1-mini")
            .api(Api::Responses)
            .build()
            .unwrap(),
        anthropic(&double).build().unwrap(),
    ];
    for model in &models {
        for (fault, kind, retryability) in [
            (
                ModelFault::RateLimited(Duration::from_secs(2)),
                ChatErrorKind::Rate,
                Retryability::Safe,
            ),
            (
                ModelFault::RateLimited(Duration::from_secs(86_400)),
                ChatErrorKind::Rate,
                Retryability::Never,
            ),
            (ModelFault::QuotaGone, ChatErrorKind::Quota, Retryability::Never),
            (
                ModelFault::Overloaded,
                ChatErrorKind::Overloaded,
                Retryability::Safe,
            ),
            (ModelFault::Failed, ChatErrorKind::Overloaded, Retryability::Safe),
            (
                ModelFault::ContentFilter,
                ChatErrorKind::ContentFilter,
                Retryability::Never,
            ),
            (
                ModelFault::ContextTooLong,
                ChatErrorKind::ContextTooLong,
                Retryability::Never,
            ),
        ] {
            double.fail_next(fault.clone());
            let error = call(model, &asking("Write one.")).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retryability()),
                (kind, retryability),
                "{fault:?}: {error}"
            );
        }
        // Nothing is planned any more, and the double says that it need not be asked again.
        let error = call(model, &asking("Write one.")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retryability()),
            (ChatErrorKind::Overloaded, Retryability::Never)
        );
    }
    double.lets_through(0, Duration::from_millis(700));
    let error = call(&models[0], &asking("Write one.")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_millis(700)));

    for model in [azure(&double, "analist"), openai(&double, "gpt-0")] {
        let error = call(&model.build().unwrap(), &asking("Write one."))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.status()),
            (ChatErrorKind::DeploymentMissing, Some(404))
        );
        assert!(error.to_string().contains("Fix: check the name"), "{error}");
    }
}

/// Every fault gives a typed error, in bounded time and memory, and says what it cost.
#[tokio::test]
async fn faults_are_typed_and_bounded() {
    let double = ModelDouble::start().await;
    let within = Duration::from_secs(2);
    let status = |status, body: &str| WireFault::Status(status, Vec::new(), body.to_owned());
    for model in [
        azure(&double, "analyst").build().unwrap(),
        openai(&double, "gpt-4.1-mini")
            .api(Api::Responses)
            .build()
            .unwrap(),
        anthropic(&double).build().unwrap(),
    ] {
        for (fault, kind, billed) in [
            (WireFault::Junk, ChatErrorKind::Malformed, Billed::Unknown),
            (WireFault::WrongType, ChatErrorKind::Malformed, Billed::Unknown),
            (status(200, "{}"), ChatErrorKind::Malformed, Billed::Unknown),
            (status(200, "null"), ChatErrorKind::Malformed, Billed::Unknown),
            (status(204, ""), ChatErrorKind::Malformed, Billed::Unknown),
            (
                status(502, "<html>an edge</html>"),
                ChatErrorKind::Overloaded,
                Billed::Unknown,
            ),
            (status(418, "teapot"), ChatErrorKind::Rejected, Billed::Nothing),
            (
                WireFault::Redirect("http://127.0.0.1:9/".to_owned()),
                ChatErrorKind::Malformed,
                Billed::Nothing,
            ),
            (WireFault::HugeBody, ChatErrorKind::Malformed, Billed::Unknown),
            (WireFault::CutBody, ChatErrorKind::Interrupted, Billed::Unknown),
            (WireFault::LostReply, ChatErrorKind::Interrupted, Billed::Unknown),
            (WireFault::Drip, ChatErrorKind::Interrupted, Billed::Unknown),
            (WireFault::Hang, ChatErrorKind::Interrupted, Billed::Unknown),
        ] {
            double.fail_next(fault.clone());
            let calls = double.calls().len();
            let began = Instant::now();
            let error = model.send(&model.encode(&asking("?")), within).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.billed()),
                (kind, billed),
                "{fault:?}: {error}"
            );
            assert!(began.elapsed() < within * 3, "{fault:?}");
            assert_eq!(
                double.calls().len(),
                calls + 1,
                "one call is one request: {fault:?}"
            );
        }
    }
    for address in [ModelDouble::refusing_url(), double.bad_tls_url()] {
        let calls = double.calls().len();
        let nobody = HttpModel::compatible(client(), address, "gpt-4.1-mini")
            .key(MODEL_KEY)
            .build()
            .unwrap();
        let error = call(&nobody, &asking("?")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.billed()),
            (ChatErrorKind::Unreachable, Billed::Nothing),
            "{error}"
        );
        assert_eq!(double.calls().len(), calls);
    }
}

/// A deployment whose name says nothing: what its model does not take is found out, a call each, and remembered.
#[tokio::test]
async fn servers_are_adapted_to_by_whoever_calls_again() {
    let double = ModelDouble::start().await;
    double.serves("opaque", "gpt-5-mini-2025-08-07", ModelKind::Reasoning);
    double.serves("plain", "older", ModelKind::Unstructured);
    double.otherwise(|_| ModelAnswer::text("{}"));
    let rule = RetryRule::default();
    let converse = async |model: &HttpModel| {
        let mut learnt = Vec::new();
        for attempt in 1.. {
            let error = match call(model, &with_schema()).await {
                Ok(_) => break,
                Err(error) => error,
            };
            assert_eq!(
                (error.kind(), error.billed()),
                (ChatErrorKind::Unsupported, Billed::Nothing),
                "{error}"
            );
            assert_eq!(rule.next(attempt, &error, MINUTE, 0), Some(Duration::ZERO));
            learnt.push(error.to_string());
        }
        learnt
    };
    let opaque = azure(&double, "opaque")
        .output_cap_field(OutputCapField::MaxTokens)
        .build()
        .unwrap();
    let other = opaque.clone();
    let learnt = converse(&opaque).await;
    assert_eq!(learnt.len(), 2, "{learnt:?}");
    assert!(
        learnt[0].contains("`max_tokens`") && learnt[1].contains("`temperature`"),
        "{learnt:?}"
    );
    assert_eq!(
        converse(&other).await,
        [""; 0],
        "it is remembered, also by clones"
    );
    let last = double.calls().pop().unwrap().body;
    assert!(
        last["temperature"].is_null() && last["max_completion_tokens"] == 64,
        "{last}"
    );

    let plain = azure(&double, "plain").effort(Effort::High).build().unwrap();
    assert_eq!(plain.card().program_format, ProgramFormat::JsonSchema);
    let learnt = converse(&plain).await;
    assert_eq!(learnt.len(), 3, "{learnt:?}");
    assert_eq!(
        plain.card().program_format,
        ProgramFormat::Fenced,
        "schema, then plain JSON, then nothing"
    );

    let claude = anthropic(&double).build().unwrap();
    double.serves("claude-sonnet-4-5", "claude-3", ModelKind::Unstructured);
    assert_eq!(converse(&claude).await.len(), 1);
    assert_eq!(claude.card().program_format, ProgramFormat::Fenced);

    // Two names, and neither is taken: no call without a cap.
    let stubborn = azure(&double, "analyst").build().unwrap();
    let mut kinds = Vec::new();
    for refused in ["max_completion_tokens", "max_tokens"] {
        double.fail_next(ModelFault::Unsupported(refused));
        kinds.push(call(&stubborn, &asking("?")).await.unwrap_err().kind());
    }
    assert_eq!(kinds, [ChatErrorKind::Unsupported, ChatErrorKind::Rejected]);
}

/// Hands out numbered tokens, each until it is rejected.
#[derive(Debug, Default)]
struct Numbered {
    number: AtomicU32,
    hangs: bool,
}

#[async_trait]
impl TokenSource for Numbered {
    async fn token(&self) -> Result<Secret, Box<dyn Error + Send + Sync>> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        match self.number.load(Ordering::Relaxed) {
            9.. => Err("signed out".into()),
            number => Ok(Secret::new(format!("token-{number}"))),
        }
    }

    fn was_rejected(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn tokens_come_from_their_source_and_within_the_time_of_a_call() {
    let double = ModelDouble::start().await;
    double.otherwise(|_| ModelAnswer::text("1"));
    let with = |source: &Arc<Numbered>| {
        let source: Arc<dyn TokenSource> = Arc::<Numbered>::clone(source);
        HttpModel::azure(client(), double.azure_url(), "analyst")
            .token_source(source)
            .build()
            .unwrap()
    };
    let source = Arc::new(Numbered::default());
    let model = with(&source);
    double.accepts_token("token-1");
    let error = call(&model, &asking("?")).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ChatErrorKind::Auth, Some(401)));
    call(&model, &asking("?")).await.unwrap();
    assert_eq!(double.calls()[1].headers["authorization"], "Bearer token-1");

    source.number.store(9, Ordering::Relaxed);
    let error = call(&model, &asking("?")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.billed(), error.status()),
        (ChatErrorKind::Auth, Billed::Nothing, None)
    );
    assert!(error.to_string().contains("signed out"), "{error}");
    let slow = with(&Arc::new(Numbered {
        hangs: true,
        ..Numbered::default()
    }));
    let error = slow
        .send(&slow.encode(&asking("?")), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ChatErrorKind::Auth);
    assert_eq!(double.calls().len(), 2);
}

#[tokio::test]
async fn keys_are_shown_nowhere() {
    let double = ModelDouble::start().await;
    const WRONG: &str = "sk-s3cr3t-0123";
    for builder in [
        azure(&double, "analyst"),
        openai(&double, "gpt-4.1-mini"),
        openai(&double, "gpt-4.1-mini").api(Api::Responses),
        anthropic(&double),
    ] {
        let builder = builder.key(WRONG);
        let model = builder.clone().build().unwrap();
        // The double repeats the key, as some servers do.
        let error = call(&model, &asking("?")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.billed()),
            (ChatErrorKind::Auth, Billed::Nothing)
        );
        let outgoing = model.encode(&asking("?"));
        for shown in [
            format!("{error} {error:?} {:?}", error.source().map(ToString::to_string)),
            format!("{builder:?} {model:?}"),
            format!("{outgoing:?} {}", String::from_utf8_lossy(&outgoing.body)),
        ] {
            assert!(!shown.contains("s3cr3t"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_without_the_key() {
    let compatible = |url: &str| HttpModel::compatible(client(), url, "qwen3");
    let azure = || HttpModel::azure(client(), "shop.openai.azure.com", "analyst");
    let source: Arc<dyn TokenSource> = Arc::new(Numbered::default());
    for (builder, setting) in [
        (azure(), "key"),
        (azure().key(""), "key"),
        (azure().key("s3cr3t\n"), "key"),
        (azure().key("s3cr3t").token_source(source), "key"),
        (azure().key("k").deployment_in_path(true), "api_version"),
        (azure().key("k").api_version("2024&x=1"), "api_version"),
        (
            azure()
                .key("k")
                .deployment_in_path(true)
                .api_version("2024-10-21")
                .api(Api::Responses),
            "api",
        ),
        (azure().key("k").api(Api::Messages), "api"),
        (azure().key("k").temperature(Some(f64::NAN)), "temperature"),
        (azure().key("k").output_caps(0, 10), "output_cap"),
        (azure().key("k").output_caps(20, 10), "output_cap"),
        (HttpModel::azure(client(), "", "analyst").key("k"), "base_url"),
        (
            HttpModel::azure(client(), "shop.openai.azure.com", "").key("k"),
            "model",
        ),
        (
            HttpModel::azure(client(), "shop.openai.azure.com", "..").key("k"),
            "model",
        ),
        (HttpModel::openai(client(), "gpt-5\n").key("k"), "model"),
        (compatible("http://gpu.example.org:8000/v1"), "base_url"),
        (compatible("https://user:s3cr3t@host/v1"), "base_url"),
        (compatible("https://host/v1?key=s3cr3t"), "base_url"),
        (
            compatible("http://localhost/v1")
                .deployment_in_path(true)
                .api_version("1"),
            "base_url",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting, setting, "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
    compatible("http://gpu.example.org:8000/v1")
        .allow_unencrypted(true)
        .build()
        .unwrap();
}
