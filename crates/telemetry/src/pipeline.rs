//! From a span that ends to a collector that has it.

use std::{
    fmt,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use meterbox_core::telemetry::TARGET;
use opentelemetry::{KeyValue, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_otlp::{
    Compression, ExporterBuildError, MetricExporter, Protocol, SpanExporter as OtlpSpans,
    WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider, exporter::PushMetricExporter},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanExporter},
};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::{
    Collector, Delivered,
    export::{Counted, Counting, Watched},
    measure::Measured,
    post::{self, Post},
    tally::Tally,
    whose::Named,
};

/// So many spans wait to be sent; more are dropped.
const QUEUE: usize = 1024;
/// So many are sent at once.
const BATCH: usize = 128;
/// A span waits no longer, if the collector takes it.
const DELAY: Duration = Duration::from_secs(1);
const METRICS_INTERVAL: Duration = Duration::from_secs(30);
/// The longest name of an environment.
const LONGEST_ENVIRONMENT: usize = 40;

/// What tells spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    name: String,
    version: String,
    environment: Option<String>,
}

/// Spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no HTTP client.
    #[error("traces cannot be sent: {0}")]
    Http(#[from] reqwest::Error),
    /// The exporter does not take its settings.
    #[error("traces cannot be sent: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Takes spans to a collector. [`finish`](Self::finish) it: dropped, it loses what waits.
pub struct Telemetry {
    spans: SdkTracerProvider,
    metrics: Option<SdkMeterProvider>,
    tally: Arc<Tally>,
}

impl Service {
    /// This one.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            environment: None,
        }
    }

    /// Where it runs, such as `production`, in the form that Langfuse takes: lower case, of `a-z`, `0-9`, `-` and `_`, not
    /// beginning with `langfuse`, at most 40 characters. Other characters become `-`; what has none left is no name.
    #[must_use]
    pub fn in_environment(mut self, name: &str) -> Self {
        let lower = name.trim().to_lowercase();
        let own = lower
            .trim_start_matches("langfuse")
            .trim_start_matches(['-', '_']);
        let plain = own.chars().map(|letter| match letter {
            'a'..='z' | '0'..='9' | '-' | '_' => letter,
            _ => '-',
        });
        let name: String = plain.take(LONGEST_ENVIRONMENT).collect();
        self.environment =
            Some(name).filter(|name| name.contains(|letter: char| letter.is_ascii_alphanumeric()));
        self
    }

    /// Its environment, as it is told.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    fn resource(&self) -> Resource {
        let environment = self.environment.clone().map(|name| {
            [
                KeyValue::new("deployment.environment.name", name.clone()),
                KeyValue::new("langfuse.environment", name),
            ]
        });
        Resource::builder()
            .with_service_name(self.name.clone())
            .with_attributes([
                KeyValue::new("service.version", self.version.clone()),
                KeyValue::new("langfuse.release", self.version.clone()),
            ])
            .with_attributes(environment.into_iter().flatten())
            .build()
    }
}

impl Telemetry {
    /// Begins to take spans to this collector. The TLS provider of the process has to be installed first.
    ///
    /// # Errors
    /// [`StartError`] where no client can be set up; a collector that is away is none.
    pub fn start(collector: &Collector, service: &Service) -> Result<Self, StartError> {
        let tally = Arc::<Tally>::default();
        let client = post::client()?;
        let spans = OtlpSpans::builder()
            .with_http()
            .with_http_client(Post::new(
                client.clone(),
                collector,
                collector.traces(),
                &tally.of_spans,
            ))
            .with_endpoint(collector.traces().as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_compression(Compression::Gzip)
            .with_timeout(post::TIMEOUT)
            .build()?;
        let Some(url) = collector.metrics() else {
            return Ok(Self::through(spans, None::<MetricExporter>, service, tally));
        };
        let metrics = MetricExporter::builder()
            .with_http()
            .with_http_client(Post::new(client, collector, url, &tally.of_metrics))
            .with_endpoint(url.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_compression(Compression::Gzip)
            .with_timeout(post::TIMEOUT)
            .build()?;
        Ok(Self::through(spans, Some(metrics), service, tally))
    }

    /// Takes spans, and the metrics made of them, to exporters of one's own.
    pub fn with_exporters(
        spans: impl SpanExporter + 'static,
        metrics: impl PushMetricExporter,
        service: &Service,
    ) -> Self {
        Self::through(spans, Some(metrics), service, Arc::default())
    }

    fn through(
        spans: impl SpanExporter + 'static,
        metrics: Option<impl PushMetricExporter>,
        service: &Service,
        tally: Arc<Tally>,
    ) -> Self {
        let resource = service.resource();
        let metrics = metrics.map(|exporter| {
            let reader = PeriodicReader::builder(Watched::new(exporter, &tally.of_metrics))
                .with_interval(METRICS_INTERVAL)
                .build();
            SdkMeterProvider::builder()
                .with_reader(reader)
                .with_resource(resource.clone())
                .build()
        });
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let batches = BatchSpanProcessor::builder(Counted::new(spans, &tally))
            .with_batch_config(config)
            .build();
        let mut builder = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(Named)
            .with_span_processor(Counting(Arc::clone(&tally)));
        if let Some(metrics) = &metrics {
            let meter = metrics.meter("meterbox");
            let lost = Arc::clone(&tally);
            meter
                .u64_observable_counter("meterbox.telemetry.spans_refused")
                .with_unit("{span}")
                .with_description("Spans that the collector did not take.")
                .with_callback(move |observer| observer.observe(lost.refused(), &[]))
                .build();
            builder = builder.with_span_processor(Measured::new(&meter));
        }
        Self {
            spans: builder.with_span_processor(batches).build(),
            metrics,
            tally,
        }
    }

    /// Takes the spans that our crates tell, and no others: neither those of HTTP clients, ours among them, nor events, in
    /// which anything may be quoted.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.spans.tracer("meterbox"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target() == TARGET
            }))
    }

    /// What became of spans so far; those that wait count as dropped.
    pub fn delivered(&self) -> Delivered {
        self.tally.delivered()
    }

    /// Sends what waits, for so long at most, and ends. Blocks: not for a thread that runs futures.
    pub fn finish(self, within: Duration) -> Delivered {
        let (done, is_done) = mpsc::channel();
        let (spans, metrics) = (self.spans, self.metrics);
        // The exporters' own limits do not hold for everything they do.
        thread::spawn(move || {
            // What failed is counted, and was told.
            let _ = spans.shutdown_with_timeout(within);
            let _ = metrics.map(|metrics| metrics.shutdown_with_timeout(within));
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(within);
        self.tally.delivered()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_has_a_form_that_langfuse_takes() {
        let long = "a".repeat(50);
        for (given, told) in [
            ("production", Some("production")),
            ("Prod EU", Some("prod-eu")),
            (" staging_2 ", Some("staging_2")),
            ("langfuse-prod", Some("prod")),
            ("Größe", Some("gr--e")),
            ("", None),
            ("!?", None),
            (long.as_str(), Some(&long[..40])),
        ] {
            let service = Service::new("meterbox", "1").in_environment(given);
            assert_eq!(service.environment(), told, "{given:?}");
        }
    }
}
