//! The double is right if the official SDKs, unmodified, work with it; our requests are right if the providers'
//! published schemas find nothing wrong with them.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod models;

use std::time::Duration;

use meterbox_llm_codegen::chat::{
    ChatModel, ReplySchema,
    http::{Api, Effort, HttpModel, HttpModelBuilder, StructuredOutput},
};
use meterbox_testkit::{MODEL_KEY, ModelAnswer, ModelDouble, ModelFault};
use models::{asking, client, peer};
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_sdks_work_with_the_double() {
    let Some(python) = peer::python("models") else {
        return;
    };
    let double = ModelDouble::start().await;
    double.accepts_token("entra-token");
    double.filters("forbidden");
    double.fail_next(ModelFault::RateLimited(Duration::from_millis(20)));
    double.fail_next(ModelFault::Overloaded);
    double.answer_next(ModelAnswer::text("third time"));
    double.fail_next(ModelFault::QuotaGone);
    double.otherwise(|_| ModelAnswer::text("said").using(100, 20).cached(60).reasoning(5));
    let output = Command::new(python)
        .arg(peer::peers().join("official_sdks.py"))
        .env("MODELS_ADDRESS", double.azure_url())
        .env("MODELS_KEY", MODEL_KEY)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("all as expected"),
        "{said}\n{complained}\n{:#?}",
        double.calls()
    );
}

#[tokio::test]
async fn published_schemas_find_nothing_wrong_with_our_requests() {
    let Some(python) = peer::python("models") else {
        return;
    };
    let azure = || HttpModel::azure(client(), "shop.openai.azure.com", "analyst").key("k");
    let openai = |model: &str| HttpModel::openai(client(), model).key("k");
    let anthropic = || HttpModel::anthropic(client(), "claude-sonnet-4-5").key("k");
    let dated = azure().deployment_in_path(true).api_version("2024-10-21");
    let mut lines = Vec::new();
    for (spec, builder) in [
        // This one wants a `type` beside a schema's name, which nobody sends, Microsoft's examples included.
        (
            "azure",
            dated
                .underlying_model("gpt-4o")
                .structured_output(StructuredOutput::JsonObject),
        ),
        ("openai", azure()),
        ("openai", openai("gpt-4.1-mini")),
        ("openai", openai("gpt-5-mini").effort(Effort::Minimal)),
        ("openai", openai("gpt-5.1").effort(Effort::None)),
        ("openai", openai("gpt-4-turbo")),
        (
            "openai",
            openai("gpt-4.1").structured_output(StructuredOutput::None),
        ),
        ("openai-responses", openai("gpt-5-codex").effort(Effort::High)),
        (
            "openai-responses",
            openai("gpt-4.1").api(Api::Responses).temperature(Some(0.7)),
        ),
        (
            "openai-responses",
            azure()
                .api(Api::Responses)
                .structured_output(StructuredOutput::JsonObject),
        ),
        ("anthropic", anthropic()),
        (
            "anthropic",
            anthropic().effort(Effort::Max).temperature(Some(1.0)),
        ),
    ] {
        lines.extend(bodies(builder).map(|body| json!({ "spec": spec, "body": body })));
    }
    let good = lines.len();
    // The schemas do see what is wrong.
    for (spec, parameter, value) in [
        ("azure", "messages", json!("hi")),
        ("openai", "max_completion_tokens", json!("many")),
        ("openai-responses", "max_output_tokens", json!("many")),
        ("anthropic", "max_completion_tokens", json!(5)),
    ] {
        let mut body = lines.iter().find(|line| line["spec"] == spec).unwrap()["body"].clone();
        body[parameter] = value;
        lines.push(json!({ "spec": spec, "body": body }));
    }
    let found = peer::answers(&python, "request_schemas.py", &lines).await;
    for (line, found) in lines.iter().zip(&found).take(good) {
        assert_eq!(found, &json!([]), "{line}");
    }
    assert!(
        found[good..].iter().all(|found| found != &json!([])),
        "{:?}",
        &found[good..]
    );
}

/// With and without a schema and instructions.
fn bodies(builder: HttpModelBuilder) -> impl Iterator<Item = Value> {
    let model = builder.build().unwrap();
    let mut structured = asking("Write it.");
    structured.schema = Some(ReplySchema {
        name: "program".to_owned(),
        schema: json!({
            "type": "object", "properties": { "code": { "type": "string" } }, "required": ["code"],
            "additionalProperties": false,
        }),
    });
    let mut bare = asking("Write it.");
    bare.instructions.clear();
    [structured, bare]
        .into_iter()
        .map(move |request| serde_json::from_slice(&model.encode(&request).body).unwrap())
}
