//! A program in a jail of its own, beside a Python that imports the same libraries first.
//!
//! `METERBOX_RUNTIME=FOLDER cargo bench -p meterbox-benches --bench local_sandbox`, where the folder is the
//! one of `meterbox runtime install`; without it, the one that the sandbox's tests installed. Parts, to be named after
//! `--`: `start`, `cold`, `demand`, `pooled`; with the first word of a program's name (`print`, `group`, `bar`, `DuckDB`), that program alone. It fails where a
//! figure is off its target by more than twice.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark times, prints, and stops where it cannot go on"
)]

use std::{
    fmt,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use meterbox_benches::{Targets, Timings, load};
use meterbox_local_sandbox::{LocalSandbox, runtime::Runtime};
use meterbox_sandbox_client::{Cell, Job, OutputSink, OutputStream, Program, Sandbox, SessionSetup, Verdict};

const PROGRAMS: [(&str, &str); 4] = [
    ("print", "print('hi'); result = 1"),
    (
        "group by, 100,000 rows",
        "import numpy as np, pandas as pd\n\
         frame = pd.DataFrame({'k': np.arange(100_000) % 50, 'v': np.arange(100_000.0)})\n\
         result = frame.groupby('k').v.mean().reset_index()",
    ),
    (
        CHART,
        "import matplotlib.pyplot as plt\n\
         figure, axes = plt.subplots(figsize=(6, 4)); axes.bar(range(12), range(12)); figure.savefig('c.png')\n\
         result = 1",
    ),
    (
        "DuckDB, new connection, 100,000 rows",
        "import duckdb\n\
         with duckdb.connect(config={'threads': 1}) as database:\n\
         \x20   result = database.sql('select i % 50 as k, avg(i) as v from range(100_000) r(i) group by k').df()",
    ),
];
const IMPORTS: &str = "import numpy, pandas, matplotlib, pyarrow, pyarrow.parquet, _duckdb, zoneinfo\n\
                       matplotlib.use('Agg')\nimport matplotlib.pyplot\n";

const PARTS: [&str; 4] = ["start", "cold", "demand", "pooled"];
/// Those of the parts that run the programs.
const JAILS: [&str; 2] = ["demand", "pooled"];
/// Those that are also run with no jail, by a fork alone.
const BARE: [&str; 2] = ["print", CHART];
const CHART: &str = "bar chart to PNG";
/// So long after a run the pool is full again on a quiet machine, and no jail draws a chart beforehand yet.
const FULL_AGAIN: Duration = Duration::from_millis(40);
/// So long after it one has, which none begins while programs run.
const RESTED: Duration = Duration::from_millis(250);
const RUNS: usize = 200;
const CHILDREN: usize = 60;

fn main() -> ExitCode {
    let threads = tokio::runtime::Runtime::new().unwrap();
    // In a task, as in a server: what `block_on` itself runs is woken by another thread.
    threads.block_on(threads.spawn(measure())).unwrap().exit()
}

async fn measure() -> Targets {
    let mut targets = Targets::default();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_named = |name: &str| wanted.iter().any(|word| name.split(' ').next() == Some(word));
    let mut programs = PROGRAMS.to_vec();
    if PROGRAMS.iter().any(|(name, _)| is_named(name)) {
        programs.retain(|(name, _)| is_named(name));
    }
    let no_part = !PARTS.iter().any(|part| is_named(part));
    let is_wanted =
        |part: &str| is_named(part) || no_part && (programs.len() == PROGRAMS.len() || JAILS.contains(&part));
    let runtime = runtime();
    println!("load {} at the start", load());
    if is_wanted("start") {
        let prepared = prepared(&runtime).await;
        let held = targets.at_most(prepared.millis(50), 1_500.0);
        println!("{:<44} {prepared}   {held}", "a sandbox prepared");
        let memory = memory_per_child(&runtime).await;
        // Without the kernel's list other programs blur it.
        let held = memory
            .most
            .map(|_| targets.at_most(memory.middle, 5.0))
            .unwrap_or_default();
        println!("{:<44} {memory}   {held}", "memory per ready child");
    }
    if is_wanted("cold") {
        cold_starts(&runtime);
    }
    for (part, how, ready) in [("demand", "on demand", 0), ("pooled", "pooled", 4)] {
        if is_wanted(part) {
            jails(&runtime, &programs, (how, ready), &mut targets).await;
        }
    }
    println!("load {} at the end", load());
    targets
}

/// Without a sandbox of ours.
fn cold_starts(runtime: &Runtime) {
    for (name, imports) in [
        ("cold Python, no imports, print, no jail", ""),
        ("cold Python, pandas, print, no jail", "import pandas\n"),
        ("cold Python, same imports, print, no jail", IMPORTS),
    ] {
        let cold = (0..10).map(|_| cold(runtime, imports)).collect();
        println!("{name:<44} {}", Timings::new(cold));
    }

    if let Some(timings) = under_bubblewrap(runtime) {
        println!("{:<44} {timings}", "cold Python, same imports, print, bubblewrap");
    }
}

/// A jail for each run, made for it or waiting.
async fn jails(
    runtime: &Runtime,
    programs: &[(&str, &str)],
    (how, ready): (&str, usize),
    targets: &mut Targets,
) {
    let sandbox = LocalSandbox::builder(runtime.clone())
        .ready(ready)
        .build()
        .unwrap();
    sandbox.capabilities().await.unwrap();
    let pooled = ready > 0;
    for &(name, code) in programs {
        let pause = if pooled { RESTED } else { Duration::ZERO };
        let (heard, done) = each_after(pause, &sandbox, code).await;
        // From the call of `run` to the first printed line, and to the outcome after the child is reaped.
        let (what, all) = (format!("{how}: {name}, heard"), format!("{how}: {name}, reaped"));
        let mut held = String::new();
        match name {
            "print" => {
                let (middle, most) = if pooled { (1.0, 3.0) } else { (8.0, 15.0) };
                let p50 = targets.at_most(heard.millis(50), middle);
                let p95 = targets.at_most(heard.millis(95), most);
                println!("{what:<44} {heard}   p50 {p50}, p95 {p95}");
                held = targets.at_most(done.millis(50), 10.0);
            }
            CHART if pooled => held = targets.at_most(done.millis(50), 60.0),
            _ => {}
        }
        println!("{all:<44} {done}   {held}");
        if pooled && name == CHART {
            let (_, soon) = each_after(FULL_AGAIN, &sandbox, code).await;
            println!("{:<44} {soon}", format!("{how}: {name}, soon after another"));
            let warm = bare(runtime, code, Bare::OneProcess, RESTED);
            println!("{:<44} {warm}", format!("no fork, no jail, warm: {name}"));
        }
        if !pooled && BARE.contains(&name) {
            let bare = bare(runtime, code, Bare::Forks, Duration::ZERO);
            println!("{:<44} {bare}", format!("bare fork: {name}, reaped"));
            let (what, more) = (format!("isolation of {name}"), done.millis(50) - bare.millis(50));
            // Between two charts there is more, one way or the other, than a jail takes.
            let held = match name {
                CHART => String::new(),
                _ => targets.at_most(more, 3.0),
            };
            println!("{what:<44} p50 {more:>8.1} ms   {held}");
        }
    }
    if programs.len() < PROGRAMS.len() {
        return;
    }
    for flight in [1, 2, 4, 8] {
        let rate = runs_per_second(&sandbox, flight).await;
        let what = format!("{how}: throughput, print, {flight} in flight");
        let held = targets.at_least(rate, 150.0);
        println!("{what:<44} {rate:.0} runs/s, n {RUNS}   {held}");
    }
    for (name, code) in &PROGRAMS[..2] {
        println!(
            "{:<44} {}",
            format!("session cell: {name}"),
            cells(&sandbox, code).await
        );
    }
    println!(
        "{:<44} {}",
        format!("{how}: a session begun and closed"),
        sessions(&sandbox, ready).await
    );
    let (what, killed) = (format!("{how}: kill to reaped"), kill_to_reaped(&sandbox).await);
    let held = targets.at_most(killed.millis(95), 20.0);
    println!("{what:<44} {killed}   p95 {held}");
}

/// To the first printed line and to the outcome, a hundred times with so much time before each.
async fn each_after(pause: Duration, sandbox: &LocalSandbox, code: &str) -> (Timings, Timings) {
    let (mut heard, mut done) = (Vec::new(), Vec::new());
    for index in 0..103 {
        tokio::time::sleep(pause).await;
        let (first, whole) = jailed(sandbox, code).await;
        if index >= 3 {
            heard.push(first);
            done.push(whole);
        }
    }
    (Timings::new(heard), Timings::new(done))
}

#[derive(Clone, Copy, PartialEq)]
enum Bare {
    /// It forks, and its child runs the program and ends.
    Forks,
    /// It runs the program itself, again and again: as fast as this machine runs it.
    OneProcess,
}

/// What a run costs with no jail at all, in an interpreter with the same imports, with so much time before each.
fn bare(runtime: &Runtime, code: &str, how: Bare, pause: Duration) -> Timings {
    const TIMED: &str = "
import gc, io, os, sys, time
figure, axes = matplotlib.pyplot.subplots(); axes.bar(['a', 'b'], [1, 2]); figure.savefig(io.BytesIO()); matplotlib.pyplot.close()
gc.collect(); gc.freeze()
timings = []
code, forks, pause = sys.argv[1], sys.argv[2] == 'forks', float(sys.argv[3])
def run():
    exec(compile(code, '<program>', 'exec'), {})
    sys.stdout.flush()
for _ in range(103):
    time.sleep(pause)
    begun = time.perf_counter_ns()
    if not forks:
        run()
    elif child := os.fork():
        os.waitpid(child, 0)
    else:
        run()
        os._exit(0)
    timings.append(time.perf_counter_ns() - begun)
    matplotlib.pyplot.close('all')
with open('timings', 'w') as file:
    print(*timings, sep='\\n', file=file)
";
    let folder = tempfile::tempdir().unwrap();
    let program = format!("{IMPORTS}{TIMED}");
    let forks = if how == Bare::Forks { "forks" } else { "" };
    let pause = pause.as_secs_f64().to_string();
    run_to_its_end(
        python(runtime, &program)
            .args([code, forks, &pause])
            .current_dir(&folder),
    );
    let lines = std::fs::read_to_string(folder.path().join("timings")).unwrap();
    let timings = lines
        .lines()
        .skip(3)
        .map(|line| Duration::from_nanos(line.parse().unwrap()));
    Timings::new(timings.collect())
}

/// The machine probed, an interpreter with everything imported, and its trial passed.
async fn prepared(runtime: &Runtime) -> Timings {
    let mut timings = Vec::new();
    for _ in 0..5 {
        let sandbox = LocalSandbox::builder(runtime.clone()).ready(0).build().unwrap();
        let started = Instant::now();
        sandbox.capabilities().await.unwrap();
        timings.push(started.elapsed());
    }
    Timings::new(timings)
}

/// What each of sixty that wait takes: the pages that no other process has and the tables of all its pages, as the kernel
/// lists them; where it does not show them to this user, by how much less memory is available, which other programs blur.
async fn memory_per_child(runtime: &Runtime) -> Megabytes {
    let settled = || tokio::time::sleep(Duration::from_secs(2));
    settled().await;
    let (earlier, before) = (memory::children_of_this_process(), memory::available());
    let sandbox = LocalSandbox::builder(runtime.clone())
        .ready(CHILDREN)
        .build()
        .unwrap();
    sandbox.capabilities().await.unwrap();
    let ready = || {
        let mut zygotes = memory::children_of_this_process();
        zygotes.retain(|pid| !earlier.contains(pid));
        zygotes
            .into_iter()
            .flat_map(memory::children_of)
            .collect::<Vec<_>>()
    };
    let latest = Instant::now() + Duration::from_secs(60);
    while ready().len() < CHILDREN {
        assert!(Instant::now() < latest, "only {} are ready", ready().len());
        settled().await;
    }
    settled().await;
    let megabytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
    let listed: Option<Vec<u64>> = ready().into_iter().map(memory::of_its_own).collect();
    let Some(mut listed) = listed else {
        // With the interpreter that they are made from.
        let less = megabytes(before.saturating_sub(memory::available())) / CHILDREN as f64;
        return Megabytes {
            middle: less,
            most: None,
        };
    };
    listed.sort_unstable();
    Megabytes {
        middle: megabytes(listed[CHILDREN / 2]),
        most: Some(megabytes(listed[CHILDREN - 1])),
    }
}

/// Of the children that wait.
struct Megabytes {
    middle: f64,
    /// `None` where only the sum is known.
    most: Option<f64>,
}

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { middle, most } = self;
        match most {
            Some(most) => write!(f, "p50 {middle:>8.1} MB   most {most:>7.1} MB   n {CHILDREN}"),
            None => write!(f, "{middle:.1} MB less available, n {CHILDREN}"),
        }
    }
}

/// In kilobytes, as the kernel has it.
mod memory {
    use std::fs::read_to_string;

    pub(super) fn available() -> u64 {
        line(&read_to_string("/proc/meminfo").unwrap(), "MemAvailable").unwrap()
    }

    /// Pages that no other process has, and page tables. `None` where that is not shown to this user.
    pub(super) fn of_its_own(pid: u32) -> Option<u64> {
        let pages = read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(line(&pages, "Private_Dirty")? + line(&pages, "Private_Clean")? + line(&status, "VmPTE")?)
    }

    pub(super) fn children_of_this_process() -> Vec<u32> {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        threads
            .flat_map(|thread| listed(&thread.unwrap().path().join("children")))
            .collect()
    }

    pub(super) fn children_of(pid: u32) -> Vec<u32> {
        listed(format!("/proc/{pid}/task/{pid}/children").as_ref())
    }

    fn listed(path: &std::path::Path) -> Vec<u32> {
        let list = read_to_string(path).unwrap_or_default();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn line(text: &str, name: &str) -> Option<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }
}

fn cold(runtime: &Runtime, imports: &str) -> Duration {
    let program = format!("{imports}print('hi')");
    let started = Instant::now();
    run_to_its_end(&mut python(runtime, &program));
    started.elapsed()
}

/// A program in no jail.
fn python(runtime: &Runtime, program: &str) -> Command {
    let mut python = Command::new(&runtime.python);
    python
        .args(["-I", "-c", program])
        .env_clear()
        .env("MPLCONFIGDIR", &runtime.font_cache)
        .stdout(Stdio::null());
    python
}

fn run_to_its_end(command: &mut Command) {
    assert!(command.status().unwrap().success());
}

/// Tells when the first line came.
struct First(Instant, Mutex<Option<Duration>>);

impl OutputSink for First {
    fn printed(&self, _: OutputStream, _: &str) {
        self.1.lock().unwrap().get_or_insert_with(|| self.0.elapsed());
    }
}

/// Until the first line was heard, if any was printed, and until the outcome.
async fn jailed(sandbox: &LocalSandbox, code: &str) -> (Duration, Duration) {
    let job = Job::new(Program::Analysis {
        code: code.to_owned(),
    });
    let started = Instant::now();
    let first = Arc::new(First(started, Mutex::default()));
    let outcome = sandbox.run(job, Arc::<First>::clone(&first)).await.unwrap();
    let elapsed = started.elapsed();
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
    let heard = first.1.lock().unwrap().unwrap_or(elapsed);
    (heard, elapsed)
}

/// One after the other in one session, until the outcome: its process stopped, everything it printed read.
async fn cells(sandbox: &LocalSandbox, code: &str) -> Timings {
    let mut session = sandbox.session(SessionSetup::default()).await.unwrap();
    let mut done = Vec::new();
    // The session's own total is a hundred cells.
    for index in 0..100 {
        let code = code.to_owned();
        let started = Instant::now();
        let outcome = session
            .run(Cell::new(Program::Analysis { code }), Arc::new(()))
            .await
            .unwrap();
        if index >= 3 {
            done.push(started.elapsed());
        }
        assert_eq!(outcome.verdict, Verdict::Exited { code: 0 }, "{outcome:#?}");
    }
    session.close().await.unwrap();
    Timings::new(done)
}

async fn sessions(sandbox: &LocalSandbox, ready: usize) -> Timings {
    let mut done = Vec::new();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(if ready > 0 { 60 } else { 0 })).await;
        let started = Instant::now();
        let mut session = sandbox.session(SessionSetup::default()).await.unwrap();
        session.close().await.unwrap();
        done.push(started.elapsed());
    }
    Timings::new(done)
}

async fn runs_per_second(sandbox: &LocalSandbox, flight: usize) -> f64 {
    let one_after_the_other = async || {
        for _ in 0..RUNS / flight {
            jailed(sandbox, PROGRAMS[0].1).await;
        }
    };
    let started = Instant::now();
    futures_util::future::join_all((0..flight).map(|_| one_after_the_other())).await;
    RUNS as f64 / started.elapsed().as_secs_f64()
}

/// From the caller's cancel to the outcome of a program that would never end.
async fn kill_to_reaped(sandbox: &LocalSandbox) -> Timings {
    let mut timings = Vec::new();
    for _ in 0..40 {
        let job = Job::new(Program::Analysis {
            code: "while True: pass".to_owned(),
        });
        let cancel = job.cancel.clone();
        let cancelled = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
            Instant::now()
        };
        let (outcome, cancelled) = tokio::join!(sandbox.run(job, Arc::new(())), cancelled);
        timings.push(cancelled.elapsed());
        assert_eq!(outcome.unwrap().verdict, Verdict::Cancelled);
    }
    Timings::new(timings)
}

/// `None` where bubblewrap is not installed.
fn under_bubblewrap(runtime: &Runtime) -> Option<Timings> {
    let python = runtime.python.to_str().unwrap();
    let once = || {
        let started = Instant::now();
        let status = Command::new("bwrap")
            .args([
                "--ro-bind",
                "/",
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "--tmpfs",
                "/tmp",
            ])
            .args([
                "--unshare-all",
                "--cap-drop",
                "ALL",
                "--die-with-parent",
                "--new-session",
            ])
            .args([python, "-I", "-c", &format!("{IMPORTS}print('hi')")])
            .env_clear()
            .env("MPLCONFIGDIR", &runtime.font_cache)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()?;
        status.success().then(|| started.elapsed())
    };
    (0..10)
        .map(|_| once())
        .collect::<Option<Vec<_>>>()
        .map(Timings::new)
}

fn runtime() -> Runtime {
    let Some(folder) = std::env::var_os("METERBOX_RUNTIME") else {
        return meterbox_testkit::test_runtime();
    };
    Runtime::locate(Path::new(&folder)).unwrap().unwrap()
}
