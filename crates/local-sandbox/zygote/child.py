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
_REPLY, _SETUP, _JOB, _FIRST_CLOSED = 3, 4, 5, 6


def run(zygote, descriptors, alive):
    """Never returns. `descriptors`: job, stdout, stderr, reply, set-up."""
    code = 125
    try:
        _keep_only(descriptors, zygote.without)
        job = _prepare(zygote, alive)
        if job is not None:
            code = _execute(zygote, job)
    except BaseException:  # The last line of defence: nothing may return into the zygote's loop.
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _keep_only(descriptors, without):
    """This child's own descriptors at fixed places, and no other."""
    if "setsid" not in without:
        # A signal to process group 0 reaches the group's members outside the process namespace too.
        os.setsid()
    calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)

    null = os.open("/dev/null", os.O_RDONLY)
    job, stdout, stderr, reply, setup = descriptors
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in (null, stdout, stderr, reply, setup, job)]
    for place, fd in enumerate(moved):
        os.dup2(fd, place, inheritable=False)


def _prepare(zygote, alive):
    setup = socket.socket(fileno=_SETUP)
    try:
        # The zygote may have died before the death signal was asked for; then this pipe has no writer.
        watch = select.poll()
        os.close(alive[1])
        watch.register(alive[0], select.POLLIN | select.POLLHUP)
        if watch.poll(0):
            os._exit(125)
        calls.call("close_range", _FIRST_CLOSED, 0x7FFFFFFF, 0)
        with open(_JOB, "rb", closefd=True) as document:
            job = json.loads(document.read())
        scratch = _confine(zygote, job)
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


def _confine(zygote, job):
    without, limits = zygote.without, job["limits"]
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
            readable = [*zygote.readable, "/data", "/proc", "/dev/zero", "/dev/urandom"]
            writable = ["/scratch", "/tmp", "/dev/null", "/dev/full"]
            landlock.restrict(zygote.landlock, readable, writable)
    return scratch


def _mounts(job, without):
    flags = calls.MS_NOSUID | calls.MS_NODEV
    limits = job["limits"]
    calls.mount(None, "/", None, calls.MS_REC | calls.MS_PRIVATE)

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
    if "own-proc" in without:
        return
    try:
        calls.mount("proc", "/proc", "proc", flags | calls.MS_NOEXEC, "subset=pid")
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
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    random.seed(job["seed"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(job["seed"] % (1 << 32))
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


def _send_reply(frame):
    view = memoryview(frame)
    while view:
        view = view[os.write(_REPLY, view) :]
    os.close(_REPLY)
