//! Cells that mean harm to what runs after them in their session, and to whoever judges them.

use std::{sync::Arc, time::Duration};

use meterbox_sandbox_client::{
    Cell, Limits, Outcome, Reply, SandboxError, Session, SessionEnd, SessionSetup, Verdict,
};

use super::{
    MB,
    session::{cell, setup},
    value,
};

/// Cells that follow one another, and what has become of them in the end: `on REPLY` (the session goes on, and the last cell
/// replied so), a limit's verdict, `broken-reply`, or `exit` (of its process); several divided by ` | `.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) cells: &'static [&'static str],
    pub(crate) ends: &'static str,
}

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "prints for ever, also when its cell has ended",
        cells: &[
            "import threading, time\ndef flood():\n    while True: print('x' * 1000)\n\
             threading.Thread(target=flood, daemon=True).start()\nreply('fine')",
            "time.sleep(9)",
        ],
        ends: "output",
    },
    Attack {
        name: "uses the next cell's processor time",
        cells: &[
            "import threading, time\ndef spin():\n    while True: pass\n\
             threading.Thread(target=spin, daemon=True).start()\nreply('fine')",
            "time.sleep(30)",
        ],
        ends: "cpu",
    },
    Attack {
        name: "replies before the next cell is there",
        cells: &[
            "import os\nos.write(3, bytes(16) + (13).to_bytes(8, 'little') + b'{\"value\":\"x\"}')\nreply('fine')",
            "reply('honest')",
        ],
        ends: "broken-reply",
    },
    Attack {
        name: "replies twice, the second time for the next cell",
        cells: &[
            "import sys\nrunner = sys.modules['meterbox_zygote.child']\nsend = runner._send_all\n\
             runner._send_all = lambda frame: send(frame + frame)\nreply('fine')",
            "reply('honest')",
        ],
        ends: "broken-reply",
    },
    Attack {
        name: "replies to the next cell with the last one's name",
        cells: &[
            "import sys\nrunner = sys.modules['meterbox_zygote.child']\nsend, names = runner._send_frame, []\n\
             def again(name, frame):\n    names.append(name)\n    send(names[0], frame)\n\
             runner._send_frame = again\nreply('fine')",
            "reply('honest')",
        ],
        ends: "broken-reply",
    },
    Attack {
        name: "answers in the next cell's place",
        cells: &[
            "import sys\nsys.modules['meterbox_prelude'].Session.run = lambda self, cell, send: send(b'{\"value\":\"forged\"}')\n\
             reply('fine')",
            "while True: pass",
        ],
        // A claim like any other, and about itself alone.
        ends: "on forged",
    },
    Attack {
        name: "closes its way to answer",
        cells: &["import os\nos.close(3)\nreply('fine')"],
        ends: "exit",
    },
    Attack {
        name: "closes everything and sleeps",
        cells: &["import os, time\nos.closerange(0, 64)\ntime.sleep(99)"],
        ends: "wall",
    },
    Attack {
        name: "answers to where nobody listens",
        cells: &["import os\nos.dup2(1, 3)\nreply('fine')"],
        ends: "wall",
    },
    Attack {
        name: "puts a pipe of its own in the place of its cells",
        cells: &[
            "import os, stat\nways = [n for n in range(4, 64) if os.path.exists(f'/proc/self/fd/{n}')]\n\
             ours, end = os.pipe()\n[os.dup2(ours, n) for n in ways if stat.S_ISFIFO(os.fstat(n).st_mode)]\nreply('fine')",
            "reply('honest')",
        ],
        ends: "wall",
    },
    Attack {
        name: "gives itself cells",
        cells: &[
            "import json, os, stat\nways = [n for n in range(4, 64) if os.path.exists(f'/proc/self/fd/{n}')]\n\
             ours, end = os.pipe()\n\
             cell = json.dumps({'mode': 'service', 'code': 'reply(7)', 'parameters': None, 'nonce': '00' * 16}).encode()\n\
             os.write(end, len(cell).to_bytes(8, 'little') + cell)\n\
             [os.dup2(ours, n) for n in ways if stat.S_ISFIFO(os.fstat(n).st_mode)]\nreply('fine')",
            "reply('honest')",
        ],
        ends: "broken-reply",
    },
    Attack {
        name: "claims a reply of any length",
        cells: &["import sys\nrunner = sys.modules['meterbox_zygote.child']\n\
             runner._send_frame = lambda name, frame: runner._send_all(bytes.fromhex(name) + bytes([255] * 8) + frame)\n\
             reply('fine')"],
        ends: "wall",
    },
    Attack {
        name: "replies deeper than anybody reads",
        cells: &[
            "import sys\nrunner = sys.modules['meterbox_zygote.child']\nsend = runner._send_frame\n\
             runner._send_frame = lambda name, frame: send(name, b'{\"value\":' + b'[' * 5000 + b']' * 5000 + b'}')\n\
             reply('fine')",
        ],
        ends: "broken-reply",
    },
    Attack {
        name: "stops itself",
        cells: &["import os\nos.kill(os.getpid(), 19)\nreply('fine')"],
        // The first process of a namespace ignores what it sends itself.
        ends: "on fine | wall",
    },
    Attack {
        name: "stops itself in the next cell",
        cells: &[
            "import os, threading, time\ndef stop():\n    while True:\n        time.sleep(0.02)\n        os.kill(os.getpid(), 19)\n\
             threading.Thread(target=stop, daemon=True).start()\nreply('fine')",
            "time.sleep(0.2)\nreply('fine')",
        ],
        ends: "on fine | wall",
    },
    Attack {
        name: "never comes back from being woken",
        cells: &[
            "import signal\nsignal.signal(signal.SIGCONT, lambda *_: any(None for _ in iter(int, 1)))\nreply('fine')",
            "reply('honest')",
        ],
        ends: "cpu | wall",
    },
    Attack {
        name: "blocks every signal",
        cells: &[
            "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n\
             for number in signal.valid_signals() - {9, 19}: signal.signal(number, signal.SIG_IGN)\nreply('fine')",
            "reply('fine')",
        ],
        ends: "on fine",
    },
    Attack {
        name: "ends its process in the next cell",
        cells: &[
            "import os, threading, time\ndef end():\n    time.sleep(0.05)\n    os._exit(0)\n\
             threading.Thread(target=end, daemon=True).start()\nreply('fine')",
            "time.sleep(5)\nreply('fine')",
        ],
        ends: "exit",
    },
    Attack {
        name: "ends its process as soon as it has replied",
        cells: &[
            "import sys, os\nrunner = sys.modules['meterbox_zygote.child']\nsend = runner._send_frame\n\
             def last(name, frame):\n    send(name, frame)\n    os._exit(0)\nrunner._send_frame = last\nreply('fine')",
            "reply('honest')",
        ],
        ends: "exit",
    },
    Attack {
        name: "hoards threads",
        cells: &[
            "import threading, time\ndef more():\n    for _ in range(12):\n        \
             threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\nmore()\nreply('fine')",
            "more()",
            "more()",
            "more()",
            "reply('fine')",
        ],
        ends: "on fine",
    },
    Attack {
        name: "hoards memory",
        cells: &[
            "kept = []\ndef more(): kept.append(bytearray(b'x') * (24 << 20))\nmore()",
            "more()",
            "more()",
            "more()",
            "kept.clear()\nreply('fine')",
        ],
        ends: "on fine | memory",
    },
    Attack {
        name: "hoards files and descriptors",
        cells: &[
            "import os\nfor n in range(8): open(f'f{n}', 'wb').write(bytes(2 << 20))",
            "held = []\nwhile True: held.append(os.open('/dev/null', os.O_RDONLY))",
            "for n in range(90): open(f'g{n}', 'wb').write(bytes(64 << 10))",
            "[os.close(n) for n in held]\nreply('fine')",
        ],
        ends: "on fine",
    },
    Attack {
        name: "leaves its folder and closes it",
        cells: &[
            "import os\nopen('mine', 'w').write('x')\nos.chmod('.', 0)\nos.chdir('/')\nreply('fine')",
            "reply('fine')",
        ],
        ends: "on fine",
    },
    Attack {
        name: "has thousands of other files each time",
        cells: &[
            "import os, uuid\ndef others():\n    [os.remove(name) for name in os.listdir('.')]\n    \
             [open(str(uuid.uuid4()), 'w').close() for _ in range(2000)]\nothers()",
            "others()",
            "others()\nreply('fine')",
        ],
        ends: "on fine",
    },
    Attack {
        name: "asks the kernel to wake it",
        cells: &[
            "import fcntl, os\nfile = os.open('file', os.O_RDWR | os.O_CREAT)\nfolder = os.open('.', os.O_RDONLY)\n\
             granted = []\nfor on, command, argument in (\n    (3, fcntl.F_SETSIG, 18), (1, fcntl.F_SETOWN, os.getpid()),\n    \
             (1, fcntl.F_SETFL, os.O_ASYNC | os.O_WRONLY), (file, fcntl.F_SETLEASE, fcntl.F_WRLCK),\n    \
             (folder, fcntl.F_NOTIFY, 1 | 0x80000000 - (1 << 32)), (3, 15, bytes(8)),\n):\n    try:\n        \
             fcntl.fcntl(on, command, argument)\n        granted.append(command)\n    except PermissionError:\n        pass\n\
             import signal\ntry:\n    signal.setitimer(signal.ITIMER_REAL, 1)\n    granted.append('timer')\n\
             except OSError:\n    pass\n\
             for wake in (lambda: os.kill(os.getpid(), signal.SIGCONT), lambda: signal.raise_signal(signal.SIGCONT)):\n    \
             try:\n        wake()\n        granted.append('signal')\n    except OSError:\n        pass\nreply(granted or 'denied')",
        ],
        ends: "on denied",
    },
];

pub(crate) fn setup_for(attack: &Attack) -> SessionSetup {
    // Only some wait for their time to end; the others may take theirs, on a busy machine and with its slow file system.
    let wall = if attack.ends.contains("wall") { 2 } else { 25 };
    let cpu = if attack.ends.contains("cpu") { 1 } else { 10 };
    SessionSetup {
        limits: Limits {
            wall: Duration::from_secs(wall),
            cpu: Duration::from_secs(cpu),
            memory_bytes: 64 * MB,
            scratch_bytes: 8 * MB,
            output_bytes: 100_000,
            ..Limits::default()
        },
        ..setup()
    }
}

/// Runs cells until one ends the session.
pub(crate) async fn play(session: &mut dyn Session, cells: &[&str]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    for code in cells {
        let cell = Cell {
            artifacts_into: Some(folder.path().to_owned()),
            ..cell(code)
        };
        match session.run(cell, Arc::new(())).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(SandboxError::SessionEnded { .. }) => break,
            Err(error) => panic!("{code}: {error}"),
        }
    }
    outcomes
}

pub(crate) fn holds(expected: &str, outcomes: &[Outcome], end: Option<&SessionEnd>) -> bool {
    let last = outcomes.last().unwrap();
    let verdict = match expected {
        "wall" => Verdict::WallLimit,
        "cpu" => Verdict::CpuLimit,
        "memory" => Verdict::MemoryLimit,
        "output" => Verdict::OutputLimit,
        "broken-reply" => {
            return last.reply.is_none()
                && matches!(end, Some(SessionEnd::Cell(Verdict::BrokenReply { .. })));
        }
        "exit" => return matches!(end, Some(SessionEnd::Cell(Verdict::Exited { .. }))),
        _ => {
            let wanted = expected.strip_prefix("on ").unwrap();
            return end.is_none() && matches!(&last.reply, Some(Reply::Value(_))) && value(last) == wanted;
        }
    };
    last.verdict == verdict && *end.unwrap() == SessionEnd::Cell(verdict)
}
