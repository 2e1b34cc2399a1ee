# Becomes somebody else, or takes capabilities.
# expect: denied
# off: guard seccomp,capabilities,landlock
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
for attempt in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        attempt()
    except OSError:
        pass
header, all_of_them = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
libc.capset(ctypes.byref(header), ctypes.byref(all_of_them))
held = (ctypes.c_uint32 * 6)()
libc.capget(ctypes.byref(header), ctypes.byref(held))
reply("worked" if os.geteuid() == 0 or any(held) else "denied")
