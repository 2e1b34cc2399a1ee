"""Runs one job in a machine of its own: the folder of this file has the prelude and the job, and gets the reply.

The machine is what confines; the limits here let a program that asks for too much fail by itself, in Python.
"""

import importlib.util
import json
import os
import random
import resource
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def limit(what, value, most=None):
    hard = resource.getrlimit(what)[1]
    most = value if most is None else most
    if hard != resource.RLIM_INFINITY:
        value, most = min(value, hard), min(most, hard)
    resource.setrlimit(what, (value, most))


def send_reply(frame):
    with open(os.path.join(HERE, "reply.json"), "wb") as file:
        file.write(frame)


spec = importlib.util.spec_from_file_location("meterbox_prelude", os.path.join(HERE, "prelude.py"))
prelude = importlib.util.module_from_spec(spec)
sys.modules["meterbox_prelude"] = prelude
spec.loader.exec_module(prelude)
with open(os.path.join(HERE, "job.json"), encoding="utf-8") as file:
    job = json.load(file)
for name in ("numpy", "pandas"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
random.seed(job["seed"])
if "numpy" in sys.modules:
    sys.modules["numpy"].random.seed(job["seed"] % (1 << 32))
limits = job["limits"]
# A second more before the kernel ends what ignores its signal.
limit(resource.RLIMIT_CPU, limits["cpu_seconds"], limits["cpu_seconds"] + 1)
limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
limit(resource.RLIMIT_CORE, 0)
with open("/proc/self/statm") as file:
    baseline = int(file.read().split()[5]) * resource.getpagesize()
limit(resource.RLIMIT_DATA, baseline + limits["memory_bytes"])
# The soft one only: the shell's own files count too.
limit(resource.RLIMIT_NOFILE, max(limits["open_files"], 16))
code = prelude.run(job, send_reply)
sys.stdout.flush()
sys.stderr.flush()
# Without the farewells of a program's own hooks and threads.
os._exit(code if isinstance(code, int) else 0)
