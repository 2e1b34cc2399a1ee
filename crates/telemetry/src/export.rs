//! Spans on their way out: counted, and with arrays where fields could only have texts.

use std::{sync::Arc, time::Duration};

use meterbox_core::telemetry::ARRAYS;
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use crate::tally::{News, Tally};

/// An exporter whose work is counted.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E> Counted<E> {
    pub(crate) fn new(exporter: E, tally: &Arc<Tally>) -> Self {
        Self {
            exporter,
            tally: Arc::clone(tally),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch
            .iter_mut()
            .for_each(|span| with_arrays(&mut span.attributes));
        let spans = batch.len() as u64;
        let exported = self.exporter.export(batch).await;
        self.tally.exported(spans, exported.is_ok());
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// An exporter of metrics of which somebody is told when it fails.
#[derive(Debug)]
pub(crate) struct Watched<E> {
    exporter: E,
    news: Arc<News>,
}

impl<E> Watched<E> {
    pub(crate) fn new(exporter: E, news: &Arc<News>) -> Self {
        Self {
            exporter,
            news: Arc::clone(news),
        }
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = self.exporter.export(metrics).await;
        self.news.exported(exported.is_ok());
        exported
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Counts the spans that ended. Comes before what exports them.
#[derive(Debug)]
pub(crate) struct Counting(pub(crate) Arc<Tally>);

impl SpanProcessor for Counting {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.ended();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn with_arrays(attributes: &mut [KeyValue]) {
    for attribute in attributes {
        if !ARRAYS.contains(&attribute.key.as_str()) {
            continue;
        }
        let Value::String(text) = &attribute.value else {
            continue;
        };
        if let Ok(texts) = serde_json::from_str::<Vec<String>>(text.as_str()) {
            let texts = texts.into_iter().map(StringValue::from).collect();
            attribute.value = Value::Array(Array::String(texts));
        }
    }
}
