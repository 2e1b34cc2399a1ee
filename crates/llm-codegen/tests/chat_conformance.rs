//! Every model client, the fake, `Box` and `Arc` do the same.

mod models;

use std::{sync::Arc, time::Duration};

use meterbox_core::TokenUsage;
use meterbox_llm_codegen::chat::{
    ChatErrorKind, ChatModel, FakeModel, FakeTurn,
    conformance::{self, Script},
    http::{Api, HttpModel, KeyStyle},
};
use meterbox_testkit::{MODEL_KEY, ModelAnswer, ModelDouble, ModelFault, WireFault};

struct Double(ModelDouble);

impl Script for Double {
    fn answer(&self, text: &str, usage: TokenUsage) {
        let answer = ModelAnswer::text(text).using(usage.input, usage.output);
        // More output than the cap of the suite is cut off, as by a real server.
        let is_long = text.len() > 1_000;
        let answer = if is_long {
            answer.using(usage.input, 10_000)
        } else {
            answer
        };
        self.0.answer_next(answer.cached(usage.cached));
    }

    fn limit_rate(&self, pause: Duration) {
        self.0.fail_next(ModelFault::RateLimited(pause));
    }

    fn filter(&self) {
        self.0.fail_next(ModelFault::ContentFilter);
    }

    fn hang(&self) {
        self.0.fail_next(WireFault::Hang);
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.0.calls().into_iter().map(|call| call.bytes).collect()
    }
}

struct Fake(FakeModel);

impl Script for Fake {
    fn answer(&self, text: &str, usage: TokenUsage) {
        self.0.next(FakeTurn::says(text).using(usage));
    }

    fn limit_rate(&self, pause: Duration) {
        self.0.next(FakeTurn::rate_limited(pause));
    }

    fn filter(&self) {
        self.0.next(FakeTurn::fails(ChatErrorKind::ContentFilter));
    }

    fn hang(&self) {
        self.0.next(FakeTurn::hangs());
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.0.sent().into_iter().map(|outgoing| outgoing.body).collect()
    }
}

#[tokio::test]
async fn the_fake() {
    let fake = FakeModel::new();
    let script = Fake(fake.clone());
    conformance::all(&fake, &script).await;
    assert_eq!(fake.dropped(), 1);
    let boxed: Box<dyn ChatModel> = Box::new(fake.clone());
    conformance::all(&boxed, &script).await;
    conformance::all(&Arc::new(fake), &script).await;
}

async fn holds(make: impl Fn(&ModelDouble) -> HttpModel) {
    let double = ModelDouble::start().await;
    let model = make(&double);
    conformance::all(&model, &Double(double)).await;
}

#[tokio::test]
async fn azure_on_both_paths_and_both_apis() {
    let azure = |double: &ModelDouble| {
        HttpModel::azure(models::client(), double.azure_url(), "analyst").key(MODEL_KEY)
    };
    holds(|double| azure(double).build().expect("a model")).await;
    holds(|double| {
        azure(double)
            .key_style(KeyStyle::Bearer)
            .build()
            .expect("a model")
    })
    .await;
    holds(|double| azure(double).api(Api::Responses).build().expect("a model")).await;
    let dated = |double: &ModelDouble| {
        let model = azure(double).deployment_in_path(true).api_version("2024-10-21");
        model.build().expect("a model")
    };
    holds(dated).await;
    let double = ModelDouble::start().await;
    let boxed: Box<dyn ChatModel> = Box::new(dated(&double));
    let script = Double(double);
    conformance::all(&boxed, &script).await;
    let shared: Arc<dyn ChatModel> = Arc::from(boxed);
    conformance::all(&shared, &script).await;
}

#[tokio::test]
async fn openai_with_both_apis() {
    for (model, api) in [
        ("gpt-4.1-mini", Api::ChatCompletions),
        ("gpt-5-mini", Api::ChatCompletions),
        ("gpt-4.1-mini", Api::Responses),
        ("gpt-5-mini", Api::Responses),
    ] {
        holds(|double| {
            let model = HttpModel::openai(models::client(), model).base_url(double.openai_url());
            model.api(api).key(MODEL_KEY).build().expect("a model")
        })
        .await;
    }
}

#[tokio::test]
async fn servers_like_it() {
    holds(|double| {
        let model = HttpModel::compatible(models::client(), double.openai_url(), "gpt-4.1-mini");
        model.key(MODEL_KEY).build().expect("a model")
    })
    .await;
}

#[tokio::test]
async fn anthropic() {
    holds(|double| {
        let model =
            HttpModel::anthropic(models::client(), "claude-sonnet-4-5").base_url(double.anthropic_url());
        model.key(MODEL_KEY).build().expect("a model")
    })
    .await;
}
