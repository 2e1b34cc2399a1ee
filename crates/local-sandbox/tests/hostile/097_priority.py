# Takes precedence, a processor of its own, real time and shorter turns.
# expect: denied
# off: guard seccomp,rlimits
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
worked = []
for name, attempt in (
    ("nice", lambda: os.nice(-5)),
    ("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5)),
    ("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
    ("affinity", lambda: os.sched_setaffinity(0, {0})),
):
    try:
        attempt()
        worked.append(name)
    except OSError:
        pass
# Long turns at the processor, which a program already has, or the shortest, with which it would go first.
turn = (ctypes.c_uint64 * 6)(48, 8, 0, 100_000, 0, 0)
number = {"x86_64": 314, "aarch64": 274}[os.uname().machine]
if libc.syscall(ctypes.c_long(number), ctypes.c_long(0), turn, ctypes.c_long(0)) == 0:
    worked.append("turns")
if libc.syscall(ctypes.c_long(251), ctypes.c_long(1), ctypes.c_long(0), ctypes.c_long(4 << 13)) == 0:
    worked.append("input and output")
reply("worked" if worked else "denied")
