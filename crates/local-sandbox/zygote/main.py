"""The zygote: a prepared interpreter that does nothing but make single-use children.

It speaks with the supervisor over a socket of whole messages, each a JSON object:
  to here    {"child": N, "warm": W} with one descriptor: the socket that the child is set up over
  from here  {"ready": {...}} or {"failed": {...}}, once
             {"started": N, "pid": P} with the child's pidfd, then {"ended": N, "status": S, ...}
             {"refused": N, "step": ..., "message": ...} where no child could be made
"""

import fcntl
import gc
import json
import os
import select
import shutil
import socket
import sys
import time
import types

from meterbox_zygote import child, landlock, root, seccomp
from meterbox_zygote.calls import Forker


class Zygote:
    """What every child is made from."""

    def __init__(self, control, boot):
        self.control = control
        self.without = frozenset(boot["settings"]["without"])
        self.readable = root.enter(boot["settings"])
        self.uid, self.gid = os.getuid(), os.getgid()
        self.landlock = landlock.abi()
        with root.Step("seccomp"):
            self.filter = seccomp.Filter()
        _take_font_cache(boot["settings"]["font_cache"])
        self.prelude = types.ModuleType("meterbox_prelude")
        sys.modules["meterbox_prelude"] = self.prelude
        exec(compile(boot["prelude"], "<meterbox_prelude>", "exec"), self.prelude.__dict__)
        if "preload" not in self.without:
            self.prelude.preload()
        _end_threads()
        self._forker = Forker()
        self._children = {}
        self._alive = _high_pipe()
        gc.collect()
        gc.freeze()
        self.baseline = _memory()

    def serve(self):
        self._poll = select.poll()
        self._poll.register(self.control, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self.control.fileno():
                    if not self._listen():
                        return
                else:
                    self._reap(descriptor)

    def _listen(self):
        message, descriptors, _, _ = socket.recv_fds(self.control, 4096, 1)
        if not message:
            return False
        request = json.loads(message)
        run = request["child"]
        try:
            pid, pidfd = self._forker.fork(child.NAMESPACES)
            if pid == 0:
                self.control.detach()
                child.run(self, descriptors[0], self._alive, request["warm"])
            self._children[pidfd] = (run, pid)
            self._poll.register(pidfd, select.POLLIN)
            started = json.dumps({"started": run, "pid": pid}).encode()
            socket.send_fds(self.control, [started], [pidfd])
        except OSError as error:
            refused = {"refused": run, "step": "child", "errno": error.errno, "message": str(error)}
            self._say(refused)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _reap(self, pidfd):
        run, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        _, status, usage = os.wait4(pid, 0)
        os.close(pidfd)
        cpu = round((usage.ru_utime + usage.ru_stime) * 1e6)
        self._say({"ended": run, "status": status, "cpu_micros": cpu, "peak_bytes": usage.ru_maxrss * 1024})

    def _say(self, message):
        self.control.send(json.dumps(message).encode())


def _take_font_cache(folder):
    """Matplotlib uses a cache only where it could also write one."""
    os.makedirs(os.environ["MPLCONFIGDIR"], exist_ok=True)
    try:
        for name in os.listdir(folder):
            shutil.copy(os.path.join(folder, name), os.environ["MPLCONFIGDIR"])
    except OSError:
        # Without it the fonts are looked for anew, which takes a second.
        pass


def _end_threads():
    """A fork copies one thread only; locks that others hold would stay locked for ever."""
    if "duckdb" in sys.modules:
        # Importing it opens a connection with threads of its own; a child opens another when it needs one.
        sys.modules["duckdb"].close()
    for _ in range(100):
        threads = len(os.listdir("/proc/self/task"))
        if threads == 1:
            return
        time.sleep(0.01)
    raise RuntimeError(f"the prepared interpreter has {threads} threads and has to have 1")


def _high_pipe():
    """Has a writer as long as the zygote lives. High numbers: a child puts its own descriptors below."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 64) for end in low)
    for end in low:
        os.close(end)
    return high


def _memory():
    names = {"VmSize": "virtual", "VmData": "data", "VmRSS": "resident"}
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {ours: int(lines[theirs].split()[0]) * 1024 for theirs, ours in names.items()}


def _packages():
    from importlib import metadata

    return {d.metadata["Name"].lower(): d.version for d in metadata.distributions() if d.metadata["Name"]}


def main(control, boot):
    """Runs until the supervisor hangs up."""
    os.setsid()
    try:
        zygote = Zygote(control, boot)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        step = getattr(error, "step", "python")
        failed = {"step": step, "errno": getattr(error, "errno", None) or 0, "message": str(error)}
        control.send(json.dumps({"failed": failed}).encode())
        return 1
    ready = {
        "python": sys.version.split()[0],
        "packages": _packages(),
        "baseline": zygote.baseline,
        "landlock": zygote.landlock,
        "uid": zygote.uid,
    }
    control.send(json.dumps({"ready": ready}).encode())
    zygote.serve()
    return 0
