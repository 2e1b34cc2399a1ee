//! What models behind HTTP make of replies, refusals and faults, against a double that keeps state and fails on command.

mod models;

use std::time::Duration;

use meterbox_core::{Retryability, TokenUsage};
use meterbox_llm_codegen::chat::{
    Billed, ChatErrorKind, ChatModel, Finish, ProgramFormat, RetryRule,
    http::{Api, Effort, HttpModel, OutputCapField},
};
use meterbox_testkit::{
    MODEL_KEY, ModelAnswer, ModelDouble, ModelFault, ModelKind, TlsCertificate, TlsFront, WireFault,
};
use models::{MINUTE, anthropic, asking, azure, call, client, openai, with_schema};

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
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
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
            let never_ends = matches!(fault, WireFault::Drip | WireFault::Hang);
            let within = if never_ends { short } else { long };
            double.fail_next(fault.clone());
            let calls = double.calls().len();
            let outgoing = model.encode(&asking("?"));
            let sent = tokio::time::timeout(long * 2, model.send(&outgoing, within)).await;
            let error = sent.expect("it ends at its own deadline").unwrap_err();
            assert_eq!(
                (error.kind(), error.billed()),
                (kind, billed),
                "{fault:?}: {error}"
            );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_show_who_it_is_gets_no_key() {
    let double = ModelDouble::start().await;
    double.otherwise(|_| ModelAnswer::text("1"));
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for certificate in [
        TlsCertificate::Good,
        TlsCertificate::SelfSigned,
        TlsCertificate::Expired,
        TlsCertificate::OfAnotherHost,
        TlsCertificate::OfAnotherAuthority,
    ] {
        let front = TlsFront::start(&double.azure_url(), certificate).await;
        let authority = reqwest::Certificate::from_der(front.authority()).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([authority])
            .build()
            .unwrap();
        let model = HttpModel::azure(http, front.url(), "analyst")
            .key(MODEL_KEY)
            .build()
            .unwrap();
        let reply = call(&model, &asking("?")).await;
        if certificate == TlsCertificate::Good {
            reply.unwrap();
            assert!(front.accepted() > 0);
            continue;
        }
        let error = reply.unwrap_err();
        assert_eq!(
            (error.kind(), error.billed()),
            (ChatErrorKind::Unreachable, Billed::Nothing),
            "{error}"
        );
        assert!(
            error.to_string().contains("certificate"),
            "{certificate:?}: {error}"
        );
        assert_eq!(front.accepted(), 0, "{certificate:?}: the key was sent");
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
