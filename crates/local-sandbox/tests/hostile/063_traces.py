# Traces, reads another's memory, takes another's descriptors, compares.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
attempts = {"ptrace": (101, 0, 0, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "kcmp": (312, 1, 1, 0, 0, 0)}
worked = [name for name, arguments in attempts.items() if libc.syscall(*(ctypes.c_long(a) for a in arguments)) >= 0]
reply("worked" if worked else "denied")
