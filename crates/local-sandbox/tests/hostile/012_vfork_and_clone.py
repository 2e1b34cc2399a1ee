# Makes a process by the raw calls: clone without a thread, fork, clone3.
# expect: denied
# off: guard seccomp
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
worked = False
for arguments in ((56, 17, 0, 0, 0, 0), (57, 0, 0, 0, 0, 0)):
    pid = libc.syscall(*(ctypes.c_long(a) for a in arguments))
    if pid == 0:
        os._exit(0)
    worked = worked or pid > 0
block = (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17, 0, 0, 0)
pid = libc.syscall(ctypes.c_long(435), block, ctypes.c_long(64))
if pid == 0:
    os._exit(0)
worked = worked or pid > 0
reply("worked" if worked else "denied")
