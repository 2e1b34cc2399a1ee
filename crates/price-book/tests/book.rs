//! Reading, dating and laying books over each other.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeMap, fs};

use meterbox_core::{Timestamp, Usd};
use meterbox_price_book::{
    AzureDeployments, Component, Known, PriceBook, PriceError, PriceErrorKind, Terms, TokenUsage,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-26T12:00:00Z")
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn input_price(book: &PriceBook, model: &str, moment: &str) -> Usd {
    let model = book.model(model, at(moment)).unwrap();
    model.per_million(Component::Input, 1, &Terms::default()).unwrap()
}

#[test]
fn a_price_counts_from_midnight_of_its_day_until_the_next_one() {
    let book = PriceBook::from_toml(
        "[[models]]
         model = 'openai/gpt-x'
         [[models.prices]]
         from = '2026-03-01'
         rates = [{ input = 2, output = 8 }]
         [[models.prices]]
         from = '2026-01-01'
         rates = [{ input = 4, output = 8 }]",
    )
    .unwrap();
    assert_eq!(
        input_price(&book, "openai/gpt-x", "2026-01-01T00:00:00Z"),
        usd("4")
    );
    assert_eq!(
        input_price(&book, "openai/gpt-x", "2026-02-28T23:59:59.999999Z"),
        usd("4")
    );
    assert_eq!(
        input_price(&book, "openai/gpt-x", "2026-03-01T00:00:00Z"),
        usd("2")
    );
    let early = book
        .model("openai/gpt-x", at("2025-12-31T23:59:59Z"))
        .unwrap_err();
    assert_eq!(early.kind(), PriceErrorKind::NotYet);
    assert!(early.to_string().contains("2026-01-01"), "{early}");
}

/// Real changes of price: gpt-5.6-sol became cheaper in August, gemini-3.8-flash will be dearer next year.
#[test]
fn the_shipped_book_knows_changes_of_price() {
    let book = PriceBook::shipped();
    for (model, before, then, price_before, price_then) in [
        (
            "openai/gpt-5.6-sol",
            "2026-08-20T23:59:59Z",
            "2026-08-21T00:00:00Z",
            "5",
            "4",
        ),
        (
            "google/gemini-3.8-flash",
            "2026-12-31T23:59:59Z",
            "2027-01-01T00:00:00Z",
            "0.75",
            "1.5",
        ),
    ] {
        assert_eq!(input_price(&book, model, before), usd(price_before), "{model}");
        assert_eq!(input_price(&book, model, then), usd(price_then), "{model}");
    }
}

#[test]
fn a_long_context_is_priced_by_its_step_and_exactly_the_step_is_not_long() {
    let model = PriceBook::shipped().model("openai/gpt-5.4", now()).unwrap();
    let cost = |input| {
        model.cost(
            &TokenUsage {
                input,
                output: 1_000,
                ..TokenUsage::default()
            },
            &Terms::default(),
        )
    };
    assert_eq!(cost(272_000).unwrap(), usd("0.695"));
    assert_eq!(cost(272_001).unwrap(), usd("1.382505"));
}

#[test]
fn azure_is_priced_by_where_it_is_processed() {
    let model = PriceBook::shipped().model("azure/gpt-4o", now()).unwrap();
    let price = |terms: Terms| model.per_million(Component::Output, 1, &terms);
    assert_eq!(price(Terms::default()).unwrap(), usd("10"));
    assert_eq!(price(Terms::default().deployment("global")).unwrap(), usd("10"));
    assert_eq!(
        price(Terms::default().deployment("data_zone")).unwrap(),
        usd("11")
    );
    assert_eq!(price(Terms::default().deployment("regional")).unwrap(), usd("11"));
    assert_eq!(
        price(Terms::default().deployment("data_zone").tier("batch")).unwrap(),
        usd("5.5")
    );
    let wrong = price(Terms::default().tier("express")).unwrap_err();
    assert_eq!(wrong.kind(), PriceErrorKind::Terms);
    assert!(
        wrong.to_string().contains("global express") && wrong.to_string().contains("data_zone batch"),
        "{wrong}"
    );
}

#[test]
fn reasoning_is_part_of_the_output_unless_it_has_a_price() {
    let usage = TokenUsage {
        input: 10,
        output: 100,
        reasoning: 60,
        ..TokenUsage::default()
    };
    let book = PriceBook::from_json(
        r#"{"models": [
            {"model": "a/within", "prices": [{"rates": [{"input": 1, "output": "2"}]}]},
            {"model": "a/apart", "prices": [{"rates": [{"input": 1, "output": "2", "reasoning": 5}]}]}]}"#,
    )
    .unwrap();
    let cost = |model| {
        book.model(model, now())
            .unwrap()
            .cost(&usage, &Terms::default())
            .unwrap()
    };
    assert_eq!(cost("a/within"), usd("0.00021"));
    assert_eq!(cost("a/apart"), usd("0.00039"));
}

#[test]
fn what_a_book_leaves_open_costs_as_much_as_its_neighbour() {
    let book = PriceBook::from_toml(
        "models = [{ model = 'a/b', prices = [{ rates = [{ input = 3, output = 9 }] }] }]",
    );
    let model = book.unwrap().model("a/b", now()).unwrap();
    for (part, price) in [
        (Component::Cached, "3"),
        (Component::CacheWrite, "3"),
        (Component::CacheWrite1h, "3"),
        (Component::Reasoning, "9"),
    ] {
        assert_eq!(model.per_million(part, 1, &Terms::default()).unwrap(), usd(price));
    }
}

#[test]
fn an_unknown_model_is_refused_unless_there_is_a_fallback() {
    let book = PriceBook::shipped();
    let error = book.model("openai/gpt-5-minni", now()).unwrap_err();
    let expected = PriceError::UnknownModel {
        model: "openai/gpt-5-minni".into(),
        nearest: Some("openai/gpt-5-mini".into()),
    };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("did you mean openai/gpt-5-mini?"));
    assert!(
        book.model(&"x".repeat(100_000), now())
            .unwrap_err()
            .to_string()
            .len()
            < 300
    );

    let own = PriceBook::from_toml("fallback = { input = 30, output = 180 }").unwrap();
    let with_fallback = book.overridden_by(&own);
    let model = with_fallback.model("openai/gpt-99", now()).unwrap();
    let usage = TokenUsage {
        input: 1_000,
        output: 1_000,
        ..TokenUsage::default()
    };
    assert_eq!(
        model.cost(&usage, &Terms::default().tier("any")).unwrap(),
        usd("0.21")
    );
    assert_eq!(model.name(), "fallback");
    assert_ne!(with_fallback.fingerprint(), book.fingerprint());
}

#[test]
fn a_book_laid_over_another_decides_about_its_models_under_all_their_names() {
    let own = PriceBook::from_toml(
        "name = 'our contract'
         models = [{ model = 'openai/gpt-5-mini', also = ['azure/gpt-5-mini'],
                     prices = [{ rates = [{ input = 0.2, output = 1.5 }] }] }]
         units = [{ unit = 'sandbox/local/vcpu_second', prices = [{ price = 0.00001 }] }]",
    )
    .unwrap();
    let book = PriceBook::shipped().overridden_by(&own);
    for name in ["openai/gpt-5-mini", "azure/gpt-5-mini", "OpenAI/GPT-5-mini"] {
        assert_eq!(
            input_price(&book, name, "2026-11-26T00:00:00Z"),
            usd("0.2"),
            "{name}"
        );
    }
    assert_eq!(
        input_price(&book, "openai/gpt-5", "2026-11-26T00:00:00Z"),
        usd("1.25")
    );
    assert!(book.name().ends_with("+ our contract"));
    assert!(book.unit("sandbox/local/gib_second", now()).is_ok());
    assert_eq!(
        book.unit("sandbox/local/vcpu_second", now())
            .unwrap()
            .price
            .times(1_000_000),
        Some(usd("0.00001"))
    );
}

#[test]
fn the_fingerprint_is_of_the_prices_and_not_of_the_text() {
    let one = "name = 'one'\nmodels = [{ model = 'a/b', prices = [{ source = 'x', rates = [{ input = 3, output = 9 }] }] }]";
    let same = r#"{"models": [{"prices": [{"rates": [{"output": "9.0", "input": 3}]}], "model": "a/b"}], "name": "two"}"#;
    let one = PriceBook::from_toml(one).unwrap();
    let same = PriceBook::from_json(same).unwrap();
    assert_eq!(one.fingerprint(), same.fingerprint());
    let other = "models = [{ model = 'a/b', prices = [{ rates = [{ input = 3, output = 9.000000001 }] }] }]";
    assert_ne!(
        one.fingerprint(),
        PriceBook::from_toml(other).unwrap().fingerprint()
    );
    assert_eq!(one.fingerprint().len(), 64);
}

#[test]
fn a_wrong_book_is_explained_with_its_place() {
    let row = "rates = [{ input = 1, output = 2 }]";
    for (text, said) in [
        (
            "models = [{ model = 'a/b' }]".to_owned(),
            "missing field `prices`",
        ),
        ("models = [\n{ model = 'a/b', price = [] }]".to_owned(), "line 2"),
        (
            format!("models = [{{ model = 'a/b', prices = [{{ {row}, sauce = 1 }}] }}]"),
            "unknown field `sauce`",
        ),
        (
            "models = [{ model = 'a/b', prices = [] }]".to_owned(),
            "model \"a/b\": it has no price",
        ),
        (
            format!("models = [{{ model = 'ab', prices = [{{ {row} }}] }}]"),
            "write it like openai/ab",
        ),
        (
            format!("models = [{{ model = 'a/ b', prices = [{{ {row} }}] }}]"),
            "without spaces",
        ),
        (
            format!("models = [{{ model = 'a/b', also = ['A/B'], prices = [{{ {row} }}] }}]"),
            "is there twice",
        ),
        (
            format!("models = [{{ model = 'a/b', prices = [{{ {row} }}, {{ {row} }}] }}]"),
            "a `from` of its own",
        ),
        (
            "models = [{ model = 'a/b', prices = [{ rates = [{ input = -1, output = 2 }] }] }]".to_owned(),
            "negative",
        ),
        (
            "models = [{ model = 'a/b', prices = [{ rates = [{ input = nan, output = 2 }] }] }]".to_owned(),
            "dollars",
        ),
        (
            "models = [{ model = 'a/b', prices = [{ rates = [{ tier = 'flex', input = 1, output = 2 }] }] }]"
                .to_owned(),
            "no rate for short contexts",
        ),
        (
            "models = [{ model = 'a/b', prices = [{ rates = [{ tier = 'F x', input = 1, output = 2 }] }] }]"
                .to_owned(),
            "no name of a tier",
        ),
        ("format = 2".to_owned(), "format 2 is not known"),
        (
            format!("models = [{{ model = 'a/b', prices = [{{ from = 'May', {row} }}] }}]"),
            "line 1",
        ),
    ] {
        let error = PriceBook::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
    let error = PriceBook::from_json("{\n  \"models\": 3\n}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2"), "{error}");
    let missing = PriceBook::open("no/such/prices.toml".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("no/such/prices.toml cannot be used"),
        "{missing}"
    );
}

#[test]
fn an_azure_deployment_is_configured_or_learnt_or_held_at_the_dearest_price() {
    let book = PriceBook::shipped();
    let configured = toml_deployments("ours = 'gpt-5-mini'\nzone = { model = 'gpt-4o', type = 'data_zone' }");
    let mut deployments = AzureDeployments::new(configured);
    let output = |deployments: &AzureDeployments, name: &str| {
        let (price, terms, known) = deployments.price(&book, name, now()).unwrap();
        (price.per_million(Component::Output, 1, &terms).unwrap(), known)
    };
    assert_eq!(output(&deployments, "ours"), (usd("2"), Known::Configured));
    assert_eq!(output(&deployments, "zone"), (usd("11"), Known::Configured));

    let (dearest, known) = output(&deployments, "chat-prod");
    assert_eq!(known, Known::Unmapped);
    let azure = book.models().filter(|name| name.starts_with("azure/"));
    let all = azure.map(|name| input_and_output(&book, name).1).max().unwrap();
    assert!(dearest >= all, "{dearest} < {all}");

    assert!(deployments.learn("chat-prod", "gpt-5-mini-2025-08-07"));
    assert!(
        !deployments.learn("chat-prod", "gpt-5-mini-2025-08-07"),
        "no news"
    );
    assert!(!deployments.learn("ours", "gpt-4o"), "what is configured stays");
    assert_eq!(output(&deployments, "chat-prod"), (usd("2"), Known::Learnt));

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("azure-deployments.json");
    deployments.keep(&file).unwrap();
    let recalled = AzureDeployments::default().recall(&file).unwrap();
    assert_eq!(output(&recalled, "chat-prod"), (usd("2"), Known::Learnt));

    // A name that no book has is as good as none.
    deployments.learn("odd", "gpt-of-tomorrow");
    assert_eq!(output(&deployments, "odd"), (dearest, Known::Unmapped));
    let wrong = AzureDeployments::new(toml_deployments("ours = 'gtp-5'"));
    assert_eq!(
        wrong.price(&book, "ours", now()).unwrap_err().kind(),
        PriceErrorKind::Unknown
    );
}

/// What another process learnt meanwhile is neither forgotten nor put back: a deployment that was moved to a dearer model
/// would be held too cheaply by the next process.
#[test]
fn processes_that_learn_at_once_keep_what_each_other_learnt() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("azure-deployments.json");
    let mut first = AzureDeployments::default();
    assert!(first.learn("chat", "gpt-5-nano"));
    first.keep(&file).unwrap();
    let recalled = || AzureDeployments::default().recall(&file).unwrap();
    let (mut one, mut other) = (recalled(), recalled());
    assert!(one.learn("chat", "gpt-5"));
    one.keep(&file).unwrap();
    assert!(other.learn("batch", "gpt-5-mini"));
    other.keep(&file).unwrap();
    let kept: BTreeMap<String, String> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let named = |name: &str| kept.get(name).map(String::as_str);
    assert_eq!(
        (named("chat"), named("batch")),
        (Some("gpt-5"), Some("gpt-5-mini"))
    );
}

fn toml_deployments(text: &str) -> BTreeMap<String, meterbox_price_book::Deployment> {
    toml::from_str(text).unwrap()
}

fn input_and_output(book: &PriceBook, name: &str) -> (Usd, Usd) {
    let model = book.model(name, now()).unwrap();
    let price = |component| model.per_million(component, 1, &Terms::default()).unwrap();
    (price(Component::Input), price(Component::Output))
}

#[test]
fn a_model_priced_like_another_has_its_own_name_on_the_bill_and_the_others_rate() {
    let now = "2026-11-26T00:00:00Z".parse().unwrap();
    let price = PriceBook::shipped().model("openai/gpt-5-nano", now).unwrap();
    let usage = TokenUsage {
        output: 10,
        ..TokenUsage::default()
    };
    let line = &price
        .clone()
        .for_model("local/llama")
        .lines("program", &usage, &Terms::default())
        .unwrap()[0];
    assert_eq!(line.item, "program: local/llama output");
    assert_eq!(line.price.as_ref().unwrap().rate(), "openai/gpt-5-nano:output");
    assert_eq!(line.amount, price.cost(&usage, &Terms::default()).unwrap());
}
