# Leaves its session and its group, and asks to outlive whoever made it.
# expect: denied
# off: guard seccomp
# off-expect: denied | worked
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
worked = [libc.prctl(36, ctypes.c_long(1)) == 0]
for attempt in (os.setsid, lambda: os.setpgid(0, 0), lambda: os.setpgid(0, 1)):
    try:
        attempt()
        worked.append(True)
    except OSError:
        pass
reply("worked" if any(worked) else "denied")
