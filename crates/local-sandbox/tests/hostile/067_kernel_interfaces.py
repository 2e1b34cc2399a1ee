# Keys, userfaultfd, performance counters, personality and others a program has no need for.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
attempts = {
    "add_key": (248, b"user", b"x", b"y", 1, -3),
    "keyctl": (250, 0, -3, 1, 0, 0),
    "userfaultfd": (323, 1, 0, 0, 0, 0),
    "personality": (135, 0x0040000, 0, 0, 0, 0),
    "bpf": (321, 0, 0, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "inotify_init1": (294, 0, 0, 0, 0, 0),
}
def call(number, *rest):
    return libc.syscall(ctypes.c_long(number), *(a if isinstance(a, bytes) else ctypes.c_long(a) for a in rest))
worked = [name for name, arguments in attempts.items() if call(*arguments) >= 0]
reply("worked" if worked else "denied")
