//! The `meterbox` binary: command line and server over the `meterbox-*` crates. It reads settings, puts the
//! parts together, and translates results for terminals and browsers; everything else lives in the crates.

mod administration;
mod cli;
mod cloud;
mod config;
mod http;
mod model;
mod results;
mod serve;
mod settings;
mod telemetry;
mod tls;
mod variables;
mod webhooks;
mod wiring;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    tls::install();
    cli::main()
}
