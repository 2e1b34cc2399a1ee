# Input and output past the filter, by the older asynchronous calls.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
context = ctypes.c_uint64()
reply("worked" if libc.syscall(ctypes.c_long(206), ctypes.c_long(8), ctypes.byref(context)) == 0 else "denied")
