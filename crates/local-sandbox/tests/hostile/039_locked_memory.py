# Memory that may not be swapped out.
# expect: denied
# off: guard seccomp,rlimits
import ctypes, mmap

libc = ctypes.CDLL(None, use_errno=True)
memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
locked = [
    libc.mlockall(1) == 0,
    libc.mlock(ctypes.c_void_p(place), ctypes.c_size_t(1 << 16)) == 0,
    libc.syscall(ctypes.c_long(325), ctypes.c_long(place), ctypes.c_long(1 << 16), ctypes.c_long(1)) == 0,
]
reply("worked" if any(locked) else "denied")
