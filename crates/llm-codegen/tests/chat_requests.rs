//! What models behind HTTP are asked, where, and with which credentials.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod models;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use meterbox_llm_codegen::chat::{
    Billed, ChatErrorKind, ChatModel, ChatRequest, ProgramFormat,
    http::{
        Api, Effort, HttpModel, InstructionsRole, KeyStyle, Listing, OutputCapField, Secret,
        StructuredOutput, TokenSource,
    },
};
use meterbox_testkit::{MODEL_KEY, ModelAnswer, ModelDouble};
use models::{MINUTE, anthropic, asking, azure, call, client, openai, with_schema};
use serde_json::{Value, json};

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

#[tokio::test]
async fn looking_up_a_model_costs_nothing_and_tells_what_is_wrong() {
    let double = ModelDouble::start().await;
    for (builder, expected) in [
        (azure(&double, "analyst"), Listing::NotListed),
        (
            azure(&double, "analyst")
                .deployment_in_path(true)
                .api_version("2024-10-21"),
            Listing::NotListed,
        ),
        (openai(&double, "gpt-5-mini"), Listing::Listed),
        (openai(&double, "gpt-5"), Listing::NotListed),
        (openai(&double, "gpt-9"), Listing::NotListed),
        (anthropic(&double), Listing::Listed),
    ] {
        let model = builder.clone().build().unwrap();
        assert_eq!(model.look_up(MINUTE).await.unwrap(), expected, "{model:?}");
        let error = builder
            .key("wr0ng")
            .build()
            .unwrap()
            .look_up(MINUTE)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ChatErrorKind::Auth);
        assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");
    }
    assert!(
        double
            .calls()
            .iter()
            .all(|call| call.method == "GET" && call.bytes.is_empty())
    );
    let nobody = HttpModel::compatible(client(), ModelDouble::refusing_url(), "qwen3")
        .build()
        .unwrap();
    assert_eq!(
        nobody.look_up(MINUTE).await.unwrap_err().kind(),
        ChatErrorKind::Unreachable
    );
}
