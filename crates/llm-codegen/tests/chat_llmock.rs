//! LLMock, an independent mock that judges its clients: the rule for calling again, driven as a generator drives it,
//! passes its verdict; a client that does not keep to the rule fails it.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod models;

use std::time::Duration;

use meterbox_llm_codegen::chat::{
    Billed, ChatError, ChatErrorKind, ChatModel, ChatReply, ChatRequest, ReplySchema, RetryRule,
    http::{Api, HttpModel, StructuredOutput},
};
use models::{MINUTE, asking, call, client, peer};
use serde_json::{Value, json};

/// Calls as a generator does: each attempt is one of its own.
async fn persistent(model: &HttpModel, request: &ChatRequest) -> (Result<ChatReply, ChatError>, u32) {
    let rule = RetryRule {
        // The judge looks at how waits grow, not at how long they are.
        first_wait: Duration::from_millis(150),
        ..RetryRule::default()
    };
    let outgoing = model.encode(request);
    for attempt in 1.. {
        let error = match model.send(&outgoing, MINUTE).await {
            Ok(reply) => return (Ok(reply), attempt),
            Err(error) => error,
        };
        let Some(wait) = rule.next(attempt, &error, MINUTE, 0x5555_5555_5555_5555) else {
            return (Err(error), attempt);
        };
        tokio::time::sleep(wait).await;
    }
    unreachable!("the rule gives up")
}

/// The other side of the mock: orders and verdicts.
struct Control(String);

impl Control {
    async fn order(&self, behaviors: Value) {
        let order = json!({ "behaviors": behaviors });
        let reply = client()
            .post(format!("{}/scenario", self.0))
            .json(&order)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 201);
    }

    async fn verdict(&self) -> Value {
        client()
            .get(format!("{}/verdict", self.0))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn reset(&self) {
        client().post(format!("{}/reset", self.0)).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_judge_finds_nothing_wrong_with_how_we_call_again() {
    let Some(python) = peer::python("llmock") else {
        return;
    };
    let server = peer::PeerServer::start(&python, "llmock_server.py", &[]).await;
    let address = format!("http://127.0.0.1:{}", server.port);
    let control = Control(format!("{address}/_llmock"));
    let openai = HttpModel::openai(client(), "gpt-4.1-mini")
        .base_url(format!("{address}/v1"))
        .key("k");
    let chat = openai.clone().build().unwrap();
    let responses = openai.clone().api(Api::Responses).build().unwrap();
    let anthropic = HttpModel::anthropic(client(), "claude-sonnet-4-5")
        .base_url(format!("{address}/anthropic"))
        .key("k")
        .build()
        .unwrap();

    for model in [&chat, &responses, &anthropic] {
        for (order, attempts) in [
            (json!([]), 1),
            (json!([{ "type": "fail", "status": 429, "retry_after": 0.4 }]), 2),
            (json!([{ "type": "fail", "status": 503, "times": 2 }]), 3),
        ] {
            if order != json!([]) {
                control.order(order.clone()).await;
            }
            let (reply, made) = persistent(model, &asking(&format!("What of {order}?"))).await;
            let reply = reply.unwrap();
            assert_eq!(made, attempts, "{order}");
            assert!(
                !reply.text.is_empty() && reply.usage.unwrap().output > 0,
                "{reply:?}"
            );
        }
        for (order, kind, attempts) in [
            (json!({ "status": 400 }), ChatErrorKind::Rejected, 1),
            (json!({ "status": 401 }), ChatErrorKind::Auth, 1),
            (json!({ "status": 404 }), ChatErrorKind::DeploymentMissing, 1),
            (json!({ "status": 500, "times": 3 }), ChatErrorKind::Overloaded, 3),
        ] {
            let mut order = order;
            order["type"] = json!("fail");
            control.order(json!([order])).await;
            let (reply, made) = persistent(model, &asking(&format!("And of {order}?"))).await;
            let error = reply.unwrap_err();
            assert_eq!((error.kind(), made), (kind, attempts), "{error}");
        }
    }
    let verdict = control.verdict().await;
    assert_eq!(
        (&verdict["passed"], &verdict["findings"]),
        (&json!(true), &json!([])),
        "{verdict:#}"
    );
    assert_eq!(verdict["calls"], 21, "{verdict:#}");

    // The judge does see what is wrong.
    control.reset().await;
    control
        .order(
            json!([{ "type": "fail", "status": 429, "retry_after": 5.0 }, { "type": "fail", "status": 400 }]),
        )
        .await;
    for _ in 0..3 {
        let _ = call(&chat, &asking("Now?")).await;
    }
    let verdict = control.verdict().await;
    assert_eq!(verdict["passed"], false, "{verdict:#}");

    a_stall_ends_at_our_deadline(&control, &chat).await;
    a_quota_that_is_gone_is_told_from_one_that_comes_back(&control, &chat).await;
    a_schema_is_answered_by_it(
        &openai
            .structured_output(StructuredOutput::JsonSchema)
            .build()
            .unwrap(),
    )
    .await;
}

async fn a_stall_ends_at_our_deadline(control: &Control, model: &HttpModel) {
    control.order(json!([{ "type": "delay", "seconds": 30 }])).await;
    let outgoing = model.encode(&asking("Slowly?"));
    let error = model
        .send(&outgoing, Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.billed()),
        (ChatErrorKind::Interrupted, Billed::Unknown)
    );
    assert_eq!(
        RetryRule::default().next(1, &error, Duration::ZERO, 0),
        None,
        "no time is left"
    );
}

async fn a_quota_that_is_gone_is_told_from_one_that_comes_back(control: &Control, model: &HttpModel) {
    control
        .order(json!([{ "type": "fail", "status": 429, "code": "insufficient_quota" }]))
        .await;
    let (reply, attempts) = persistent(model, &asking("On what?")).await;
    assert_eq!((reply.unwrap_err().kind(), attempts), (ChatErrorKind::Quota, 1));
}

async fn a_schema_is_answered_by_it(model: &HttpModel) {
    let mut request = asking("In JSON?");
    request.output_cap = 500;
    request.schema = Some(ReplySchema {
        name: "program".to_owned(),
        schema: json!({
            "type": "object", "properties": { "code": { "type": "string" } }, "required": ["code"],
            "additionalProperties": false,
        }),
    });
    let reply = call(model, &request).await.unwrap();
    let value: Value = serde_json::from_str(&reply.text).unwrap();
    assert!(value["code"].is_string(), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_quota_is_waited_for_only_inside_the_deadline() {
    let Some(python) = peer::python("llmock") else {
        return;
    };
    let server = peer::PeerServer::start(&python, "llmock_server.py", &["rpm", "3"]).await;
    let model = HttpModel::openai(client(), "gpt-4.1-mini")
        .base_url(format!("http://127.0.0.1:{}/v1", server.port))
        .key("k")
        .build()
        .unwrap();
    for number in 0..3 {
        call(&model, &asking(&format!("{number}?"))).await.unwrap();
    }
    let error = call(&model, &asking("One more?")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.billed()),
        (ChatErrorKind::Rate, Billed::Nothing),
        "{error}"
    );
    let pause = error.retry_after().unwrap();
    assert!(pause > Duration::from_secs(1), "{pause:?}");
    let rule = RetryRule::default();
    assert_eq!(rule.next(1, &error, pause, 0), None);
    assert_eq!(
        rule.next(1, &error, pause + Duration::from_secs(1), 0),
        Some(pause)
    );
}
