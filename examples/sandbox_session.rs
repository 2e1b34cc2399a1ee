//! A question and a follow-up, in one sealed process: the second program builds on what the first one left.
//!
//! `cargo run -p meterbox-examples --example sandbox_session` needs no key and no server.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{env, error::Error, path::PathBuf, sync::Arc, time::Duration};

use meterbox_local_sandbox::{
    LocalSandbox,
    runtime::{InstallOptions, Runtime, RuntimeError},
};
use meterbox_sandbox_client::{
    Cell, InputFile, Program, Reply, Sandbox, Session, SessionSetup, SessionTotals,
};

const QUESTION: &str = "orders = tables['orders']\n\
                        result = orders.groupby('status').size().sort_values(ascending=False)";
// `result` is still the last cell's, and `orders` has been read already.
const FOLLOW_UP: &str = "result = (100 * result / len(orders)).round(1).rename('percent').head(1)";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/shop");
    let sandbox = LocalSandbox::builder(python()?).inputs_root(&data).build()?;

    // Its data is bound once, and its cells have these totals together.
    let setup = SessionSetup {
        inputs: vec![InputFile {
            source: data.join("orders.csv"),
            path: "orders.csv".to_owned(),
        }],
        tables: [("orders".to_owned(), "orders.csv".to_owned())].into(),
        totals: SessionTotals {
            wall: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            cells: 10,
            ..SessionTotals::default()
        },
        ..SessionSetup::default()
    };
    let mut session = sandbox.session(setup).await?;
    ask(&mut *session, QUESTION).await?;
    ask(&mut *session, FOLLOW_UP).await?;
    // An error is an answer too, and ends nothing.
    ask(&mut *session, "result = orders['no such column']").await?;

    let used = session.close().await?;
    println!(
        "{} cells used {} ms of the processor; while none ran, the session held {} MiB for {} ms.",
        used.cells,
        used.running.cpu_ms,
        used.idle.peak_memory_bytes >> 20,
        used.idle.wall_ms
    );
    if let Err(error) = ask(&mut *session, QUESTION).await {
        println!("After that: {error}.");
    }
    Ok(())
}

async fn ask(session: &mut dyn Session, code: &str) -> Result<(), Box<dyn Error>> {
    let code = code.to_owned();
    let outcome = session
        .run(Cell::new(Program::Analysis { code }), Arc::new(()))
        .await?;
    match &outcome.reply {
        Some(Reply::Value(answer)) => println!("answered   {} ({} ms)", answer.get(), outcome.usage.wall_ms),
        Some(Reply::Error(error)) => println!("raised     {}: {}", error.kind, error.message),
        None => println!("ended      {:?}", outcome.verdict),
    }
    Ok(())
}

/// The runtime the `meterbox` binary uses; installed now if it is not there, which takes a minute once.
fn python() -> Result<Runtime, RuntimeError> {
    let home =
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".local/share/meterbox/runtime");
    let folder = env::var_os("METERBOX_RUNTIME_DIR").map_or_else(home, PathBuf::from);
    if let Some(runtime) = Runtime::locate(&folder)? {
        return Ok(runtime);
    }
    let options = InstallOptions {
        search_path: env::var_os("PATH").unwrap_or_default(),
        ..Default::default()
    };
    Runtime::install(&folder, &options, &mut |_| {})
}
