//! Takes the spans that Meterbox's crates tell ([`meterbox_core::telemetry`]) to Langfuse or any other OpenTelemetry
//! collector, by OTLP over HTTP in protobuf, and makes metrics of them.
//!
//! Nothing here is ever waited for. Spans go into a bounded queue, from which a thread of its own sends them; what does
//! not fit, or is not taken, is dropped and counted, and that is said once. Only [`Telemetry::finish`] waits, as long as
//! it is allowed to.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use meterbox_telemetry::{Collector, Service, Telemetry, Whose};
//! # use tracing_subscriber::prelude::*;
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let collector = Collector::langfuse("https://cloud.langfuse.com", "pk-lf-...", "sk-lf-...")?;
//! let telemetry = Telemetry::start(&collector, &Service::new("shop", "1.0"))?;
//! tracing_subscriber::registry().with(telemetry.layer()).init();
//!
//! let root = tracing::info_span!(target: meterbox_core::telemetry::TARGET, "monthly report");
//! Whose::new("user/ana", "report 7").named("monthly report").begins(&root);
//! root.in_scope(|| { /* Analyst::start */ });
//!
//! telemetry.finish(Duration::from_secs(5));
//! # Ok(())
//! # }
//! ```
//!
//! Brings reqwest, and no TLS provider: the process installs one.

mod collector;
mod export;
mod measure;
mod pipeline;
mod post;
mod tally;
mod whose;

pub use collector::{BadCollector, CheckError, Collector};
/// A client for [`Collector::check`].
pub use meterbox_http_client::http_client;
pub use pipeline::{Service, StartError, Telemetry};
pub use tally::Delivered;
pub use whose::Whose;
