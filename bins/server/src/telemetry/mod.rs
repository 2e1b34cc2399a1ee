//! What leaves for Langfuse or another collector: from which settings, under whose name, and what is said on the terminal
//! meanwhile. How spans get there is the business of `meterbox-telemetry`.

mod events;
mod roots;
mod settings;

use std::{
    io::{self, Write},
    time::Duration,
};

use meterbox_core::telemetry::TARGET;
use meterbox_telemetry::Telemetry;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub(crate) use events::tell_events;
pub(crate) use roots::{command_root, prepare_root, request_root};
pub(crate) use settings::{CONTENT, TelemetryError, TelemetrySettings, VARIABLES};

use crate::cli::text;

/// Starts to take spans to where the settings say, and log messages to standard error: from warnings on, or what
/// `RUST_LOG` says.
pub(crate) fn start(wanted: Option<&TelemetrySettings>) -> Option<Telemetry> {
    let begun = wanted.map(TelemetrySettings::start).transpose();
    let telemetry = match begun {
        Ok(telemetry) => telemetry,
        Err(error) => {
            text::complain(&format!("{error}. Everything else goes on."));
            None
        }
    };
    let chosen = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .from_env_lossy();
    let spans_are_not_logged = filter_fn(|metadata| !(metadata.is_span() && metadata.target() == TARGET));
    let log = fmt::layer()
        .with_ansi(false)
        .with_writer(Terminal)
        .with_filter(chosen.and(spans_are_not_logged));
    let layers: Option<Box<dyn Layer<Registry> + Send + Sync>> =
        telemetry.as_ref().map(|telemetry| telemetry.layer().boxed());
    // Whoever came first stays: in tests, many start in one process.
    let _ = tracing_subscriber::registry().with(layers).with(log).try_init();
    telemetry
}

/// Sends what waits, for so long at most, and says what was lost.
pub(crate) fn finish(telemetry: Option<Telemetry>, within: Duration) {
    let Some(telemetry) = telemetry else { return };
    let delivered = telemetry.finish(within);
    let lost = delivered.refused.saturating_add(delivered.dropped);
    if lost > 0 {
        tracing::warn!(
            lost,
            taken = delivered.taken,
            "some spans did not reach their collector"
        );
    }
}

/// Asks the collector whether it would take something, and says what is wrong with it. Nothing waits for that.
pub(crate) async fn look(wanted: TelemetrySettings) {
    if let Err((found, fix)) = wanted.check().await {
        text::complain(&format!("traces: {found}. {fix}. Everything else goes on."));
    }
}

/// Standard error, where nothing untrusted arrives raw.
#[derive(Debug, Clone, Copy)]
struct Terminal;

impl Write for Terminal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let inert = text::inert(&String::from_utf8_lossy(line));
        io::stderr().lock().write_all(inert.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Terminal {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
