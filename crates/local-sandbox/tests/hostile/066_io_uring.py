# Input and output past the filter.
# expect: denied
# off: guard seccomp,rlimits
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
ring = libc.syscall(ctypes.c_long(425), ctypes.c_long(4), ctypes.create_string_buffer(256))
reply("worked" if ring >= 0 else "denied")
