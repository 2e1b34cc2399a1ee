"""Tries what the tiers are made of, each thing in a child that is thrown away, and says what was found.

It runs in a process of its own that ends right after, started as a zygote is.
"""

import ctypes
import errno
import json
import os
import signal
import time

from meterbox_zygote import calls
from meterbox_zygote.root import SetupError, Step

_CLONE_INTO_CGROUP, _CLONE_PIDFD = 0x200000000, 0x1000
_MEMORY, _TASKS = 64 << 20, 8


def run(control, boot, jail):
    """Sends {"probed": {name: {"works": ..., "errno": ..., "found": ...}}}."""
    settings = boot["settings"]
    probes = {
        "user and mount namespaces": lambda: _namespaces(settings),
        "network namespace": lambda: _unshare(settings, calls.CLONE_NEWNET),
        "thread limit of a namespace": lambda: _thread_limit(settings),
        "own list of processes": lambda: _own_proc(settings),
        "clone3": _clone3,
        "landlock": lambda: _landlock(jail),
        "seccomp": lambda: _seccomp(bytes.fromhex(boot["first_filter"])),
    }
    if boot["group"] is not None:
        probes["cgroup"] = lambda: _cgroup(settings, boot["group"])
    probed = {name: _apart(probe, boot["patience"]) for name, probe in probes.items()}
    control.send(json.dumps({"probed": probed}).encode())


def _apart(probe, patience):
    """Runs it in a child with a deadline of so many seconds."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.setsid()
        try:
            result = {"works": True, "errno": 0, "found": probe() or ""}
        except (OSError, SetupError) as error:
            step = getattr(error, "step", "")
            result = {"works": False, "errno": error.errno or 0, "found": str(error), "step": step}
        except BaseException as error:
            result = {"works": False, "errno": 0, "found": repr(error)}
        os.write(write, json.dumps(result).encode())
        os._exit(0)
    os.close(write)
    try:
        latest = time.monotonic() + patience
        while True:
            done, _ = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > latest:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return {"works": False, "errno": errno.ETIMEDOUT, "found": f"no answer within {patience:.0f} seconds"}
            time.sleep(0.001)
        said = os.read(read, 4096)
        return json.loads(said) if said else {"works": False, "errno": 0, "found": "it was killed"}
    finally:
        os.close(read)


def _drop_root(settings):
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(settings["gid"], settings["gid"], settings["gid"])
        os.setresuid(settings["uid"], settings["uid"], settings["uid"])


def _unshare(settings, namespaces):
    """As a child of the zygote gets it: in a user namespace of its own, made by a plain user."""
    if os.geteuid() == 0:
        # The zygote's own, which a root without rights cannot have.
        with Step("namespaces"):
            calls.call("unshare", calls.CLONE_NEWNS | calls.CLONE_NEWNET | calls.CLONE_NEWIPC | calls.CLONE_NEWUTS)
    with Step("user"):
        _drop_root(settings)
        # The change of user closed /proc/self to it.
        calls.prctl(calls.PR_SET_DUMPABLE, 1)
    uid, gid = os.geteuid(), os.getegid()
    with Step("namespaces"):
        calls.call("unshare", calls.CLONE_NEWUSER | namespaces)
    with Step("id maps"):
        calls.map_ids(1000, uid, gid)


def _namespaces(settings):
    _unshare(settings, calls.CLONE_NEWNS | calls.CLONE_NEWIPC | calls.CLONE_NEWUTS | calls.CLONE_NEWPID)
    with Step("mounts"):
        calls.mount(None, "/", None, calls.MS_REC | calls.MS_PRIVATE)
        calls.mount("root", "/tmp", "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "size=1m")
        os.chdir("/tmp")
        os.mkdir("old")
        calls.call("pivot_root", b".", b"old")
        os.chdir("/")
        calls.call("umount2", b"old", calls.MNT_DETACH)


def _own_proc(settings):
    _unshare(settings, calls.CLONE_NEWNS | calls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            calls.mount(None, "/", None, calls.MS_REC | calls.MS_PRIVATE)
            calls.mount("proc", "/proc", "proc", calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC)
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise OSError(code, f"mounting proc: {os.strerror(code)}")


def _thread_limit(settings):
    """Whether RLIMIT_NPROC counts the processes of one namespace only."""
    import resource

    _unshare(settings, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
    made = []
    try:
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            made.append(pid)
    except BlockingIOError:
        if not made:
            # Not a limit of the namespace: there is no room for a process at all.
            raise
    for pid in made:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if len(made) != 2:
        raise OSError(0, f"with a limit of 3, {len(made) + 1} processes could live")


def _clone3():
    handle = ctypes.c_int(-1)
    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    arguments = (ctypes.c_uint64 * 8)(_CLONE_PIDFD, ctypes.addressof(handle), 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = calls.call("clone3", ctypes.byref(arguments), 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _landlock(jail):
    if jail.landlock == 0:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock, or it is switched off")
    if not jail.can_lock_folders():
        raise OSError(errno.EPERM, "Landlock is there and does not hold")
    return f"version {jail.landlock}"


def _seccomp(code):
    filter = ctypes.create_string_buffer(code, len(code))
    program = (ctypes.c_uint64 * 2)(len(code) // 8, ctypes.addressof(filter))
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
    calls.call("seccomp", 1, 0, ctypes.byref(program))
    os.getpid()
    try:
        calls.call("unshare", calls.CLONE_NEWUSER)
    except OSError as error:
        if error.errno == errno.EPERM:
            return
    raise OSError(0, "a filter can be installed and does not hold")


def _cgroup(settings, folder):
    """A capped group below ours, and a child born in it by whoever makes children, found there and killed with it."""
    own = f"{folder}/probe-{os.getpid()}"
    os.mkdir(own)
    try:
        for name, value in (("memory.max", _MEMORY), ("memory.oom.group", 1), ("pids.max", _TASKS)):
            calls.write_file(f"{own}/{name}", str(value))
            _expect(own, name, str(value))
        if os.geteuid() == 0:
            os.chown(f"{own}/cgroup.procs", settings["uid"], settings["gid"])
        maker, child = _bear_in(settings, own)
        _expect(own, "cgroup.procs", str(child))
        calls.write_file(f"{own}/cgroup.kill", "1")
        _, status = os.waitpid(maker, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise OSError(0, "what is killed with its group lives on")
        found = [name for name in ("cpu", "memory", "pids") if os.path.exists(f"{own}/{name}.max")]
        if not os.path.exists(f"{own}/memory.peak"):
            found.append("no peak of memory, which is looked at instead")
        return f"{', '.join(found)} at {folder}"
    finally:
        os.rmdir(own)


def _bear_in(settings, folder):
    """A process that makes a child in the group and ends well once that was killed; and the child."""
    read, write = os.pipe()
    maker = os.fork()
    if maker == 0:
        group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        _drop_root(settings)
        arguments = (ctypes.c_uint64 * 11)(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, group)
        try:
            child = calls.call("clone3", ctypes.byref(arguments), 88)
        except OSError as error:
            os.write(write, json.dumps([0, error.errno, str(error)]).encode() + b"\n")
            os._exit(1)
        if child == 0:
            signal.alarm(60)
            signal.pause()
        os.write(write, json.dumps([child, 0, ""]).encode() + b"\n")
        _, status = os.waitpid(child, 0)
        os._exit(0 if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else 1)
    os.close(write)
    with open(read) as said:
        child, number, message = json.loads(said.readline() or '[0, 0, "no child could be made in a group"]')
    if not child:
        os.waitpid(maker, 0)
        raise OSError(number, message)
    return maker, child


def _expect(folder, name, value):
    with open(f"{folder}/{name}") as file:
        found = file.read().strip()
    if found != value:
        raise OSError(0, f"{name} of a group is {found!r} and has to be {value!r}")
