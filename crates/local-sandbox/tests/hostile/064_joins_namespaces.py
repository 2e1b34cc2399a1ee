# Namespaces joined by their files.
# expect: denied
# off: guard seccomp,dumpable,capabilities,landlock
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
worked = []
for name in ("net", "ipc", "uts", "pid"):
    try:
        namespace = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
    except OSError:
        continue
    if libc.syscall(ctypes.c_long(308), ctypes.c_long(namespace), ctypes.c_long(0)) == 0:
        worked.append(name)
reply("worked" if worked else "denied")
