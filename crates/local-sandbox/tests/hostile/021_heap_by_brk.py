# Memory by moving the end of the heap.
# expect: denied
# limits: memory=64
# off: limits memory=1024
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.sbrk.restype = ctypes.c_void_p
reply("denied" if libc.sbrk(ctypes.c_ssize_t(200 << 20)) in (None, 2**64 - 1) else "worked")
