//! A program in a machine of the E2B cloud, with its price known before it is made.
//!
//! `cargo run -p meterbox-examples --example e2b_sandbox` needs no key: it says what a run could cost, and stops there.
//! With `E2B_API_KEY` it makes a machine, runs the program, ends the machine, and says what that did cost (less than a
//! tenth of a cent). `E2B_API_URL` and `E2B_SANDBOX_URL` name another server than E2B's.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{env, error::Error, sync::Arc};

use meterbox_analysis::ComputePrice;
use meterbox_core::{Clock, SystemClock, Usd, contract::Usage};
use meterbox_price_book::PriceBook;
use meterbox_sandbox_client::{
    Job, Limits, Program, Reply, Sandbox,
    e2b::{E2bClient, E2bSandbox, http_client},
};

const PROGRAM: &str = "import platform\nreply(f'Python {platform.python_version()} says {6 * 7}')";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = env::var("E2B_API_KEY").ok();
    let sandbox = sandbox(key.as_deref().unwrap_or("none"))?;
    let price = ComputePrice::of(&PriceBook::shipped(), "e2b", SystemClock::default().now())?;

    // Known without asking anybody: a machine is billed as it is, from its creation to its time-out at worst.
    let limits = Limits::default();
    let most = cost(&price, &sandbox.worst_usage(&limits))?;
    println!(
        "A run of {} s may cost {most}: its machine lives {} s at most.",
        limits.wall.as_secs(),
        E2bSandbox::longest_life(&limits).as_secs()
    );
    if key.is_none() {
        println!("Set E2B_API_KEY to run it.");
        return Ok(());
    }

    let job = Job::new(Program::Service {
        code: PROGRAM.to_owned(),
        parameters: serde_json::Value::Null,
    });
    let outcome = sandbox.run(job, Arc::new(())).await?;
    if let Some(Reply::Value(value)) = &outcome.reply {
        println!("{}", value.get());
    }
    println!(
        "It ended with {:?} and cost {}.",
        outcome.verdict,
        cost(&price, &outcome.usage)?
    );
    Ok(())
}

fn sandbox(key: &str) -> Result<E2bSandbox, Box<dyn Error>> {
    // Libraries bring no TLS provider: whoever builds a program chooses one. An error says that one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = E2bClient::builder(http_client()?, key);
    if let Ok(url) = env::var("E2B_API_URL") {
        client = client.api_url(url);
    }
    if let Ok(url) = env::var("E2B_SANDBOX_URL") {
        client = client.sandbox_url(url);
    }
    // Marked, so that what a crash leaves behind can be found again: see `E2bSandbox::reap`.
    let sandbox = E2bSandbox::new(client.build()?, "code-interpreter-v1");
    Ok(sandbox
        .with_metadata("installation", "example")
        .owned_by(format!("process {}", std::process::id())))
}

fn cost(price: &ComputePrice, usage: &Usage) -> Result<Usd, Box<dyn Error>> {
    let lines = price.lines("machine", usage);
    let amounts = lines.iter().map(|line| line.amount);
    Ok(amounts.fold(Usd::ZERO, Usd::saturating_add))
}
