//! What holds of every model of the shipped book and every usage up to `u64`.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use meterbox_core::{Timestamp, UnitPrice, Usd, contract::CostLine};
use meterbox_price_book::{Component, ModelPrice, PriceBook, Terms, TokenUsage};
use proptest::prelude::*;

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn any_model() -> impl Strategy<Value = ModelPrice> {
    let names: Vec<String> = PriceBook::shipped().models().map(str::to_owned).collect();
    proptest::sample::select(names).prop_map(|name| PriceBook::shipped().model(&name, now()).unwrap())
}

/// Small, large and absurd.
fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![0..2_000_u64, 0..2_000_000_u64, any::<u64>()]
}

fn any_usage() -> impl Strategy<Value = TokenUsage> {
    (tokens(), tokens(), tokens(), tokens(), tokens(), tokens()).prop_map(
        |(input, cached, cache_write, cache_write_1h, output, reasoning)| TokenUsage {
            input,
            cached,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
        },
    )
}

/// Parts that are parts of a whole.
fn sound_usage() -> impl Strategy<Value = TokenUsage> {
    let parts = (
        0..400_000_u64,
        0..400_000_u64,
        0..9_000_u64,
        0..9_000_u64,
        0..90_000_u64,
        0..90_000_u64,
    );
    parts.prop_map(
        |(plain, cached, cache_write, cache_write_1h, text, reasoning)| TokenUsage {
            input: plain + cached + cache_write + cache_write_1h,
            cached,
            cache_write,
            cache_write_1h,
            output: text + reasoning,
            reasoning,
        },
    )
}

fn component(line: &CostLine) -> Component {
    let all = [
        Component::Input,
        Component::Cached,
        Component::CacheWrite,
        Component::CacheWrite1h,
        Component::Output,
        Component::Reasoning,
    ];
    let name = line.item.rsplit_once(' ').unwrap().1;
    all.into_iter()
        .find(|component| component.as_str() == name)
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Amount x million >= price x tokens, and less than a nano-dollar above it; or the largest amount there is.
    #[test]
    fn a_line_is_never_rounded_down_and_never_wraps(model in any_model(), usage in any_usage()) {
        for line in model.lines("", &usage, &Terms::default()).unwrap() {
            let context = usage.input.max(
                usage.cached.saturating_add(usage.cache_write).saturating_add(usage.cache_write_1h),
            );
            let price = model.per_million(component(&line), context, &Terms::default()).unwrap();
            let exact = i128::from(price.nanos()) * i128::from(line.quantity);
            let charged = i128::from(line.amount.nanos()) * 1_000_000;
            if line.amount == Usd::MAX {
                prop_assert!(exact > charged - 1_000_000);
                continue;
            }
            prop_assert!(charged >= exact && charged < exact + 1_000_000, "{line:?}");
        }
    }

    #[test]
    fn more_tokens_never_cost_less(model in any_model(), usage in any_usage(), more in tokens()) {
        let terms = Terms::default();
        let before = model.cost(&usage, &terms).unwrap();
        for larger in [
            TokenUsage { input: usage.input.saturating_add(more), ..usage },
            TokenUsage { output: usage.output.saturating_add(more), ..usage },
        ] {
            prop_assert!(model.cost(&larger, &terms).unwrap() >= before, "{} {usage:?} {larger:?}", model.name());
        }
    }

    #[test]
    fn no_call_costs_more_than_its_worst_case(model in any_model(), usage in sound_usage(), spare in 0..9_000_u64) {
        let terms = Terms::default();
        let cost = model.cost(&usage, &terms).unwrap();
        let worst = model.worst_case(usage.input + spare, usage.output + spare, &terms).unwrap();
        prop_assert!(cost <= worst, "{} {usage:?}: {cost} > {worst}", model.name());
    }

    #[test]
    fn the_output_that_money_pays_for_fits_and_is_not_stingy(
        model in any_model(),
        input in 0..500_000_u64,
        nanos in 0..50_000_000_000_u64,
    ) {
        let (terms, money) = (Terms::default(), Usd::from_nanos(nanos).unwrap());
        match model.output_within(money, input, &terms).unwrap() {
            None => prop_assert!(model.worst_case(input, 1, &terms).unwrap() > money),
            Some(u64::MAX) => {}
            Some(output) => {
                prop_assert!(model.worst_case(input, output, &terms).unwrap() <= money || output == 0);
                prop_assert!(model.worst_case(input, output + 1_000, &terms).unwrap() > money);
            }
        }
    }

    /// A bill made again by the same book is the same bill.
    #[test]
    fn the_tag_of_a_line_leads_back_to_its_price(model in any_model(), usage in sound_usage()) {
        let book = PriceBook::shipped();
        for line in model.lines("", &usage, &Terms::default()).unwrap() {
            let tag = line.price.unwrap();
            prop_assert_eq!(tag.book(), book.short_fingerprint());
            prop_assert_eq!(book.amount(tag.rate(), now(), line.quantity), Some(line.amount));
        }
    }
}

#[test]
fn units_are_priced_as_models_are() {
    let book = PriceBook::shipped();
    let second = book.unit("sandbox/local/vcpu_second", now()).unwrap();
    assert_eq!(second.price, UnitPrice::per_million("0.000014".parse().unwrap()));
    assert_eq!(
        book.amount(second.tag.rate(), now(), 1_000_000),
        second.price.times(1_000_000)
    );
}
