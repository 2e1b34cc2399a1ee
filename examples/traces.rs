//! Spans of a program being written, to a collector: whose they are, what each call of the model was, and where it failed.
//!
//! Run it with `cargo run -p meterbox-examples --example traces`. It needs no key: a fake model answers, and the spans are
//! printed. With `LANGFUSE_PUBLIC_KEY` and `LANGFUSE_SECRET_KEY` (and `LANGFUSE_BASE_URL`), or with
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, they go there instead.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, sync::Arc, time::Duration};

use meterbox_core::telemetry::TARGET;
use meterbox_llm_codegen::{
    CodeGenerator, GenerateRequest,
    chat::{ChatErrorKind, FakeModel, FakeTurn, Unmetered},
    model::ModelGenerator,
};
use meterbox_telemetry::{Collector, Service, Telemetry, Whose};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::InMemoryMetricExporter,
    trace::{SpanData, SpanExporter},
};
use tracing::Instrument;
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    // Libraries bring no TLS provider; a program installs one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let service = Service::new("traces-example", "1.0").in_environment("Example");
    let telemetry = match collector()? {
        Some(collector) => Telemetry::start(&collector, &service)?,
        None => Telemetry::with_exporters(Printed, InMemoryMetricExporter::default(), &service),
    };
    tracing_subscriber::registry().with(telemetry.layer()).init();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(write_a_program())?;

    // Blocks, so it comes after everything that runs futures.
    let delivered = telemetry.finish(Duration::from_secs(5));
    println!(
        "{} spans were taken, {} were not",
        delivered.taken,
        delivered.refused + delivered.dropped
    );
    Ok(())
}

/// A call that is overloaded, and one that answers.
async fn write_a_program() -> Result<(), Box<dyn Error>> {
    let model = FakeModel::new();
    model.next(FakeTurn::fails(ChatErrorKind::Overloaded));
    model.next(FakeTurn::says("```python\nresult = sum(range(1, 11))\n```"));
    let generator = ModelGenerator::new(Arc::new(model));
    let request = GenerateRequest::new("the sum of the numbers from 1 to 10", Arc::default(), None);

    let root = tracing::info_span!(target: TARGET, "write a program");
    Whose::new("user/ana", "session/7")
        .named("write a program")
        .tagged(["example"])
        .begins(&root);
    let written = generator.generate(&request, &Unmetered).instrument(root).await?;
    println!("program: {}", written.code.trim());
    Ok(())
}

/// The collector of the environment, if there is one.
fn collector() -> Result<Option<Collector>, Box<dyn Error>> {
    let set = |name| env::var(name).ok();
    if let (Some(public_key), Some(secret_key)) = (set("LANGFUSE_PUBLIC_KEY"), set("LANGFUSE_SECRET_KEY")) {
        let url = set("LANGFUSE_BASE_URL").unwrap_or_else(|| "https://cloud.langfuse.com".to_owned());
        return Ok(Some(Collector::langfuse(&url, &public_key, &secret_key)?));
    }
    let Some(endpoint) = set("OTEL_EXPORTER_OTLP_ENDPOINT") else {
        return Ok(None);
    };
    let headers = set("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    Ok(Some(Collector::otlp(&endpoint, &headers)?))
}

/// Prints spans.
#[derive(Debug)]
struct Printed;

impl SpanExporter for Printed {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            println!("{} ({:?})", span.name, span.status);
            for attribute in span.attributes {
                println!("    {} = {}", attribute.key, attribute.value);
            }
        }
        Ok(())
    }
}
