# Mounts by the newer calls, which take handles.
# expect: denied
# off: guard seccomp,capabilities,landlock
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
tree = libc.syscall(ctypes.c_long(428), ctypes.c_long(-100), b"/", ctypes.c_long(0x80001))
system = libc.syscall(ctypes.c_long(430), b"tmpfs", ctypes.c_long(0))
attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
changed = libc.syscall(ctypes.c_long(442), ctypes.c_long(-100), b"/usr/lib", ctypes.c_long(0), attributes, ctypes.c_long(32))
reply("worked" if tree >= 0 or system >= 0 or changed == 0 else "denied")
