# Memory through files that are none: memfd, System V, /dev/shm.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
worked = libc.shmget(0, 4096, 0o1600) >= 0 or libc.memfd_create(b"x", 0) >= 0
try:
    open("/dev/shm/x", "w")
    worked = True
except OSError:
    pass
reply("worked" if worked else "denied")
