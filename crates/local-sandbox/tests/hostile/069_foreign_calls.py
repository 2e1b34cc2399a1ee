# System calls by x32 numbers, where the numbers of the filter mean others.
# expect: signal 31
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(ctypes.c_long(0x40000000 + 39))
reply("worked")
