//! A fault that price tables in use today have, shown to be absent here.

use std::collections::BTreeMap;

use meterbox_price_book::{AzureDeployments, Known, PriceBook, PriceErrorKind, Terms, TokenUsage};

/// gpt-4o is not priced as gpt-4-turbo ($10 and $30 a million); an unknown name is a typed error and no panic, an Azure
/// deployment's name is no model's.
#[test]
fn b14_each_model_has_its_own_price_and_an_unknown_name_is_refused() {
    let book = PriceBook::shipped();
    let now = "2026-11-26T12:00:00Z".parse().unwrap();
    let usage = TokenUsage {
        input: 1_000_000,
        output: 1_000_000,
        ..TokenUsage::default()
    };
    for (model, cost) in [
        ("openai/gpt-4o", "12.5"),
        ("openai/gpt-4o-mini", "0.75"),
        ("openai/gpt-4-turbo", "40"),
        ("azure/gpt-4o", "12.5"),
        ("anthropic/claude-sonnet-4-6", "18"),
        ("anthropic/claude-haiku-4-5", "6"),
    ] {
        let price = book.model(model, now).unwrap();
        assert_eq!(
            price.cost(&usage, &Terms::default()).unwrap(),
            cost.parse().unwrap(),
            "{model}"
        );
    }
    for unknown in [
        "openai/gpt-4o-turbo-max",
        "gpt-4o",
        "",
        "azure/my-deployment",
        "\u{0}/\u{202e}",
    ] {
        let error = book.model(unknown, now).unwrap_err();
        assert_eq!(error.kind(), PriceErrorKind::Unknown, "{unknown}");
    }
    let deployments = AzureDeployments::new(BTreeMap::new());
    let (price, terms, known) = deployments.price(&book, "my-deployment", now).unwrap();
    assert_eq!(known, Known::Unmapped);
    let gpt_4o = book.model("azure/gpt-4o", now).unwrap();
    let held = price.worst_case(1_000, 1_000, &terms).unwrap();
    assert!(held > gpt_4o.worst_case(1_000, 1_000, &terms).unwrap());
}
