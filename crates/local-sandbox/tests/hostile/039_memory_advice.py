# Advice to the kernel about memory, of every number there is: on its own memory it harms nobody.
# expect: reply advised
# off: none, only the program's own memory is spoken of
import ctypes, mmap

libc = ctypes.CDLL(None, use_errno=True)
for advice in [*range(26), 100, 101, 102, 103]:
    memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    libc.madvise(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), ctypes.c_size_t(1 << 16), advice)
reply("advised")
