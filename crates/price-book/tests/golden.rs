//! Usages priced by an independent library, `genai-prices`, line by line and to the nano-dollar; `golden/fixtures.py`
//! makes them.

use std::collections::BTreeMap;

use meterbox_core::Timestamp;
use meterbox_price_book::{PriceBook, Terms, TokenUsage};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    usages: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    at: Timestamp,
    tier: String,
    usage: Usage,
    /// By component: tokens, and nano-dollars rounded up once.
    lines: BTreeMap<String, (u64, i64)>,
}

#[derive(Deserialize)]
struct Usage {
    input: u64,
    #[serde(default)]
    cached: u64,
    #[serde(default)]
    cache_write: u64,
    output: u64,
}

#[test]
fn every_line_is_what_an_independent_library_computes() {
    let golden: Golden = serde_json::from_str(include_str!("golden/usages.json")).unwrap();
    let book = PriceBook::shipped();
    for case in &golden.usages {
        let Usage {
            input,
            cached,
            cache_write,
            output,
        } = case.usage;
        let usage = TokenUsage {
            input,
            cached,
            cache_write,
            output,
            ..TokenUsage::default()
        };
        let terms = Terms::default().tier(&*case.tier);
        let model = book.model(&case.model, case.at).unwrap();
        let lines: BTreeMap<String, (u64, i64)> = model
            .lines("", &usage, &terms)
            .unwrap()
            .into_iter()
            .map(|line| {
                let component = line.item.rsplit_once(' ').unwrap().1.to_owned();
                (component, (line.quantity, line.amount.nanos()))
            })
            .collect();
        assert_eq!(lines, case.lines, "{} {} {:?}", case.model, case.at, case.tier);
    }
    assert!(golden.usages.len() >= 500, "{} usages", golden.usages.len());
}
