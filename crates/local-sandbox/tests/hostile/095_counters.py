# The counter of the processor, read by an instruction of its own: allowed, and not defended.
# expect: worked
# off: none, it is not guarded against
import ctypes, mmap

# rdtsc; shl rdx, 32; or rax, rdx; ret
code = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"
memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
reply("worked" if read() < read() else "denied")
