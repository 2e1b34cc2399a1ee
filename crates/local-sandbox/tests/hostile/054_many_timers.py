# Timers by the hundred, each with a signal that waits.
# expect: denied
# off: guard seccomp,rlimits
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
made, timer = 0, ctypes.c_int()
for _ in range(200):
    made += libc.syscall(ctypes.c_long(222), ctypes.c_long(1), None, ctypes.byref(timer)) == 0
reply("worked" if made == 200 else "denied" if made <= 64 else made)
