//! A program in a jail of its own, beside a Python that imports the same libraries first.
//!
//! `METERBOX_RUNTIME=FOLDER cargo bench -p meterbox-benches --bench local_sandbox`, where the folder is the
//! one of `meterbox runtime install`; without it, the one that the sandbox's tests installed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark times, prints, and stops where it cannot go on"
)]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use meterbox_benches::{Timings, load};
use meterbox_local_sandbox::{
    LocalSandbox,
    runtime::{InstallOptions, Runtime},
};
use meterbox_sandbox_client::{Job, Program, Sandbox, Verdict};

const PROGRAMS: [(&str, &str); 3] = [
    ("print", "print('hi'); result = 1"),
    (
        "group by, 100,000 rows",
        "import numpy as np, pandas as pd\n\
         frame = pd.DataFrame({'k': np.arange(100_000) % 50, 'v': np.arange(100_000.0)})\n\
         result = frame.groupby('k').v.mean().reset_index()",
    ),
    (
        "bar chart to PNG",
        "import matplotlib.pyplot as plt\n\
         figure, axes = plt.subplots(figsize=(6, 4)); axes.bar(range(12), range(12)); figure.savefig('c.png')\n\
         result = 1",
    ),
];
const IMPORTS: &str = "import numpy, pandas, matplotlib, pyarrow, pyarrow.parquet, _duckdb, zoneinfo\n\
                       matplotlib.use('Agg')\nimport matplotlib.pyplot\n";

fn main() {
    let threads = tokio::runtime::Runtime::new().unwrap();
    threads.block_on(measure());
}

async fn measure() {
    let runtime = runtime();
    println!("load {} at the start", load());
    let cold = (0..10).map(|_| cold(&runtime)).collect();
    println!(
        "{:<44} {}",
        "cold Python, same imports, print, no jail",
        Timings::new(cold)
    );

    let sandbox = LocalSandbox::builder(runtime).build().unwrap();
    let started = Instant::now();
    sandbox.capabilities().await.unwrap();
    println!(
        "{:<44} {:.0} ms, once",
        "the sandbox prepared",
        started.elapsed().as_secs_f64() * 1e3
    );
    for (name, code) in PROGRAMS {
        let mut timings = Vec::new();
        for index in 0..63 {
            let timing = jailed(&sandbox, code).await;
            if index >= 3 {
                timings.push(timing);
            }
        }
        println!(
            "{:<44} {}",
            format!("on demand, own jail: {name}"),
            Timings::new(timings)
        );
    }
    let rate = runs_per_second(&sandbox).await;
    println!("{:<44} {rate:.0} runs/s, 2 in flight, n 200", "throughput: print");
    println!("load {} at the end", load());
}

fn cold(runtime: &Runtime) -> Duration {
    let started = Instant::now();
    let status = Command::new(&runtime.python)
        .args(["-I", "-c", &format!("{IMPORTS}print('hi')")])
        .env_clear()
        .env("MPLCONFIGDIR", &runtime.font_cache)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    started.elapsed()
}

async fn jailed(sandbox: &LocalSandbox, code: &str) -> Duration {
    let job = Job::new(Program::Analysis {
        code: code.to_owned(),
    });
    let started = Instant::now();
    let outcome = sandbox.run(job, Arc::new(())).await.unwrap();
    let elapsed = started.elapsed();
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
    elapsed
}

async fn runs_per_second(sandbox: &LocalSandbox) -> f64 {
    let half = async || {
        for _ in 0..100 {
            jailed(sandbox, PROGRAMS[0].1).await;
        }
    };
    let started = Instant::now();
    tokio::join!(half(), half());
    200.0 / started.elapsed().as_secs_f64()
}

fn runtime() -> Runtime {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let folder = std::env::var_os("METERBOX_RUNTIME")
        .map_or_else(|| home().join(".cache/meterbox/test-runtime"), PathBuf::from);
    let options = InstallOptions {
        search_path: std::env::var_os("PATH").unwrap_or_default(),
        ..InstallOptions::default()
    };
    Runtime::locate(&folder).unwrap_or_else(|| Runtime::install(&folder, &options, &mut |_| {}).unwrap())
}
