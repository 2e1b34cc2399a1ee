"""One single-use child: everything between its birth and the program's first line."""

import fcntl
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import traceback

from meterbox_zygote import calls, landlock, root
from meterbox_zygote.root import SetupError, Step

NAMESPACES = (
    calls.CLONE_NEWUSER
    | calls.CLONE_NEWPID
    | calls.CLONE_NEWNS
    | calls.CLONE_NEWNET
    | calls.CLONE_NEWIPC
    | calls.CLONE_NEWUTS
)
INNER_ID = 1000
_STDOUT, _STDERR, _REPLY, _SETUP, _FIRST_FREE = 1, 2, 3, 4, 5


def run(zygote, setup, alive, warm):
    """Never returns.

    Over its set-up socket a child says "waiting", hears "job" with four descriptors (job, stdout, stderr, reply),
    and says "prepared" with its working folder and then "sealed", or {"failed": {...}} at any time.
    """
    code = 125
    try:
        _keep_only(setup, zygote.without)
        job = _prepare(zygote, alive, warm)
        if job is not None:
            code = _execute(zygote, job)
    except BaseException:  # The last line of defence: nothing may return into the zygote's loop.
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _keep_only(setup, without):
    """The socket at its place, and no other descriptor but the log."""
    if "setsid" not in without:
        # A signal to process group 0 reaches the group's members outside the process namespace too.
        os.setsid()
    calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    null, moved = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), fcntl.fcntl(setup, fcntl.F_DUPFD_CLOEXEC, 100)
    for place, fd in ((0, null), (_STDOUT, null), (_REPLY, null), (_SETUP, moved)):
        if place != fd:
            os.dup2(fd, place, inheritable=False)


def _prepare(zygote, alive, warm):
    setup = socket.socket(fileno=_SETUP)
    try:
        # The zygote may have died before the death signal was asked for; then this pipe has no writer.
        watch = select.poll()
        os.close(alive[1])
        watch.register(alive[0], select.POLLIN | select.POLLHUP)
        if watch.poll(0):
            os._exit(125)
        calls.call("close_range", _FIRST_FREE, 0x7FFFFFFF, 0)
        rules = _enter(zygote)
        if warm:
            _warm(zygote)
        os.write(_SETUP, b"waiting")
        job = _hear_job(setup)
        if job is None:
            return None
        scratch = _confine(zygote, job, rules)
        socket.send_fds(setup, [b"prepared"], [scratch])
        os.close(scratch)
        if "seccomp" not in zygote.without:
            with Step("seccomp"):
                zygote.filter.install()
        os.write(_SETUP, b"sealed")
        return job
    except SetupError as error:
        failed = {"step": error.step, "errno": error.errno, "message": str(error)}
        os.write(_SETUP, json.dumps({"failed": failed}).encode())
        return None
    finally:
        setup.close()


def _hear_job(setup):
    message, descriptors, _, _ = socket.recv_fds(setup, 16, 4)
    if not message:
        # The supervisor has no use for this child any more.
        return None
    document, *streams = descriptors
    for place, fd in zip((_STDOUT, _STDERR, _REPLY), streams):
        os.dup2(fd, place, inheritable=False)
        os.close(fd)
    with open(document, "rb", closefd=True) as file:
        # Another child may have read it before, and failed.
        file.seek(0)
        return json.loads(file.read())


def _warm(zygote):
    """Walks the way of a program once, so that its pages are this child's own before there is one."""
    job = {"mode": "service", "code": "print()\nreply(None)", "parameters": None, "reply_bytes": 64, "seed": 0}
    _open_streams()
    _seed(0)
    zygote.prelude.run(job, lambda frame: None)
    json.loads(json.dumps(job))


def _enter(zygote):
    """What needs no job: this child's own user, its own view of mounts and processes, and the first rules."""
    without = zygote.without
    with Step("id maps"):
        # Without it, /proc/self belongs to the machine's root.
        calls.prctl(calls.PR_SET_DUMPABLE, 1)
        calls.map_ids(INNER_ID, zygote.uid, zygote.gid)
    if "nested-namespaces" not in without:
        try:
            calls.write_file("/proc/sys/user/max_user_namespaces", "0")
        except OSError:
            # A second lock only: behind the filter none can be made.
            pass
    with Step("mounts"):
        calls.mount(None, "/", None, calls.MS_REC | calls.MS_PRIVATE)
        if "own-proc" not in without:
            _proc()
    if "capabilities" not in without:
        with Step("privileges"):
            calls.bound_capabilities()
    if "landlock" in without:
        return None
    with Step("landlock"):
        rules = landlock.Rules(zygote.landlock)
        rules.allow([*zygote.readable, "/proc", "/dev/zero", "/dev/urandom"], ["/dev/null", "/dev/full"])
        return rules


def _confine(zygote, job, rules):
    without, limits = zygote.without, job["limits"]
    with Step("mounts"):
        _mounts(job, without)
    with Step("working folder"):
        os.chdir("/scratch")
        scratch = os.open("/scratch", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if "rlimits" not in without:
        with Step("limits"):
            _limits(limits, zygote.baseline)
    with Step("privileges"):
        if "capabilities" not in without:
            calls.drop_capabilities()
        if "dumpable" not in without:
            calls.prctl(calls.PR_SET_DUMPABLE, 0)
        calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
        calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if "landlock" not in without:
        with Step("landlock"):
            rules.allow(["/data"], ["/scratch", "/tmp"])
            rules.enforce()
    return scratch


def _mounts(job, without):
    flags = calls.MS_NOSUID | calls.MS_NODEV
    limits = job["limits"]
    # One file system for both writable folders, so that one cap holds for them together.
    caps = f"size={limits['scratch_bytes']},nr_inodes={limits['scratch_inodes'] + 3},mode=755"
    calls.mount("scratch", "/scratch", "tmpfs", flags, caps)
    for folder in ("tmp", "work"):
        os.mkdir(f"/scratch/{folder}", 0o700)
    calls.mount("/scratch/tmp", "/tmp", None, calls.MS_BIND)
    calls.mount("/scratch/work", "/scratch", None, calls.MS_BIND)

    inodes = 16 + sum(1 + path.count("/") for _, path in job["inputs"])
    calls.mount("data", "/data", "tmpfs", flags, f"size=1m,nr_inodes={inodes},mode=755")
    for source, path in job["inputs"]:
        _bind_input(f"{root.INPUTS}/{source}", f"/data/{path}")
    if "read-only" not in without:
        calls.restrict_mount("/data", "ro", "nosuid", "nodev", "noexec")
    if "hidden-inputs" not in without:
        hidden = "size=4k,nr_inodes=1,mode=000"
        calls.mount("hidden", root.INPUTS, "tmpfs", flags | calls.MS_RDONLY, hidden)


def _proc():
    flags = calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC
    try:
        calls.mount("proc", "/proc", "proc", flags, "subset=pid")
    except OSError:
        # Masked outside, so it cannot be had inside: then no processes are shown at all.
        calls.mount("noproc", "/proc", "tmpfs", flags | calls.MS_RDONLY, "size=4k,nr_inodes=1,mode=555")


def _bind_input(source, target):
    try:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444))
        calls.mount(source, target, None, calls.MS_BIND)
    except OSError as error:
        raise SetupError("input", error) from error
    if not os.access(target, os.R_OK):
        raise SetupError("input", PermissionError(13, f"not readable: {target[len('/data/'):]}"))


def _limits(limits, baseline):
    def cap(what, value):
        resource.setrlimit(what, (value, value))

    cap(resource.RLIMIT_CPU, limits["cpu_seconds"])
    cap(resource.RLIMIT_AS, baseline["virtual"] + limits["memory_bytes"])
    cap(resource.RLIMIT_DATA, baseline["data"] + limits["memory_bytes"])
    cap(resource.RLIMIT_FSIZE, limits["file_bytes"])
    cap(resource.RLIMIT_NOFILE, limits["open_files"])
    cap(resource.RLIMIT_NPROC, limits["threads"])
    cap(resource.RLIMIT_STACK, min(8 << 20, max(1 << 20, limits["memory_bytes"])))
    cap(resource.RLIMIT_SIGPENDING, 64)
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        cap(what, 0)


def _execute(zygote, job):
    _open_streams()
    _seed(job["seed"])
    if job["mode"] == "selftest":
        from meterbox_zygote import selftest

        return selftest.run(_send_reply)
    code = zygote.prelude.run(job, _send_reply)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    return code if isinstance(code, int) else 1


def _open_streams():
    for number, name in ((_STDOUT, "stdout"), (_STDERR, "stderr")):
        stream = open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _seed(seed):
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return
    numpy.random.seed(seed % (1 << 32))
    make, sequence = numpy.random.default_rng, None

    def default_rng(given=None):
        """Numpy's own, except that a generator without a seed follows from the run's."""
        nonlocal sequence
        if given is None:
            sequence = sequence or numpy.random.SeedSequence(seed)
            [given] = sequence.spawn(1)
        return make(given)

    numpy.random.default_rng = default_rng


def _send_reply(frame):
    view = memoryview(frame)
    while view:
        view = view[os.write(_REPLY, view) :]
    os.close(_REPLY)
