# Becomes a program that was never a file.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
memory = libc.memfd_create(b"x", 0)
reply("worked" if memory >= 0 else "denied")
