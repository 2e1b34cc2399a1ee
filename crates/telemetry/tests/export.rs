//! What leaves, by OpenTelemetry's own exporters in memory, and by the wire to collectors that misbehave.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use meterbox_core::telemetry::{self as attribute, TARGET, span};
use meterbox_telemetry::{CheckError, Collector, Delivered, Service, Telemetry, Whose, http_client};
use meterbox_testkit::{FaultyServer, LANGFUSE_KEYS, Manner, OtlpSink, TlsCertificate, TlsFront, WireFault};
use opentelemetry::{Array, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InMemoryMetricExporter, Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
    trace::{InMemorySpanExporter, SpanData, SpanExporter},
};
use tracing_subscriber::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn service() -> Service {
    Service::new("test", "1").in_environment("Test")
}

fn in_memory() -> (Telemetry, InMemorySpanExporter, InMemoryMetricExporter) {
    let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
    let telemetry = Telemetry::with_exporters(Kept(spans.clone()), Kept(metrics.clone()), &service());
    (telemetry, spans, metrics)
}

/// Exporters in memory forget everything at their end; this one is not told of it.
#[derive(Debug)]
struct Kept<E>(E);

impl SpanExporter for Kept<InMemorySpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch).await
    }
}

impl PushMetricExporter for Kept<InMemoryMetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.0.export(metrics).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.0.temporality()
    }
}

fn root() -> tracing::Span {
    let root = tracing::info_span!(target: TARGET, "root", { attribute::LEVEL } = tracing::field::Empty);
    Whose::new("user/ana", "session/7")
        .named("a trace")
        .tagged(["one", "two"])
        .begins(&root);
    root
}

fn text(span: &SpanData, name: &str) -> Option<Value> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.clone())
}

fn texts(texts: &[&'static str]) -> Value {
    Value::Array(Array::String(texts.iter().map(|text| (*text).into()).collect()))
}

#[test]
fn events_and_spans_of_others_are_not_taken_and_arrays_are_arrays() {
    let (telemetry, spans, _) = in_memory();
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    tracing::subscriber::with_default(subscriber, || {
        let root = root();
        let _inside = root.enter();
        tracing::error!("a message that quotes anything");
        tracing::info_span!(target: "reqwest", "HTTP POST").in_scope(|| {});
        tracing::info_span!("of another crate").in_scope(|| {});
        let chat = tracing::info_span!(target: TARGET, "chat", { attribute::FINISH_REASONS } = r#"["stop"]"#);
        chat.in_scope(|| {});
    });
    telemetry.finish(SECOND);
    let spans = spans.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 2, "{spans:?}");
    assert!(spans.iter().all(|span| span.events.is_empty()));
    let chat = spans.iter().find(|span| span.name == "chat").unwrap();
    assert_eq!(text(chat, attribute::FINISH_REASONS), Some(texts(&["stop"])));
}

#[test]
fn calls_and_budgets_are_measured() {
    let (telemetry, _, metrics) = in_memory();
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    tracing::subscriber::with_default(subscriber, || {
        for error in [None, Some("rate_limited")] {
            let chat = tracing::info_span!(
                target: TARGET, span::CHAT,
                { attribute::OTEL_NAME } = "chat gpt-5",
                { attribute::OPERATION } = "chat", { attribute::PROVIDER } = "openai",
                { attribute::REQUEST_MODEL } = "gpt-5", { attribute::ERROR_TYPE } = error,
                { attribute::INPUT_TOKENS } = 100_i64, { attribute::OUTPUT_TOKENS } = 20_i64,
            );
            chat.in_scope(|| {});
        }
        for (reserved, error) in [(700_i64, None), (0, Some("budget"))] {
            let reserve = tracing::info_span!(
                target: TARGET, span::RESERVE,
                { attribute::BUDGET_RESERVED } = reserved, { attribute::ERROR_TYPE } = error,
            );
            reserve.in_scope(|| {});
        }
        tracing::info_span!(target: TARGET, span::SETTLE, { attribute::BUDGET_ACTUAL } = 300_i64)
            .in_scope(|| {});
        tracing::info_span!(target: TARGET, span::BUDGET_EVENT, { attribute::EVENT_TYPE } = "spike")
            .in_scope(|| {});
    });
    telemetry.finish(SECOND);

    let mut sums = Vec::new();
    for resource in metrics.get_finished_metrics().unwrap() {
        for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
            let points: Vec<(u64, f64, usize)> = match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
                    .data_points()
                    .map(|point| (0, point.value() as f64, 0))
                    .collect(),
                AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                    let points = histogram.data_points();
                    points
                        .map(|point| (point.count(), point.sum() as f64, point.bounds().count()))
                        .collect()
                }
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    let points = histogram.data_points();
                    points
                        .map(|point| (point.count(), 0.0, point.bounds().count()))
                        .collect()
                }
                other => panic!("{other:?}"),
            };
            sums.push((metric.name().to_owned(), metric.unit().to_owned(), points));
        }
    }
    let of = |name: &str| {
        let found = sums.iter().find(|(known, ..)| known == name);
        let (_, unit, points) = found.unwrap_or_else(|| panic!("{name} is not in {sums:?}"));
        let mut points = points.clone();
        points.sort_by(|one, other| one.1.total_cmp(&other.1));
        (unit.as_str(), points)
    };
    assert_eq!(
        of("gen_ai.client.operation.duration"),
        ("s", vec![(1, 0.0, 14), (1, 0.0, 14)])
    );
    assert_eq!(
        of("gen_ai.client.token.usage"),
        (
            "{token}",
            vec![(1, 20.0, 14), (1, 20.0, 14), (1, 100.0, 14), (1, 100.0, 14)]
        )
    );
    assert_eq!(
        of("meterbox.budget.reserved"),
        ("{nano_usd}", vec![(0, 700.0, 0)])
    );
    assert_eq!(of("meterbox.budget.spent"), ("{nano_usd}", vec![(0, 300.0, 0)]));
    assert_eq!(of("meterbox.budget.refusals"), ("{request}", vec![(0, 1.0, 0)]));
    assert_eq!(of("meterbox.budget.events"), ("{event}", vec![(0, 1.0, 0)]));
}

/// An exporter that waits until it is let go.
#[derive(Debug, Clone, Default)]
struct Stuck {
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl SpanExporter for Stuck {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let (is_open, opened) = &*self.gate;
        drop(
            opened
                .wait_while(is_open.lock().unwrap(), |is_open| !*is_open)
                .unwrap(),
        );
        Ok(())
    }
}

#[test]
fn beyond_the_queue_spans_are_dropped_and_counted_and_nobody_waits() {
    const MANY: u64 = 50_000;
    let stuck = Stuck::default();
    let metrics = InMemoryMetricExporter::default();
    let telemetry = Telemetry::with_exporters(stuck.clone(), metrics, &service());
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    let begun = meterbox_http_client::now();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..MANY {
            tracing::info_span!(target: TARGET, "one of many").in_scope(|| {});
        }
    });
    // A microsecond or two each, and a hundred where the machine is busy; a single wait for the exporter would be seconds.
    assert!(begun.elapsed() < 10 * SECOND, "{:?}", begun.elapsed());
    let Delivered {
        taken,
        refused,
        dropped,
    } = telemetry.delivered();
    assert_eq!((taken, refused, dropped), (0, 0, MANY));
    let (is_open, opened) = &*stuck.gate;
    *is_open.lock().unwrap() = true;
    opened.notify_all();
    let Delivered {
        taken,
        refused,
        dropped,
    } = telemetry.finish(10 * SECOND);
    assert_eq!((refused, taken + dropped), (0, MANY));
    // The queue, and the batch that was on its way.
    assert!((1..=1024 + 128).contains(&taken), "{taken}");
}

#[test]
fn the_end_waits_no_longer_than_it_may() {
    let telemetry =
        Telemetry::with_exporters(Stuck::default(), InMemoryMetricExporter::default(), &service());
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    tracing::subscriber::with_default(subscriber, || root().in_scope(|| {}));
    let begun = meterbox_http_client::now();
    let delivered = telemetry.finish(SECOND);
    assert!(begun.elapsed() < 3 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(delivered.dropped, 1);
}

/// Sends one span to this address.
fn send_one(url: &str) -> Delivered {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let collector = Collector::langfuse(url, LANGFUSE_KEYS.0, LANGFUSE_KEYS.1).unwrap();
    let telemetry = Telemetry::start(&collector, &service()).unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    tracing::subscriber::with_default(subscriber, || root().in_scope(|| {}));
    telemetry.finish(3 * SECOND)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_misbehaves_costs_its_spans_and_no_more_time_than_is_given() {
    let sink = OtlpSink::start().await;
    let delivered = send_one(&sink.url());
    assert_eq!(
        delivered,
        Delivered {
            taken: 1,
            refused: 0,
            dropped: 0
        }
    );
    let request = &sink.requests()[0];
    assert_eq!(request.headers["content-encoding"], "gzip");
    assert_eq!(request.headers["x-langfuse-ingestion-version"], "4");
    assert_eq!(sink.spans()[0].resource["langfuse.environment"], "test");

    let elsewhere = OtlpSink::start().await;
    for fault in [
        WireFault::Hang,
        WireFault::LostReply,
        WireFault::CutBody,
        WireFault::Status(401, Vec::new(), "no".to_owned()),
        WireFault::Status(500, Vec::new(), "no".to_owned()),
        WireFault::Status(429, vec![("retry-after", "86400".to_owned())], String::new()),
        WireFault::Redirect(format!("{}/api/public/otel/v1/traces", elsewhere.url())),
    ] {
        sink.fail_always(fault.clone());
        let begun = meterbox_http_client::now();
        let delivered = send_one(&sink.url());
        assert_eq!(
            (delivered.taken, delivered.refused + delivered.dropped),
            (0, 1),
            "{fault:?}"
        );
        assert!(begun.elapsed() < 6 * SECOND, "{fault:?}: {:?}", begun.elapsed());
    }
    assert!(elsewhere.requests().is_empty(), "keys went elsewhere");
    // A reply of success counts, whatever is in its body.
    for fault in [
        WireFault::Drip,
        WireFault::HugeBody,
        WireFault::Junk,
        WireFault::WrongType,
    ] {
        sink.fail_always(fault.clone());
        let begun = meterbox_http_client::now();
        let delivered = send_one(&sink.url());
        assert_eq!(delivered.refused, 0, "{fault:?}");
        assert!(begun.elapsed() < 6 * SECOND, "{fault:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_and_certificates_that_nobody_trusts_are_refusals() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let sink = OtlpSink::start().await;
    let front = TlsFront::start(&sink.url(), TlsCertificate::SelfSigned).await;
    let faulty = FaultyServer::start(Manner::Says(b"SSH-2.0-hello\r\n".to_vec())).await;
    for url in [nobody, front.url(), faulty.url()] {
        let delivered = send_one(&url);
        assert_eq!(
            (delivered.taken, delivered.refused + delivered.dropped),
            (0, 1),
            "{url}"
        );
    }
    assert!(sink.requests().is_empty());
}

#[tokio::test]
async fn a_look_says_in_words_what_is_wrong_and_never_the_key() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = http_client().unwrap();
    let sink = OtlpSink::start().await;
    let with_keys = |public, secret| Collector::langfuse(&sink.url(), public, secret).unwrap();
    let good = with_keys(LANGFUSE_KEYS.0, LANGFUSE_KEYS.1);
    assert_eq!(good.check(&http, SECOND).await, Ok(()));
    assert!(sink.spans().is_empty());

    let wrong = with_keys("pk-lf-x", "sk-lf-hunter2");
    let error = wrong.check(&http, SECOND).await.unwrap_err();
    assert!(matches!(error, CheckError::Key { status: 401, .. }), "{error:?}");
    assert!(error.to_string().contains("does not accept the key (401)"));
    assert!(!format!("{error} {error:?} {wrong:?}").contains("hunter2"));

    let lost = Collector::otlp(&format!("{}/nowhere", sink.url()), "").unwrap();
    let error = lost.check(&http, SECOND).await.unwrap_err();
    assert!(
        matches!(error, CheckError::NoEndpoint { status: 404, .. }),
        "{error:?}"
    );

    sink.needs("api-key", "k");
    let collector = |headers| Collector::otlp(&sink.url(), headers).unwrap();
    assert!(matches!(
        collector("").check(&http, SECOND).await,
        Err(CheckError::Key { .. })
    ));
    assert_eq!(collector("api-key=k").check(&http, SECOND).await, Ok(()));

    sink.fail_next(WireFault::Status(503, Vec::new(), String::new()));
    let error = good.check(&http, SECOND).await.unwrap_err();
    assert!(
        matches!(error, CheckError::Status { status: 503, .. }),
        "{error:?}"
    );
    for fault in [
        WireFault::Hang,
        WireFault::Redirect("https://elsewhere.example".to_owned()),
    ] {
        sink.fail_next(fault);
        let error = good.check(&http, SECOND).await.unwrap_err();
        assert!(matches!(error, CheckError::Unreachable(_)), "{error:?}");
    }
}
