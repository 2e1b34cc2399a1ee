# Namespaces inside the namespaces.
# expect: denied
# off: guard seccomp,nested-namespaces
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
flags = (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000)
worked = [flag for flag in flags if libc.syscall(ctypes.c_long(272), ctypes.c_long(flag)) == 0]
reply("worked" if worked else "denied")
