# Address space by the terabyte, touched by nobody.
# expect: denied
# limits: memory=256
# off: guard rlimits
import mmap

try:
    held = [mmap.mmap(-1, 1 << 36, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000) for _ in range(4)]
    reply("worked")
except (OSError, MemoryError, ValueError):
    reply("denied")
