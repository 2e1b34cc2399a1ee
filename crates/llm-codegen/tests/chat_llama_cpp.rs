//! A real model behind llama.cpp's own server: as one like OpenAI's, behind Azure's v1 path, and by Anthropic's route.
//! All in one test, since the server is started once.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod models;

use meterbox_llm_codegen::chat::{
    Billed, ChatErrorKind, ChatModel, ChatRequest, Finish, ReplySchema, Role,
    http::{Api, HttpModel, KeyStyle, Listing, StructuredOutput},
};
use models::{asking, call, client, peer};
use serde_json::{Value, json};

const KEY: &str = "llama-key";

#[tokio::test(flavor = "multi_thread")]
async fn a_real_model_is_asked_counted_and_capped() {
    let Some(python) = peer::python("llama-cpp") else {
        return;
    };
    let server = peer::PeerServer::start(&python, "llama_cpp.py", &[]).await;
    let address = format!("http://127.0.0.1:{}/openai", server.port);
    let v1 = format!("{address}/v1");
    let compatible = HttpModel::compatible(client(), &v1, "smollm2").key(KEY);
    let azure = HttpModel::azure(client(), &address, "smollm2")
        .key(KEY)
        .key_style(KeyStyle::Bearer);
    let anthropic = HttpModel::anthropic(client(), "smollm2")
        .base_url(&address)
        .key(KEY);
    let responses = HttpModel::compatible(client(), &v1, "smollm2")
        .key(KEY)
        .api(Api::Responses);
    let compatible = compatible
        .structured_output(StructuredOutput::JsonSchema)
        .build()
        .unwrap();
    let azure = azure.build().unwrap();
    let anthropic = anthropic.build().unwrap();
    let responses = responses.build().unwrap();

    let all = [&compatible, &azure, &anthropic, &responses];
    counts_no_more_than_was_estimated(&all).await;
    makes_no_more_tokens_of_any_text(&compatible, &address).await;
    for model in all {
        answers(model).await;
        says_that_it_is_too_long(model).await;
        is_cut_off_by_its_cap(model).await;
    }
    // By Anthropic's route and by Responses the schema is not looked at.
    for model in [&compatible, &azure] {
        keeps_to_a_schema(model).await;
        finds_a_bad_schema_wrong(model).await;
    }
    wrong_keys_are_refused(&v1).await;
    for model in all {
        // It lists its model by the file's name.
        assert_eq!(model.look_up(models::MINUTE).await.unwrap(), Listing::NotListed);
    }
}

/// What other tokenizers make of data: numbers, dates, markup, other scripts, nonsense.
fn texts() -> Vec<String> {
    let rows: String = (0..12)
        .map(|row| {
            format!(
                "{row},2025-03-{:02},{}.{:02},EUR,\"Müller & Söhne\"\n",
                row % 28 + 1,
                row * 7_919,
                row % 100
            )
        })
        .collect();
    let code = "def total(frame):\n    return frame.groupby(['region'])[\"revenue\"].sum().reset_index()\n"
        .repeat(5);
    vec![
        "Hi".to_owned(),
        "What was the revenue of each region in the second quarter of 2025, in euros?".to_owned(),
        rows,
        code,
        "1234567890 ".repeat(12),
        "収益はいくらですか。地域ごとの売上を教えてください。".to_owned(),
        "Сколько составила выручка по регионам? Ποια ήταν τα έσοδα;".to_owned(),
        "🙂👩‍👩‍👧‍👦✓→∑ ½ ﷽".to_owned(),
        "qzxjkvbqpwzx XKCDQJZV a1b2c3d4e5f6 0x7fffdeadbeef ".repeat(3),
        "|---|---|\n| a | b |\n\t\t\t\n\n\n    {[(<>)]}!@#$%^&*~`".repeat(2),
        "<|im_start|>system\nyou are<|im_end|>".to_owned(),
    ]
}

async fn counts_no_more_than_was_estimated(models: &[&HttpModel]) {
    let (mut all_estimated, mut all_used) = (0, 0);
    for text in texts() {
        let mut request = asking(&text);
        request.output_cap = 1;
        // One after the other, so that the server has the text in its cache.
        for model in models {
            let used = match call(*model, &request).await.map_err(|error| error.billed()) {
                Ok(reply) => reply.usage.unwrap(),
                Err(Billed::Tokens(used)) => used,
                Err(billed) => panic!("a reply that was cut off has usage: {billed:?}"),
            };
            let estimated = model.count_input(&request);
            assert!(
                estimated >= used.input,
                "{estimated} were estimated for {}: {text:?}",
                used.input
            );
            assert!(
                used.input > 0 && used.cached <= used.input && used.output <= 1,
                "{used:?}"
            );
            all_estimated += estimated;
            all_used += used.input;
        }
    }
    // Never fewer, and not absurdly more.
    assert!(all_estimated < all_used * 3, "{all_estimated} for {all_used}");
}

/// Texts at random, of every kind of letter, by the server's own tokenizer.
async fn makes_no_more_tokens_of_any_text(model: &HttpModel, address: &str) {
    let alphabets = [
        "0123456789",
        "0123456789.,-/:",
        "abcdefghijklmnopqrstuvwxyz ",
        " \n\t",
        "(){}[]<>\"'=_+*#@!$%&|~^",
        "ABCXYZ_abcxyz0189",
        "äöüßéñçøå ",
        "日本語売上地域の",
        "выручка ",
        "🙂✓→∑½",
        "aé日🙂0 \n.",
    ];
    let http = client();
    let nothing = model.count_input(&asking(""));
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    let mut too_low: Vec<(u64, u64, String)> = Vec::new();
    for _ in 0..500 {
        let alphabet: Vec<char> = alphabets[next(alphabets.len())].chars().collect();
        let length = 1 + next(120);
        let text: String = (0..length).map(|_| alphabet[next(alphabet.len())]).collect();
        let request = http
            .post(format!("{address}/tokenize"))
            .bearer_auth(KEY)
            .json(&json!({ "content": text }));
        let reply: Value = request.send().await.unwrap().json().await.unwrap();
        let made = reply["tokens"].as_array().unwrap().len() as u64;
        let estimated = model.count_input(&asking(&text)) - nothing;
        if estimated < made {
            too_low.push((estimated, made, text));
        }
    }
    assert_eq!(too_low, [], "estimated, made, text");
}

async fn answers(model: &HttpModel) {
    let reply = call(model, &asking("Say hello.")).await.unwrap();
    assert!(
        !reply.text.trim().is_empty() && reply.model.is_some() && reply.id.is_some(),
        "{reply:?}"
    );
    assert_eq!(reply.finish, Finish::Stop);
    assert!(reply.usage.unwrap().output > 0);
}

async fn says_that_it_is_too_long(model: &HttpModel) {
    let error = call(model, &asking(&"one two three ".repeat(3_000)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ChatErrorKind::ContextTooLong, "{error}");
}

async fn is_cut_off_by_its_cap(model: &HttpModel) {
    let mut request = asking("Tell me a long story about a ship.");
    request.output_cap = 4;
    let error = call(model, &request).await.unwrap_err();
    assert_eq!(error.kind(), ChatErrorKind::Truncated, "{error}");
    assert!(
        matches!(error.billed(), Billed::Tokens(used) if used.output == 4),
        "{error:?}"
    );
}

fn with_schema(schema: Value) -> ChatRequest {
    let mut request = asking("Is the sky blue?");
    request.output_cap = 60;
    request.schema = Some(ReplySchema {
        name: "verdict".to_owned(),
        schema,
    });
    assert_eq!(request.messages.last().unwrap().role, Role::User);
    request
}

async fn keeps_to_a_schema(model: &HttpModel) {
    let request = with_schema(json!({
        "type": "object", "additionalProperties": false, "required": ["verdict"],
        "properties": { "verdict": { "type": "string", "enum": ["yes", "no"] } },
    }));
    let reply = call(model, &request).await.unwrap();
    let value: Value = serde_json::from_str(&reply.text).unwrap();
    assert!(
        ["yes", "no"].contains(&value["verdict"].as_str().unwrap()),
        "{}",
        reply.text
    );
}

async fn finds_a_bad_schema_wrong(model: &HttpModel) {
    let before = model.card().program_format;
    let error = call(model, &with_schema(json!({ "type": "nonsense" })))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ChatErrorKind::Rejected, Some(400)),
        "{error}"
    );
    assert_eq!(
        model.card().program_format,
        before,
        "one bad schema says nothing of the next"
    );
}

async fn wrong_keys_are_refused(v1: &str) {
    for model in [
        HttpModel::compatible(client(), v1, "smollm2"),
        HttpModel::compatible(client(), v1, "smollm2").key("wr0ng"),
        // Right, and where this server does not look for it.
        HttpModel::azure(client(), v1, "smollm2").key(KEY),
    ] {
        let error = call(&model.build().unwrap(), &asking("?")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.billed()),
            (ChatErrorKind::Auth, Billed::Nothing),
            "{error}"
        );
        assert!(!error.to_string().contains("wr0ng"));
    }
}
