# Calls of whoever administers a machine.
# expect: denied
# off: guard seccomp
# off-expect: reply let through
import ctypes, errno

libc = ctypes.CDLL(None, use_errno=True)
calls = {"kexec_load": 246, "init_module": 175, "delete_module": 176, "finit_module": 313, "reboot": 169, "swapon": 167, "swapoff": 168,
         "quotactl": 179, "acct": 163, "syslog": 103, "settimeofday": 164, "clock_settime": 227, "sethostname": 170, "iopl": 172, "ioperm": 173,
         "modify_ldt": 154, "lookup_dcookie": 212, "vhangup": 153, "seccomp": 317, "landlock_create_ruleset": 444, "pkey_alloc": 330}
refused, worked = 0, []
for name, number in calls.items():
    ctypes.set_errno(0)
    # Arguments that do nothing where the call is let through.
    if libc.syscall(ctypes.c_long(number), ctypes.c_long(-1), ctypes.c_long(-1), ctypes.c_long(-1), ctypes.c_long(-1)) >= 0:
        worked.append(name)
    refused += ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)
reply("worked" if worked else "denied" if refused == len(calls) else "let through")
