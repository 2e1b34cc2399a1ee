//! A real model behind llama.cpp's own server: as one like OpenAI's, behind Azure's v1 path, and by Anthropic's route.
//! All in one test, since the server is started once.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod models;

use meterbox_llm_codegen::chat::{
    Billed, ChatErrorKind, ChatModel, ChatRequest, Finish, ReplySchema, Role,
    http::{Api, HttpModel, KeyStyle, Listing, StructuredOutput},
};
use models::{asking, call, client, peer, texts};
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

async fn counts_no_more_than_was_estimated(models: &[&HttpModel]) {
    let (mut all_estimated, mut all_used) = (0, 0);
    for text in texts::usual() {
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
    let http = client();
    let nothing = model.count_input(&asking(""));
    let mut too_low: Vec<(u64, u64, String)> = Vec::new();
    for text in texts::random(500) {
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
    let mut request = asking("Say hello.");
    request.output_cap = 400;
    let reply = call(model, &request).await.unwrap();
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
