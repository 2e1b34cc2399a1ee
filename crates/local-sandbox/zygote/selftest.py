"""Run inside a sealed child: tries what must not work, and says what did."""

import ctypes
import errno
import json
import os

from meterbox_zygote.calls import NR

_libc = ctypes.PyDLL(None, use_errno=True)


def _fails(call, *arguments, expected=(errno.EPERM,)):
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(NR[call]), *(ctypes.c_long(a) for a in arguments))
    return result == -1 and ctypes.get_errno() in expected


def _status():
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def _locked(path):
    try:
        os.listdir(path)
    except OSError:
        return True
    return False


def checks(tier):
    """From check to whether it holds."""
    own_namespaces = tier in ("ns", "ns+cg")
    found = {
        # First: a fork that works has to end at once.
        "a program cannot fork": _cannot_fork(),
        "a program cannot make a network socket": _fails("socket", 2, 1, 0),
        "a program cannot make a local socket": _fails("socket", 1, 1, 0),
        "a program cannot make namespaces": _fails("unshare", 0x10000000),
        "a program cannot start another": _fails("execve", 0, 0, 0),
        "a program cannot trace": _fails("ptrace", 0, 0, 0, 0),
        "a program cannot mount": _fails("mount", 0, 0, 0, 0, 0),
        "a program cannot use io_uring": _fails("io_uring_setup", 1, 0, expected=(errno.ENOSYS,)),
        "allowed calls work": (os.getpid() == 1) == own_namespaces and len(os.urandom(8)) == 8,
        "its root is read-only": not os.access("/", os.W_OK),
    }
    if own_namespaces:
        found["other inputs are hidden"] = _locked("/inputs")
    if tier == "landlock":
        found["the machine's files are locked"] = _locked("/") and _locked("/etc") and _locked("/home")
    if os.path.exists("/proc/self/status"):
        status = _status()
        # Those that could be gained by an exec are a matter of the user namespace; no exec is left, nor new rights.
        held = ("CapEff", "CapPrm", "CapBnd") if own_namespaces else ("CapEff", "CapPrm")
        found["a program has no capabilities"] = all(int(status[name], 16) == 0 for name in held)
        found["the filter is on"] = status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    return found


def _cannot_fork():
    try:
        pid = os.fork()
    except PermissionError:
        return True
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return False


def run(send_reply, tier):
    send_reply(json.dumps({"value": checks(tier)}).encode())
    return 0
