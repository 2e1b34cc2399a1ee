# System calls by the interrupt of 32-bit programs, where the numbers mean others.
# expect: signal 31 | signal 11
# off: guard seccomp
# off-expect: worked | signal 11
import ctypes, mmap

# push rbx; mov eax, 20 (getpid there); int 0x80; pop rbx; ret
code = b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3"
memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
answer = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
reply("worked" if answer > 0 else f"answered {answer}")
