//! Ready children: used once, made again, and never missed where they or their zygote die.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the sandbox lives in real time"
)]
#![expect(
    clippy::future_not_send,
    reason = "a test holds its turn, which stays on its thread"
)]

mod common;

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Fixture, children, children_of, input, is_alive, patience, service, tier, value};
use meterbox_local_sandbox::Tier;
use meterbox_sandbox_client::{Job, Sandbox, Verdict, conformance};
use rustix::process::{Pid, Signal, kill_process};

const OWN_PID: &str = "import os\nreply(os.getpid())";

/// With two ready children, and the zygote's id.
async fn pooled() -> (Fixture, i32) {
    watched(Fixture::bare_with(|builder| builder.ready(2))).await
}

/// The same, for programs that use them.
async fn pooled_with_libraries() -> (Fixture, i32) {
    watched(Fixture::with(|builder| builder.ready(2))).await
}

async fn watched(fixture: Fixture) -> (Fixture, i32) {
    filled(&fixture, 2).await;
    let [zygote] = children()[..] else {
        panic!("one zygote: {:?}", children())
    };
    (fixture, zygote)
}

async fn filled(fixture: &Fixture, size: usize) {
    let latest = Instant::now() + patience(Duration::from_secs(20));
    while fixture.sandbox.ready().await.unwrap() < size {
        assert!(Instant::now() < latest, "the pool stays empty");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Until one of the children has rehearsed.
async fn rested(fixture: &Fixture) {
    let latest = Instant::now() + patience(Duration::from_secs(20));
    while !fixture.sandbox.has_rehearsed().await.unwrap() {
        assert!(Instant::now() < latest, "none rehearses");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether one of two is caught in the middle of its rehearsal.
async fn rehearses(fixture: &Fixture) -> bool {
    fixture.value(OWN_PID).await;
    filled(fixture, 2).await;
    let latest = Instant::now() + patience(Duration::from_secs(20));
    while !fixture.sandbox.has_rehearsed().await.unwrap() {
        if fixture.sandbox.ready().await.unwrap() == 1 {
            return true;
        }
        assert!(Instant::now() < latest, "none rehearses");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn does_what_every_sandbox_does() {
    let (fixture, _) = pooled_with_libraries().await;
    conformance::all(&fixture.sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_child_runs_one_program_and_is_replaced() {
    let (fixture, zygote) = pooled().await;
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let ready = children_of(zygote);
        assert_eq!(ready.len(), 2, "{ready:?}");
        assert_eq!(fixture.value(OWN_PID).await, 1);
        assert_eq!(
            ready.iter().filter(|pid| is_alive(**pid)).count(),
            1,
            "one was used up"
        );
        seen.extend(ready);
        filled(&fixture, 2).await;
    }
    assert_eq!(seen.len(), 5, "four used and one to go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_served_whatever_is_ready() {
    let (fixture, _) = pooled().await;
    let one = async || assert_eq!(fixture.value(OWN_PID).await, 1);
    tokio::join!(one(), one(), one(), one(), one(), one());
    filled(&fixture, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_child_that_died_or_stopped_is_not_missed() {
    let (fixture, zygote) = pooled().await;
    for how in [Signal::KILL, Signal::STOP] {
        for child in children_of(zygote) {
            signal(child, how);
        }
        for _ in 0..3 {
            assert_eq!(fixture.value(OWN_PID).await, 1, "{how:?}");
        }
        filled(&fixture, 2).await;
        assert_eq!(children(), [zygote], "the zygote is not to blame");
    }
}

/// A caller may run something in a runtime that ends, and the pool is filled there behind it.
#[test]
fn a_child_that_one_runtime_made_ready_serves_another() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let lasting = runtime();
    let (fixture, _) = lasting.block_on(pooled());
    let passing = runtime();
    passing.block_on(async {
        for _ in 0..2 {
            assert_eq!(fixture.value(OWN_PID).await, 1);
            filled(&fixture, 2).await;
        }
    });
    drop(passing);
    lasting.block_on(async {
        for _ in 0..3 {
            assert_eq!(fixture.value(OWN_PID).await, 1);
        }
    });
}

/// Nobody hears a ready child on its way to its program; what keeps it from that is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_ready_child_cannot_do_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (fixture, _) = pooled().await;
    let source = fixture.input("closed.csv", "a");
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o600)).unwrap();
    let job = Job {
        inputs: vec![input(&source, "closed.csv")],
        ..service("")
    };
    let error = fixture.sandbox.run(job, Arc::new(())).await.unwrap_err();
    assert!(error.to_string().contains("closed.csv"), "{error}");
    assert_eq!(fixture.value("reply(1)").await, 1);
}

/// It was set up for ordinary limits before it had a job.
#[tokio::test(flavor = "multi_thread")]
async fn a_ready_child_has_the_limits_of_its_job() {
    let (fixture, _) = pooled().await;
    if tier().is_some_and(|tier| tier < Tier::Namespaces) {
        // There is no cap on all files together.
        return;
    }
    let code = "written = 0\ntry:\n    for _ in range(64):\n        open('kept', 'ab').write(bytes(1 << 20)); written += 1\n\
                except OSError:\n    pass\nreply(written)";
    for (megabytes, written) in [(2, 2), (64, 64), (4, 4)] {
        filled(&fixture, 2).await;
        let mut job = service(code);
        job.limits.scratch_bytes = megabytes << 20;
        job.limits.file_bytes = 100 << 20;
        assert_eq!(value(&fixture.run(job).await), written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zygote_that_died_loses_no_run_that_had_not_begun() {
    let (fixture, zygote) = pooled().await;
    let ready = children_of(zygote);
    signal(zygote, Signal::KILL);
    while is_alive(zygote) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..3 {
        assert_eq!(fixture.value(OWN_PID).await, 1);
    }
    assert_ne!(children(), [zygote]);
    assert!(!ready.into_iter().any(is_alive), "they died with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zygote_that_is_stuck_loses_no_run() {
    let (fixture, zygote) = pooled().await;
    signal(zygote, Signal::STOP);
    let run = |code| fixture.sandbox.run(service(code), Arc::new(()));
    // Two in its ready children, whose end it does not tell. The third has none and waits for the next zygote.
    let failing = "import os; reply(2); os._exit(3)";
    let (one, two, three) = tokio::join!(run(OWN_PID), run(failing), run(OWN_PID));
    assert_eq!(value(&one.unwrap()), 1);
    let two = two.unwrap();
    assert_eq!(value(&two), 2);
    // How it ended is shown to root; to others, that it did.
    let code = if rustix::process::geteuid().is_root() {
        3
    } else {
        0
    };
    assert_eq!(two.verdict, Verdict::Exited { code });
    assert_eq!(value(&three.unwrap()), 1);
    let latest = Instant::now() + Duration::from_secs(10);
    while children().contains(&zygote) {
        assert!(Instant::now() < latest, "the stuck one stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_some_runs_a_fresh_zygote_takes_over() {
    let fixture = Fixture::bare_with(|builder| builder.ready(1).renew_after(3, Duration::from_secs(3600)));
    let long = fixture
        .sandbox
        .run(service("import time; time.sleep(6); reply(7)"), Arc::new(()));
    let others = async {
        fixture.value(OWN_PID).await;
        let [first] = children()[..] else {
            panic!("one zygote: {:?}", children())
        };
        let latest = Instant::now() + Duration::from_secs(20);
        while children().contains(&first) {
            assert!(Instant::now() < latest, "the first one stays");
            assert_eq!(fixture.value(OWN_PID).await, 1);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // A run in flight ends where it began.
    let (long, ()) = tokio::join!(long, others);
    assert_eq!(value(&long.unwrap()), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn pooled_or_not_a_seed_gives_the_same_numbers() {
    let (fixture, _) = pooled_with_libraries().await;
    let code = "import random, numpy\n\
                reply([random.random(), numpy.random.rand(), numpy.random.default_rng().random(), hash('x')])";
    let job = || Job {
        seed: 5,
        ..service(code)
    };
    let ready = value(&fixture.run(job()).await);
    // The pool is empty now and then.
    let (one, two, three) = tokio::join!(fixture.run(job()), fixture.run(job()), fixture.run(job()));
    for outcome in [one, two, three] {
        assert_eq!((value(&outcome), outcome.seed), (ready.clone(), 5));
    }
}

/// What a program can find out about the place it is in.
const ABOUT_ITS_PLACE: &str = r#"
import fcntl, gc, os, random, resource, signal, stat, sys, threading, warnings
import matplotlib.pyplot, numpy

def described(number):
    about = os.fstat(number)
    flags = [fcntl.fcntl(number, which) for which in (fcntl.F_GETFL, fcntl.F_GETFD)]
    return [number, stat.S_IFMT(about.st_mode), *flags]

def folder(path):
    about, room = os.stat(path), os.statvfs(path)
    return [path, about.st_mode, about.st_uid, about.st_gid, about.st_nlink, os.listdir(path),
            room.f_blocks, room.f_bfree, room.f_files, room.f_ffree, room.f_flag]

def stream(of):
    return [of.isatty(), of.seekable(), of.fileno(), of.encoding, of.errors, of.line_buffering,
            of.write_through, of.buffer.raw.mode, of.closed, of.newlines]

def read(path):
    with open(path) as file:
        return file.read()

descriptors = []
for number in range(256):
    try:
        descriptors.append(described(number))
    except OSError:
        pass
status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
names = ("Umask", "Uid", "Gid", "Groups", "NSpid", "NSpgid", "NSsid", "Threads", "SigPnd", "ShdPnd", "SigBlk",
         "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
         "Seccomp_filters")
make = numpy.random.default_rng
reply({
    "descriptors": descriptors,
    "folders": [folder(path) for path in ("/scratch", "/tmp", "/data")],
    "mounts": sorted(" ".join(line.split()[3:]) for line in read("/proc/self/mountinfo").splitlines()),
    "groups": read("/proc/self/cgroup"),
    "oom": read("/proc/self/oom_score_adj"),
    "status": {name: status.get(name, "").strip() for name in names},
    "limits": [resource.getrlimit(kind) for kind in range(16)],
    "streams": [stream(sys.stdout), stream(sys.stderr)],
    "their first ones": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "modules": sorted(sys.modules),
    "environment": sorted(os.environ.items()),
    "signals": [str(signal.getsignal(number)) for number in range(1, 32)],
    "random": [random.getstate(), random.random(), numpy.random.get_state()[2:], numpy.random.rand()],
    "generator": [make.__qualname__, make.__closure__[0].cell_contents.__module__, make().random()],
    "warnings": len(warnings.filters),
    "figures": [matplotlib.pyplot.get_fignums(), str(matplotlib.rcParams)],
    "objects": sum(type(one).__module__.startswith(("matplotlib.figure", "matplotlib.axes")) for one in gc.get_objects()),
    "names": sorted(globals()),
    "threads": threading.active_count(),
    "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 0],
    "folder": os.getcwd(),
})
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_waited_is_as_a_fresh_one() {
    if tier().is_some_and(|tier| tier < Tier::Namespaces) {
        // There each run has a folder of another name.
        return;
    }
    let (fixture, _) = pooled_with_libraries().await;
    let about = async || {
        let job = Job {
            seed: 5,
            ..service(ABOUT_ITS_PLACE)
        };
        let outcome = fixture.run(job).await;
        assert_eq!([&outcome.stdout, &outcome.stderr], ["", ""]);
        value(&outcome)
    };
    rested(&fixture).await;
    let mut rehearsed = about().await;
    let waited = about().await;
    // The kernel's limit of processor time is beyond what the process has had.
    let fresh = &waited["limits"][0];
    assert!(
        rehearsed["limits"][0][0].as_u64() > fresh[0].as_u64(),
        "{rehearsed}"
    );
    rehearsed["limits"][0] = fresh.clone();
    for (what, of_waited) in waited.as_object().unwrap() {
        assert_eq!(rehearsed[what], *of_waited, "{what}");
    }
    // More than have waited.
    let (one, two, three, four) = tokio::join!(about(), about(), about(), about());
    for found in [one, two, three, four] {
        for (what, of_waited) in waited.as_object().unwrap() {
            assert_eq!(found[what], *of_waited, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_is_not_charged() {
    let (fixture, _) = pooled().await;
    let outcome = fixture.run(service("reply(1)")).await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 });
    assert!(
        outcome.usage.cpu_ms < 100 && outcome.usage.wall_ms < 5000,
        "{:?}",
        outcome.usage
    );
}

/// What one did before its program came is neither paid for nor seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_not_charged_and_changes_no_chart() {
    let (fixture, _) = pooled_with_libraries().await;
    rested(&fixture).await;
    let outcome = fixture.run(service("reply(1)")).await;
    assert_eq!(outcome.verdict, Verdict::Exited { code: 0 });
    let used = outcome.usage;
    // A chart takes more than either.
    assert!(used.cpu_ms < 40 && used.peak_memory_bytes < 4 << 20, "{used:?}");

    let chart = "import hashlib, matplotlib.pyplot as plt\n\
                 figure, axes = plt.subplots(); axes.bar(['a', 'b'], [1, 2]); axes.set_title('title')\n\
                 figure.savefig('c.png'); reply(hashlib.sha256(open('c.png', 'rb').read()).hexdigest())";
    rested(&fixture).await;
    let of_rehearsed = fixture.value(chart).await;
    assert!(
        !fixture.sandbox.has_rehearsed().await.unwrap(),
        "that one was used"
    );
    assert_eq!(fixture.value(chart).await, of_rehearsed);
}

/// Its limit of processor time is the program's own too, to the end and not beyond.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_takes_no_processor_time_from_a_program() {
    let (fixture, _) = pooled_with_libraries().await;
    for (seconds, verdict) in [(0.98, Verdict::Exited { code: 0 }), (20.0, Verdict::CpuLimit)] {
        rested(&fixture).await;
        let mut job = service(&format!(
            "import time\nbegan = time.process_time()\n\
             while time.process_time() - began < {seconds}: pass\n\
             reply(1)"
        ));
        job.limits.cpu = Duration::from_secs(1);
        let outcome = fixture.run(job).await;
        assert_eq!(outcome.verdict, verdict, "{outcome:?}");
        assert!((980..1800).contains(&outcome.usage.cpu_ms), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn none_rehearses_while_a_program_runs() {
    let (fixture, zygote) = pooled_with_libraries().await;
    rested(&fixture).await;
    let program = fixture
        .sandbox
        .run(service("import time; time.sleep(2); reply(1)"), Arc::new(()));
    let meanwhile = async {
        while fixture.sandbox.ready().await.unwrap() < 2 || children_of(zygote).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..50 {
            assert!(!fixture.sandbox.has_rehearsed().await.unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (outcome, ()) = tokio::join!(program, meanwhile);
    assert_eq!(value(&outcome.unwrap()), 1);
    rested(&fixture).await;
}

/// One that stops in the middle of it is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_that_ends_badly_loses_no_run() {
    let (fixture, zygote) = pooled_with_libraries().await;
    for how in [Signal::KILL, Signal::STOP] {
        while !rehearses(&fixture).await {}
        for child in children_of(zygote) {
            signal(child, how);
        }
        for _ in 0..2 {
            assert_eq!(fixture.value(OWN_PID).await, 1, "{how:?}");
            filled(&fixture, 2).await;
        }
        rested(&fixture).await;
    }
    assert_eq!(children(), [zygote], "the zygote is not to blame");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_dropped_pool() {
    let (fixture, zygote) = pooled().await;
    let ready = children_of(zygote);
    let Fixture {
        sandbox,
        inputs: _inputs,
        alone: _alone,
    } = fixture;
    drop(sandbox);
    let latest = Instant::now() + Duration::from_secs(2);
    while !children().is_empty() || ready.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < latest, "{:?}", children());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
