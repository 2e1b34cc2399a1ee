# Handles of other processes, and descriptors through them.
# expect: denied
# off: guard seccomp
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
worked = []
for pid in (1, os.getppid() or 1):
    handle = libc.syscall(ctypes.c_long(434), ctypes.c_long(pid), ctypes.c_long(0))
    if handle >= 0:
        worked.append("pidfd_open")
        if libc.syscall(ctypes.c_long(438), ctypes.c_long(handle), ctypes.c_long(0), ctypes.c_long(0)) >= 0:
            worked.append("pidfd_getfd")
if libc.syscall(ctypes.c_long(440), ctypes.c_long(-1), None, ctypes.c_long(0), ctypes.c_long(4), ctypes.c_long(0)) >= 0:
    worked.append("process_madvise")
reply("worked" if worked else "denied")
