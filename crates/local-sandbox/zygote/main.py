"""The zygote: a prepared interpreter that does nothing but make single-use children.

It speaks with the supervisor over a socket of whole messages: first {"ready": {...}} or {"failed": {...}} from here,
then what the native part says and hears.
"""

import fcntl
import gc
import json
import os
import shutil
import sys
import time
import traceback
import types

from meterbox_zygote import calls, child, loops, probe, register_at_fork, root
from meterbox_zygote.jail import OVER, Jail


class Zygote:
    """What every child is made from."""

    def __init__(self, control, boot):
        settings = boot["settings"]
        calls.NR.update(boot["calls"])
        with root.Step("python"):
            self.jail = Jail(boot["library"])
        _reserve_places()
        self.control, self._guards_off = control, boot["guards_off"]
        self._filters = [bytes.fromhex(boot[name]) for name in ("first_filter", "last_filter")]
        self.tier = settings["tier"]
        self._namespaces = child.NAMESPACES if self.tier in ("ns", "ns+cg") else 0
        if self._namespaces:
            self._readable = [*root.enter(settings), "/proc"]
        else:
            self._readable = root.stay(settings)
        self.uid, self._gid = os.getuid(), os.getgid()
        _take_font_cache(settings["font_cache"])
        self.prelude = types.ModuleType("meterbox_prelude")
        sys.modules["meterbox_prelude"] = self.prelude
        exec(compile(boot["prelude"], "<meterbox_prelude>", "exec"), self.prelude.__dict__)
        if "preload" not in settings["without"]:
            self.prelude.preload()
        loops.take_pipes()
        _end_threads()
        child.close_fonts()
        os.register_at_fork = register_at_fork
        child.learn_the_way(self)
        self._alive = _high_pipe()
        gc.collect()
        gc.freeze()
        self.jail.settle()
        self.baseline = _memory()

    def serve(self):
        """Ends this process when the supervisor hangs up."""
        state = self.jail.serve(
            control=self.control.fileno(),
            alive_read=self._alive[0],
            alive_write=self._alive[1],
            guards_off=self._guards_off,
            namespaces=self._namespaces,
            uid=self.uid,
            gid=self._gid,
            landlock=0 if self.tier == "seccomp" else self.jail.landlock,
            virtual_bytes=self.baseline["virtual"],
            data_bytes=self.baseline["data"],
            filters=self._filters,
            readable=[*self._readable, "/dev/zero", "/dev/urandom"],
        )
        if state == OVER:
            # The interpreter is still as before a fork, and would wait in vain for locks that it holds itself.
            os._exit(0)
        self.control.detach()
        child.run(self, state)


def _reserve_places():
    """What a child puts at these places no object of the interpreter may own: its hooks after a fork would close it."""
    for place in child.PLACES:
        os.dup2(0, place, inheritable=False)


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
        if boot["probe"]:
            calls.NR.update(boot["calls"])
            probe.run(control, boot, Jail(boot["library"]))
            return 0
        zygote = Zygote(control, boot)
    except BaseException as error:
        step = getattr(error, "step", "python")
        failed = {"step": step, "errno": getattr(error, "errno", None) or 0, "message": str(error)}
        control.send(json.dumps({"failed": failed}).encode())
        # Last: where the runtime cannot be read, what this needs cannot either.
        traceback.print_exc()
        return 1
    ready = {
        "python": sys.version.split()[0],
        "packages": _packages(),
        "baseline": zygote.baseline,
        "landlock": 0 if zygote.tier == "seccomp" else zygote.jail.landlock,
        "uid": zygote.uid,
    }
    control.send(json.dumps({"ready": ready}).encode())
    zygote.serve()
