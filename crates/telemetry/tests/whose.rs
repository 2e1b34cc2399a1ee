//! Whose a trace is, on each of its spans. A test of its own: it takes the spans of the whole process.

use std::time::Duration;

use meterbox_core::telemetry::{self as attribute, TARGET};
use meterbox_telemetry::{Delivered, Service, Telemetry, Whose};
use opentelemetry::{Array, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::InMemoryMetricExporter,
    trace::{InMemorySpanExporter, SpanData, SpanExporter},
};
use tracing::Instrument as _;
use tracing_subscriber::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// The exporter in memory forgets everything at its end; this one is not told of it.
#[derive(Debug)]
struct Kept(InMemorySpanExporter);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch).await
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn every_span_says_whose_it_is_in_every_task() {
    let spans = InMemorySpanExporter::default();
    let service = Service::new("test", "1");
    let telemetry =
        Telemetry::with_exporters(Kept(spans.clone()), InMemoryMetricExporter::default(), &service);
    // For the whole process, as a span that ends in another thread counts on it.
    tracing_subscriber::registry().with(telemetry.layer()).init();
    let root = tracing::info_span!(target: TARGET, "root");
    Whose::new("user/ana", "session/7")
        .named("a trace")
        .tagged(["one", "two"])
        .begins(&root);
    let inside = async {
        let child = tracing::info_span!(target: TARGET, "child");
        let grandchild = async {
            tracing::info_span!(target: TARGET, "grandchild").in_scope(|| {});
        };
        tokio::spawn(grandchild.instrument(child)).await.unwrap();
    };
    inside.instrument(root.clone()).await;
    drop(root);
    let delivered = tokio::task::block_in_place(|| telemetry.finish(SECOND));
    let spans = spans.get_finished_spans().unwrap();
    let mut names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["child", "grandchild", "root"]);
    assert_eq!(
        delivered,
        Delivered {
            taken: 3,
            refused: 0,
            dropped: 0
        }
    );
    for span in &spans {
        assert_eq!(text(span, attribute::USER), Some("user/ana".into()), "{span:?}");
        assert_eq!(text(span, attribute::SESSION), Some("session/7".into()));
        assert_eq!(text(span, attribute::TRACE_NAME), Some("a trace".into()));
        assert_eq!(text(span, attribute::TRACE_TAGS), Some(texts(&["one", "two"])));
        // What the libraries between add by themselves.
        for name in [
            "busy_ns",
            "idle_ns",
            "code.file.path",
            "code.line.number",
            "thread.id",
            "target",
            "level",
        ] {
            assert_eq!(text(span, name), None, "{name}");
        }
    }
}
