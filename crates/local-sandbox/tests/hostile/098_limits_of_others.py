# The limits of other processes, by their number.
# expect: denied
# off: guard seccomp
import ctypes, os, resource

libc = ctypes.CDLL(None, use_errno=True)
worked = []
for pid in (1, 2, os.getppid() or 1):
    limit = (ctypes.c_uint64 * 2)()
    if libc.syscall(ctypes.c_long(302), ctypes.c_long(pid), ctypes.c_long(7), None, limit) == 0:
        worked.append(pid)
reply("worked" if worked else "denied")
