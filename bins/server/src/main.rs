//! The `meterbox` binary: command line and server over the `meterbox-*` crates. It reads settings, puts the
//! parts together, and translates results for terminals and browsers; everything else lives in the crates.

mod administration;
mod cli;
mod cloud;
mod config;
mod http;
mod model;
mod serve;
mod settings;
mod variables;
mod webhooks;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one TLS stack: libraries bring none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::main()
}
