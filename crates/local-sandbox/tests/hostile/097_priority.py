# Takes precedence, a processor of its own, and real time.
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
if libc.syscall(ctypes.c_long(251), ctypes.c_long(1), ctypes.c_long(0), ctypes.c_long(4 << 13)) == 0:
    worked.append("input and output")
reply("worked" if worked else "denied")
