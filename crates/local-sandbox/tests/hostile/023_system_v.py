# Memory, semaphores and queues of System V, which outlive who made them.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
made = [libc.shmget(0x4d42, 16 << 20, 0o1600), libc.semget(0x4d42, 4, 0o1600), libc.msgget(0x4d42, 0o1600)]
reply("worked" if max(made) >= 0 else "denied")
