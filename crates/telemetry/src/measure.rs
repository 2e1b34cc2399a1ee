//! Metrics, made of the spans that end.

use std::time::Duration;

use meterbox_core::telemetry::{self as attribute, span};
use opentelemetry::{
    Context, KeyValue, Value,
    metrics::{Counter, Histogram, Meter},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

/// 10 ms, doubled up to 81.92 s, as the convention has it.
fn seconds() -> Vec<f64> {
    (0..14)
        .map(|doublings| 0.01 * f64::from(1_u32 << doublings))
        .collect()
}

/// Powers of 4 from 1 on, as the convention has it.
fn tokens() -> Vec<f64> {
    (0..14).map(|power| f64::from(4_u32.pow(power))).collect()
}

/// What a call's metrics are broken down by.
const OF_A_CALL: [&str; 7] = [
    attribute::OPERATION,
    attribute::PROVIDER,
    attribute::REQUEST_MODEL,
    attribute::RESPONSE_MODEL,
    attribute::SERVER_ADDRESS,
    attribute::SERVER_PORT,
    attribute::ERROR_TYPE,
];

/// Measures each span that ends.
#[derive(Debug)]
pub(crate) struct Measured {
    duration: Histogram<f64>,
    token_usage: Histogram<u64>,
    reserved: Counter<u64>,
    spent: Counter<u64>,
    refusals: Counter<u64>,
    events: Counter<u64>,
}

impl Measured {
    pub(crate) fn new(meter: &Meter) -> Self {
        let money = |name, description| {
            let counter = meter.u64_counter(name).with_unit("{nano_usd}");
            counter.with_description(description).build()
        };
        Self {
            duration: meter
                .f64_histogram("gen_ai.client.operation.duration")
                .with_unit("s")
                .with_description("GenAI operation duration.")
                .with_boundaries(seconds())
                .build(),
            token_usage: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_description("Number of input and output tokens used.")
                .with_boundaries(tokens())
                .build(),
            reserved: money(
                "meterbox.budget.reserved",
                "Money set aside, in whole nano-dollars.",
            ),
            spent: money("meterbox.budget.spent", "Money spent, in whole nano-dollars."),
            refusals: meter
                .u64_counter("meterbox.budget.refusals")
                .with_unit("{request}")
                .with_description("Requests for which nothing was set aside.")
                .build(),
            events: meter
                .u64_counter("meterbox.budget.events")
                .with_unit("{event}")
                .with_description("Thresholds reached, stops, and spikes.")
                .build(),
        }
    }

    fn call(&self, span: &SpanData) {
        let of_call: Vec<_> = OF_A_CALL
            .into_iter()
            .filter_map(|name| Some(KeyValue::new(name, value(span, name)?.clone())))
            .collect();
        let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
        self.duration.record(took.as_secs_f64(), &of_call);
        for (name, kind) in [
            (attribute::INPUT_TOKENS, "input"),
            (attribute::OUTPUT_TOKENS, "output"),
        ] {
            if let Some(tokens) = amount(span, name) {
                let of_kind = [&of_call[..], &[KeyValue::new(attribute::TOKEN_TYPE, kind)]].concat();
                self.token_usage.record(tokens, &of_kind);
            }
        }
    }

    fn reserve(&self, span: &SpanData) {
        if let Some(amount) = amount(span, attribute::BUDGET_RESERVED) {
            self.reserved.add(amount, &[]);
        }
        if let Some(why) = value(span, attribute::ERROR_TYPE) {
            self.refusals
                .add(1, &[KeyValue::new(attribute::ERROR_TYPE, why.clone())]);
        }
    }
}

impl SpanProcessor for Measured {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        match of_tracing(&span) {
            Some(span::RESERVE) => self.reserve(&span),
            Some(span::SETTLE) => {
                if let Some(amount) = amount(&span, attribute::BUDGET_ACTUAL) {
                    self.spent.add(amount, &[]);
                }
            }
            Some(span::BUDGET_EVENT) => {
                let kind = value(&span, attribute::EVENT_TYPE);
                let of_kind = kind.map(|kind| KeyValue::new(attribute::EVENT_TYPE, kind.clone()));
                self.events.add(1, of_kind.as_slice());
            }
            Some(span::CHAT) => self.call(&span),
            _ => {}
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Which of our spans it is.
fn of_tracing(span: &SpanData) -> Option<&'static str> {
    if value(span, attribute::OPERATION).is_some_and(|operation| operation.as_str() == "chat") {
        return Some(span::CHAT);
    }
    [span::RESERVE, span::SETTLE, span::BUDGET_EVENT]
        .into_iter()
        .find(|name| *name == span.name)
}

fn value<'span>(span: &'span SpanData, name: &str) -> Option<&'span Value> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| &attribute.value)
}

fn amount(span: &SpanData, name: &str) -> Option<u64> {
    match value(span, name)? {
        Value::I64(amount) => u64::try_from(*amount).ok(),
        _ => None,
    }
}
