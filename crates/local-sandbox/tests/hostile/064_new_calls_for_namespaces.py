# A namespace by clone, where the call for threads is let through.
# expect: denied
# off: guard seccomp,nested-namespaces
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
worked = []
for flags in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x02000000, 0x00000080):
    pid = libc.syscall(*(ctypes.c_long(a) for a in (56, flags | 17, 0, 0, 0, 0)))
    if pid == 0:
        os._exit(0)
    if pid > 0:
        worked.append(flags)
reply("worked" if worked else "denied")
