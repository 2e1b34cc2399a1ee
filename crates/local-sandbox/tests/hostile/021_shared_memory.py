# Shared anonymous memory, which the limit on data does not count.
# expect: denied
# off: guard seccomp
import mmap

try:
    memory = mmap.mmap(-1, 16 << 20)
    memory.write(b"x" * (16 << 20))
    reply("worked")
except OSError:
    reply("denied")
